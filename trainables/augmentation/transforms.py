"""Transforms of a batch of images, with different numbers for each image.

Images are float32 in 0..1, (n, channels, height, width). The result has the same type and shape, and the input is never
modified. The numbers are (n,), on the device of the images. The formulas are those that torchvision documents for its
corresponding functions (torchvision.transforms.v2.functional), which use one number for the whole batch.

Only images with 3 channels (red, green and blue) have colours. Images with 1 channel are greyscale already.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

RED, GREEN, BLUE = 0.2989, 0.587, 0.114
"""The weights of the channels in a greyscale image."""


def flip(images: Tensor, chosen: Tensor) -> Tensor:
    """Flip the images where `chosen`, bool, is true, so that left becomes right."""
    return torch.where(_per_image(chosen), images.flip(-1), images)


def adjust_brightness(images: Tensor, factor: Tensor) -> Tensor:
    """Multiply by a factor: 0 gives black, 1 the image, 2 twice its brightness. Values above 1 become 1."""
    return (images * _per_image(factor)).clamp_(0, 1)


def adjust_contrast(images: Tensor, factor: Tensor) -> Tensor:
    """Blend with the mean of the image's greyscale: a factor of 0 gives a uniform grey, 1 the image."""
    mean = _greyscale(images).mean(dim=(1, 2, 3), keepdim=True)
    return _blend(mean, images, factor)


def adjust_saturation(images: Tensor, factor: Tensor) -> Tensor:
    """Blend with the greyscale: a factor of 0 gives the greyscale, 1 the image."""
    return _blend(_greyscale(images), images, factor)


def adjust_hue(images: Tensor, turns: Tensor) -> Tensor:
    """Shift all hues by `turns`, as shares of the colour circle (-0.5 to 0.5).

    The saturation and value of HSV do not change.
    """
    if not _has_colours(images):
        return images
    value = images.amax(dim=1, keepdim=True)
    chroma = value - images.amin(dim=1, keepdim=True)
    divisor = chroma.where(chroma > 0, 1.0)
    red, green, blue = images.chunk(3, dim=1)
    # The hue is measured in sixths of the circle: red is 0, green 2, blue 4. It is nearest to the brightest channel.
    near_green, near_blue = 2 + (blue - red) / divisor, 4 + (red - green) / divisor
    hue = torch.where(value == red, (green - blue) / divisor, torch.where(value == green, near_green, near_blue))
    # Each channel is bright in a third of the circle, falls linearly over the sixths beside it, and is dark elsewhere.
    channels = torch.arange(5, 0, -2, device=images.device).reshape(1, 3, 1, 1)
    position = (channels + hue + 6 * _per_image(turns)) % 6
    return value - chroma * torch.minimum(position, 4 - position).clamp_(0, 1)


def adjust_sharpness(images: Tensor, factor: Tensor) -> Tensor:
    """Blend with a blurred image: a factor of 0 gives the blurred image, 1 the image, 2 a sharpened image.

    The pixels at the border do not change. An image with a side of fewer than 3 pixels does not change at all.
    """
    if min(images.shape[2:]) < 3:
        return images
    inner = images[:, :, 1:-1, 1:-1]
    # The weights are 1 for each of the 8 neighbours and 5 for the pixel itself. Sums of slices are faster than
    # pooling on a CPU.
    of_rows = (images[:, :, :-2] + images[:, :, 1:-1]).add_(images[:, :, 2:])
    of_squares = (of_rows[..., :-2] + of_rows[..., 1:-1]).add_(of_rows[..., 2:])
    blurred = of_squares.add_(inner, alpha=4).div_(13)
    sharpened = images.clone()
    sharpened[:, :, 1:-1, 1:-1] = _blend(blurred, inner, factor)
    return sharpened


def rotate(images: Tensor, degrees: Tensor) -> Tensor:
    """Rotate counter-clockwise about the centre, with bilinear sampling. Pixels from outside the image are black."""
    height, width = images.shape[2:]
    radians = torch.deg2rad(degrees)
    cos, sin, zero = radians.cos(), radians.sin(), torch.zeros_like(radians)
    # The grid measures in half sides, which differ for width and height, so the rotation converts to pixels and back.
    rows = [cos, -sin * (height / width), zero, sin * (width / height), cos, zero]
    rotations = torch.stack(rows, dim=1).reshape(-1, 2, 3)
    return _sample(images, functional.affine_grid(rotations, list(images.shape), align_corners=False))


def crop(images: Tensor, top: Tensor, left: Tensor, *, height: Tensor | int, width: Tensor | int) -> Tensor:
    """Crop `height` x `width` pixels at (`top`, `left`), and resize them bilinearly to the size of the image.

    `height` and `width` are whole numbers, (n,), or one for all images.
    """
    n, _, full_height, full_width = images.shape
    rows = _sample_positions(top, height, full_height)[:, :, None].expand(n, full_height, full_width)
    columns = _sample_positions(left, width, full_width)[:, None, :].expand(n, full_height, full_width)
    return _sample(images, torch.stack([columns, rows], dim=-1))


def _sample_positions(first: Tensor, length: Tensor | int, side: int) -> Tensor:
    """Return where to sample along one side so that `length` pixels from `first` fill `side` pixels.

    The positions are (n, side), in the coordinates of `grid_sample`: -1 and 1 are the ends of the side.
    """
    lengths = torch.as_tensor(length, dtype=torch.float64, device=first.device).expand(len(first))[:, None]
    pixels = (torch.arange(side, device=first.device) + 0.5) * (lengths / side).float() - 0.5
    # Clamped, so that bilinear sampling does not use pixels outside the crop.
    pixels = torch.minimum(pixels.clamp(min=0), (lengths - 1).float()) + first[:, None]
    return (2 * pixels + 1) / side - 1


def _sample(images: Tensor, grid: Tensor) -> Tensor:
    sampled = functional.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    return sampled.clamp_(0, 1)  # rounding can give values just above 1


def _has_colours(images: Tensor) -> bool:
    return images.shape[1] == 3


def _greyscale(images: Tensor) -> Tensor:
    """Return the greyscale, (n, 1, height, width), or the images themselves if they have no colours."""
    if not _has_colours(images):
        return images
    red, green, blue = images.chunk(3, dim=1)
    return RED * red + GREEN * green + BLUE * blue


def _blend(at_0: Tensor, at_1: Tensor, factor: Tensor) -> Tensor:
    """Interpolate from `at_0` (factor 0) to `at_1` (factor 1), or extrapolate, and clamp to 0..1."""
    return torch.lerp(at_0, at_1, _per_image(factor)).clamp_(0, 1)


def _per_image(numbers: Tensor) -> Tensor:
    """Reshape (n,) to (n, 1, 1, 1), to be combined with images."""
    return numbers.reshape(-1, 1, 1, 1)
