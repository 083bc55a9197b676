"""The README of a model folder, with lines that load the model and classify an image without hpo."""

from __future__ import annotations

from collections.abc import Mapping

from trainables.inference.description import ImageInput, ModelDescription

WEIGHTS_FILE = "model.safetensors"
PROGRAM_FILE = "model.pt2"
"""The model as a program of torch.export: if asked for, or if no plain code builds its network."""
ONNX_FILE = "model.onnx"
"""The same network for onnxruntime and other software that reads ONNX."""
README_FILE = "README.md"
EXAMPLE = "image.jpg"
"""The file that the lines classify."""
CLASSES_LINE = 'classes = json.loads(Path("model.json").read_text(encoding="utf-8"))["classes"]'


def load_lines(description: ModelDescription) -> str:
    """Return the lines that load the model, and define `read(path)`: the input of the model for an image file."""
    uses_program = description.network.model is None
    imports = [
        "import json",
        "from pathlib import Path\n",
        "import numpy as np",
        "import torch",
        "from PIL import Image, ImageOps",
    ]
    imports += [] if uses_program else ["from safetensors.torch import load_file"]
    code = description.network.code.strip().removeprefix("import torch\n")
    load = [code, *([] if uses_program else [f'model.load_state_dict(load_file("{WEIGHTS_FILE}"))', "model.eval()"])]
    return (
        "\n".join([*imports, *load, CLASSES_LINE, "", "", *_read_lines(description.image, normalizes=not uses_program)])
        + "\n"
    )


def use_lines(description: ModelDescription) -> str:
    """Return the lines that classify one image, after `load_lines`."""
    if description.network.model is None:
        run = f'    logits, probabilities = model(read("{EXAMPLE}"))\n'
    else:
        scale = "" if description.temperature == 1 else f" / {description.temperature!r}"
        run = f'    logits = model(read("{EXAMPLE}"))\nprobabilities = (logits{scale}).softmax(dim=1)\n'
    return f"""with torch.no_grad():
{run}print(classes[probabilities[0].argmax()], probabilities[0].max().item())
"""


def image_lines(image: ImageInput) -> list[str]:
    """Return the lines of a function `read(path)` up to the decoded and resized Pillow image `image`.

    They do what `trainables.data.decoding` does to usual files.
    """
    height, width = image.height, image.width
    lines = ["def read(path):", "    image = Image.open(path)"]
    if image.decoding.exif_orientation:
        lines.append("    image = ImageOps.exif_transpose(image)")
    if image.decoding.background is None:
        lines.append('    image = image.convert("RGB")')
    else:
        lines += [
            '    image = image.convert("RGBA")',
            f'    background = Image.new("RGBA", image.size, {image.decoding.background!r})',
            '    image = Image.alpha_composite(background, image).convert("RGB")',
        ]
    if image.resize == "crop":
        lines += [
            f"    width, height = ({height} * side // min(image.size) for side in image.size)",
            f"    left, top = round((width - {width}) / 2), round((height - {height}) / 2)",
            "    x, y = image.width / width, image.height / height",
            f"    box = (left * x, top * y, (left + {width}) * x, (top + {height}) * y)",
            f"    image = image.resize(({width}, {height}), Image.Resampling.BILINEAR, box=box)",
        ]
    else:
        lines.append(f"    image = image.resize(({width}, {height}), Image.Resampling.BILINEAR)")
    return lines


def _read_lines(image: ImageInput, *, normalizes: bool) -> list[str]:
    """The function `read`, which returns one image: uint8, or float32 and normalized if it `normalizes`."""
    lines = image_lines(image)
    if image.channels == 1:
        lines.append('    pixels = torch.from_numpy(np.array(image.convert("L")))[None, None]')
    else:
        lines.append("    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None]")
    if not normalizes:
        return [*lines, "    return pixels"]
    mean, std = (f"torch.tensor({list(values)}).reshape(1, -1, 1, 1)" for values in (image.mean, image.std))
    return [*lines, f"    mean = {mean}", f"    std = {std}", "    return (pixels.float() / 255 - mean) / std"]


def readme(description: ModelDescription, package: str | None) -> str:
    """Return the README of a model folder. `package` is what the lines need beside torch, NumPy and Pillow."""
    study = description.about.get("study", {})
    name = description.network.model or study.get("model") or "a network of your own"
    packages = ["torch", "numpy", "pillow", *([] if description.network.model is None else ["safetensors"])]
    packages += [] if package is None else [package]
    return f"""# {name}, {len(description.classes)} classes

`model.json` gives the origin of this model and its validation and test results.
{_untested_words(description)}{_soup_words(description)}
With hpo:

```console
$ hpo predict . {EXAMPLE}
```

Without hpo, with {", ".join(packages)} (run it in this folder):

```python
{load_lines(description)}```

```python
{use_lines(description)}```

`read` turns usual JPEG and PNG files of 8 bits into the same input as hpo does. hpo also reads images of 16 bits, HEIC
files and broken EXIF data, and refuses files that are too large or are cut off; these lines do not.
{_notes(description)}"""


def _untested_words(description: ModelDescription) -> str:
    """Say that the results are those of another model, if it was trained once more on more images. Else empty."""
    trained_on = description.about.get("training", {}).get("trained_on")
    of_results = description.about.get("results", {}).get("of_trained_on")
    tested_on = of_results.get("test") if isinstance(of_results, Mapping) else of_results  # earlier versions had a text
    if trained_on is None or tested_on is None or trained_on == tested_on:
        return ""
    return (
        f"\nThis model was trained on {trained_on}, and is not tested. The results are those of the same training on "
        f"{tested_on}.\n"
    )


def _soup_words(description: ModelDescription) -> str:
    """Say that the weights are an average of several trainings. Empty if they are not."""
    numbers = description.about.get("training", {}).get("soup", ())
    if len(numbers) < 2:
        return ""
    return (
        f"\nIt is a soup: its weights are the average of those of trials {', '.join(map(str, numbers))}, chosen on the "
        "validation images.\nSo its validation results, also those of its calibration, are too good.\n"
    )


def _notes(description: ModelDescription) -> str:
    notes = ""
    if description.network.model is None:
        notes += (
            f"\nNo plain code builds this network, so `{PROGRAM_FILE}` holds it as a program of torch.export, with its "
            f"weights. It takes any\nnumber of images, uint8, normalizes them itself, and returns the logits and the "
            f"calibrated probabilities.\n`{WEIGHTS_FILE}` holds the same weights under the names of its own code.\n"
        )
    if description.temperature != 1:
        notes += (
            "\nThe logits are divided by a temperature, so that the probabilities are calibrated. "
            "It does not change the\npredicted class.\n"
        )
    return notes
