"""Figures of images: filters, activation maps, and images with what a model took them for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hpo.figures import style
from hpo.figures.style import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

N_FILTERS = 256
"""Filters that are shown at most."""
N_CHANNELS = 16
"""Channels of an activation that are shown at most."""
BETWEEN = (0.78, 0.84, 0.92)
"""The colour between filters, as none of them has it: red, green, blue."""
TILE = 24
"""Pixels of a mosaic that the longer side of a tile has at least, so that the gaps are narrow."""


def filters(title: str, filters: Array) -> Figure:
    """A grid of filters (n, channels, height, width) of 1 channel or 3, each stretched from its least to its most."""
    shown = filters[:N_FILTERS]
    if len(shown) < len(filters):
        title += f", the first {len(shown)} of {len(filters)}"
    least, most = (of(shown, axis=(1, 2, 3), keepdims=True) for of in (np.min, np.max))
    stretched = (shown - least) / np.where(most > least, most - least, 1)
    rows, columns = _grid(len(shown))
    width = max(4.5, columns * 0.55)
    figure = style.figure(width, 0.5 + width * rows / columns, title)
    mosaic = _mosaic(np.broadcast_to(stretched, (len(shown), 3, *shown.shape[2:])), rows, columns)
    _picture(figure.subplots(), np.where(np.isnan(mosaic), BETWEEN, mosaic))
    return figure


def maps(title: str, image: Array, maps: Sequence[tuple[str, Array]]) -> Figure:
    """An image (channels, height, width) of 0..1, and beside it the first channels of named maps (channels, h, w).

    All channels of a panel are on one scale of brightness.
    """
    figure = style.figure(2.6 + 3.4 * len(maps), 4.4, title)
    layout = figure.get_layout_engine()
    assert layout is not None, "the style has one"
    layout.set(w_pad=0.12)  # type: ignore[call-arg]
    planes = figure.subplots(1, 1 + len(maps), width_ratios=[0.6, *(1 for _ in maps)])
    _picture(planes[0], image.transpose(1, 2, 0))
    planes[0].set_title("the image")
    for plane, (name, values) in zip(planes[1:], maps, strict=True):
        shown = values[:N_CHANNELS]
        mosaic = _mosaic(shown[:, None].astype(float), *_grid(len(shown)))
        drawn = _picture(plane, mosaic, cmap="viridis", limits=(float(shown.min()), float(shown.max())))
        plane.set_title(f"{name}: {len(shown)} of {len(values)} channels")
        figure.colorbar(drawn, ax=plane, location="bottom", shrink=0.8, aspect=30, pad=0.02)
    return figure


def mistakes(title: str, images: Array, true: Sequence[str], top: Sequence[Sequence[tuple[str, float]]]) -> Figure:
    """Images (n, channels, height, width) of 0..255: above each its class, below it the likeliest with their shares."""
    columns = min(8, len(images))
    rows = -(-len(images) // columns)
    figure = style.figure(max(5.0, 1.65 * columns), 0.4 + 2.2 * rows, title)
    planes = list(figure.subplots(rows, columns, squeeze=False).flat)
    for plane, image, name, likeliest in zip(planes, images, true, top, strict=False):
        _picture(plane, image.transpose(1, 2, 0) / 255)
        plane.set_title(style.short(name, 18), fontsize=8.5, fontweight="bold")
        lines = [f"{style.short(other, 15)}  {share:.2f}" for other, share in likeliest]
        plane.set_xlabel("\n".join(lines), fontsize=7.5, labelpad=3)
    for plane in planes[len(images) :]:
        plane.set_axis_off()
    return figure


def _grid(n: int) -> tuple[int, int]:
    """Rows and columns for `n` tiles: as square as can be without an empty place, else with a short last row."""
    rows = next(rows for rows in range(math.isqrt(n), 0, -1) if n % rows == 0)
    if n // rows <= 2.5 * rows:
        return rows, n // rows
    columns = math.ceil(math.sqrt(n))
    return math.ceil(n / columns), columns


def _mosaic(tiles: Array, rows: int, columns: int) -> Array:
    """Tiles (n, channels, height, width) with gaps around, (height, width, channels); NaN where there is none."""
    larger = math.ceil(TILE / max(tiles.shape[2:]))
    tiles = tiles.repeat(larger, axis=2).repeat(larger, axis=3)
    _, channels, height, width = tiles.shape
    gap = max(1, round(max(height, width) / TILE))
    canvas = np.full((rows * (height + gap) + gap, columns * (width + gap) + gap, channels), np.nan)
    for i, tile in enumerate(tiles):
        top, left = gap + i // columns * (height + gap), gap + i % columns * (width + gap)
        canvas[top : top + height, left : left + width] = tile.transpose(1, 2, 0)
    return canvas


def _picture(plane: Axes, pixels: Array, *, cmap: str = "gray", limits: tuple[float, float] = (0, 1)) -> Any:
    """Show pixels (height, width, channels) without a frame: colours of 0..1, or grey within `limits`, NaN as white."""
    plane.set(xticks=[], yticks=[])
    plane.spines[:].set_visible(False)
    plane.grid(visible=False)
    if pixels.shape[2] == 3:
        return plane.imshow(pixels, interpolation="nearest")
    return plane.imshow(pixels[..., 0], cmap=cmap, vmin=limits[0], vmax=limits[1], interpolation="nearest")
