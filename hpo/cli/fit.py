"""The command that makes a model of a folder of images: fit."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hpo.cli.options import DATA_HELP, Duration
from hpo.cli.printing import print_line

if TYPE_CHECKING:
    from hpo.fit import FitResult
    from hpo.fit.display import WatchTraining
    from hpo.loop import Watch
    from hpo.record import Budget


GO_ON = "Run the same command again to continue"


@click.command()
@click.argument("images", metavar="FOLDER", type=click.Path(path_type=Path))
@click.option("--time", "seconds", type=Duration(), default="30m", show_default=True, help="In all, such as 2h.")
@click.option(
    "--metric", default="error", show_default=True, help="error, balanced_error, loss, f1_error or auroc_error."
)
@click.option("--out", type=click.Path(path_type=Path), help="The folder to write; FOLDER-fit by default.")
@click.option("--models", help="Models to rank: resnet18,timm:convnext_tiny. By default those whose weights are here.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--devices", default="auto", show_default=True, help="auto, cpu, or a list such as cuda:0,cuda:1.")
@click.option("--data", help=DATA_HELP)
def fit(
    images: Path,
    seconds: float,
    metric: str,
    out: Path | None,
    models: str | None,
    seed: int,
    devices: str,
    data: str | None,
) -> None:
    """Make a model of a folder of images, with one folder for each class, in the time given.

    It ranks pretrained models, searches for the best training, tests the best once on held-out images, and writes the
    model, a report, and the space that it searched. Interrupted, the same command goes on.
    """
    from hpo.fit import FitFolder, FitRequest
    from hpo.fit import fit as run

    path = images.absolute()
    named = tuple(name.strip() for name in (models or "").split(",") if name.strip())
    request = FitRequest(str(path), seconds, metric, named, seed, data, devices)
    folder = FitFolder(path.with_name(f"{path.name}-fit") if out is None else out, request)
    _print_result(folder.path, run(folder, _Terminal()))


class _Terminal:
    """Shows a fit on standard error: a line for each step, and a live table of each search in a terminal."""

    def step(self, number: int, words: str, seconds_left: float) -> None:
        from hpo.fit.fitting import N_STEPS
        from hpo.quantities import duration

        print_line(f"{number}/{N_STEPS} {words} ({duration(seconds_left)} left)", err=True)

    def note(self, line: str) -> None:
        print_line(f"    {line}", err=True)

    @contextlib.contextmanager
    def search(self, study: Path, budget: Budget) -> Iterator[Watch | None]:
        from hpo.cli.search import progress_display

        with progress_display(study, budget, quiet=not sys.stderr.isatty(), go_on=GO_ON) as watch:
            yield watch

    @contextlib.contextmanager
    def training(self) -> Iterator[WatchTraining]:
        from rich.console import Console

        from hpo.results.training_progress import TrainingProgress

        with TrainingProgress(Console(stderr=True)) as progress:
            yield progress.end, progress


def _print_result(folder: Path, result: FitResult) -> None:
    """Print the winner, its test result, and what was written."""
    for line in result.lines:
        print_line(line)
    rows = {
        "The model": folder / "model",
        "How to use it": folder / "model" / "README.md",
        "What was found": folder / "report.html",
        "To search further": f"hpo search --space {folder / 'space.yaml'}",
    }
    click.echo()
    for name, value in rows.items():
        click.echo(f"{name + ':':<18} {value}")
