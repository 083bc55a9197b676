"""The configurations that a search tries first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hpo.errors import StudyError, UserError
from hpo.loop import Session, begin, resume
from hpo.record import Budget, StudyFolder
from hpo.space import Categorical, Fidelity, Float, SearchSpace
from tests import toy
from tests.loop.searching import BACKENDS, INLINE, history, timeless

SPACE = replace(
    toy.space(),
    domains={
        "kind": Categorical(("a", "b"), default="b"),
        "x": Float(0.0, 1.0, default=0.25),
        "y": Float(1e-3, 1.0, log=True, when={"kind": ("a",)}),
        "widths": Categorical(((64, 64), (128,))),
    },
)
FIRST: tuple[Mapping[str, Any], ...] = ({"kind": "a", "y": 0.5, "widths": [64, 64]}, {"x": 0.75, "widths": [128]})


@pytest.mark.parametrize("backend", [*BACKENDS, "grid"])
def test_the_defaults_come_first_then_the_given_ones_and_a_resume_replays_them(backend: str, tmp_path: Path) -> None:
    domains = {
        name: replace(each, points=2) if isinstance(each, Float) else each for name, each in SPACE.domains.items()
    }
    settings = replace(INLINE, backend=backend, try_first=FIRST)
    begin(tmp_path / "s", replace(SPACE, domains=domains), settings, Budget(trials=4))
    resume(tmp_path / "s", Budget(trials=7))
    configs = [trial.config for trial in history(tmp_path / "s").trials.values()]
    assert (configs[0]["kind"], configs[0]["x"]) == ("b", 0.25)
    assert configs[1] == {"kind": "a", "x": 0.25, "y": 0.5, "widths": (64, 64)}
    assert configs[2] == {"kind": "b", "x": 0.75, "widths": (128,)}
    assert len({repr(config) for config in configs}) == 7
    if backend == "freeze_thaw":
        return  # with a budget of 4 trials, their training goes on before the budget is raised
    begin(tmp_path / "t", replace(SPACE, domains=domains), settings, Budget(trials=7))
    assert timeless(history(tmp_path / "t").events) == timeless(history(tmp_path / "s").events)


def test_a_default_that_is_given_again_is_tried_once(tmp_path: Path) -> None:
    space = replace(SPACE, domains={name: SPACE.domains[name] for name in ("kind", "x")})
    given: tuple[Mapping[str, Any], ...] = ({"kind": "b", "x": 0.25}, {"x": 0.25}, {"x": 0.5}, {"x": 0.5, "kind": "b"})
    begin(tmp_path / "s", space, replace(INLINE, backend="random", try_first=given), Budget(trials=3))
    assert len(StudyFolder.reopen(tmp_path / "s").settings.try_first) == 2
    assert [trial.config["x"] for trial in history(tmp_path / "s").trials.values()][:2] == [0.25, 0.5]


def test_a_study_of_a_time_before_defaults_goes_on_without_them(tmp_path: Path) -> None:
    """Its record has no first configurations, so its backend must not get any."""
    plain = replace(SPACE, domains={**SPACE.domains, "kind": Categorical(("a", "b")), "x": Float(0.0, 1.0)})
    begin(tmp_path / "s", plain, replace(INLINE, backend="random"), Budget(trials=2))
    path = tmp_path / "s" / "study.yaml"
    path.write_text(path.read_text().replace("  try_first: []\n", ""))
    resume(tmp_path / "s", Budget(trials=4))
    assert len(history(tmp_path / "s").trials) == 4


def test_other_first_configurations_are_another_search(tmp_path: Path) -> None:
    settings = replace(INLINE, backend="random", try_first=FIRST[:1])
    begin(tmp_path / "s", SPACE, settings, Budget(trials=1))
    with pytest.raises(StudyError, match="with other first configurations: choose another name"):
        begin(tmp_path / "s", SPACE, replace(settings, try_first=FIRST), Budget(trials=1))


def test_a_wrong_first_configuration_ends_the_search_before_it_begins(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"configuration 2 to try first: x: 7 is not in .* the nearest is 1\.0"):
        begin(tmp_path / "s", SPACE, replace(INLINE, try_first=[{"x": 0.5}, {"x": 7}]), Budget(trials=1))
    with pytest.raises(UserError, match="try_first must hold dictionaries"):
        replace(INLINE, try_first=["x"])  # type: ignore[list-item]
    assert not (tmp_path / "s").exists()


def test_a_backend_without_a_queue_takes_no_given_configuration(tmp_path: Path) -> None:
    settings = replace(INLINE, backend="tests.loop.plain_backend")
    begin(tmp_path / "s", SPACE, settings, Budget(trials=1))  # the defaults are left out
    with pytest.raises(UserError, match="cannot try given configurations: it has no method `enqueue`"):
        begin(tmp_path / "t", SPACE, replace(settings, try_first=FIRST), Budget(trials=1))


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_finite_space_ends_when_every_configuration_is_trained(backend: str, tmp_path: Path) -> None:
    domains = {"x": Categorical((0.1, 0.5, 0.9)), "kind": Categorical(("a", "b"))}
    space = SearchSpace("six", domains, Fidelity(3), toy.space().task)
    reason = begin(tmp_path / "s", space, replace(INLINE, backend=backend), Budget(trials=12))
    assert reason == "every configuration is trained"
    seen = history(tmp_path / "s")
    assert len({repr(trial.config) for trial in seen.trials.values()}) == len(seen.trials) == 6
    assert resume(tmp_path / "s", Budget(trials=20)) == "every configuration is trained"


def test_training_code_gets_lists_that_it_may_change(tmp_path: Path) -> None:
    space = SearchSpace("lists", {"widths": Categorical(((64, 64), (128,)))}, Fidelity(1), fixed={"more": (1, 2)})
    seen = []

    class Net:
        def __init__(self, config: dict[str, list[int]]) -> None:
            seen.append((list(config["widths"]), list(config["more"])))
            assert type(config["widths"]) is type(config["more"]) is list
            config["widths"].append(1)

        def step(self) -> dict[str, float]:
            return {"val_loss": 1.0}

        def state_dict(self) -> dict[str, object]:
            return {}

        def load_state_dict(self, state: dict[str, object]) -> None: ...

    begin(tmp_path / "s", space, replace(INLINE, backend="random"), Budget(trials=2), session=Session(Net))
    assert sorted(seen) == [([64, 64], [1, 2]), ([128], [1, 2])]
    assert {trial.config["widths"] for trial in history(tmp_path / "s").trials.values()} == {(64, 64), (128,)}
