"""The operations that RandAugment, TrivialAugment and AugMix draw from, for batches in which each image has its own.

They are those of torchvision's classes of these names. Each is applied at once to all images that drew it, and to no
other image. Images are float32 in 0..1, and the results are those of torchvision for such images. If an affine
operation with nearest sampling takes a pixel from exactly between two pixels, rounding decides which.

For images of uint8, torchvision rounds after each operation. Then values differ by at most 1/255, for sharpness by at
most 1.5/255, for color and contrast by less than 2/255. Values at the very threshold of solarize may or may not be
inverted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from trainables.augmentation import transforms

AFFINE = ("shear_x", "shear_y", "translate_x", "translate_y", "rotate")
FACTORS: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {
    "brightness": transforms.adjust_brightness,
    "color": transforms.adjust_saturation,
    "contrast": transforms.adjust_contrast,
    "sharpness": transforms.adjust_sharpness,
}
"""Transforms whose factor is 1 plus the value of the operation."""
SIGNED = (*AFFINE, *FACTORS)
"""Operations whose value is negative for half of the images."""
NAMES = ("identity", *SIGNED, "posterize", "solarize", "auto_contrast", "equalize")
WITHOUT_IDENTITY = NAMES[1:]
N_LEVELS = 256
"""The number of grey levels for which `equalize` counts pixels."""


class Strengths(NamedTuple):
    """The values of the operations at the largest magnitude. At magnitude 0, signed ones change nothing."""

    shear: float
    """Pixels that a row or column moves by for each pixel of its distance."""
    translate_x: float
    """In pixels, as `translate_y`. Both are rounded towards 0."""
    translate_y: float
    rotate: float
    """In degrees."""
    factor: float
    """The largest difference from 1 of the factors of brightness, color, contrast and sharpness."""
    bits: tuple[int, int]
    """Bits that posterize keeps: at magnitude 0, and at the largest magnitude."""


def values(
    names: tuple[str, ...], strengths: Strengths, chosen: Tensor, levels: Tensor, negative: Tensor, *, n_levels: int
) -> Tensor:
    """Return the values of operations, float64 of the shape of `chosen`.

    `chosen` are indices into `names`. `levels` are magnitudes of 0 to `n_levels` - 1. Both are int64. `negative` says
    which values are negative, if their operation is a signed one. All are on the CPU and have the same shape.
    """
    ends = {"shear_x": (0.0, strengths.shear), "shear_y": (0.0, strengths.shear)}
    ends |= {"translate_x": (0.0, strengths.translate_x), "translate_y": (0.0, strengths.translate_y)}
    ends |= {"rotate": (0.0, strengths.rotate), "posterize": strengths.bits, "solarize": (1.0, 0.0)}
    ends |= dict.fromkeys(FACTORS, (0.0, strengths.factor))
    # In float32, as in torchvision: it decides about the threshold of a value, and about whole pixels.
    table = torch.stack([torch.linspace(*ends.get(name, (0.0, 0.0)), n_levels) for name in names])
    found = table[chosen, levels].double()
    found = found.where(~(_are(names, SIGNED)[chosen] & negative), -found)
    found = found.where(~_are(names, ("translate_x", "translate_y"))[chosen], found.trunc())
    return found.where(~_are(names, ("posterize",))[chosen], found.round())


def _are(names: tuple[str, ...], those: tuple[str, ...]) -> Tensor:
    """Return which of `names` are among `those`, bool (len(names),)."""
    return torch.tensor([name in those for name in names])


def apply_in_place(images: Tensor, names: tuple[str, ...], chosen: Tensor, value: Tensor, *, mode: str) -> None:
    """Apply to each image the operation `names[chosen]` with its value. The images are overwritten.

    `chosen`, int64 (n,), and `value`, float64 (n,), are on the CPU, so that no device has to be waited for. `mode` is
    how affine operations sample, nearest or bilinear. Pixels that they take from outside the image are black.
    """
    rows: dict[str, list[int]] = {}
    for row, index in enumerate(chosen.tolist()):
        rows.setdefault("affine" if names[index] in AFFINE else names[index], []).append(row)
    rows.pop("identity", None)
    for kind, of_kind in rows.items():
        index = torch.tensor(of_kind)
        on_device = index.to(images.device)
        selected = images[on_device]
        if kind == "affine":
            matrices = affine_matrices([names[each] for each in chosen[index].tolist()], value[index], selected.shape)
            changed = affine(selected, matrices.to(selected), mode=mode)
        else:
            changed = _apply(kind, selected, value[index].to(selected))
        images[on_device] = changed


def _apply(name: str, images: Tensor, value: Tensor) -> Tensor:
    if name in FACTORS:
        return FACTORS[name](images, 1 + value)
    if name == "posterize":
        return posterize(images, value)
    if name == "solarize":
        return solarize(images, value)
    return auto_contrast(images) if name == "auto_contrast" else equalize(images)


def affine_matrices(names: list[str], value: Tensor, shape: torch.Size) -> Tensor:
    """Return where each operation of AFFINE takes its pixels from, float64 (n, 2, 3).

    A matrix maps the x and y of a pixel of the result to those of its source. Both are measured in pixels from the
    centre of the image. Shears leave the upper left corner where it is. Rotations are counter-clockwise.
    """
    height, width = shape[-2:]
    matrices = torch.eye(3, dtype=torch.float64)[:2].repeat(len(names), 1, 1)
    for matrix, name, each in zip(matrices, names, value, strict=True):
        if name == "shear_x":
            matrix[0, 1:] = each * torch.tensor([1, height / 2])
        elif name == "shear_y":
            matrix[1, 0], matrix[1, 2] = each, each * width / 2
        elif name == "rotate":
            cos, sin = torch.deg2rad(each).cos(), torch.deg2rad(each).sin()
            matrix[:, :2] = torch.stack([cos, -sin, sin, cos]).reshape(2, 2)
        else:
            matrix[0 if name == "translate_x" else 1, 2] = -each
    return matrices


def affine(images: Tensor, matrices: Tensor, *, mode: str) -> Tensor:
    """Move pixels by `matrices` (n, 2, 3), see `affine_matrices`. Pixels from outside the image are black."""
    n, _, height, width = images.shape
    sides = torch.tensor([width, height], device=images.device)[None, :, None]
    matrices = matrices * (2 / sides)  # the grid is measured in half sides
    x = torch.arange(width, device=images.device) - (width - 1) / 2
    y = torch.arange(height, device=images.device) - (height - 1) / 2
    along_x = matrices[:, None, :, 0] * x[:, None] + matrices[:, None, :, 2]
    along_y = matrices[:, None, :, 1] * y[:, None]
    grid = along_x[:, None] + along_y[:, :, None]
    assert grid.shape == (n, height, width, 2)
    sampled = functional.grid_sample(images, grid, mode=mode, padding_mode="zeros", align_corners=False)
    return sampled.clamp_(0, 1)  # rounding can give values just above 1


def posterize(images: Tensor, bits: Tensor) -> Tensor:
    """Keep the highest `bits` bits of each value, whole numbers of 0 to 8, (n,)."""
    levels = (2**bits).reshape(-1, 1, 1, 1)
    return torch.minimum((images * levels).floor_(), levels - 1) / levels


def solarize(images: Tensor, threshold: Tensor) -> Tensor:
    """Invert the values that are at least `threshold`, (n,)."""
    return torch.where(images >= threshold.reshape(-1, 1, 1, 1), 1 - images, images)


def auto_contrast(images: Tensor) -> Tensor:
    """Stretch each channel so that its values reach from 0 to 1. A channel of a single value does not change."""
    low, high = images.aminmax(dim=-1, keepdim=True)
    low, high = low.amin(dim=-2, keepdim=True), high.amax(dim=-2, keepdim=True)
    is_flat = low == high
    return ((images - low.masked_fill(is_flat, 0)) / (high - low).masked_fill(is_flat, 1)).clamp_(0, 1)


def equalize(images: Tensor) -> Tensor:
    """Map each channel to 256 grey levels so that all have about as many pixels, as Pillow does."""
    n, channels, height, width = images.shape
    levels = (images * (N_LEVELS - 1e-3)).long().view(n * channels, height * width)
    counts = torch.zeros(n * channels, N_LEVELS, dtype=torch.int32, device=images.device)
    counts.scatter_add_(1, levels, counts.new_ones(()).expand_as(levels))
    below = counts.cumsum(dim=1) - counts
    # The pixels of the brightest level of a channel do not count.
    step = below.masked_fill(counts == 0, 0).amax(dim=1, keepdim=True) // (N_LEVELS - 1)
    table = ((below + step // 2) // step.clamp(min=1)).clamp_(0, N_LEVELS - 1)
    table = torch.where(step > 0, table, torch.arange(N_LEVELS, device=images.device))
    return (table / (N_LEVELS - 1)).gather(1, levels).view_as(images)
