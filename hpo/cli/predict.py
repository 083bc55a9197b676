"""The command that classifies images by the model in a model folder."""

from __future__ import annotations

import csv
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hpo.cli.options import out_option
from hpo.cli.printing import terminal_width
from hpo.errors import MachineError, UserError
from hpo.study_names import STUDY_FILE

if TYPE_CHECKING:
    from rich.console import Console

    from trainables.inference import Prediction
    from trainables.inference.image_paths import ImagePaths

LEAST_WIDTH = 20
"""In a narrow terminal, the path of an image is cut to no fewer characters than this."""


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.argument("paths", metavar="IMAGE_OR_FOLDER...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--top", type=click.IntRange(1), default=1, show_default=True, help="How many of the likeliest classes.")
@out_option("The CSV file to write; the screen by default.")
@click.option("--device", default="auto", show_default=True, help="auto (a GPU if there is one), cpu, or cuda:0.")
def predict(folder: Path, paths: tuple[Path, ...], top: int, out: Path | None, device: str) -> None:
    """Classify images by the model that `hpo model` wrote into DIR.

    Prints a line for each image: its path, then the likeliest classes with their probabilities. Folders are searched
    for images, also in the folders below them. A file that cannot be read as an image is named and skipped. If no
    image can be read, the exit status is 2.
    """
    from rich.console import Console
    from rich.progress import Progress

    from hpo.final_model import load_model

    _check_out(out)
    model = load_model(folder, device=device)
    found = _find(paths)
    console = Console(stderr=True)
    # The lines of the images show the progress themselves, if they go to the terminal.
    has_bar = console.is_terminal and (out is not None or not sys.stdout.isatty())
    streams = {"redirect_stdout": False, "redirect_stderr": False}
    with Progress(console=console, transient=True, disable=not has_bar, **streams) as progress:  # type: ignore[arg-type]
        every = model.predictions(found.images, top=top)
        predictions = _readable(progress.track(every, total=len(found.images), description="images"), console)
        n_top = min(top, len(model.classes))
        if out is None:
            layout = Layout.of(found.images, model.classes, n_top, terminal_width())
            n = _print(predictions, layout)
        else:
            n = _write(predictions, out, n_top)
    if not n:
        raise UserError("none of the files can be read as an image")
    if out is not None:
        click.echo(f"{out}: {n} image{'s' * (n != 1)}", err=True)


@dataclass(frozen=True)
class Layout:
    """How a prediction is printed: in one line with columns if all fit, else with each class on a line of its own."""

    path_width: int
    """The number of characters of the longest path."""
    class_width: int
    """The number of characters of the longest name of a class."""
    n_top: int
    """The number of classes that are shown for an image."""
    width: int | None
    """The width of the terminal. None if there is no limit."""

    @classmethod
    def of(cls, paths: Sequence[Path], classes: Sequence[str], n_top: int, width: int | None) -> Layout:
        """Return the layout for predictions of these files."""
        from trainables.errors import printable

        return cls(max(len(printable(str(path))) for path in paths), max(map(len, classes)), n_top, width)

    def lines(self, prediction: Prediction) -> list[str]:
        """Return the lines of a prediction."""
        from trainables.errors import printable

        path = printable(str(prediction.path))
        pairs = list(zip(map(printable, prediction.classes), prediction.probabilities, strict=True))
        cells = [f"  {name:<{self.class_width}} {probability:.4f}" for name, probability in pairs]
        beside = self.n_top * (self.class_width + len("   0.1234"))
        if self.width is None or self.path_width + beside <= self.width:
            return [f"{path:<{self.path_width}}{''.join(cells)}"]
        room = self.width - beside
        if room >= LEAST_WIDTH:
            return [f"{_end(path, room):<{room}}{''.join(cells)}"]
        below = [f"  {_start(name, self.width - len('   0.1234'))} {probability:.4f}" for name, probability in pairs]
        return [_end(path, self.width), *below]


def _end(text: str, width: int) -> str:
    return text if len(text) <= width else f"...{text[len(text) - width + 3 :]}"


def _start(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 3]}..."


def _check_out(out: Path | None) -> None:
    """Raise a UserError if no file can be written at `out`."""
    if out is None:
        return
    if not out.parent.is_dir():
        raise UserError(f"--out {out}: there is no folder {out.parent}")
    if out.exists() and not out.is_file():
        raise UserError(f"--out {out}: is no regular file; a file is needed")
    if any((folder / STUDY_FILE).exists() for folder in out.absolute().parents):
        from hpo.record.own_files import check_not_own

        check_not_own(out)


def _find(paths: Sequence[Path]) -> ImagePaths:
    """The images that the paths name. A UserError if there are none. A note says what was left out of folders."""
    from trainables.errors import SetupError, printable
    from trainables.inference import image_paths

    try:
        found = image_paths.find(paths)
    except SetupError as error:
        raise UserError(str(error)) from None
    if found.left_out:
        first, n = found.left_out[0], len(found.left_out)
        name = printable(str(first.path))
        click.echo(f"hpo: {n} other file{'s' * (n > 1)} left out: {first.kind}, such as {name}", err=True)
    if not found.images:
        raise UserError(f"there is no image in {', '.join(map(str, paths))}")
    return found


def _readable(predictions: Iterable[Prediction], console: Console) -> Iterator[Prediction]:
    """The predictions of the files that can be read as images. The others are named on standard error."""
    from trainables.errors import printable

    for prediction in predictions:
        if prediction.error is None:
            yield prediction
        else:
            line = f"hpo: {printable(str(prediction.path))}: skipped, cannot be read as an image: {prediction.error}"
            console.print(line, markup=False, highlight=False, soft_wrap=True)


def _print(predictions: Iterable[Prediction], layout: Layout) -> int:
    """Print the predictions, and return their number."""
    n = 0
    for prediction in predictions:
        n += 1
        for line in layout.lines(prediction):
            click.echo(line)
    return n


def _write(predictions: Iterable[Prediction], out: Path, n_top: int) -> int:
    """Write the predictions as CSV, and return their number. Nothing is written if there are none.

    Raises MachineError if the file cannot be written.
    """
    from hpo.final_model.loaded import columns, row
    from trainables.errors import ESCAPES

    temporary = out.with_name(f".{out.name}.{os.getpid()}.tmp")
    names, n = columns(n_top), 0
    try:
        with temporary.open("w", encoding="utf-8", errors=ESCAPES, newline="") as file:
            table = csv.writer(file, lineterminator="\n")
            table.writerow(names)
            for prediction in predictions:
                n += 1
                table.writerow(row(prediction, n_top)[: len(names)])
        if n:
            os.replace(temporary, out)
    except OSError as error:
        raise MachineError(f"{out}: cannot be written: {error}") from None
    finally:
        temporary.unlink(missing_ok=True)
    return n
