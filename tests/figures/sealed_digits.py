"""A small study of the bundled digits, whose held-out part can be sealed, and figures of it that are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hpo.errors import HpoError, UserError
from hpo.figures.plot import plot
from hpo.space import DatasetSpec, Fidelity, SearchSpace, Task
from hpo.space.domains import Categorical
from trainables.data.dataset import Part
from trainables.datasets.digits import Digits

SPACE = SearchSpace(
    "digits",
    {"lr": Categorical((1e-2, 1e-3)), "samples_per_class": Categorical((8, 16)), "mixing": Categorical(("none",))},
    Fidelity(2),
    Task("pretrain_then_head", "small_cnn", dataset=DatasetSpec("tests.figures.sealed_digits")),
    {"optimizer": "adam", "width": 4, "pretrain_epochs": 1},
)
"""Four configurations, each of which can be drawn as any kind."""


class Sealed(Digits):
    """A quarter of the digits, whose held-out part cannot be looked at once the seal is on."""

    sealed = False

    def training(self) -> Part:
        part = super().training()
        return part.take(range(0, len(part), 4))

    def held_out(self) -> Part:
        assert not self.sealed, "a figure looked at held-out data"
        return super().held_out()


def build(root: Path | None) -> Sealed:
    return Sealed()


def refused(folder: Path, kind: str, error: type[HpoError] = UserError, **wishes: Any) -> str:
    with pytest.raises(error) as caught:
        plot(folder, kind, **wishes)
    assert not (folder / "figures").exists()
    return str(caught.value)
