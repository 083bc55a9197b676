from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from benchmarks.regrets import comparison, regrets
from hpo.record import History
from hpo.space import Fidelity, SearchSpace
from hpo.space.domains import Float
from hpo.trial import Config, Report, Suggestion

EPOCHS = 2


class Known:
    """A problem whose final value is 10 times x. The best known is 1, the median 6."""

    name, best, median = "known", 1.0, 6.0
    space = SearchSpace("known", {"x": Float(0.0, 1.0)}, Fidelity(EPOCHS))

    def curve(self, config: Config, epoch: int) -> Mapping[str, float]:
        raise AssertionError("scoring needs no curve")

    def final(self, config: Config) -> float:
        return 10 * float(config["x"])  # type: ignore[arg-type]


def history(*curves: tuple[float, Sequence[float]]) -> History:
    """Trials one after another: x and the losses of the epochs."""
    made = History(EPOCHS)
    for number, (x, losses) in enumerate(curves):
        made.append(Suggestion(number, {"x": x}, until=EPOCHS))
        for epoch, loss in enumerate(losses, start=1):
            made.append(Report(number, epoch, loss, {"val_loss": loss}, 1.0))
    return made


def test_the_regret_is_that_of_the_final_value_of_the_trial_with_the_lowest_value_so_far() -> None:
    played = history((0.6, [5.0, 3.0]), (0.1, [4.0, 3.5]), (0.9, [0.5, 9.0]))
    assert regrets(Known(), played, [1, 2, 3]) == {"1": 1.0, "2": 1.0, "3": 1.6}


def test_an_incumbent_counts_from_the_epoch_on_at_which_it_was_the_lowest() -> None:
    played = history((0.6, [5.0, 3.0]), (0.1, [4.0, 2.0]))
    assert regrets(Known(), played, [1, 2]) == {"1": 1.0, "2": 0.0}


def test_values_that_are_not_finite_are_no_incumbent() -> None:
    played = history((0.6, [math.nan, math.inf]), (0.1, [4.0, 2.0]))
    assert regrets(Known(), played, [1, 2]) == {"1": 1.0, "2": 0.0}


def test_a_search_that_ended_early_keeps_its_incumbent() -> None:
    assert regrets(Known(), history((0.1, [4.0, 2.0])), [1, 5, 10]) == {"1": 0.0, "5": 0.0, "10": 0.0}


def run(backend: str, seed: int, regret: float, problem: str = "known") -> dict[str, Any]:
    return {
        "backend": backend,
        "problem": problem,
        "seed": seed,
        "regrets": {"5": regret},
        "ask_ms": [1.0, 2.0, 9.0],
        "tell_ms": 10.0,
        "epochs": 20,
    }


def test_the_table_has_means_errors_ranks_and_times() -> None:
    runs = [run("a", 0, 0.2), run("a", 1, 0.4), run("b", 0, 0.1), run("b", 1, 0.9)]
    header, rows, n = comparison(runs, [5])
    first, second = (dict(zip(header, row, strict=True)) for row in rows)
    assert n == 2
    assert (first["backend"], first["@5"], first["rank @5"]) == ("a", "0.300 ± 0.100", "1.5")
    assert (second["@5"], second["rank @5"]) == ("0.500 ± 0.400", "1.5")
    assert (first["ask ms: median"], first["max"], first["tell ms an epoch"]) == (2.0, 9.0, 0.5)


def test_only_runs_that_all_backends_have_are_compared() -> None:
    runs = [run("a", 0, 0.2), run("a", 1, 0.8), run("b", 0, 0.1)]
    header, rows, n = comparison(runs, [5])
    assert n == 1
    assert [row[header.index("@5")] for row in rows] == ["0.200", "0.100"]
    assert [row[header.index("rank @5")] for row in rows] == ["2.0", "1.0"]


def test_without_a_common_run_the_cells_are_empty() -> None:
    header, rows, n = comparison([run("a", 0, 0.2), run("b", 1, 0.1)], [5])
    assert (n, [row[header.index("@5")] for row in rows]) == (0, ["", ""])


@pytest.mark.parametrize("regret", [-0.01, 0.0])
def test_a_regret_below_the_best_known_stays_visible(regret: float) -> None:
    x = 0.1 + regret / 2
    assert regrets(Known(), history((x, [1.0, 1.0])), [1])["1"] == pytest.approx(regret)
