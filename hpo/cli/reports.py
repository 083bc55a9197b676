"""The commands that show what studies found: report, compare, importance, studies."""

from __future__ import annotations

from pathlib import Path

import click

from hpo.cli import completion
from hpo.cli.options import check_format, out_option, studies_option, study_argument
from hpo.cli.printing import print_line
from hpo.errors import UserError


def _folders(names: tuple[str, ...], studies: Path) -> list[Path]:
    """The folders of studies. Raises UserError if one is named twice, and StudyError if a name is empty."""
    from hpo.record import find_folder

    folders: dict[Path, str] = {}
    for name in names:
        folder = find_folder(name, studies)
        if folder.resolve() in folders:
            raise UserError(f"study {name!r} is named twice")
        folders[folder.resolve()] = name
    return [find_folder(name, studies) for name in names]


@click.command()
@click.argument("names", nargs=-1, required=True, shell_complete=completion.studies, metavar="NAME...")
@studies_option
@out_option("The HTML file to write; report.html in this folder by default. Only a report is replaced.")
@click.option("--no-images", is_flag=True, help="Leave out the images of the data set, such as before publishing.")
def report(names: tuple[str, ...], studies: Path, out: Path | None, no_images: bool) -> None:
    """Write a page that shows what one or more studies found: one HTML file that needs no network."""
    from hpo.report import write

    path = Path("report.html") if out is None else out
    write(_folders(names, studies), path, with_images=not no_images)
    click.echo(str(path.absolute() if out is None else path))


@click.command()
@click.option("--format", "format", default="table", show_default=True, help="table, csv, md, latex, html or json.")
@study_argument
def importance(name: str, format: str, studies: Path) -> None:
    """Say which hyperparameters of a study mattered, as far as its trials tell."""
    from hpo.importance import analyse, frame, lines
    from hpo.record import StudyFolder
    from hpo.results import FORMATS, render

    check_format(format, ("table", *FORMATS))
    study = StudyFolder.reopen(studies / name)
    found = analyse(study.space, study.history()[0])
    if format != "table":
        click.echo(render(frame(found), format), nl=False)
        return
    for line in lines(found):
        print_line(line)


@click.command()
@click.argument("names", nargs=-1, required=True, shell_complete=completion.studies, metavar="NAME NAME...")
@studies_option
@click.option("--plot", type=click.Path(path_type=Path), help="Also draw the best values so far: a PNG, SVG or PDF.")
@click.option("--format", "format", default="table", show_default=True, help="table, csv, md, latex, html or json.")
def compare(names: tuple[str, ...], studies: Path, plot: Path | None, format: str) -> None:
    """Compare studies: what each found and spent, and how sure the differences are."""
    from hpo.cli.printing import terminal_width
    from hpo.figures import study_comparison as figure
    from hpo.results import FORMATS, render
    from hpo.results.comparison_text import lines, sentences
    from hpo.results.study_comparison import compare_studies, frame

    check_format(format, ("table", *FORMATS))
    if len(names) < 2:
        raise UserError(f"a comparison needs two studies or more, and only {names[0]!r} is named")
    folders = _folders(names, studies)
    if plot is not None:
        figure.check(plot)
    found = compare_studies(folders)
    if plot is not None:
        figure.write(found, plot)
        click.echo(str(plot), err=True)
    if format != "table":
        click.echo(render(frame(found), format), nl=False)
        return
    for line in lines(found, terminal_width()):
        click.echo(line)
    for line in sentences(found):
        print_line(line)


@click.command("studies")
@studies_option
@click.option("--format", "format", default="table", show_default=True, help="table, csv, md, latex, html or json.")
def list_studies(studies: Path, format: str) -> None:
    """List the studies of a folder: state, best value, test accuracy, and what they spent."""
    from hpo.cli.printing import terminal_width
    from hpo.results import FORMATS, render
    from hpo.results.study_list import list_lines, study_list

    check_format(format, ("table", *FORMATS))
    frame = study_list(studies)
    if format != "table":
        click.echo(render(frame, format), nl=False)
        return
    for line in list_lines(frame, terminal_width()):
        click.echo(line)
