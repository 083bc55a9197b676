"""Studies whose trials are simulated: what they record, and that they resume exactly."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest

from hpo.errors import StudyError, UserError
from hpo.heldout import evaluate
from hpo.loop import Session, begin, resume
from hpo.record import Budget, Settings, State
from hpo.space import Categorical, Fidelity, Float, SearchSpace
from hpo.trial import Crash, Report
from tests import toy
from tests.loop.searching import BACKENDS, check_sound, history
from tests.optuna_studies import journal_trials

SPACE = SearchSpace("line", {"x": Float(0.0, 1.0), "kind": Categorical(("a", "b"))}, Fidelity(9))
FUNCTION = """
def line(config, epoch):
    if config["x"] > 0.95:
        raise ValueError("too far")
    return {"val_loss": (config["x"] - 0.3) ** 2 + 1 / epoch, "seconds": 60 + 10 * config["x"]}
"""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "mine.py").write_text(FUNCTION)
    curves = f"{tmp_path / 'mine.py'}:line"
    return Settings(backend="asha", runner="simulated", slots=3, seed=3, curves=curves, max_crashes=50)


def times(folder: Path) -> list[float]:
    """The simulated time of each event on record."""
    values = (
        value
        for trial in journal_trials(folder / "ledger.log")
        for value in trial.user_attrs.values()
        if isinstance(value, dict)
    )
    return [at for _, at in sorted({(value["n"], value["at"]) for value in values})]  # a trial may be copied


@pytest.mark.parametrize(
    "backend", [each if each in ("asha", "bohb") else pytest.param(each, marks=pytest.mark.slow) for each in BACKENDS]
)
def test_a_journal_cut_off_at_any_byte_resumes_to_the_same_record_at_the_same_times(
    backend: str, tmp_path: Path, settings: Settings
) -> None:
    begin(tmp_path / "whole", SPACE, replace(settings, backend=backend), Budget(trials=30))
    whole, at = history(tmp_path / "whole").events, times(tmp_path / "whole")
    assert any(isinstance(event, Crash) for event in whole)
    journal = (tmp_path / "whole" / "ledger.log").read_bytes()
    begun = journal.rindex(b"\n", 0, journal.index(b'"op_code":4')) + 1
    rng = random.Random(0)
    cuts = [rng.randrange(begun, len(journal)) for _ in range(3)]
    if b'"settled:' in journal:  # also between an epoch and the decisions on it
        cuts.append(journal.rindex(b"\n", 0, journal.index(b'"settled:', begun + (len(journal) - begun) // 3)) + 1)
    for cut in cuts:
        folder = tmp_path / f"cut{cut}"
        folder.mkdir()
        (folder / "study.yaml").write_text((tmp_path / "whole" / "study.yaml").read_text())
        (folder / "ledger.log").write_bytes(journal[:cut])
        resume(folder)
        assert history(folder).events == whole
        assert times(folder) == at


def test_a_budget_of_time_is_simulated_and_ends_the_search_before_an_epoch_that_ends_later(
    tmp_path: Path, settings: Settings
) -> None:
    reason = begin(tmp_path / "s", SPACE, settings, Budget(seconds=3600))
    assert reason == "the budget of 1h00m is spent"
    assert 3500 < times(tmp_path / "s")[-1] <= 3600
    check_sound(history(tmp_path / "s"))


def test_a_search_whose_budget_is_raised_equals_one_that_had_it_from_the_beginning(
    tmp_path: Path, settings: Settings
) -> None:
    begin(tmp_path / "once", SPACE, settings, Budget(seconds=5000))
    begin(tmp_path / "twice", SPACE, settings, Budget(seconds=1234))
    resume(tmp_path / "twice", Budget(seconds=5000))
    assert history(tmp_path / "twice").events == history(tmp_path / "once").events
    assert times(tmp_path / "twice") == times(tmp_path / "once")


def test_slots_train_side_by_side_in_simulated_time(tmp_path: Path, settings: Settings) -> None:
    for slots in (1, 8):
        begin(tmp_path / str(slots), SPACE, replace(settings, slots=slots, backend="random"), Budget(trials=16))
    few, many = times(tmp_path / "1")[-1], times(tmp_path / "8")[-1]
    assert 6 * many < few < 9 * many


def test_a_study_goes_on_with_fewer_slots(tmp_path: Path, settings: Settings) -> None:
    begin(tmp_path / "s", SPACE, settings, Budget(epochs=40))
    resume(tmp_path / "s", Budget(epochs=80), settings={"slots": 1})
    at = times(tmp_path / "s")
    assert at == sorted(at)
    check_sound(history(tmp_path / "s"))


def test_time_never_goes_back_if_a_study_with_fewer_slots_is_interrupted_again(
    tmp_path: Path, settings: Settings
) -> None:
    begin(tmp_path / "s", SPACE, settings, Budget(epochs=20))
    for epochs in range(21, 31):
        resume(tmp_path / "s", Budget(epochs=epochs), settings={"slots": 1})
    at = times(tmp_path / "s")
    assert at == sorted(at)
    begin(tmp_path / "once", SPACE, settings, Budget(epochs=20))
    resume(tmp_path / "once", Budget(epochs=30), settings={"slots": 1})
    assert at == times(tmp_path / "once")


def test_a_table_gives_the_curve_of_the_nearest_configuration_and_its_seconds(tmp_path: Path) -> None:
    table = tmp_path / "curves.csv"
    table.write_text("x,kind,epoch_1,epoch_2,seconds\n0.1,a,3,2,5\n0.9,a,4,1,7\n0.5,b,0.5,,1\n")
    settings = Settings(backend="random", runner="simulated", curves=str(table))
    begin(tmp_path / "s", replace(SPACE, fidelity=Fidelity(2)), settings, Budget(trials=12))
    found = history(tmp_path / "s")
    for trial in found.trials.values():
        reports = [(report.metrics["val_loss"], report.seconds) for report in trial.reports]
        if trial.config["kind"] == "b":
            assert trial.reports[-1].last  # an empty cell is a loss that is not finite
            assert reports[0] == (0.5, 1.0)
        else:
            assert reports == ([(3, 5), (2, 5)] if float(trial.config["x"]) < 0.5 else [(4, 7), (1, 7)])  # type: ignore[arg-type]
        assert trial.state is State.COMPLETE
    assert {report.device for report in found.events if isinstance(report, Report)} == {"simulated"}


def test_a_study_refuses_other_curves(tmp_path: Path, settings: Settings) -> None:
    begin(tmp_path / "s", SPACE, settings, Budget(trials=5))
    (tmp_path / "mine.py").write_text(FUNCTION.replace("0.3", "0.4"))
    with pytest.raises(StudyError, match=r"was begun with other curves than .*mine\.py:line has now"):
        resume(tmp_path / "s", Budget(trials=9))
    assert len(history(tmp_path / "s").trials) == 5


def test_curves_that_were_moved_are_found_at_their_new_place(tmp_path: Path, settings: Settings) -> None:
    begin(tmp_path / "s", SPACE, settings, Budget(trials=5))
    (tmp_path / "mine.py").rename(tmp_path / "yours.py")
    with pytest.raises(UserError, match=r"there is no file .*mine\.py"):
        resume(tmp_path / "s", Budget(trials=9))
    resume(tmp_path / "s", Budget(trials=9), settings={"curves": f"{tmp_path / 'yours.py'}:line"})
    assert len(history(tmp_path / "s").trials) == 9


def test_a_simulated_study_has_no_model_to_test(tmp_path: Path, settings: Settings) -> None:
    begin(tmp_path / "s", replace(SPACE, task=replace(SPACE.task, dataset="digits")), settings, Budget(trials=5))  # type: ignore[arg-type]
    with pytest.raises(StudyError, match="study 's' is simulated: nothing was trained"):
        evaluate(tmp_path / "s")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"curves": None}, "trains nothing, so it needs `curves`"),
        ({"runner": "inline"}, "needs the runner simulated, but the runner is inline, which trains"),
        ({"report_timeout": 60}, "a simulated trial cannot hang"),
        ({"slots": "auto"}, "no memory is needed that could be measured; give a whole number of slots"),
        ({"curves": "none.csv"}, "curves none.csv: there is no such file; give a CSV file"),
        ({"curves": "~nobody_of_this_name/x.csv"}, "there is no such file"),
        ({"curves": f"{'x' * 5000}.csv"}, "there is no such file"),
        (
            {"curves": "/nowhere/mine.py:line"},
            "there is no file /nowhere/mine.py; bring it back, or name its new place",
        ),
        ({"curves": "tests.toi:curve"}, "there is no module tests.toi"),
    ],
)
def test_wrong_settings_are_named_and_nothing_is_written(
    changed: dict[str, object], message: str, tmp_path: Path, settings: Settings
) -> None:
    with pytest.raises(UserError, match=message):
        begin(tmp_path / "s", SPACE, replace(settings, **changed), Budget(trials=5))  # type: ignore[arg-type]
    assert not (tmp_path / "s").exists()


def test_a_function_is_called_once_an_epoch_and_after_a_resume_for_the_earlier_epochs_again(
    tmp_path: Path, settings: Settings
) -> None:
    log = tmp_path / "log"
    lines = f"def line(config, epoch):\n    with open({str(log)!r}, 'a') as log:\n        log.write(f'{{epoch}} ')\n"
    (tmp_path / "mine.py").write_text(f"{lines}    return {{'val_loss': 1 / epoch}}\n")
    settings = replace(settings, slots=1, backend="random")
    begin(tmp_path / "s", SPACE, settings, Budget(epochs=4))
    # The next epoch has begun when the budget is spent.
    assert log.read_text().split() == ["1", "2", "3", "4", "5"]
    resume(tmp_path / "s", Budget(epochs=6))
    assert sorted(log.read_text().split()[5:-1]) == ["1", "2", "3", "4", "5", "5", "6"]


def test_own_training_code_and_curves_exclude_each_other(tmp_path: Path, settings: Settings) -> None:
    with pytest.raises(UserError, match="leave the training code or the curves out"):
        begin(tmp_path / "s", SPACE, settings, Budget(trials=5), session=Session(toy.Curve))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty"),
        ("x,epoch_1,epoch_2\n0.1,3,2\n", "no column kind, a hyperparameter of the space"),
        ("x,kind,epoch_1\n0.1,a,3\n", "no column epoch_2; a trial trains for up to 2 epochs"),
        ("x,kind,epoch_1,epoch_2\n", "has no row"),
        ("x,kind,epoch_1,epoch_2\n0.1,a,3,2\n0.1,c,3,2\n", ":3: kind: 'c' is not in the choices"),
        ("x,kind,epoch_1,epoch_2\n,a,3,2\n", ":2: 'x' is missing"),
        ("x,kind,epoch_1,epoch_2\n0.1,a,3,two\n", ":2: epoch_2 must be a number, but is 'two'"),
        ("x,kind,epoch_1,epoch_2,seconds\n0.1,a,3,2,-1\n", ":2: seconds must be a number of at least 0, but is -1"),
    ],
)
def test_a_table_that_does_not_fit_is_named_with_its_line_and_leaves_no_study(
    text: str, message: str, tmp_path: Path
) -> None:
    (tmp_path / "curves.csv").write_text(text)
    settings = Settings(backend="random", runner="simulated", curves=str(tmp_path / "curves.csv"))
    with pytest.raises(UserError, match=message):
        begin(tmp_path / "s", replace(SPACE, fidelity=Fidelity(2)), settings, Budget(trials=5))
    assert not (tmp_path / "s" / "study.yaml").exists()


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        ("3", "returned 3; it must return metrics"),
        ("{'val_loss': 1.0, 'seconds': -1}", "seconds must be a number of at least 0, but is -1"),
        ("{'accuracy': 1.0}", "val_loss"),
    ],
)
def test_a_function_that_returns_the_wrong_thing_ends_the_search(
    returned: str, message: str, tmp_path: Path, settings: Settings
) -> None:
    (tmp_path / "mine.py").write_text(f"def line(config, epoch):\n    return {returned}\n")
    with pytest.raises(UserError, match=message):
        begin(tmp_path / "s", SPACE, settings, Budget(trials=5))
    assert not (tmp_path / "s" / "study.yaml").exists()
