"""The figures of a study, drawn from its record, its checkpoints and its test results.

    curves           learning curves of the best trials
    filters          filters of the first layer of a trained model
    activations      activations of a trained model in one stage, for one image
    tsne             features of a trained model for training and validation images, as points
    misclassified    held-out images that the tested model misclassifies
    samples          test accuracy over the number of training samples of each class
    validation_test  validation and test accuracy of the tested trials

No figure reads held-out data. The last three show what `hpo test` saved. The last two need no record, no checkpoints
and no images, so they can be drawn from a copy of the study's folder that lacks these, such as a git clone.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hpo.errors import MachineError, StudyError, UnknownName, UserError
from hpo.figures import charts, fonts, pictures, style
from hpo.figures.trained_model import TrainedModel, find
from hpo.heldout import Spread, TestRecord, TrialResult, misclassified
from hpo.record import FIGURES, History, StudyFolder, Trial, configuration
from hpo.trial import Config, Value

if TYPE_CHECKING:
    from matplotlib.figure import Figure

N_CURVES = 8
METRICS = ("val_loss", "train_loss", "val_accuracy", "train_accuracy")
LABEL_WIDTH = 60
"""The longest label beside a row, in characters. If one is longer, all labels are only the numbers of the trials."""
SAMPLES = "samples_per_class"
"""The hyperparameter on the x axis of the figure `samples`."""
SKIP = "skip_changed_files"
"""The option of the figures that read the data set."""
SERIES = ("mixing", "augmentation")
"""The figure `samples` has one line for each combination of values of these hyperparameters."""


@dataclass(frozen=True)
class PlotOptions:
    """What a figure shows. `plot` explains the options."""

    trials: Sequence[int] = ()
    top: int | None = None
    stage: str | None = None
    image: str | None = None
    skip_changed_files: bool = False


def plot(
    folder: Path,
    kind: str,
    *,
    trials: Sequence[int] = (),
    top: int | None = None,
    stage: str | None = None,
    image: str | None = None,
    skip_changed_files: bool = False,
    out: Path | None = None,
) -> list[Path]:
    """Draw a figure of the study in `folder`, and return the paths of the files it was written to.

    The files are KIND.png and KIND.svg in the study's folder `figures`. If `out` is given, the only file is `out`, in
    the format of its suffix.

    `trials` are the numbers of the trials to show. `top` is the number of best trials to show instead. `stage` names a
    stage of the model. `image` is the path of an image, or the number of an image in the validation part, from 0. Each
    kind of figure takes only some of these options. With `skip_changed_files`, files of the data set that changed since
    the study was begun are left out.

    Raises UserError if an option does not fit, or if there is nothing to draw.
    """
    if kind not in KINDS:
        raise UnknownName("kind", kind, KINDS)
    draw, accepted = KINDS[kind]
    options = PlotOptions(tuple(trials), top, stage, image, skip_changed_files)
    _check_options(kind, options, accepted)
    paths = _output_paths(folder, kind, out)
    try:
        importlib.import_module("matplotlib")
    except ImportError:
        raise UserError("figures need matplotlib, which is not installed: pip install 'hpo[plot]'") from None
    study = StudyFolder.reopen(folder)
    with style.style():
        figure = draw(study, options)
        fonts.choose(figure)
        for path in paths:
            try:
                path.parent.mkdir(exist_ok=True)
                style.save(figure, path)
            except OSError as error:
                raise MachineError(f"{path}: cannot be written: {error}") from None
    return paths


def _check_options(kind: str, options: PlotOptions, accepted: Sequence[str]) -> None:
    for name, value in vars(options).items():
        if value not in (None, (), False) and name not in accepted:
            kinds = ", ".join(other for other, (_, other_accepted) in KINDS.items() if name in other_accepted)
            raise UserError(f"--{name.replace('_', '-')} is not used by --kind {kind}; it is an option of {kinds}")
    if options.trials and options.top is not None:
        raise UserError("--trials and --top both say which trials: give one of them")
    if options.top is not None and options.top < 1:
        raise UserError(f"--top {options.top}: at least 1 is allowed")


def _output_paths(folder: Path, kind: str, out: Path | None) -> list[Path]:
    if out is None:
        return [folder / FIGURES / f"{kind}{suffix}" for suffix in (".png", ".svg")]
    if out.suffix not in style.SUFFIXES:
        raise UserError(f"--out {out}: the suffix says what is written, and must be one of {', '.join(style.SUFFIXES)}")
    if not out.parent.is_dir():
        raise UserError(f"--out {out}: there is no folder {out.parent}")
    if out.is_dir():
        raise UserError(f"--out {out}: is a folder; a file is needed")
    return [out]


def _curves(study: StudyFolder, options: PlotOptions) -> Figure:
    history = _history(study)
    ranked = history.ranked()[: options.top or N_CURVES]
    chosen = [find(study, history, number) for number in dict.fromkeys(options.trials)] or ranked
    if not chosen:
        raise UserError(f"no trial of study {study.name!r} has a finite loss: there is no curve to draw")
    for trial in chosen:
        if not trial.reports:
            raise UserError(f"trial {trial.number} of study {study.name!r} has no epoch on record: it has no curve")
    names = labels({trial.number: trial.config for trial in chosen})
    curves = [_curve(trial, label) for trial, label in zip(chosen, names, strict=True)]
    which = "" if options.trials else "the best "
    return charts.curves(
        f"{study.name}: learning curves of {which}{len(chosen)} of {len(history.trials)} trials", curves
    )


def _curve(trial: Trial, label: str) -> charts.Curve:
    known = [name for name in METRICS if all(name in report.metrics for report in trial.reports)]
    metrics = {name: [report.metrics[name] for report in trial.reports] for name in known}
    return charts.Curve(label, metrics, trial.best.fidelity if trial.best else 0)


def _filters(study: StudyFolder, options: PlotOptions) -> Figure:
    trained = _trained_model(study, options)
    return pictures.filters(f"{_model_name(study, trained)}: filters of the first layer", trained.filters())


def _activations(study: StudyFolder, options: PlotOptions) -> Figure:
    trained = _trained_model(study, options)
    stage, image, maps = trained.activations(options.stage, options.image)
    return pictures.maps(f"{_model_name(study, trained)}: activations in {stage}", image, maps)


def _tsne(study: StudyFolder, options: PlotOptions) -> Figure:
    trained = _trained_model(study, options)
    points, labels = trained.embedding()
    title = f"{_model_name(study, trained)}: t-SNE of the features of {len(labels)} training and validation images"
    return charts.points(title, points, labels, trained.classes)


def _misclassified(study: StudyFolder, options: PlotOptions) -> Figure:
    found = misclassified.read(study)
    if not found.n_wrong:
        raise UserError(f"study {study.name!r}: trial {found.trial} got all {found.n} held-out images right")
    which = f"{study.name}, trial {found.trial}, seed {found.seed}"
    title = f"{which}: {found.n_wrong} of {found.n} held-out images misclassified"
    if len(found.images) < found.n_wrong:
        title += f", here the {len(found.images)} of which it is the surest"
    return pictures.mistakes(title, found.images, found.true, found.top)


def _samples(study: StudyFolder, options: PlotOptions) -> Figure:
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


def _validation_test(study: StudyFolder, options: PlotOptions) -> Figure:
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


KINDS: dict[str, tuple[Callable[[StudyFolder, PlotOptions], Figure], tuple[str, ...]]] = {
    "curves": (_curves, ("trials", "top")),
    "filters": (_filters, ("trials", SKIP)),
    "activations": (_activations, ("trials", "stage", "image", SKIP)),
    "tsne": (_tsne, ("trials", SKIP)),
    "misclassified": (_misclassified, ()),
    "samples": (_samples, ()),
    "validation_test": (_validation_test, ("trials", "top")),
}
"""For each kind of figure, the function that draws it, and the options that it accepts."""


def labels(configs: Mapping[int, Config]) -> list[str]:
    """Return a label for each trial: its number, and its hyperparameters that differ between the trials."""
    first = next(iter(configs.values()))
    keys = {key: None for config in configs.values() for key in config}
    differing = [key for key in keys if any(_differ(first, config, key) for config in configs.values())]
    texts = {
        n: configuration({key: config[key] for key in differing if key in config}) for n, config in configs.items()
    }
    return [f"trial {number}: {text}" if text else f"trial {number}" for number, text in texts.items()]


def _differ(config: Config, other: Config, key: str) -> bool:
    return (key in config, config.get(key)) != (key in other, other.get(key))


def _trained_model(study: StudyFolder, options: PlotOptions) -> TrainedModel:
    return TrainedModel(study, _history(study), options.trials, skip_changed_files=options.skip_changed_files)


def _model_name(study: StudyFolder, trained: TrainedModel) -> str:
    return f"{study.name}, trial {trained.trial.number}"


def _history(study: StudyFolder) -> History:
    """The record of a study. A StudyError if the study's folder was copied without its record."""
    if study.settings.storage is None and not (study.folder / "ledger.log").exists():
        raise StudyError(
            f"the record of study {study.name!r} is not in {study.folder}: like its checkpoints, it stays on the "
            "machine that searched. Without it there are the kinds samples and validation_test"
        )
    return study.history()[0]
