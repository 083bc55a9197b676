"""Figures made of images: filters, activation maps, and misclassified images with their predicted classes."""

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
"""The largest number of filters shown."""
N_CHANNELS = 16
"""The largest number of channels shown of an activation."""
GAP_COLOUR = (0.78, 0.84, 0.92)
"""The colour of the gaps between filters (red, green, blue): a tint that sets them apart from the filters."""
TILE_SIDE = 24
"""Tiles of a mosaic are enlarged until their longer side has at least this many pixels, so that the gaps look narrow.
"""


def filters(title: str, filters: Array) -> Figure:
    """Show a grid of filters (n, channels, height, width) with 1 or 3 channels.

    Each filter is scaled so that its lowest value is 0 and its highest is 1.
    """
    shown = filters[:N_FILTERS]
    if len(shown) < len(filters):
        title += f", the first {len(shown)} of {len(filters)}"
    low, high = (reduce(shown, axis=(1, 2, 3), keepdims=True) for reduce in (np.min, np.max))
    scaled = (shown - low) / np.where(high > low, high - low, 1)
    rows, columns = _grid(len(shown))
    width = max(4.5, columns * 0.55)
    figure = style.figure(width, 0.5 + width * rows / columns, title)
    mosaic = _mosaic(np.broadcast_to(scaled, (len(shown), 3, *shown.shape[2:])), rows, columns)
    _show_image(figure.subplots(), np.where(np.isnan(mosaic), GAP_COLOUR, mosaic))
    return figure


def maps(title: str, image: Array, maps: Sequence[tuple[str, Array]]) -> Figure:
    """Show an image (channels, height, width) of 0..1, and beside it the first channels of each named map.

    A map has the shape (channels, h, w). All channels of one map share one colour scale.
    """
    figure = style.figure(2.6 + 3.4 * len(maps), 4.4, title)
    layout = figure.get_layout_engine()
    assert layout is not None, "the style has one"
    layout.set(w_pad=0.12)  # type: ignore[call-arg]
    axes = figure.subplots(1, 1 + len(maps), width_ratios=[0.6, *(1 for _ in maps)])
    _show_image(axes[0], image.transpose(1, 2, 0))
    axes[0].set_title("the image")
    for ax, (name, values) in zip(axes[1:], maps, strict=True):
        shown = values[:N_CHANNELS]
        mosaic = _mosaic(shown[:, None].astype(float), *_grid(len(shown)))
        drawn = _show_image(ax, mosaic, cmap="viridis", limits=(float(shown.min()), float(shown.max())))
        ax.set_title(f"{name}: {len(shown)} of {len(values)} channels")
        figure.colorbar(drawn, ax=ax, location="bottom", shrink=0.8, aspect=30, pad=0.02)
    return figure


def mistakes(title: str, images: Array, true: Sequence[str], top: Sequence[Sequence[tuple[str, float]]]) -> Figure:
    """Show misclassified images (n, channels, height, width) of 0..255.

    Above each image stands its true class, below it stand the most likely classes with their probabilities. A line at
    the bottom of the figure says so.
    """
    columns = min(8, len(images))
    rows = -(-len(images) // columns)
    figure = style.figure(max(5.0, 1.65 * columns), 0.7 + 2.2 * rows, title)
    axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    for ax, image, name, predictions in zip(axes, images, true, top, strict=False):
        _show_image(ax, image.transpose(1, 2, 0) / 255)
        ax.set_title(style.shorten(name, 18), fontsize=8.5, fontweight="bold")
        lines = [f"{style.shorten(predicted, 15)}  {probability:.2f}" for predicted, probability in predictions]
        ax.set_xlabel("\n".join(lines), fontsize=7.5, labelpad=3)
    figure.supxlabel("bold: the true class; below: the predictions and their probabilities", fontsize=8.5)
    for ax in axes[len(images) :]:
        ax.set_axis_off()
    return figure


def _grid(n: int) -> tuple[int, int]:
    """The number of rows and columns for `n` tiles.

    All rows are full if that gives a grid at most 2.5 times as wide as high. Otherwise the last row is shorter.
    """
    rows = next(rows for rows in range(math.isqrt(n), 0, -1) if n % rows == 0)
    if n // rows <= 2.5 * rows:
        return rows, n // rows
    columns = math.ceil(math.sqrt(n))
    return math.ceil(n / columns), columns


def _mosaic(tiles: Array, rows: int, columns: int) -> Array:
    """Arrange tiles (n, channels, height, width) in a grid, as one array (height, width, channels).

    The gaps around the tiles and the empty places are NaN.
    """
    scale = math.ceil(TILE_SIDE / max(tiles.shape[2:]))
    tiles = tiles.repeat(scale, axis=2).repeat(scale, axis=3)
    _, channels, height, width = tiles.shape
    gap = max(1, round(max(height, width) / TILE_SIDE))
    canvas = np.full((rows * (height + gap) + gap, columns * (width + gap) + gap, channels), np.nan)
    for i, tile in enumerate(tiles):
        top, left = gap + i // columns * (height + gap), gap + i % columns * (width + gap)
        canvas[top : top + height, left : left + width] = tile.transpose(1, 2, 0)
    return canvas


def _show_image(ax: Axes, pixels: Array, *, cmap: str = "gray", limits: tuple[float, float] = (0, 1)) -> Any:
    """Show pixels (height, width, channels) without a frame. NaN is white.

    Three channels are red, green and blue of 0..1. One channel is shown in the colours of `cmap`, from the lower to the
    upper value of `limits`.
    """
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_visible(False)
    ax.grid(visible=False)
    if pixels.shape[2] == 3:
        return ax.imshow(pixels, interpolation="nearest")
    return ax.imshow(pixels[..., 0], cmap=cmap, vmin=limits[0], vmax=limits[1], interpolation="nearest")
