"""What the tests of the command line type."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from click.testing import Result

ROOT = Path(__file__).parents[2]

TOY = """
task: {regime: tests.toy}
space:
  kind: {choices: [a, b]}
  x: {low: 0.0, high: 1.0}
  y: {low: 1e-3, high: 1, log: true, when: {kind: [a]}}
fidelity: {low: 1, high: 9, eta: 3}
"""

Hpo = Callable[..., Result]
SEARCH = ("search", "--space", "toy.yaml", "--backend", "random", "--runner", "inline", "--trials", "1")
