"""A sound space file to be spoilt line by line, and the mistakes that are then named."""

from pathlib import Path

import pytest

from hpo import spacefile
from hpo.errors import SpaceFileError

GOOD = """\
# How to train a small network
# on handwritten digits.
task:
  regime: from_scratch
  model: small_cnn
  dataset: digits
  validation: {fraction: 0.2, seed: 42}
space:
  optimizer: {choices: [sgd, nag, adam]}
  lr: {low: 1e-4, high: 1e-1, log: true, default: 5e-3}
  momentum: {low: 0.5, high: 0.99, when: {optimizer: [sgd, nag]}}
  step_size: {low: 5, high: 30, type: int}
fixed: {patience: 8}
fidelity: {low: 1, high: 27, eta: 3}
objective: val_loss
"""


def write(folder: Path, changes: dict[int, str] | None = None, text: str = GOOD) -> Path:
    """A space file in which some lines, counted from 1, read otherwise."""
    lines = text.splitlines()
    for line, changed in (changes or {}).items():
        lines[line - 1] = changed
    path = folder / "small.yaml"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def mistakes(path: Path, *overrides: str) -> list[str]:
    with pytest.raises(SpaceFileError) as caught:
        spacefile.read(path, overrides)
    return list(caught.value.mistakes)
