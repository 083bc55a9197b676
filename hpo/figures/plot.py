"""The figures of a study, drawn from its record, its checkpoints and its test results.

    curves           learning curves of the best trials
    filters          filters of the first layer of a trained model
    activations      activations of a trained model in one stage, for one image
    tsne             features of a trained model for training and validation images, as points
    misclassified    held-out images that the tested model misclassifies
    confusion        confusion matrix of a tested trial
    per_class        precision, recall and F1 of each class, of a tested trial
    samples          test accuracy over the number of training samples of each class
    validation_test  validation and test accuracy of the tested trials

No figure reads held-out data. The last five show what `hpo test` saved. The last four need no record, no checkpoints
and no images, so they can be drawn from a copy of the study's folder that lacks these, such as a git clone.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hpo.errors import StudyError, UnknownName, UserError
from hpo.figures import charts, fonts, held_out_results, pictures, style
from hpo.figures.plot_options import PlotOptions, labels
from hpo.figures.trained_model import TrainedModel, find
from hpo.record import FIGURES, History, StudyFolder, Trial
from hpo.space.objectives import ERRORS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

N_CURVES = 8
METRICS = ("val_loss", "train_loss", "val_accuracy", "train_accuracy")
SKIP = "skip_changed_files"
"""The option of the figures that read the data set."""


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
    check_matplotlib()
    study = StudyFolder.reopen(folder)
    with style.style():
        figure = draw(study, options)
        fonts.choose(figure)
        for path in paths:
            style.save_or_raise(figure, path)
    return paths


def check_matplotlib() -> None:
    """Raise a UserError if matplotlib is not installed."""
    try:
        importlib.import_module("matplotlib")
    except ImportError:
        raise UserError("figures need matplotlib, which is not installed: pip install 'hpo[plot]'") from None


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
    check_output(out)
    return [out]


def check_output(out: Path, option: str = "--out") -> None:
    """Raise UserError if `out`, the value of an option, cannot be the file of a figure."""
    if out.suffix not in style.SUFFIXES:
        raise UserError(
            f"{option} {out}: the suffix says what is written, and must be one of {', '.join(style.SUFFIXES)}"
        )
    if not out.parent.is_dir():
        raise UserError(f"{option} {out}: there is no folder {out.parent}")
    if out.is_dir():
        raise UserError(f"{option} {out}: is a folder; a file is needed")


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
    curves = [learning_curve(trial, label, study.space.metric) for trial, label in zip(chosen, names, strict=True)]
    which = "" if options.trials else "the best "
    return charts.curves(
        f"{study.name}: learning curves of {which}{len(chosen)} of {len(history.trials)} trials", curves
    )


def learning_curve(trial: Trial, label: str, minimised: str) -> charts.Curve:
    """The curve of a trial: loss, accuracy, and the metric of the objective if it is another one."""
    wanted = dict.fromkeys((*METRICS, ERRORS.get(minimised, minimised)))
    known = [name for name in wanted if all(name in report.metrics for report in trial.reports)]
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


KINDS: dict[str, tuple[Callable[[StudyFolder, PlotOptions], Figure], tuple[str, ...]]] = {
    "curves": (_curves, ("trials", "top")),
    "filters": (_filters, ("trials", SKIP)),
    "activations": (_activations, ("trials", "stage", "image", SKIP)),
    "tsne": (_tsne, ("trials", SKIP)),
    "misclassified": (held_out_results.misclassified_images, ()),
    "confusion": (held_out_results.confusion_matrix, ("trials",)),
    "per_class": (held_out_results.results_per_class, ("trials",)),
    "samples": (held_out_results.accuracy_over_samples, ()),
    "validation_test": (held_out_results.validation_and_test, ("trials", "top")),
}
"""For each kind of figure, the function that draws it, and the options that it accepts."""


def _trained_model(study: StudyFolder, options: PlotOptions) -> TrainedModel:
    return TrainedModel(study, _history(study), options.trials, skip_changed_files=options.skip_changed_files)


def _model_name(study: StudyFolder, trained: TrainedModel) -> str:
    return f"{study.name}, trial {trained.trial.number}, epoch {trained.epoch}"


def _history(study: StudyFolder) -> History:
    """The record of a study. A StudyError if the study's folder was copied without its record."""
    if study.settings.storage is None and not (study.folder / "ledger.log").exists():
        raise StudyError(
            f"the record of study {study.name!r} is not in {study.folder}: like its checkpoints, it stays on the "
            "machine that searched. Without it there are the kinds confusion, per_class, samples and validation_test"
        )
    return study.history()[0]
