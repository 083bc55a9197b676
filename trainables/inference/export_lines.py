"""The parts of a README about `model.onnx` and `model.pt2`, with lines that load them and classify an image."""

from __future__ import annotations

from collections.abc import Collection

from trainables.inference.description import ImageInput, ModelDescription
from trainables.inference.plain_lines import CLASSES_LINE, EXAMPLE, ONNX_FILE, PROGRAM_FILE, image_lines


def sections(description: ModelDescription, formats: Collection[str]) -> str:
    """Return a section for each of the formats. They explain the input and the outputs, and have the lines."""
    image = description.image
    text = ""
    if "onnx" in formats:
        load = f'session = onnxruntime.InferenceSession("{ONNX_FILE}")'
        run = f'logits, probabilities = session.run(None, {{"images": read("{EXAMPLE}")}})'
        packages = ["import onnxruntime", "from PIL import Image, ImageOps"]
        text += _section("onnxruntime", ONNX_FILE, image, [*packages, "", load], run)
    if "torch" in formats and description.network.model is not None:
        load = f'program = torch.export.load("{PROGRAM_FILE}").module()'
        call = f'logits, probabilities = program(torch.from_numpy(read("{EXAMPLE}")))'
        run = f"with torch.no_grad():\n    {call}"
        packages = ["import torch", "from PIL import Image, ImageOps"]
        text += _section("torch.export", PROGRAM_FILE, image, [*packages, "", load], run)
    return text


def _section(title: str, file: str, image: ImageInput, load: list[str], run: str) -> str:
    pixels = (
        'np.array(image.convert("L"))[None, None]'
        if image.channels == 1
        else "np.array(image).transpose(2, 0, 1)[None]"
    )
    lines = [
        "import json",
        "from pathlib import Path",
        "",
        "import numpy as np",
        *load,
        CLASSES_LINE,
        "",
        "",
        *image_lines(image),
        f"    return {pixels}",
        "",
        "",
        run,
        "best = int(probabilities[0].argmax())",
        "print(classes[best], float(probabilities[0][best]))",
    ]
    return f"""
## {title}

`{file}` takes any number of images, uint8 of shape (n, {image.channels}, {image.height}, {image.width}), and normalizes
them itself. It returns the logits and the calibrated probabilities, both (n, n_classes).

```python
{chr(10).join(lines)}
```
"""
