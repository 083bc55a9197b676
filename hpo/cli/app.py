"""The command line (floor 5): one function a verb; what is heavy is imported inside the verb that needs it."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from hpo import __version__
from hpo.errors import HpoError, Mistake, UnknownName

if TYPE_CHECKING:
    from pandas import DataFrame

    from hpo.study import Budget, Study

F = TypeVar("F", bound=Callable[..., Any])


class Verbs(click.Group):
    """Turns errors into one or a few plain lines and an exit status; lists the verbs in the order of use."""

    def invoke(self, ctx: click.Context) -> Any:
        sys.path.insert(0, os.getcwd())  # the user's own modules, as with `python -m`
        try:
            return super().invoke(ctx)
        except HpoError as error:
            click.echo(f"hpo: {error}", err=True)
            ctx.exit(error.exit_status)
        except OSError as error:
            click.echo(f"hpo: {error}", err=True)
            ctx.exit(1)
        except KeyboardInterrupt:
            click.echo("interrupted; the same command goes on where it was", err=True)
            ctx.exit(130)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)


class Duration(click.ParamType[float]):
    """A time such as 90, 90s, 30m, 2h or 1h30m, in seconds."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        match = re.fullmatch(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s?)?", str(value))
        if match is None or not value:
            self.fail(f"{value!r} is no time; write 90s, 30m, 2h or 1h30m", param, ctx)
        hours, minutes, seconds = (int(part or 0) for part in match.groups())
        return float(hours * 3600 + minutes * 60 + seconds)


def budget_options(verb: F) -> F:
    """--trials, --epochs and --time."""
    time = click.option("--time", "seconds", type=Duration(), help="Wall time of the study in all: 30m, 2h.")
    epochs = click.option("--epochs", type=click.IntRange(0), help="Epochs to train, over all trials.")
    trials = click.option("--trials", type=click.IntRange(0), help="Trials to begin in all; 64 if nothing is said.")
    return trials(epochs(time(verb)))


def studies_option(verb: F) -> F:
    """--studies DIR."""
    text = "The folder of the studies."
    folder = click.Path(path_type=Path, file_okay=False)
    return click.option("--studies", type=folder, default="studies", show_default=True, help=text)(verb)


def data_option(verb: F) -> F:
    """--data DIR."""
    return click.option("--data", "folder", help=DATA_HELP)(verb)


DATA_HELP = "The folder of the data sets and weights; $HPO_DATA or ~/.cache/hpo by default."

quiet_option = click.option("-q", "--quiet", is_flag=True, help="Print nothing but the result.")


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__)
def app() -> None:
    """Find the best training configuration of an image classifier, and prove it on held-out data."""


@app.command()
def spaces() -> None:
    """List the bundled spaces, a line each."""
    from hpo import spacefile

    bundled = spacefile.bundled()
    width = max(map(len, bundled), default=0)
    for name, path in bundled.items():
        click.echo(f"{name:<{width}}  {spacefile.describe(path)}")


@app.command()
@click.option("--space", required=True, help="A space file, or the name of a bundled space.")
@click.option("--backend", default="optuna", show_default=True, help="optuna, asha, bohb, random, grid, or your own.")
@click.option("--option", "options", multiple=True, metavar="K=V", help="An option of the backend: sampler=gp.")
@budget_options
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--study", "name", help="The study's name; <space>-<backend>-<seed> by default.")
@studies_option
@click.option(
    "--runner",
    default="auto",
    show_default=True,
    help="auto (fused where only heads train, else processes), fused, processes, inline, or your own.",
)
@click.option("--devices", default="auto", show_default=True, help="auto, cpu, or a list such as cuda:0,cuda:1.")
@click.option("--slots", type=click.IntRange(1), help="Trials at once on each device.")
@click.option("--set", "overrides", multiple=True, metavar="K=V", help="Override a key: space.lr.high=0.5.")
@click.option("--storage", help="The URL of an Optuna storage, such as sqlite:///study.db; a journal by default.")
@click.option("--data", help=DATA_HELP)
@quiet_option
def search(
    space: str,
    backend: str,
    options: tuple[str, ...],
    trials: int | None,
    epochs: int | None,
    seconds: float | None,
    seed: int,
    name: str | None,
    studies: Path,
    runner: str,
    devices: str,
    slots: int | None,
    overrides: tuple[str, ...],
    storage: str | None,
    data: str | None,
    quiet: bool,
) -> None:
    """Search a space, and print the best configurations."""
    from hpo import spacefile
    from hpo.search import begin, default_name
    from hpo.study import Budget, Settings

    made = spacefile.read(spacefile.find(space), overrides)
    settings = Settings(backend, _options(options), seed, runner, devices, slots, storage, data)
    folder = studies / _checked_name(default_name(made, settings) if name is None else name)
    budget = Budget(trials, epochs, seconds).or_default()
    with _searching(folder, budget, quiet) as watch:
        reason = begin(folder, made, settings, budget, watch=watch)
    _conclude(folder, reason)


@app.command()
@click.argument("name")
@budget_options
@studies_option
@quiet_option
def resume(
    name: str, trials: int | None, epochs: int | None, seconds: float | None, studies: Path, quiet: bool
) -> None:
    """Go on with a study where it was cut short, or with a larger budget.

    A budget given here takes the place of the old one; `--time 0` ends the study where it is.
    """
    from hpo.search import resume
    from hpo.study import Budget, Study

    folder = studies / name
    budget = Budget(trials, epochs, seconds)
    shown = Study.reopen(folder).budget if budget == Budget() else budget
    with _searching(folder, shown, quiet) as watch:
        reason = resume(folder, budget, watch=watch)
    _conclude(folder, reason)


@app.command()
@click.argument("name")
@studies_option
def status(name: str, studies: Path) -> None:
    """Say how far a study is."""
    from hpo.status import lines

    for line in lines(studies / name):
        click.echo(line)


@app.command()
@click.argument("name")
@click.option("--top", type=click.IntRange(1), default=10, show_default=True)
@click.option("--format", "format", default="table", show_default=True, help="table, csv, md, latex, html or json.")
@studies_option
def best(name: str, top: int, format: str, studies: Path) -> None:
    """Print the best configurations of a study."""
    from hpo import export
    from hpo.study import Study

    _check_format(format, ("table", *export.FORMATS))
    study = Study.reopen(studies / name)
    frame = export.table(study).dropna(subset=["loss"]).head(top)
    if format == "table":
        _print_table(frame, study)
    else:
        click.echo(export.render(frame, format), nl=False)


@app.command()
@click.argument("name")
@click.option("--top", type=click.IntRange(1), default=1, show_default=True, help="How many of the best to test.")
@click.option("--seeds", type=click.IntRange(1), default=1, show_default=True, help="Trainings of each of them.")
@click.option(
    "--protocol", default="retrain", show_default=True, help="retrain, or checkpoint: the weights of the search."
)
@studies_option
def test(name: str, top: int, seeds: int, protocol: str, studies: Path) -> None:
    """Re-train the best configurations and test them on held-out data."""
    from hpo.evaluate import Look, evaluate
    from hpo.status import test_lines

    def watch(look: Look) -> None:
        accuracy = look.held_out["accuracy"]
        click.echo(f"trial {look.trial}, seed {look.seed}: test accuracy {accuracy:.4f}", err=True)

    content = evaluate(studies / name, top=top, seeds=seeds, protocol=protocol, watch=watch)
    for line in test_lines(content):
        click.echo(line)


@app.command()
@click.argument("name")
@click.option("--format", "format", default="csv", show_default=True, help="csv, md, latex, html or json.")
@click.option("--out", type=click.Path(path_type=Path), help="The file to write; the screen by default.")
@click.option("--published", is_flag=True, help="The published numbers of the space's reference, and ours beside them.")
@studies_option
def export(name: str, format: str, out: Path | None, published: bool, studies: Path) -> None:
    """Write all trials of a study as a table, best first."""
    from hpo import export
    from hpo.study import Study

    _check_format(format, export.FORMATS)
    study = Study.reopen(studies / name)
    frame = export.comparison(study) if published else export.table(study)
    if frame is None:
        raise Mistake(f"--published: the space of study {name!r} names no `reference`")
    text = export.comparison_page(study, frame) if published and format == "md" else export.render(frame, format)
    if out is None:
        click.echo(text, nl=False)
    else:
        export.write(text, out)
        click.echo(f"{out}: {len(frame)} rows", err=True)


@app.command()
@click.argument("name")
@click.option(
    "--kind", required=True, help="curves, filters, activations, misclassified, tsne, samples, validation_test."
)
@click.option("--trials", help="The trials to draw, as 3,7; the best by default.")
@click.option("--top", type=click.IntRange(1), help="How many of the best to draw.")
@click.option("--stage", help="activations: the stage of the model; the first by default.")
@click.option("--image", help="activations: a file, or the number of a validation image.")
@click.option("--out", type=click.Path(path_type=Path), help="The file to write; figures/KIND.png and .svg by default.")
@studies_option
def plot(
    name: str,
    kind: str,
    trials: str | None,
    top: int | None,
    stage: str | None,
    image: str | None,
    out: Path | None,
    studies: Path,
) -> None:
    """Draw a study: learning curves, filters, activations, misclassified images, features, test accuracy."""
    from hpo.plot import plot

    numbers = [] if trials is None else _numbers(trials)
    for path in plot(studies / name, kind, trials=numbers, top=top, stage=stage, image=image, out=out):
        click.echo(str(path))


@app.command()
@click.argument("name")
@click.option("--option", "options", multiple=True, metavar="K=V", help="An option of the data set: domain=cartoon.")
@data_option
def data(name: str, options: tuple[str, ...], folder: str | None) -> None:
    """Look a data set over: classes, sizes, mean and deviation, and what is broken in it."""
    from hpo.data import survey
    from hpo.study import data_folder

    for line in survey(name, _options(options), data_folder(folder)):
        click.echo(line)


@app.command()
@click.option("--model", help="A model whose ImageNet weights to download.")
@click.option("--dataset", help="A data set to download.")
@click.option("--option", "options", multiple=True, metavar="K=V", help="An option of the data set: domain=cartoon.")
@data_option
def fetch(model: str | None, dataset: str | None, options: tuple[str, ...], folder: str | None) -> None:
    """Download weights and data, for a machine that will be offline."""
    from hpo.data import fetch
    from hpo.study import data_folder

    if model is None and dataset is None:
        raise Mistake("say what to download: --model, --dataset or both")
    for line in fetch(model, dataset, _options(options), data_folder(folder)):
        click.echo(line)


@app.command()
@click.option("--clear", is_flag=True, help="Delete all of it.")
@click.option("--remove", metavar="ENTRY", help="Delete one entry, by its name.")
def cache(clear: bool, remove: str | None) -> None:
    """List the decoded images and features that are kept on disk ($HPO_CACHE), or delete them.

    What is deleted is computed again when it is needed. $HPO_CACHE_GB limits the size, HPO_CACHE=off turns it off.
    """
    from hpo import cache

    if clear and remove is not None:
        raise Mistake("--clear deletes all, --remove one entry: give one of them")
    if clear or remove is not None:
        click.echo(cache.clear(remove))
        return
    for line in cache.lines():
        click.echo(line)


@app.command()
@click.argument("name")
@click.option("--port", type=click.IntRange(0, 65535), default=8080, show_default=True)
@studies_option
def dashboard(name: str, port: int, studies: Path) -> None:
    """Show a study's trials, live, in the browser of this machine."""
    from hpo.dashboard import serve
    from hpo.study import Study

    serve(Study.reopen(studies / name), port, lambda text: click.echo(text, err=True))


@contextlib.contextmanager
def _searching(folder: Path, budget: Budget, quiet: bool) -> Iterator[Any]:
    """Show the progress of a search; make Ctrl-C end it with the command that resumes it, a second one at once."""
    from rich.console import Console

    from hpo.progress import Lines, Screen

    def interrupt(number: int, frame: object) -> None:
        signal.signal(signal.SIGINT, lambda number, frame: os._exit(130))
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    console = Console(stderr=True)
    screen: Any = contextlib.nullcontext() if quiet else Screen(console, budget)
    if not quiet and not console.is_terminal:
        screen = Lines(console)
    try:
        with screen as watch:
            yield watch
    except KeyboardInterrupt:
        click.echo(f"interrupted; nothing is lost. Go on with:  {_command('resume', folder)}", err=True)
        sys.stderr.flush()
        os._exit(130)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _conclude(folder: Path, reason: str) -> None:
    """Print why a search ended, what failed, its best trials, and the next command to type."""
    from hpo import export
    from hpo.status import failures
    from hpo.study import Study

    study = Study.reopen(folder)
    frame = export.table(study).dropna(subset=["loss"])
    click.echo(f"{folder.name}: {reason}", err=True)
    for line in failures(study.history()[0]):
        click.echo(line, err=True)
    if frame.empty:
        raise HpoError("no trial has a finite loss")
    _print_table(frame.head(5), study)
    if not (frame["state"] == "complete").any():
        goes_on = f"`{_command('resume', folder)}` with more --trials, --epochs or --time goes further"
        click.echo(f"No trial was trained to its end, {study.space.fidelity.high} epochs: {goes_on}", err=True)
    click.echo("", err=True)
    if study.space.task.dataset is not None:
        click.echo(f"Test the best on held-out data:  {_command('test', folder, '--top 1 --seeds 3')}", err=True)
    click.echo(f"Look at every trial:             {_command('dashboard', folder)}", err=True)


def _command(verb: str, folder: Path, *words: str) -> str:
    """The next command to type, as it works here: with the path of hpo if it is not on PATH."""
    from hpo.folder import command

    script = Path(sys.argv[0])
    hpo = str(script) if script.name == "hpo" and shutil.which("hpo") is None else "hpo"
    return command(verb, folder, *words, hpo=hpo)


def _print_table(frame: DataFrame, study: Study) -> None:
    from hpo.status import table_text

    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    click.echo(table_text(frame, list(study.space.domains), width))


def _options(texts: tuple[str, ...]) -> dict[str, Any]:
    from hpo import yamltext

    options = {}
    for text in texts:
        key, equals, value = text.partition("=")
        parsed = yamltext.parse(value)
        if not equals or not key.isidentifier() or parsed.mistakes or isinstance(parsed.value, list | dict):
            raise Mistake(f"--option {text}: write it as name=value")
        options[key] = parsed.value
    return options


def _numbers(text: str) -> list[int]:
    numbers = text.split(",")
    if not all(number.strip().isdecimal() for number in numbers):
        raise Mistake(f"--trials {text}: write the numbers of trials, as 3,7")
    return [int(number) for number in numbers]


def _check_format(format: str, known: tuple[str, ...]) -> None:
    if format not in known:
        raise UnknownName("format", format, known)


def _checked_name(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise Mistake(
            f"--study {name}: a name holds letters, digits, '.', '_' and '-', and begins with one of the first"
        )
    return name


if __name__ == "__main__":
    app()
