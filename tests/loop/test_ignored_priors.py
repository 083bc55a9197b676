"""The note that a backend ignores the priors of a space."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hpo.errors import StudyError
from hpo.loop import Session, begin, build_backend, priors_note, resume
from hpo.record import Budget, Settings, StudyFolder
from hpo.space import Categorical, Fidelity, Float, SearchSpace
from tests import toy
from tests.loop.searching import INLINE, history

SPACE = SearchSpace(
    "s",
    {
        "x": Float(0, 1, points=3, prior={"centre": 0.9, "width": 0.01}),
        "y": Float(0, 1, points=3),
        "kind": Categorical(("a", "b"), prior={"a": 3}),
    },
    Fidelity(3),
)


def note(backend: str, options: Mapping[str, Any], space: SearchSpace = SPACE) -> str | None:
    return priors_note(space, backend, build_backend(space, Settings(backend=backend, options=options)))


@pytest.mark.parametrize(
    ("backend", "options"), [("optuna", {}), ("bohb", {}), ("grid", {}), ("asha", {"searcher": "tpe"})]
)
def test_a_backend_without_priors_names_those_that_it_ignores(backend: str, options: Mapping[str, Any]) -> None:
    assert note(backend, options) == f"the backend {backend} ignores the `prior` of x, kind"


@pytest.mark.parametrize("backend", ["freeze_thaw", "random", "asha"])
def test_nothing_is_said_of_a_backend_that_uses_priors_or_of_a_space_without_any(backend: str) -> None:
    assert note(backend, {}) is None
    plain = replace(SPACE, domains={"y": SPACE.domains["y"]})
    assert note("optuna", {}, plain) is None


def test_a_backend_of_your_own_uses_priors_if_it_says_so() -> None:
    assert note("tests.loop.plain_backend", {}) == "the backend tests.loop.plain_backend ignores the `prior` of x, kind"
    assert note("tests.loop.prior_backend", {}) is None


@pytest.mark.parametrize("backend", ["freeze_thaw", "random"])
def test_a_search_follows_the_priors_and_goes_on_with_them_after_a_resume(backend: str, tmp_path: Path) -> None:
    space = replace(toy.space(), domains=SPACE.domains)
    settings, notes = replace(INLINE, backend=backend), list[str]()
    begin(tmp_path / "s", space, settings, Budget(trials=4), session=Session(notify=notes.append))
    assert not any("ignores" in line for line in notes)
    assert StudyFolder.reopen(tmp_path / "s").space.domains == space.domains
    resume(tmp_path / "s", Budget(trials=6))
    xs = [float(str(trial.config["x"])) for trial in history(tmp_path / "s").trials.values()]
    assert len(xs) == 6
    assert all(abs(x - 0.9) < 0.05 for x in xs[1::2])
    other = replace(space, domains={**space.domains, "x": Float(0, 1, points=3)})
    with pytest.raises(StudyError, match="another space"):
        begin(tmp_path / "s", other, settings, Budget(trials=4))


def test_a_search_that_ignores_priors_says_so_as_it_begins(tmp_path: Path) -> None:
    notes: list[str] = []
    space = replace(toy.space(), domains=SPACE.domains)
    begin(
        tmp_path / "s", space, replace(INLINE, backend="bohb"), Budget(trials=1), session=Session(notify=notes.append)
    )
    assert "the backend bohb ignores the `prior` of x, kind" in notes
