"""Figures of a study: from its record, its checkpoints and its test to PNG and SVG files.

    curves           learning curves of the best trials
    filters          the first-layer filters of a trained model
    activations      what a stage of it makes of one image
    tsne             what its head sees of the images of the search
    misclassified    held-out images that the tested model takes for something else
    samples          test accuracy over samples a class
    validation_test  validation and test accuracy of the tested trials

No figure looks at held-out data: what the last three show of them, `hpo test` wrote down when it looked.
The last two need neither record nor checkpoints nor images, so they can be drawn in a clone.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hpo.errors import MachineError, Mistake, StudyError, UnknownName
from hpo.figures import charts, pictures, style
from hpo.figures.trained_model import TrainedModel, find
from hpo.heldout import Evaluations, Spread, TrialEvaluation, misclassified
from hpo.record import FIGURES, History, StudyFolder, Trial, configuration
from hpo.trial import Config, Scalar

if TYPE_CHECKING:
    from matplotlib.figure import Figure

N_CURVES = 8
METRICS = ("val_loss", "train_loss", "val_accuracy", "train_accuracy")
ROW = 60
"""Characters beside a row at most; where one has more, the rows bear the numbers of their trials alone."""
SAMPLES = "samples_per_class"
SERIES = ("mixing", "augmentation")
"""Each combination of their values is a line over `samples_per_class`."""


@dataclass(frozen=True)
class PlotOptions:
    """What a figure is to show; see `plot`."""

    trials: Sequence[int] = ()
    top: int | None = None
    stage: str | None = None
    image: str | None = None


def plot(
    folder: Path,
    kind: str,
    *,
    trials: Sequence[int] = (),
    top: int | None = None,
    stage: str | None = None,
    image: str | None = None,
    out: Path | None = None,
) -> list[Path]:
    """Draw a figure of a study, and return the files it stands in: KIND.png and KIND.svg in its folder `figures`.

    `trials` are numbers of trials, `top` says how many of the best, `stage` names a stage of the model, `image` is
    the path of an image, or the number of one of the validation part, from 0. Where `out` is given, it is the one
    file, in the format of its suffix. A Mistake says what cannot be drawn, and why.
    """
    if kind not in KINDS:
        raise UnknownName("kind", kind, KINDS)
    draw, known = KINDS[kind]
    options = PlotOptions(tuple(trials), top, stage, image)
    _check(kind, options, known)
    paths = _paths(folder, kind, out)
    try:
        importlib.import_module("matplotlib")
    except ImportError:
        raise Mistake("figures need matplotlib, which is not installed: pip install 'hpo[plot]'") from None
    study = StudyFolder.reopen(folder)
    with style.style():
        figure = draw(study, options)
        for path in paths:
            try:
                path.parent.mkdir(exist_ok=True)
                style.save(figure, path)
            except OSError as error:
                raise MachineError(f"{path}: cannot be written: {error}") from None
    return paths


def _check(kind: str, options: PlotOptions, known: Sequence[str]) -> None:
    for name, value in vars(options).items():
        if value not in (None, ()) and name not in known:
            able = ", ".join(each for each, (_, takes) in KINDS.items() if name in takes)
            raise Mistake(f"--{name} says nothing to a figure of kind {kind!r}; it is an option of {able}")
    if options.trials and options.top is not None:
        raise Mistake("--trials and --top both say which trials: give one of them")
    if options.top is not None and options.top < 1:
        raise Mistake(f"--top {options.top}: at least 1 is allowed")


def _paths(folder: Path, kind: str, out: Path | None) -> list[Path]:
    if out is None:
        return [folder / FIGURES / f"{kind}{suffix}" for suffix in (".png", ".svg")]
    if out.suffix not in style.SUFFIXES:
        raise Mistake(f"--out {out}: the suffix says what is written, and must be one of {', '.join(style.SUFFIXES)}")
    if not out.parent.is_dir():
        raise Mistake(f"--out {out}: there is no folder {out.parent}")
    if out.is_dir():
        raise Mistake(f"--out {out}: is a folder; a file is needed")
    return [out]


def _curves(study: StudyFolder, options: PlotOptions) -> Figure:
    history = _history(study)
    ranked = history.ranked()[: options.top or N_CURVES]
    chosen = [find(study, history, number) for number in dict.fromkeys(options.trials)] or ranked
    if not chosen:
        raise Mistake(f"no trial of study {study.name!r} has a finite loss: there is no curve to draw")
    for trial in chosen:
        if not trial.reports:
            raise Mistake(f"trial {trial.number} of study {study.name!r} has no epoch on record: it has no curve")
    names = labels({trial.number: trial.config for trial in chosen})
    drawn = [_curve(trial, label) for trial, label in zip(chosen, names, strict=True)]
    which = "" if options.trials else "the best "
    return charts.curves(
        f"{study.name}: learning curves of {which}{len(chosen)} of {len(history.trials)} trials", drawn
    )


def _curve(trial: Trial, label: str) -> charts.Curve:
    known = [name for name in METRICS if all(name in report.metrics for report in trial.reports)]
    metrics = {name: [report.metrics[name] for report in trial.reports] for name in known}
    return charts.Curve(label, metrics, trial.best.fidelity if trial.best else 0)


def _filters(study: StudyFolder, options: PlotOptions) -> Figure:
    trained = TrainedModel(study, _history(study), options.trials)
    return pictures.filters(f"{_named(study, trained)}: filters of the first layer", trained.filters())


def _activations(study: StudyFolder, options: PlotOptions) -> Figure:
    trained = TrainedModel(study, _history(study), options.trials)
    stage, image, maps = trained.activations(options.stage, options.image)
    return pictures.maps(f"{_named(study, trained)}: activations in {stage}", image, maps)


def _tsne(study: StudyFolder, options: PlotOptions) -> Figure:
    trained = TrainedModel(study, _history(study), options.trials)
    points, labels = trained.plane()
    title = f"{_named(study, trained)}: t-SNE of the features of {len(labels)} training and validation images"
    return charts.points(title, points, labels, trained.classes)


def _misclassified(study: StudyFolder, options: PlotOptions) -> Figure:
    found = misclassified.read(study)
    if not found.n_wrong:
        raise Mistake(f"study {study.name!r}: trial {found.trial} got all {found.n} held-out images right")
    which = f"{study.name}, trial {found.trial}, seed {found.seed}"
    title = f"{which}: {found.n_wrong} of {found.n} held-out images misclassified"
    if len(found.images) < found.n_wrong:
        title += f", here the {len(found.images)} of which it is the surest"
    return pictures.mistakes(title, found.images, found.true, found.top)


def _samples(study: StudyFolder, options: PlotOptions) -> Figure:
    if SAMPLES not in study.space.domains:
        raise Mistake(f"study {study.name!r} does not search {SAMPLES!r}, so there is nothing to draw accuracy over")
    results = Evaluations.read(study).finite()
    keys = [key for key in SERIES if key in study.space.domains]
    series: dict[tuple[Scalar, ...], dict[int, TrialEvaluation]] = {}
    for result in results:  # of equal settings, the one that the search found best stands for them
        n = result.config.get(SAMPLES)
        if isinstance(n, int):
            series.setdefault(tuple(result.config.get(key) for key in keys), {}).setdefault(n, result)
    if not series:
        raise Mistake(f"study {study.name!r}: no tested trial has a number of {SAMPLES!r}")
    lines = [
        _line(values, series[values]) for values in sorted(series, key=lambda values: _places(study, keys, values))
    ]
    title = f"{study.name}: test accuracy over samples a class"
    return charts.lines(title, lines, x="samples a class", y="test accuracy", legend=", ".join(keys))


def _line(values: Sequence[Scalar], results: Mapping[int, TrialEvaluation]) -> charts.Line:
    x = sorted(results)
    tests = [_error_bar(results[n].test_accuracy) for n in x]
    label = ", ".join(str(value) for value in values)
    return charts.Line(label, x, [test.mean for test in tests], [test.std for test in tests])


def _error_bar(spread: Spread) -> charts.ErrorBar:
    return charts.ErrorBar(spread.mean, spread.std or 0.0)


def _places(study: StudyFolder, keys: Sequence[str], values: Sequence[Scalar]) -> list[int]:
    """Where some values stand among the choices of the space."""
    offered = [getattr(study.space.domains[key], "choices", ()) for key in keys]
    return [
        list(choices).index(value) if value in choices else -1 for choices, value in zip(offered, values, strict=True)
    ]


def _validation_test(study: StudyFolder, options: PlotOptions) -> Figure:
    results = Evaluations.read(study).finite()
    known = {result.trial: result for result in results}
    for number in options.trials:
        if number not in known:
            have = ", ".join(map(str, sorted(known)))
            raise Mistake(f"trial {number} of study {study.name!r} was not tested; these were: {have}")
    shown = [known[number] for number in dict.fromkeys(options.trials)] or results[: options.top]
    names = labels({result.trial: result.config for result in shown})
    if max(map(len, names)) > ROW:
        names = labels({result.trial: {} for result in shown})
    pairs = [
        charts.Pair(name, _error_bar(result.val_accuracy), _error_bar(result.test_accuracy))
        for name, result in zip(names, shown, strict=True)
    ]
    return charts.pairs(f"{study.name}: validation and test accuracy of the tested trials", pairs)


KINDS: dict[str, tuple[Callable[[StudyFolder, PlotOptions], Figure], tuple[str, ...]]] = {
    "curves": (_curves, ("trials", "top")),
    "filters": (_filters, ("trials",)),
    "activations": (_activations, ("trials", "stage", "image")),
    "tsne": (_tsne, ("trials",)),
    "misclassified": (_misclassified, ()),
    "samples": (_samples, ()),
    "validation_test": (_validation_test, ("trials", "top")),
}
"""Each kind of figure, and the options that say something to it."""


def labels(configs: Mapping[int, Config]) -> list[str]:
    """What sets each of some trials apart from the others: its number, and its hyperparameters that not all share."""
    first = next(iter(configs.values()))
    keys = {key: None for config in configs.values() for key in config}
    differing = [key for key in keys if any(_differ(first, config, key) for config in configs.values())]
    texts = {
        n: configuration({key: config[key] for key in differing if key in config}) for n, config in configs.items()
    }
    return [f"trial {number}: {text}" if text else f"trial {number}" for number, text in texts.items()]


def _differ(one: Config, other: Config, key: str) -> bool:
    return (key in one, one.get(key)) != (key in other, other.get(key))


def _named(study: StudyFolder, trained: TrainedModel) -> str:
    return f"{study.name}, trial {trained.trial.number}"


def _history(study: StudyFolder) -> History:
    """The record; a StudyError where it did not come along with the folder."""
    if study.settings.storage is None and not (study.folder / "ledger.log").exists():
        raise StudyError(
            f"the record of study {study.name!r} is not in {study.folder}: like its checkpoints, it stays on the "
            "machine that searched. Without it there are the kinds samples and validation_test"
        )
    return study.history()[0]
