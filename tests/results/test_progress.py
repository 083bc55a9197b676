from __future__ import annotations

import io
import json
import math
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from hpo.quantities import duration
from hpo.record import Budget, Ledger, Retry, Settings, StudyFolder, configuration
from hpo.results.progress import BAR_WIDTH, Lines, Screen, epoch_progress, print_note, time_left
from hpo.trial import Crash, Decision, Report, Suggestion
from tests import toy
from tests.runners.workers import wait_for
from trainables.store.progress_files import ProgressFile


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    """Two trials: one stopped after three epochs, one that trains."""
    ledger = StudyFolder(tmp_path, toy.space(), Settings(), Budget()).begin()
    for trial in range(2):
        ledger.suggest(Suggestion(trial, {"kind": "b", "x": 0.25}, 9))
    for epoch in range(1, 4):
        report = Report(0, epoch, 1 / epoch, {"val_loss": 1 / epoch, "val_accuracy": 0.75}, 0.1)
        ledger.record(report)
    ledger.settle(report, {0: Decision.STOP})
    return ledger


def test_a_screen_shows_what_runs_what_is_best_and_what_was_saved(ledger: Ledger) -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=120, color_system=None)
    event = Report(1, 1, 0.9, {"val_loss": 0.9}, 0.1)
    ledger.record(event)
    with Screen(console, Budget(trials=4)) as screen:
        screen(event, ledger)
    file = console.file
    assert isinstance(file, io.StringIO)
    text = file.getvalue()
    assert "1/9" in text
    assert "best     0.3333, accuracy 0.7500, trial 0: kind=b, x=0.25" in text
    assert "spent    2 of 4 trials, 4 epochs (6 saved by stopping)" in text
    ledger.close()


def test_a_screen_shows_what_is_prepared_as_a_bar_with_the_time_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HPO_CACHE", str(tmp_path))
    computation = ProgressFile(tmp_path / "pixels.progress", "images of 64x64")
    computation(0.25)
    content = json.loads((tmp_path / "pixels.progress").read_text())
    (tmp_path / "pixels.progress").write_text(json.dumps({**content, "begun": content["begun"] - 32}))
    (tmp_path / "other.progress").write_text(json.dumps({**content, "words": "of another search", "processes": ["x"]}))
    console = Console(file=io.StringIO(), force_terminal=True, width=120, color_system=None)
    with Screen(console, Budget(trials=4)):
        pass
    file = console.file
    assert isinstance(file, io.StringIO)
    (line, *_) = [line for line in file.getvalue().splitlines() if "prepare" in line]
    assert "25%, about 1m3" in line
    assert "images of 64x64" in line
    assert "of another search" not in file.getvalue()
    assert line.count("━") == BAR_WIDTH // 4


@pytest.fixture
def errors(tmp_path: Path) -> Ledger:
    """A trial that trains, of a search that minimises val_error."""
    space = replace(toy.space(), objective="val_error")
    ledger = StudyFolder(tmp_path, space, Settings(), Budget()).begin()
    ledger.suggest(Suggestion(0, {"kind": "b", "x": 0.25}, 9))
    ledger.record(Report(0, 1, 0.25, {"val_loss": 7.5, "val_error": 0.25}, 0.1))
    ledger.record(Report(0, 2, 0.25, {"val_loss": math.nan, "val_error": 0.375}, 0.1))
    return ledger


def test_the_last_and_the_best_are_both_the_objective_and_it_is_named(errors: Ledger) -> None:
    screen = Screen(Console(quiet=True), Budget(trials=4))
    screen.summarise(errors)
    header, row, best, *_ = screen.text(100).splitlines()
    assert header.split() == ["trial", "epoch", "last", "val_error", "best", "configuration"]
    assert row.split()[:4] == ["0", "2/9", "0.3750", "0.2500"]
    assert best.startswith("best     val_error 0.2500, trial 0")
    errors.close()


def test_the_lines_below_the_table_never_lag_behind_its_rows(errors: Ledger) -> None:
    screen = Screen(Console(quiet=True), Budget(trials=4))
    for epoch, loss in ((3, 0.125), (4, 0.0625)):  # within REDRAW_SECONDS
        report = Report(0, epoch, loss, {"val_loss": 7.5, "val_error": loss}, 0.1)
        errors.record(report)
        screen(report, errors)
    _, row, best, spent, *_ = screen.text(100).splitlines()
    assert row.split()[:4] == ["0", "4/9", "0.0625", "0.0625"]
    assert best.startswith("best     val_error 0.0625, trial 0")
    assert "4 epochs" in spent
    errors.close()


def test_a_plain_line_says_that_the_best_trial_is_one_that_still_runs(errors: Ledger) -> None:
    errors.suggest(Suggestion(1, {"kind": "b", "x": 0.5}, 9))
    crash = Crash(1, "ValueError", "no")
    errors.record(crash)
    file = io.StringIO()
    Lines(Console(file=file, width=200))(crash, errors)
    assert "best 0.2500 (trial 0, running)" in file.getvalue()
    errors.close()


def test_no_time_is_left_while_the_database_of_the_record_does_not_answer(errors: Ledger) -> None:
    screen = Screen(Console(quiet=True), Budget(epochs=9))
    screen.summarise(errors)
    assert "left" in screen.text(100)
    errors.outages.is_waiting = True
    assert "waiting for the database of the record" in screen.text(100)
    assert "left" not in screen.text(100)
    errors.close()


def test_all_lines_are_shown_also_if_more_trials_run_than_the_terminal_has_rows(ledger: Ledger) -> None:
    for number in range(len(ledger.history.trials), 32):
        ledger.suggest(Suggestion(number, {"kind": "b", "x": 0.25}, 9))
    assert len(ledger.history.running) >= 30
    file = io.StringIO()
    console = Console(file=file, width=100, height=10, force_terminal=True, force_jupyter=False)
    with Screen(console, Budget(trials=40)) as screen:
        screen.summarise(ledger)
        screen.announce("ending the search")
        wait_for(lambda: "ending the search" in file.getvalue())
        assert f"and {len(ledger.history.running) - 2} more trials" in file.getvalue()
        assert "spent    32 of 40 trials" in file.getvalue()
    assert screen.text(100).splitlines()[0].rstrip() == "ending the search"
    ledger.close()


def test_plain_lines_name_the_objective_and_do_not_call_a_trial_diverged_that_has_one(errors: Ledger) -> None:
    report = Report(0, 3, 0.25, {"val_loss": math.nan, "val_error": 0.5}, 0.1, last=True)
    errors.record(report)
    file = io.StringIO()
    Lines(Console(file=file, width=200))(report, errors)
    assert "val_error 0.2500  best 0.2500 (trial 0)" in file.getvalue()
    errors.close()


def test_plain_lines_come_only_when_a_trial_ends_or_waits(ledger: Ledger) -> None:
    file = io.StringIO()
    lines = Lines(Console(file=file, width=200))
    lines(ledger.history.trials[0].reports[-1], ledger)
    event = Report(1, 1, 0.9, {"val_loss": 0.9}, 0.1)
    ledger.record(event)
    lines(event, ledger)
    crash = Crash(1, "ValueError", "[enforce fail at alloc_cpu.cpp:127] no[/]")
    ledger.record(crash)
    lines(crash, ledger)
    shown = file.getvalue().splitlines()
    assert len(shown) == 2
    assert shown[0].startswith("trial   0  stopped   epoch   3/9  loss 0.3333  best 0.3333 (trial 0)")
    assert "crashed" in shown[1]
    assert "ValueError: [enforce fail at alloc_cpu.cpp:127] no[/]" in shown[1]
    ledger.close()


def test_a_trial_that_does_not_fit_into_memory_is_shown_apart_from_crashes(ledger: Ledger) -> None:
    file = io.StringIO()
    shortage = Crash(1, "HostOutOfMemory", "the trial does not fit into memory: no memory was left\nTraceback")
    ledger.record(shortage)
    Lines(Console(file=file, width=200))(shortage, ledger)
    assert "infeasible  epoch   0/9  the trial does not fit into memory: no memory was left  best" in file.getvalue()
    screen_file = io.StringIO()
    with Screen(Console(file=screen_file, force_terminal=True, width=120, color_system=None), Budget()) as screen:
        screen(shortage, ledger)
    assert "2 trials, 1 too large for memory, 3 epochs" in screen_file.getvalue()
    ledger.close()


@pytest.mark.parametrize(
    ("budget", "left"),
    [
        (Budget(seconds=100), lambda elapsed: 100 - elapsed),
        # The fixture has three epochs.
        (Budget(seconds=10**6, epochs=6), lambda elapsed: elapsed),
        (Budget(seconds=10**6, epochs=12), lambda elapsed: 3 * elapsed),
    ],
)
def test_the_time_left_is_that_of_the_budget_which_is_spent_first(
    ledger: Ledger, budget: Budget, left: Callable[[float], float]
) -> None:
    assert time_left(ledger, Budget()) is None
    before = left(ledger.elapsed)
    estimate = time_left(ledger, budget)
    after = left(ledger.elapsed)
    assert estimate is not None
    assert min(before, after) <= estimate <= max(before, after)
    ledger.close()


def test_trials_that_are_tried_again_count_once_in_the_estimate(ledger: Ledger) -> None:
    history = ledger.history
    ledger.record(Crash(1, "ValueError", "no"))
    ledger.retry(Retry((1,)))
    ledger.suggest(Suggestion(2, history.trials[1].config, 9))
    assert (history.n_trials, len(history.running)) == (2, 1)
    before = ledger.elapsed
    estimate = time_left(ledger, Budget(trials=3))
    assert estimate is not None
    assert 2 * before <= estimate <= 2 * ledger.elapsed
    ledger.close()


def test_times_and_configurations_read_well() -> None:
    assert [duration(seconds) for seconds in (0, 0.05, 0.5, 0.99, 1, 61, 3599, 7325)] == [
        *("0s", "0.05s", "0.5s", "1s", "1s"),
        *("1m01s", "59m59s", "2h02m"),
    ]
    assert configuration({"lr": 0.0012345, "optimizer": "sgd", "batch": 32}) == "lr=0.00123, optimizer=sgd, batch=32"


def test_the_bar_of_epochs_appears_with_the_first_epoch_and_a_note_stands_on_a_line_above_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # so that rich takes the output for a terminal
    with epoch_progress() as watch:
        print_note("first")
        before = capsys.readouterr().err
        watch(1, 4)
        print_note("second")
        after = capsys.readouterr().err
    assert "epochs" not in before
    assert "epochs" in after
    for text, note in ((before, "hpo: first"), (after, "hpo: second")):
        lines = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text).replace("\r", "\n").split("\n")
        assert note in [line.rstrip() for line in lines]
