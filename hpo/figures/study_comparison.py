"""The figure that compares studies: the best value of each so far, over epochs and over time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hpo.figures import fonts, search_charts, style
from hpo.figures.plot import check_matplotlib, check_output
from hpo.figures.search_charts import Steps
from hpo.results.best_so_far import BestSoFar
from hpo.results.study_comparison import StudyComparison

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def check(out: Path) -> None:
    """Raise UserError if the figure cannot be drawn into `out`, the value of the option --plot."""
    check_output(out, "--plot")
    check_matplotlib()


def write(found: StudyComparison, out: Path) -> None:
    """Draw the figure into the file `out`. Raises the errors of `check`, and MachineError if it cannot be written."""
    check(out)
    curves = {group.objective: [(each.study.name, each.curve) for each in group.studies] for group in found.groups}
    with style.style():
        figure = draw("The best value so far", curves)
        fonts.choose(figure)
        style.save_or_raise(figure, out)


def draw(title: str, curves: Mapping[str, Sequence[tuple[str, BestSoFar]]]) -> Figure:
    """Draw the best value so far of named searches, over epochs and over time. Each objective has axes of its own.

    `curves` are the searches by their objective.
    """
    longest = max((curve.seconds[-1] for group in curves.values() for _, curve in group if curve.seconds), default=0.0)
    panels = {f"best {objective} so far": _panels(group, longest) for objective, group in curves.items()}
    return search_charts.best_so_far_by_objective(title, panels)


def _panels(curves: Sequence[tuple[str, BestSoFar]], longest: float) -> dict[str, list[Steps]]:
    """The panels by the label of their x axis. The unit of time suits the longest search, in seconds."""
    unit, scale = ("seconds", 1) if longest < 300 else ("minutes", 60) if longest < 18_000 else ("hours", 3600)
    return {
        "epochs, over all trials": [Steps(name, range(1, curve.n_epochs + 1), curve.values) for name, curve in curves],
        f"{unit} of search": [
            Steps(name, [each / scale for each in curve.seconds], curve.values) for name, curve in curves
        ],
    }
