"""How the looks at held-out data are counted."""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path
from typing import Any, ClassVar

import pytest

from hpo.errors import UserError
from hpo.heldout import ModelResult, Plan, evaluate
from hpo.record import StudyFolder
from hpo.results import status
from tests.heldout.studies import content, record_of, searched
from trainables.regimes import from_scratch

N_HELD_OUT = 360
"""The number of held-out images."""


def test_a_test_keeps_what_was_tested_and_looks_only_at_the_rest(folder: Path) -> None:
    def test(**options: Any) -> tuple[list[tuple[int, int]], list[tuple[int, int]], int]:
        """The models that were looked at, those that were kept, and the number of looks in all."""
        looks: list[ModelResult] = []
        tested = evaluate(folder, Plan(**options), watch=looks.append)
        looked, kept = ([(each.trial, each.seed) for each in found] for found in (looks, tested.kept))
        return looked, kept, tested.n_looks

    history, _ = StudyFolder.reopen(folder).history()
    first, second = (trial.number for trial in history.ranked()[:2])
    assert test(top=1) == ([(first, 0)], [], 1)
    before = content(folder)
    assert test(top=1) == ([], [(first, 0)], 1)
    assert content(folder) == before
    assert test(top=2) == ([(second, 0)], [(first, 0)], 2)
    looked, kept, n_looks = test(top=2, seeds=2)
    assert (sorted(looked), sorted(kept), n_looks) == (
        sorted([(first, 1), (second, 1)]),
        sorted([(first, 0), (second, 0)]),
        4,
    )
    combined = content(folder)["results"]
    (folder / "test.json").unlink()
    assert test(top=2, seeds=2)[2] == 4
    assert content(folder)["results"] == combined
    assert test(top=1, protocol="checkpoint")[1:] == ([], 5)
    assert test(top=2, protocol="checkpoint")[1:] == ([(first, 0)], 6)


class Failing:
    """A training whose `evaluate` fails on the part of the size that the environment names, or returns nonsense."""

    def __init__(self, *arguments: Any) -> None:
        self.training: Any = from_scratch.build(*arguments)

    def evaluate(self, part: Any) -> Any:
        if os.environ.get("FAIL_ON") == str(len(part)):
            raise ZeroDivisionError("no such luck")
        found = self.training.evaluate(part)
        return {"loss": found["loss"]} if "NO_ACCURACY" in os.environ else found

    def __getattr__(self, name: str) -> Any:
        return getattr(self.training, name)


def test_a_look_that_was_interrupted_is_counted_once_and_gets_its_result_from_the_next_test(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = searched(tmp_path / "s", trials=2, trainable=Failing)
    monkeypatch.setenv("FAIL_ON", str(N_HELD_OUT))
    with pytest.raises(UserError, match="cannot be evaluated on the held-out part: ZeroDivisionError: no such luck"):
        evaluate(folder, Plan(seeds=2), trainable=Failing)
    interrupted = content(folder)
    assert (interrupted["looks"], interrupted["results"]) == (1, [])
    assert [(each["seed"], each["protocol"]) for each in interrupted["unfinished_looks"]] == [(0, "retrain")]
    said = "1 look had no result: the test was interrupted. A test with the same model and packages finishes it."
    assert said in status.test_lines(record_of(folder))
    shown = [line for line in status.lines(folder) if line.startswith("test")]
    assert shown[0] == "tested   no trial yet; 1 look at held-out data"
    assert shown[1].startswith("test     interrupted, 1 look without a result: the same `hpo test s")
    monkeypatch.delenv("FAIL_ON")
    assert evaluate(folder, Plan(seeds=2), trainable=Failing).n_looks == 2
    assert "unfinished_looks" not in content(folder)
    (tested,) = [line for line in status.lines(folder) if line.startswith("test")]
    assert tested.endswith("with 2 seeds; 2 looks at held-out data")


def test_another_look_than_the_interrupted_one_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = searched(tmp_path / "s", trials=1, trainable=Failing)
    monkeypatch.setenv("FAIL_ON", str(N_HELD_OUT))
    with pytest.raises(UserError):
        evaluate(folder, trainable=Failing)
    monkeypatch.delenv("FAIL_ON")
    tested = evaluate(folder, Plan(protocol="checkpoint"), trainable=Failing)
    assert (tested.n_looks, len(tested.unfinished)) == (2, 1)


class Unseeded:
    """A training that gives other weights each time, as trainings on a GPU do."""

    looked_at: ClassVar[set[float]] = set()

    def __init__(self, *arguments: Any) -> None:
        self.weight = random.SystemRandom().random()

    def step(self) -> dict[str, float]:
        return {"val_loss": self.weight, "val_accuracy": 0.5}

    def state_dict(self) -> dict[str, Any]:
        return {"weight": self.weight}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.weight = state["weight"]

    def evaluate(self, part: Any) -> dict[str, float]:
        if len(part) == N_HELD_OUT:
            self.looked_at.add(self.weight)
        if os.environ.get("FAIL_ON") == str(len(part)):
            raise ZeroDivisionError("no such luck")
        return {"loss": self.weight, "accuracy": 0.5}


@pytest.mark.parametrize("is_removed", [False, True])
def test_each_training_that_is_looked_at_is_counted_though_its_configuration_and_seed_are_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_removed: bool
) -> None:
    folder = searched(tmp_path / "s", trials=1, trainable=Unseeded)
    Unseeded.looked_at.clear()
    for _ in range(3):
        monkeypatch.setenv("FAIL_ON", str(N_HELD_OUT))
        with pytest.raises(UserError):
            evaluate(folder, trainable=Unseeded)
        monkeypatch.delenv("FAIL_ON")
        evaluate(folder, Plan(protocol="checkpoint"), trainable=Unseeded)
        assert list((folder / "retrained").glob("*.pt"))
        if is_removed:
            shutil.rmtree(folder / "retrained")
    tested = evaluate(folder, trainable=Unseeded)
    n_retrained = 4 if is_removed else 1
    assert tested.n_looks == len(Unseeded.looked_at) == n_retrained + 1
    assert len(tested.unfinished) == n_retrained - 1
    assert not (folder / "retrained").exists()


@pytest.mark.parametrize(
    ("variable", "words"),
    [("FAIL_ON", r"on the validation part: .*test_looks\.py, line \d+\)"), ("NO_ACCURACY", "no 'accuracy'")],
)
def test_code_that_cannot_evaluate_the_validation_part_costs_no_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, words: str
) -> None:
    folder = searched(tmp_path / "s", trials=1, trainable=Failing)
    monkeypatch.setenv(variable, "287")
    with pytest.raises(UserError, match=words):
        evaluate(folder, trainable=Failing)
    assert not (folder / "test.json").exists()


def test_each_result_is_on_the_disk_as_soon_as_its_model_is_tested(folder: Path) -> None:
    class Killed(Exception):
        pass

    def watch(result: ModelResult) -> None:
        looks.append(result)
        written = content(folder)
        models = [(each["trial"], seed) for each in written["results"] for seed in each["seeds"]]
        assert sorted(models) == sorted((each.trial, each.seed) for each in looks)
        assert written["looks"] == len(looks)
        if len(looks) == 3:
            raise Killed

    looks: list[ModelResult] = []
    with pytest.raises(Killed):
        evaluate(folder, Plan(top=2, seeds=2), watch=watch)
    tested = evaluate(folder, Plan(top=2, seeds=2))
    assert (len(tested.kept), tested.n_looks) == (3, 4)
