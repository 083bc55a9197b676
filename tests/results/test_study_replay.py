from __future__ import annotations

from dataclasses import replace

import pytest

from hpo.results.best_so_far import BestSoFar
from hpo.results.study_replay import Outcome, StudyReplay
from tests.results.test_best_so_far import history_of

STUDY = Outcome(epochs_to_best=200, epochs_to_near=150, best=0.5, trials=24, epochs=310, n_cut=0)


def search(to_best: int | None, to_near: int | None, best: float = 0.5) -> Outcome:
    return Outcome(to_best, to_near, best, trials=20, epochs=300, n_cut=11)


def replay(*searches: Outcome, recorded: Outcome = STUDY, backend: str = "freeze_thaw") -> StudyReplay:
    return StudyReplay(
        study="photos",
        recorded_backend="optuna",
        backend=backend,
        metric="val_loss",
        best=0.5,
        high=27,
        slots=1,
        epochs=310,
        limit=None,
        recorded=recorded,
        searches=searches,
        n_short=0,
        n_crashed=0,
        n_crashed_epochs=0,
        is_searched=False,
    )


FIVE = [search(100, 90), search(120, 80), search(None, 70, 0.502), search(140, 60), search(110, 50)]


def test_the_table_shows_the_study_and_below_it_the_median_and_the_range_of_the_seeds() -> None:
    rows = [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in replay(*FIVE).table()]
    assert rows == [
        ["epochs to best", "to within 5 %", "best after 310 epochs"],
        ["as it was run", "200", "150", "0.5000"],
        ["freeze_thaw, median", "120", "70", "0.5000"],
        ["freeze_thaw, least", "100", "50", "0.5000"],
        ["freeze_thaw, most", "not reached", "90", "0.5020"],
    ]


def test_the_table_fits_80_columns_and_its_columns_stand_below_each_other() -> None:
    for found in (replay(*FIVE), replay(search(None, None, float("inf"))), replay(*FIVE, backend="random")):
        assert len({len(line) for line in found.table()}) == 1
        assert len(found.table()[0]) <= 80


def test_a_single_seed_has_one_row() -> None:
    table = replay(search(None, 70)).table()
    assert len(table) == 3
    assert table[2].split() == ["freeze_thaw,", "seed", "0", "not", "reached", "70", "0.5000"]


@pytest.mark.parametrize(
    ("searches", "lines"),
    [
        (
            [search(100, 90)],
            ["needed 100 epochs fewer (50 %) than the study, with seed 0."],
        ),
        (
            [search(250, 90)],
            ["needed 50 epochs more (25 %) than the study, with seed 0."],
        ),
        ([search(200, 90)], ["needed as many epochs as the study, with seed 0."]),
        ([search(199, 90)], ["needed 1 epoch fewer (0 %) than the study, with seed 0."]),
        ([search(None, 9)], ["did not reach the best value."]),
        ([search(None, 9)] * 2, ["did not reach the best value with any seed."]),
        (
            FIVE,
            [
                "needed 80 epochs fewer (40 %) than the study, in the median of 5 seeds.",
                "reached the best value with 4 of 5 seeds.",
            ],
        ),
        ([FIVE[0], FIVE[2], FIVE[2]], ["reached the best value with 1 of 3 seeds."]),
    ],
)
def test_the_verdict_says_what_was_saved_and_how_often(searches: list[Outcome], lines: list[str]) -> None:
    found = replay(*searches).verdict()
    assert [each.removeprefix("To the best value ").removeprefix("freeze_thaw ") for each in found] == lines


def test_a_limit_of_epochs_is_named_where_it_ended_a_search() -> None:
    limited = replace(replay(*FIVE), epochs=145, limit=145)
    assert limited.title().endswith(" with 1 trial at a time, for at most 145 epochs in each search:")
    assert "not in 145" in limited.table()[-1]
    assert "not reached" not in "\n".join(limited.table())
    assert limited.verdict()[1] == "freeze_thaw reached the best value within 145 epochs with 4 of 5 seeds."
    none = replace(limited, searches=[search(None, None)] * 2)
    assert none.verdict() == [
        "freeze_thaw did not reach the best value within 145 epochs with any seed; the study needed 200 epochs."
    ]


def test_a_limit_of_epochs_is_not_named_where_a_search_ended_before_it() -> None:
    early = [replace(search(None, None), epochs=144), replace(search(None, None), epochs=145)]
    limited = replace(replay(*FIVE[:2], *early), limit=145)
    assert "not in" not in "\n".join(limited.table())
    assert limited.table()[-1].count("not reached") == 2
    assert limited.verdict()[-1] == "freeze_thaw reached the best value with 2 of 4 seeds."
    assert replace(limited, searches=early).verdict() == ["freeze_thaw did not reach the best value with any seed."]
    for searches, said in ((early[:1], "not reached"), (early[1:], "not in 145")):
        assert replace(limited, searches=searches).table()[-1].count(said) == 2


def test_the_trials_that_ended_with_their_curve_are_counted_in_whole_numbers() -> None:
    two = [replace(search(100, 90), n_cut=n) for n in (10, 11)]
    (said,) = [line for line in replace(replay(*two), n_short=3).caveats() if "curves end" in line]
    assert "ends with its curve; 10 to 11 did so in each search. A search" in said
    (said,) = [line for line in replace(replay(two[0]), n_short=3).caveats() if "curves end" in line]
    assert "ends with its curve; 10 did so. A search" in said


def test_the_caveats_name_what_is_missing_only_if_something_is() -> None:
    plain = " ".join(replay(*FIVE).caveats())
    assert "knows the 24 recorded configurations and no other" in plain
    assert "luck" in plain
    assert not any(word in plain for word in ("curves end", "crashed", "being searched"))
    full = " ".join(replace(replay(*FIVE), n_short=13, n_crashed=2, n_crashed_epochs=5, is_searched=True).caveats())
    assert "13 of the 24 curves end before epoch 27" in full
    assert "11 did so" in full
    assert "2 crashed trials, with 5 epochs, are left out" in full
    assert "being searched" in full


def test_the_frame_has_a_row_for_the_study_and_one_for_each_seed() -> None:
    frame = replay(*FIVE).frame()
    assert list(frame["search"]) == ["study", *["freeze_thaw"] * 5]
    assert list(frame["seed"].dropna()) == [0, 1, 2, 3, 4]
    assert frame["seed"].isna()[0]
    assert frame["epochs_to_best"].isna().sum() == 1
    assert list(frame["epochs_to_best"].dropna()) == [200, 100, 120, 140, 110]
    assert list(frame["best"]) == [0.5, 0.5, 0.5, 0.502, 0.5, 0.5]


@pytest.mark.parametrize(("best", "near"), [(0.5, 2), (-0.5, 2), (0.0, 3)])
def test_near_is_within_a_twentieth_of_the_magnitude_of_the_best_value(best: float, near: int) -> None:
    curve = BestSoFar(history_of([best + 0.5, best + 0.02, best]))
    assert Outcome.of(curve, best, 9, trials=1).epochs_to_near == near
