"""Draws images/augmentation.jpg: a photo under each recipe of augmentation and each kind of mixing.

    python docs/augmentation_figure.py

The photos come with scikit-learn: china.jpg by danielbuechele, flower.jpg by vultilion, both CC BY 2.0.
"""

from __future__ import annotations

from pathlib import Path

import torch
from PIL import Image, ImageDraw, ImageFont
from sklearn.datasets import load_sample_image
from torch import Tensor
from torch.nn import functional

from trainables.augmentation import mixing, recipes
from trainables.hyperparameters import Config

PATH = Path(__file__).parent / "images" / "augmentation.jpg"
ROWS: list[Config] = [
    *({"augmentation": name} for name in recipes.NAMES),
    *({"random_erasing": 1.0, "erasing_mode": mode} for mode in ("const", "pixel")),
    *({"mixing": name} for name in mixing.HYPERPARAMETERS["mixing"][1:]),
]
"""What each row of the picture shows, as a configuration."""
MEAN = torch.tensor([0.485, 0.456, 0.406]).reshape(1, 3, 1, 1)
"""The mean of the normalisation of most pretrained weights, with which random erasing fills."""


def photo(name: str, side: int) -> Tensor:
    """The middle square of a photo, float32 of 0..1, (1, 3, side, side)."""
    pixels = torch.from_numpy(load_sample_image(name).copy()).permute(2, 0, 1)[None].float() / 255
    left = (pixels.shape[3] - pixels.shape[2]) // 2
    square = pixels[..., left : left + pixels.shape[2]]
    return functional.interpolate(square, (side, side), mode="bilinear", antialias=True)


def row(config: Config, side: int, n: int) -> Tensor:
    """A photo under a configuration, `n` times: (n, 3, side, side)."""
    images, generator = photo("china.jpg", side).repeat(n, 1, 1, 1), torch.Generator().manual_seed(4)
    recipe, mix = recipes.recipe(config, MEAN), mixing.mixing(config)
    if mix is not None:
        both = torch.cat([images, photo("flower.jpg", side).repeat(n, 1, 1, 1)])
        # Of two images, each is the other's partner.
        return torch.cat([mix(both[i::n], torch.eye(2), generator)[0][:1] for i in range(n)])
    return images if recipe is None else recipe(images, generator)


def draw(path: Path, *, side: int = 96, n: int = 8) -> None:
    """Write the picture to `path`, as JPEG. Each row has its name and `n` images of `side` pixels."""
    label = 170
    picture = Image.new("RGB", (label + n * (side + 4), len(ROWS) * (side + 4)), "white")
    pen, font = ImageDraw.Draw(picture), ImageFont.load_default(14)
    for i, config in enumerate(ROWS):
        top = i * (side + 4)
        words = "\n".join(f"{key}:\n  {value}" for key, value in config.items())
        pen.multiline_text((4, top + 8), words, fill="black", font=font)
        for j, image in enumerate(row(config, side, n)):
            pixels = (image * 255).round().byte().permute(1, 2, 0).numpy()
            picture.paste(Image.fromarray(pixels), (label + j * (side + 4), top))
    picture.save(path, quality=85)


if __name__ == "__main__":
    draw(PATH)
