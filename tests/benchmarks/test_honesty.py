from __future__ import annotations

import sys

import numpy as np
import pytest

from benchmarks.honesty import judged, lines, main
from benchmarks.real_studies import N_EPOCHS, digits, trained
from benchmarks.selection_corrections import corrected_by_others
from benchmarks.simulated_studies import TRUTHS, simulated
from benchmarks.study_outcomes import Cell, Outcome, extreme_cells, removed, share, worst_pessimism
from hpo.statistics import TrialValues


def outcome(recorded: float, corrected: float) -> Outcome:
    return Outcome(recorded, [corrected] * 4, 0.1, True, True, None)


def cell(optimism: float, left: float) -> Cell:
    """A cell of studies whose recorded values are too good by `optimism`, of which `left` is left."""
    noise = np.random.default_rng(0).standard_normal(200) * 0.01
    return Cell(5, 50, "error, equal", [outcome(-optimism + each, -left + each) for each in noise])


def test_the_share_of_the_optimism_that_is_removed() -> None:
    assert removed([cell(0.1, 0.02)], 0) == pytest.approx(0.8, abs=0.01)
    assert removed([cell(0.1, -0.01)], 0) == pytest.approx(1.1, abs=0.01)


def test_pessimism_is_found_where_it_is_beyond_chance() -> None:
    assert worst_pessimism([cell(0.1, 0.02), cell(0.1, -0.05)], 0) == pytest.approx(0.5, abs=0.06)
    assert worst_pessimism([cell(0.1, 0.02)], 0) < 0
    assert worst_pessimism([cell(0.0, -0.05)], 0) == -1  # no optimism that is certain


def covered_cell(n_covered: int, n: int) -> Cell:
    covered = [outcome(-0.1, 0.0)._replace(is_covered=i < n_covered, keeps_best=True) for i in range(n)]
    return Cell(5, 50, f"error, {n_covered} of {n}", covered)


def test_one_kind_of_studies_that_is_not_covered_is_found_among_many_that_are() -> None:
    cells = [covered_cell(190, 200)] * 20 + [covered_cell(160, 200)]
    assert share(cells, "is_covered") > 0.94
    (low, lowest), _ = extreme_cells(cells, "is_covered")
    assert lowest is cells[-1]
    assert 0.8 < low < 0.93
    assert lines(cells, worst=False)[0].startswith("MISSED  lowest cell: 80.0% (error, 160 of 200")


def test_a_kind_of_few_studies_misses_no_target_by_chance() -> None:
    cells = [covered_cell(190, 200)] * 20 + [covered_cell(7, 8)]
    assert lines(cells, worst=False)[0].startswith("reached  lowest cell: ")


def test_all_corrections_choose_by_the_tie_breakers_too() -> None:
    errors = np.tile(np.array([0, 1], np.float32), (3, 40))
    errors[:, :20] = np.random.default_rng(0).permuted(errors[:, :20], axis=1)  # equal means
    ties = np.array([[0.9], [0.5], [0.7]], np.float32) * np.ones_like(errors)
    found = corrected_by_others(errors, 1, np.random.default_rng(0), ties)
    assert list(found.values()) == pytest.approx([0.5] * 3, abs=0.1)
    alone = corrected_by_others(errors[:, 20:], 1, np.random.default_rng(0), ties[:, 20:])
    assert list(alone.values()) == pytest.approx([0.5] * 3, abs=0.05)  # all answer alike: there is no luck


def test_studies_in_which_something_was_not_computed_do_not_count() -> None:
    known = cell(0.1, 0.0).outcomes[0]._replace(keeps_best=True)
    assert share([Cell(5, 50, "error, equal", [known, *cell(0.1, 0.0).outcomes])], "keeps_best") == 1


@pytest.mark.parametrize("truth", TRUTHS)
def test_simulated_studies_have_the_means_that_they_say(truth: str) -> None:
    study = simulated(3, 200_000, truth, 0.3, np.random.default_rng(0))
    assert study.errors.mean(axis=1) == pytest.approx(study.true_errors, abs=0.005)
    assert study.losses.mean(axis=1) == pytest.approx(study.true_losses, rel=0.02)


def test_a_real_search_learns_and_its_last_epoch_is_the_same_whichever_is_judged() -> None:
    best, last = (trained(digits(), 6, 60, epoch, np.random.default_rng(0)) for epoch in ("best", "last"))
    assert best.validation.trials.tolist() == np.repeat(range(6), N_EPOCHS).tolist()  # type: ignore[union-attr]
    of_epochs = best.validation.values.reshape(6, N_EPOCHS, 60)
    assert (of_epochs[:, -1] == last.validation.values).all()
    assert best.true_errors.reshape(6, N_EPOCHS)[:, -1].tolist() == last.true_errors.tolist()
    assert best.true_errors.min() < 0.25


def test_the_named_trial_is_judged_beside_the_chosen_one() -> None:
    rng = np.random.default_rng(0)
    study = simulated(10, 100, "close", 0.3, rng)
    found = judged(TrialValues(study.errors, study.losses), study.true_errors, rng, is_share=True)
    assert len(found.corrected) == 4
    assert found.keeps_best in (True, False)


def test_a_study_of_epochs_is_judged_by_the_best_epoch_of_each_trial() -> None:
    values = np.array([[1, 1, 1, 0], [1, 0, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0], [1, 1, 1, 1], [1, 1, 0, 1]], np.float32)
    study = TrialValues(np.repeat(values, 10, axis=1), None, np.array([0, 0, 0, 1, 1, 1]))
    truths = np.array([0.8, 0.3, 0.6, 0.1, 0.9, 0.7])
    found = judged(study, truths, np.random.default_rng(0), is_share=True)
    assert found.recorded == pytest.approx(0 - 0.1)
    assert found.corrected[0] == pytest.approx(0 - 0.1)
    assert found.error == pytest.approx(np.sqrt(0.25 * 0.75) / 2 / np.sqrt(40))
    assert found.is_single_covered  # 0.25 of trial 0 at its best epoch, whose truth is 0.3
    assert found.keeps_best


@pytest.mark.slow
@pytest.mark.parametrize("words", [[], ["--real"]])
def test_the_small_benchmark_prints_a_section(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("HPO_DATA", raising=False)
    monkeypatch.setattr(sys, "argv", ["benchmarks/honesty.py", "--small", "--studies", "4", "--processes", "1", *words])
    main()
    shown = capsys.readouterr().out
    assert shown.startswith("### ")
    assert "optimism removed: " in shown
