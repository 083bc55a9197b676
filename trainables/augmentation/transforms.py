"""Transforms of images: a whole batch at once, each image by numbers of its own.

Images are float32 of 0..1, (n, channels, height, width), and the result is alike; the input is never
changed. The numbers are (n,) and lie on the device of the images. The formulas are those that
torchvision documents for its functions of the same purpose (torchvision.transforms.v2.functional).

Only images of 3 channels, red, green and blue, have colours: those of 1 channel are their own greyscale.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

RED, GREEN, BLUE = 0.2989, 0.587, 0.114
"""The shares of the channels in a greyscale image."""


def flip(images: Tensor, chosen: Tensor) -> Tensor:
    """Exchange left and right where `chosen`, bool, is true."""
    return torch.where(_each(chosen), images.flip(-1), images)


def adjust_brightness(images: Tensor, factor: Tensor) -> Tensor:
    """Blend with black: a factor of 0 gives black, 1 the image, 2 twice its brightness, cut off at 1."""
    return (images * _each(factor)).clamp_(0, 1)


def adjust_contrast(images: Tensor, factor: Tensor) -> Tensor:
    """Blend with the mean of the image's greyscale: a factor of 0 gives one grey, 1 the image."""
    mean = _greyscale(images).mean(dim=(1, 2, 3), keepdim=True)
    return _blend(mean, images, factor)


def adjust_saturation(images: Tensor, factor: Tensor) -> Tensor:
    """Blend with the greyscale: a factor of 0 gives the greyscale, 1 the image."""
    return _blend(_greyscale(images), images, factor)


def adjust_hue(images: Tensor, turns: Tensor) -> Tensor:
    """Turn all hues by a share of the colour circle (-0.5 to 0.5); saturation and value (as in HSV) stay."""
    if not _has_colours(images):
        return images
    value = images.amax(dim=1, keepdim=True)
    chroma = value - images.amin(dim=1, keepdim=True)
    divisor = chroma.where(chroma > 0, 1.0)
    red, green, blue = images.chunk(3, dim=1)
    # In sixths of the circle: red at 0, green at 2, blue at 4; the brightest channel is the nearest of them.
    near_green, near_blue = 2 + (blue - red) / divisor, 4 + (red - green) / divisor
    hue = torch.where(value == red, (green - blue) / divisor, torch.where(value == green, near_green, near_blue))
    # Each channel is bright within a third of the circle, falls off over a sixth and is dark over the rest.
    channels = torch.arange(5, 0, -2, device=images.device).reshape(1, 3, 1, 1)
    place = (channels + hue + 6 * _each(turns)) % 6
    return value - chroma * torch.minimum(place, 4 - place).clamp_(0, 1)


def adjust_sharpness(images: Tensor, factor: Tensor) -> Tensor:
    """Blend with a blurred image: a factor of 0 gives the blurred one, 1 the image, 2 a sharpened one.

    The pixels at the border stay as they are, and so does an image with a side below 3 pixels.
    """
    if min(images.shape[2:]) < 3:
        return images
    inner = images[:, :, 1:-1, 1:-1]
    # Each of the nine pixels around counts once, the middle one five times.
    blurred = (9 * functional.avg_pool2d(images, 3, stride=1) + 4 * inner) / 13
    sharpened = images.clone()
    sharpened[:, :, 1:-1, 1:-1] = _blend(blurred, inner, factor)
    return sharpened


def rotate(images: Tensor, degrees: Tensor) -> Tensor:
    """Turn counter-clockwise about the centre, bilinear; what comes from outside the image is black."""
    height, width = images.shape[2:]
    radians = torch.deg2rad(degrees)
    cos, sin, zero = radians.cos(), radians.sin(), torch.zeros_like(radians)
    # The grid's unit is half a side, and the sides differ: the way there and back is by pixels.
    rows = [cos, -sin * (height / width), zero, sin * (width / height), cos, zero]
    turned = torch.stack(rows, dim=1).reshape(-1, 2, 3)
    return _sample(images, functional.affine_grid(turned, list(images.shape), align_corners=False))


def crop(images: Tensor, top: Tensor, left: Tensor, *, height: int, width: int) -> Tensor:
    """Cut `height` times `width` pixels out at (`top`, `left`) and resize them, bilinear, to the size of the image."""
    n, _, full_height, full_width = images.shape
    rows = _places(top, height, full_height)[:, :, None].expand(n, full_height, full_width)
    columns = _places(left, width, full_width)[:, None, :].expand(n, full_height, full_width)
    return _sample(images, torch.stack([columns, rows], dim=-1))


def _places(first: Tensor, length: int, side: int) -> Tensor:
    """Where along a side `length` pixels from `first` are read to fill it: (n, side), from -1 to 1."""
    pixels = (torch.arange(side, device=first.device) + 0.5) * (length / side) - 0.5
    # Clamped, as what lies beside the cut-out must not shine in.
    pixels = pixels.clamp(0, length - 1) + first[:, None]
    return (2 * pixels + 1) / side - 1


def _sample(images: Tensor, grid: Tensor) -> Tensor:
    sampled = functional.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    return sampled.clamp_(0, 1)  # the weights of four pixels add up to 1 but for rounding


def _has_colours(images: Tensor) -> bool:
    return images.shape[1] == 3


def _greyscale(images: Tensor) -> Tensor:
    """(n, 1, height, width) where the images have colours, else the images."""
    if not _has_colours(images):
        return images
    red, green, blue = images.chunk(3, dim=1)
    return RED * red + GREEN * green + BLUE * blue


def _blend(at_0: Tensor, at_1: Tensor, factor: Tensor) -> Tensor:
    return torch.lerp(at_0, at_1, _each(factor)).clamp_(0, 1)


def _each(numbers: Tensor) -> Tensor:
    return numbers.reshape(-1, 1, 1, 1)
