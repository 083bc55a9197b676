"""The charts of a report, as inline SVG with a description in words."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from markupsafe import Markup

from hpo.figures import charts, class_charts, search_charts, study_comparison
from hpo.figures.plot import learning_curve
from hpo.figures.plot_options import labels
from hpo.heldout import per_class
from hpo.heldout.confusion import ConfusionMatrix
from hpo.importance import Effect, Importance
from hpo.importance.words import best_value, known_effects, value_text
from hpo.report.content import Content
from hpo.report.drawing import svg
from hpo.results.best_so_far import BestSoFar
from hpo.space import Categorical, SearchSpace

N_CURVES = 6
"""The number of trials whose learning curves are shown."""
N_DEPENDENCES = 6
"""The largest number of partial dependences."""
N_CLASSES = 102
"""The largest number of classes of a confusion matrix that is drawn."""


def learning_curves(content: Content, prefix: str) -> Markup | None:
    """The learning curves of the best trials. None if no trial has a finite value."""
    chosen = content.history.ranked()[:N_CURVES]
    if not chosen:
        return None
    metric = content.study.space.metric
    names = labels({trial.number: trial.config for trial in chosen})
    curves = [learning_curve(trial, label, metric) for trial, label in zip(chosen, names, strict=True)]
    description = "; ".join(
        f"trial {trial.number}: {metric} {trial.loss:.4f} at epoch {trial.best.fidelity}"
        for trial in chosen
        if trial.best
    )
    return svg(lambda: charts.curves("", curves), "Learning curves of the best trials", description, prefix=prefix)


def best_so_far(curves: Mapping[str, Sequence[tuple[str, BestSoFar]]], prefix: str) -> Markup | None:
    """The best value of named searches, over epochs and over time. None if none has a finite value.

    `curves` are the searches by their objective. Each objective has axes of its own.
    """
    known = {
        objective: finite
        for objective, group in curves.items()
        if (finite := [(name, curve) for name, curve in group if math.isfinite(curve.best)])
    }
    if not known:
        return None
    description = "; ".join(
        f"{name}: {objective} {curve.best:.4f} after {curve.n_epochs} epochs"
        for objective, group in known.items()
        for name, curve in group
    )
    title = "The best value so far, over epochs and over time"
    return svg(lambda: study_comparison.draw("", known), title, description, prefix=prefix)


def importance_bars(found: Importance, prefix: str) -> Markup:
    """The share of the variance of each hyperparameter."""
    bars = [
        search_charts.Bar(each.name, each.main.mean, each.total.mean, each.total.low, each.total.high, each.stands_out)
        for each in found.effects
    ]
    description = "; ".join(f"{bar.name}: {bar.total:.0%}, from {bar.low:.0%} to {bar.high:.0%}" for bar in bars)
    return svg(
        lambda: search_charts.importance("", bars, found.noise),
        "Importance of hyperparameters",
        description,
        prefix=prefix,
    )


def partial_dependences(space: SearchSpace, found: Importance, prefix: str) -> Markup | None:
    """The average objective over each hyperparameter that stands out. None if none does."""
    effects = known_effects(found)[:N_DEPENDENCES]
    if not effects:
        return None
    panels = [_dependence(space, effect) for effect in effects]
    description = "; ".join(f"{effect.name}: lowest near {value_text(best_value(effect.curve))}" for effect in effects)
    label = f"{found.average} {found.metric}"
    title = "Partial dependence of the objective"
    return svg(lambda: search_charts.dependences("", panels, y=label), title, description, prefix=prefix)


def _dependence(space: SearchSpace, effect: Effect) -> search_charts.Dependence:
    domain = space.domains[effect.name]
    curve = effect.curve
    mean, low, high = zip(*((each.mean, each.low, each.high) for each in curve.objective), strict=True)
    if isinstance(domain, Categorical):
        choices = [value_text(value) for value in curve.values]
        return search_charts.Dependence(effect.name, list(range(len(choices))), mean, low, high, choices=choices)
    values = [float(value) for value in curve.values if isinstance(value, int | float)]
    return search_charts.Dependence(effect.name, values, mean, low, high, log=domain.log)


def confusion_matrix(matrices: Sequence[ConfusionMatrix], prefix: str) -> Markup | None:
    """The mean confusion matrix of a tested trial. None if it has too many classes to be seen."""
    classes = matrices[0].classes
    if len(classes) > N_CLASSES:
        return None
    counts = np.mean([matrix.counts for matrix in matrices], axis=0)
    scores = per_class.results(matrices)
    description = "; ".join(f"{each.name}: recall {each.recall.mean:.2f}" for each in scores if each.recall.is_finite)
    return svg(
        lambda: class_charts.confusion("", counts, classes, clear=True), "Confusion matrix", description, prefix=prefix
    )
