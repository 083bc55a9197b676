"""The curves of learning rate schedules: factors on the learning rate as pure functions of the number of a step.

A step is a step of the optimizer, counted from 0 over the whole training. With `schedule_interval: epoch`, it is an
epoch. The factors depend on nothing else. So it makes no difference where a training pauses.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple


class Spans(NamedTuple):
    """Lengths in steps."""

    epoch: int
    """The steps of an epoch."""
    warmup: int
    """The steps of the warm-up."""
    whole: int
    """The steps of the whole training, or phase. 0 if this is not known."""


Curve = Callable[[range, Spans], list[float]]
"""Takes the numbers of steps, and returns the factor on the learning rate in each of them."""


def warmed(steps: range, spans: Spans, *, curve: Curve) -> list[float]:
    """A warm-up of w steps at 1/(w+1), 2/(w+1), ..., w/(w+1), then `curve`."""
    first = min(max(spans.warmup, steps.start), steps.stop)
    rise = [(step + 1) / (spans.warmup + 1) for step in range(steps.start, first)]
    return rise + curve(range(first, steps.stop), spans)


def constant(steps: range, spans: Spans) -> list[float]:
    """The learning rate itself."""
    return [1.0] * len(steps)


def step_decay(steps: range, spans: Spans, *, n_epochs: int, gamma: float) -> list[float]:
    """A factor of `gamma` each `n_epochs` epochs after the warm-up."""
    length = n_epochs * spans.epoch
    return [float(gamma ** ((step - spans.warmup) // length)) for step in steps]


def cosine(steps: range, spans: Spans, *, period: int | None, lowest: float) -> list[float]:
    """Half a cosine wave from 1 to `lowest`, in `period` epochs after the warm-up, or to the end of the training.

    I. Loshchilov and F. Hutter, SGDR, ICLR 2017, arXiv 1608.03983, without restarts.
    """
    length = max(1, spans.whole - spans.warmup if period is None else period * spans.epoch)
    progresses = (min((step - spans.warmup) / length, 1.0) for step in steps)
    return [lowest + (1 - lowest) * (1 + math.cos(math.pi * progress)) / 2 for progress in progresses]


def linear_cooldown(steps: range, spans: Spans, *, share: float, lowest: float) -> list[float]:
    """1, and then a linear fall to `lowest` in the last `share` of the training: wsd (warm-up, stable, decay).

    The first step of the fall still has the factor 1. S. Hu et al., MiniCPM, 2024, arXiv 2404.06395; A. Haegele et al.,
    Scaling Laws and Compute-Optimal Training Beyond Fixed Training Durations, NeurIPS 2024, arXiv 2405.18392.
    """
    first = max(spans.warmup, spans.whole - max(1, round(share * spans.whole)))
    length = max(1, spans.whole - first)
    return [1 - (1 - lowest) * min(max((step - first) / length, 0.0), 1.0) for step in steps]


def one_cycle(steps: range, spans: Spans, *, start: float, end: float) -> list[float]:
    """Half a cosine wave from `start` up to 1 in the warm-up, and another one from there down to `end`.

    The last step of the warm-up has the factor 1, and the last step of the training has `end`, as in PyTorch's
    OneCycleLR. L. N. Smith and N. Topin, Super-Convergence, 2018, arXiv 1708.07120.
    """
    peak = max(spans.warmup - 1, 0)
    length = max(1, spans.whole - 1 - peak)
    rise = [_between(start, 1.0, step / peak) for step in range(steps.start, min(peak, steps.stop))]
    fall = range(max(peak, steps.start), steps.stop)
    return rise + [_between(1.0, end, min((step - peak) / length, 1.0)) for step in fall]


def _between(first: float, last: float, progress: float) -> float:
    """The point of half a cosine wave from `first` to `last` at `progress`, 0 to 1."""
    return last + (first - last) / 2 * (1 + math.cos(math.pi * progress))
