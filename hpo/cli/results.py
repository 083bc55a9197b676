"""The commands that read or test a study: status, best, test, export, plot."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from hpo.cli import completion
from hpo.cli.options import check_format, out_option, skip_changed_files_option, study_argument, trial_numbers
from hpo.cli.printing import next_command, print_line, print_table
from hpo.errors import UserError
from hpo.quantities import with_plural

if TYPE_CHECKING:
    from pandas import DataFrame

    from hpo.heldout import ModelResult


@click.command()
@study_argument
def status(name: str, studies: Path) -> None:
    """Say how far a study is."""
    from hpo.results.status import LABEL_WIDTH, lines

    for line in lines(studies / name):
        has_label = line[:LABEL_WIDTH].endswith("  ")
        print_line(line, indent=LABEL_WIDTH if has_label else None)


@click.command()
@click.option("--top", type=click.IntRange(1), default=10, show_default=True)
@click.option("--format", "format", default="table", show_default=True, help="table, csv, md, latex, html or json.")
@study_argument
def best(name: str, top: int, format: str, studies: Path) -> None:
    """Print the best configurations of a study.

    It is for reading. `hpo export` writes chosen columns, all trials, or a file.
    """
    from hpo.record import StudyFolder, is_locked
    from hpo.results import FORMATS, confidence_text, render, table
    from hpo.results.confidence_cache import cached_confidence
    from hpo.results.image_groups import group_lines
    from hpo.results.status import data_lines

    check_format(format, ("table", *FORMATS))
    study = StudyFolder.reopen(studies / name)
    history, finished = study.history()
    frame = table(study, (history, finished)).dropna(subset=["loss"]).head(top)
    if frame.empty and not history.n_epochs and finished is None and format == "table":
        way_on = (
            "a search is running" if is_locked(study.folder) else f"`{next_command('resume', study.folder)}` goes on"
        )
        print_line(f"no epoch is recorded yet; {way_on}", err=True)
        return
    known, unknown_because = cached_confidence(study, history)
    if format != "table":
        click.echo(render(confidence_text.with_intervals(frame, known), format), nl=False)
        return
    print_table(confidence_text.with_interval_text(frame, known), study)
    if known is not None:
        for line in confidence_text.table_lines(known) + group_lines(study, known.n_groups, known.n_images):
            print_line(line)
    elif len(frame):
        print_line(f"No intervals: {unknown_because}.")
    for line in data_lines(study):
        click.echo(line, err=True)


@click.command()
@click.option("--top", type=click.IntRange(1), default=1, show_default=True, help="How many of the best to test.")
@click.option(
    "--seeds", type=click.IntRange(1), help="Trainings of each; as many as this protocol tested before, or 1."
)
@click.option(
    "--protocol",
    help="retrain; refit, on the validation images too; or checkpoint: the weights of the search. By default that of "
    "the latest test, or retrain.",
)
@skip_changed_files_option
@study_argument
def test(name: str, top: int, seeds: int | None, protocol: str | None, skip_changed_files: bool, studies: Path) -> None:
    """Re-train the best configurations and test them on held-out data.

    The data folder, the devices and the runner are those of the study: `hpo resume NAME --data DIR --devices cpu`
    changes them, and searches nothing more if the study is finished.
    """
    from rich.console import Console

    from hpo.heldout import Plan, evaluate, tested_protocol, tested_seeds
    from hpo.record import StudyFolder
    from hpo.results import write_tables
    from hpo.results.progress import print_note
    from hpo.results.status import test_lines
    from hpo.results.training_progress import TrainingProgress
    from hpo.space.objectives import searched_metric

    study = StudyFolder.reopen(studies / name)
    metric = searched_metric(study.space.objective)

    def watch(evaluation: ModelResult) -> None:
        progress.end(evaluation)
        click.echo(evaluation.words(metric), err=True)

    protocol = tested_protocol(study) if protocol is None else protocol
    plan = Plan(top=top, seeds=tested_seeds(study, protocol) if seeds is None else seeds, protocol=protocol)
    with TrainingProgress(Console(stderr=True)) as progress:
        record = evaluate(
            studies / name,
            plan,
            watch=watch,
            watch_epoch=progress,
            notify=print_note,
            skip_changed_files=skip_changed_files,
        )
    write_tables(study)
    for line in test_lines(record):
        print_line(line)


@click.command()
@click.option(
    "--format", "format", help="csv, md, latex, html or json; that of the suffix of --out by default, or csv."
)
@out_option("The file to write; the screen by default.")
@click.option("--top", type=click.IntRange(1), metavar="N", help="Only the best N trials; all by default.")
@click.option("--columns", metavar="A,B,C", help="Only these columns, in this order; all by default.")
@click.option("--published", is_flag=True, help="The published numbers of the space's reference, and ours beside them.")
@study_argument
def export(
    name: str,
    format: str | None,
    out: Path | None,
    top: int | None,
    columns: str | None,
    published: bool,
    studies: Path,
) -> None:
    """Write the trials of a study as a table, best first."""
    from hpo.record import StudyFolder
    from hpo.results import comparison, render, select_columns, table, write
    from hpo.results.confidence_cache import cached_confidence
    from hpo.results.confidence_text import with_intervals
    from hpo.results.rendering import check_output, format_of

    written_as = format_of(format, out)
    if out is not None:
        check_output(out)
    study = StudyFolder.reopen(studies / name)
    record = study.history()
    trials = table(study, record)
    if top is not None:
        trials = trials.dropna(subset=["loss"]).head(top)
    frame: DataFrame | None
    if published:
        frame = comparison.compare(study, trials)
    else:
        frame = with_intervals(trials, cached_confidence(study, record[0])[0])
    if frame is None:
        raise UserError(f"--published: the space of study {name!r} names no `reference`")
    if columns is not None:
        frame = select_columns(frame, [each.strip() for each in columns.split(",")])
    is_page = published and written_as == "md" and columns is None
    text = comparison.page(study, frame) if is_page else render(frame, written_as)
    if out is None:
        click.echo(text, nl=False)
    else:
        write(text, out)
        click.echo(f"{out}: {with_plural(len(frame), 'row')}", err=True)


@click.command()
@click.option(
    "--kind",
    required=True,
    shell_complete=completion.plot_kinds,
    help="curves, filters, activations, tsne, misclassified, confusion, per_class, samples, validation_test.",
)
@click.option("--trials", help="The trials to draw, as 3,7; the best by default.")
@click.option("--top", type=click.IntRange(1), help="How many of the best to draw.")
@click.option("--stage", help="activations: the stage of the model; the first by default.")
@click.option("--image", help="activations: a file, or the number of a validation image.")
@out_option("The file to write; figures/KIND.png and .svg by default.")
@skip_changed_files_option
@study_argument
def plot(
    name: str,
    kind: str,
    trials: str | None,
    top: int | None,
    stage: str | None,
    image: str | None,
    out: Path | None,
    skip_changed_files: bool,
    studies: Path,
) -> None:
    """Draw a study: learning curves, filters, activations, features, misclassified images, results per class.

    The data folder and the devices are those of the study: `hpo resume NAME --data DIR --devices cpu` changes them,
    and searches nothing more if the study is finished.
    """
    from hpo.figures import plot

    numbers = [] if trials is None else trial_numbers(trials)
    options = {"trials": numbers, "top": top, "stage": stage, "image": image, "skip_changed_files": skip_changed_files}
    for path in plot(studies / name, kind, out=out, **options):  # type: ignore[arg-type]
        click.echo(str(path))
