"""The figures of test results. They show what `hpo test` saved, and read no held-out data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from hpo.errors import StudyError, UserError
from hpo.figures import charts, class_charts, pictures
from hpo.figures.plot_options import PlotOptions, labels
from hpo.heldout import Spread, TestRecord, TrialResult, confusion, misclassified, per_class
from hpo.heldout.confusion import ConfusionMatrix
from hpo.record import StudyFolder
from hpo.trial import Value

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LABEL_WIDTH = 60
"""The longest label beside a row, in characters. If one is longer, all labels are only the numbers of the trials."""
SAMPLES = "samples_per_class"
"""The hyperparameter on the x axis of the figure `samples`."""
SERIES = ("mixing", "augmentation")
"""The figure `samples` has one line for each combination of values of these hyperparameters."""


def misclassified_images(study: StudyFolder, options: PlotOptions) -> Figure:
    """Show the images that the best tested trial misclassifies."""
    found = misclassified.read(study)
    if not found.n_wrong:
        raise UserError(f"study {study.name!r}: trial {found.trial} got all {found.n} held-out images right")
    which = f"{study.name}, trial {found.trial}, seed {found.seed}"
    title = f"{which}: {found.n_wrong} of {found.n} held-out images misclassified"
    if len(found.images) < found.n_wrong:
        title += f", here the {len(found.images)} of which it is the surest"
    return pictures.mistakes(title, found.images, found.true, found.top)


def confusion_matrix(study: StudyFolder, options: PlotOptions) -> Figure:
    """Show the confusion matrix of a tested trial, the mean over its seeds."""
    trial, matrices = _tested_matrices(study, options)
    counts = np.mean([matrix.counts for matrix in matrices], axis=0)
    title = f"{study.name}, trial {trial}: confusion matrix of {counts.sum():.0f} held-out images"
    if len(matrices) > 1:
        title += f", mean over {len(matrices)} seeds"
    return class_charts.confusion(title, counts, matrices[0].classes)


def results_per_class(study: StudyFolder, options: PlotOptions) -> Figure:
    """Show precision, recall and F1 of each class, of a tested trial."""
    trial, matrices = _tested_matrices(study, options)
    scores = [
        class_charts.ClassScores(each.name, each.support, *map(_error_bar, (each.precision, each.recall, each.f1)))
        for each in per_class.results(matrices)
    ]
    n = len(matrices)
    title = f"{study.name}, trial {trial}: held-out images, {n} seed{'s' * (n > 1)}"
    return class_charts.per_class(title, scores)


def _tested_matrices(study: StudyFolder, options: PlotOptions) -> tuple[int, list[ConfusionMatrix]]:
    """The trial in `options` or the best tested one, and its confusion matrices, one for each seed."""
    if len(options.trials) > 1:
        raise UserError("--trials: this kind of figure shows one trial")
    matrices = confusion.read(study)
    have = [each.trial for each in TestRecord.read(study).ranked() if per_class.of_trial(matrices, each.trial)]
    if not have:
        raise StudyError(
            f"study {study.name!r} has no test results per class: run `hpo test {study.name}` first, which writes "
            "them, unless its training code has no `predict(part)`"
        )
    trial = options.trials[0] if options.trials else have[0]
    if trial not in have:
        those = ", ".join(map(str, sorted(have)))
        raise UserError(f"trial {trial} of study {study.name!r} has no test results per class; these have: {those}")
    return trial, per_class.of_trial(matrices, trial)


def accuracy_over_samples(study: StudyFolder, options: PlotOptions) -> Figure:
    """Show the test accuracy over the number of training samples of each class."""
    if SAMPLES not in study.space.domains:
        raise UserError(f"study {study.name!r} does not search {SAMPLES!r}, so there is nothing to draw accuracy over")
    results = TestRecord.read(study).finite()
    keys = [key for key in SERIES if key in study.space.domains]
    series: dict[tuple[Value, ...], dict[int, TrialResult]] = {}
    # The results begin with the best one of the search: of several with the same settings, the first is kept.
    for result in results:
        n = result.config.get(SAMPLES)
        if isinstance(n, int):
            series.setdefault(tuple(result.config.get(key) for key in keys), {}).setdefault(n, result)
    if not series:
        raise UserError(f"study {study.name!r}: no tested trial has a number of {SAMPLES!r}")
    lines = [
        _line(values, series[values])
        for values in sorted(series, key=lambda values: _choice_indices(study, keys, values))
    ]
    title = f"{study.name}: test accuracy over samples a class"
    return charts.lines(title, lines, x="samples a class", y="test accuracy", legend=", ".join(keys))


def _line(values: Sequence[Value], results: Mapping[int, TrialResult]) -> charts.Line:
    """The line of one combination of values of SERIES. `results` maps the number of samples to a test result."""
    n_samples = sorted(results)
    tests = [_error_bar(results[n].test_accuracy) for n in n_samples]
    label = ", ".join(str(value) for value in values)
    return charts.Line(label, n_samples, [test.mean for test in tests], [test.std for test in tests])


def _error_bar(spread: Spread) -> charts.ErrorBar:
    return charts.ErrorBar(spread.mean, spread.std or 0.0)


def _choice_indices(study: StudyFolder, keys: Sequence[str], values: Sequence[Value]) -> list[int]:
    """The index of each value among the choices that the space has for its key, or -1. Used to sort."""
    all_choices = [getattr(study.space.domains[key], "choices", ()) for key in keys]
    return [
        list(choices).index(value) if value in choices else -1
        for choices, value in zip(all_choices, values, strict=True)
    ]


def validation_and_test(study: StudyFolder, options: PlotOptions) -> Figure:
    """Show validation and test accuracy of the tested trials."""
    results = TestRecord.read(study).finite()
    by_trial = {result.trial: result for result in results}
    for number in options.trials:
        if number not in by_trial:
            have = ", ".join(map(str, sorted(by_trial)))
            raise UserError(f"trial {number} of study {study.name!r} was not tested; these were: {have}")
    shown = [by_trial[number] for number in dict.fromkeys(options.trials)] or results[: options.top]
    names = labels({result.trial: result.config for result in shown})
    if max(map(len, names)) > LABEL_WIDTH:
        names = labels({result.trial: {} for result in shown})
    pairs = [
        charts.Pair(name, _error_bar(result.val_accuracy), _error_bar(result.test_accuracy))
        for name, result in zip(names, shown, strict=True)
    ]
    return charts.pairs(f"{study.name}: validation and test accuracy of the tested trials", pairs)
