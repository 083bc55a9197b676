"""The commands that search: spaces, search, resume."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hpo.cli import completion
from hpo.cli.ending_signals import ending_signals, exit_at_once, write_line
from hpo.cli.first_configurations import earlier_study, first_configuration_options, first_configurations
from hpo.cli.options import (
    DATA_HELP,
    DEVICES_PER_TRIAL_HELP,
    MAX_CRASHES_HELP,
    SLOTS_HELP,
    Slots,
    budget_options,
    curves_option,
    named_values,
    new_settings_options,
    predictions_option,
    quiet_option,
    report_timeout_option,
    runner_options,
    skip_changed_files_option,
    studies_option,
    study_argument,
    track_option,
)
from hpo.cli.printing import next_command, print_command, print_line, print_table, terminal_width
from hpo.errors import HpoError
from hpo.quantities import with_plural

if TYPE_CHECKING:
    from hpo.record import Budget, Event, Ledger


@click.command()
def spaces() -> None:
    """List the bundled spaces, one per line. In a terminal, long lines are wrapped."""
    from hpo import spacefile
    from hpo.results import wrap

    bundled, columns = spacefile.bundled(), terminal_width() or sys.maxsize
    width = max(map(len, bundled), default=0)
    for name, path in bundled.items():
        for line in wrap(spacefile.describe(path), columns, indent=" " * (width + 2), first=f"{name:<{width}}  ") or [
            name
        ]:
            click.echo(line)


@click.command()
@click.option(
    "--space", required=True, shell_complete=completion.spaces, help="A space file, or the name of a bundled space."
)
@click.option(
    "--backend",
    default="freeze_thaw",
    show_default=True,
    shell_complete=completion.plug_ins("backend"),
    help="freeze_thaw, optuna, asha, bohb, random, grid, or your own.",
)
@click.option("--option", "options", multiple=True, metavar="K=V", help="An option of the backend: sampler=gp.")
@budget_options
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@first_configuration_options
@click.option("--study", "name", help="The study's name; <space>-<backend>-<seed> by default.")
@studies_option
@click.option(
    "--runner",
    default="auto",
    show_default=True,
    shell_complete=completion.plug_ins("runner", "auto"),
    help="auto (fused if only the last layer trains, else processes), fused, processes, inline, ray, simulated, own.",
)
@curves_option
@click.option("--devices", default="auto", show_default=True, help="auto, cpu, or a list such as cuda:0,cuda:1.")
@click.option("--max-crashes", type=click.IntRange(1), help=MAX_CRASHES_HELP)
@click.option("--slots", type=Slots(), metavar="N|auto", help=SLOTS_HELP)
@click.option("--devices-per-trial", type=click.IntRange(1), default=1, metavar="N", help=DEVICES_PER_TRIAL_HELP)
@click.option("--set", "overrides", multiple=True, metavar="K=V", help="Override a key: space.lr.high=0.5.")
@click.option("--storage", help="The URL of an Optuna storage, such as sqlite:///study.db; a journal by default.")
@click.option("--data", help=DATA_HELP)
@predictions_option(default=True)
@track_option
@report_timeout_option
@runner_options
@quiet_option
def search(
    space: str,
    backend: str,
    options: tuple[str, ...],
    trials: int | None,
    epochs: int | None,
    seconds: float | None,
    seed: int,
    tried: tuple[str, ...],
    source: str | None,
    top: int | None,
    name: str | None,
    studies: Path,
    runner: str,
    curves: str | None,
    devices: str,
    max_crashes: int | None,
    slots: int | str | None,
    devices_per_trial: int,
    overrides: tuple[str, ...],
    storage: str | None,
    data: str | None,
    predictions: bool,
    track: tuple[str, ...],
    report_timeout: float | None,
    runner_options: dict[str, Any],
    quiet: bool,
) -> None:
    """Search a space, and print the best configurations."""
    from hpo import spacefile
    from hpo.loop import Session, begin, checks, default_name
    from hpo.record import Budget, Settings, check_name
    from hpo.results.progress import print_note

    search_space = spacefile.read(spacefile.find(space), overrides)
    first = first_configurations(search_space, tried)
    settings = Settings(
        backend,
        named_values(options),
        seed,
        runner,
        devices,
        slots,
        storage,
        data,
        max_crashes=max_crashes,
        report_timeout=report_timeout,
        curves=curves,
        devices_per_trial=devices_per_trial,
        runner_options=runner_options,
        try_first=first,
        predictions=predictions,
        track=track,
    )
    folder = studies / check_name(default_name(search_space, settings) if name is None else name)
    earlier = earlier_study(source, top, studies)
    budget = Budget(trials, epochs, seconds).or_default()
    checks.new_budget(budget, prefix="--")
    with progress_display(folder, budget, quiet) as watch:
        session = Session(watch=watch, notify=None if quiet else print_note)
        reason = begin(folder, search_space, settings, budget, earlier=earlier, session=session)
    _print_outcome(folder, reason, quiet)


@click.command()
@budget_options
@new_settings_options
@click.option(
    "--retry-crashed",
    is_flag=True,
    help="Try trials again that crashed or did not fit into memory. They count once in the budget.",
)
@skip_changed_files_option
@study_argument
@quiet_option
def resume(
    name: str,
    trials: int | None,
    epochs: int | None,
    seconds: float | None,
    retry_crashed: bool,
    skip_changed_files: bool,
    studies: Path,
    quiet: bool,
    **settings: str | float | dict[str, Any] | tuple[str, ...] | None,
) -> None:
    """Continue an interrupted study, or extend a finished one.

    A budget given here replaces the old one; `--time 0` ends the study now. The study keeps the settings given here.
    """
    from hpo import loop
    from hpo.record import Budget, StudyFolder
    from hpo.results.progress import print_note

    folder = studies / name
    budget = Budget(trials, epochs, seconds)
    study = StudyFolder.reopen(folder)
    shown_budget = study.budget if budget == Budget() else budget
    finished = study.history()[1] if budget == Budget() and not (retry_crashed or quiet) else None
    with progress_display(folder, shown_budget, quiet) as watch:
        given = {name: value for name, value in settings.items() if value not in (None, {}, ())}
        reason = loop.resume(
            folder,
            budget,
            session=loop.Session(watch=watch, notify=None if quiet else print_note),
            skip_changed_files=skip_changed_files,
            retry=retry_crashed,
            settings=given,
        )
    if finished is not None:
        more = f"; `{next_command('resume', folder, '--trials', 'N')}` with a larger budget goes further"
        print_note(f"nothing is left to do: {finished}{more if 'budget' in finished else ''}")
    _print_outcome(folder, reason, quiet)


@contextlib.contextmanager
def progress_display(
    folder: Path, budget: Budget, quiet: bool, *, go_on: str | None = None
) -> Iterator[Callable[[Event, Ledger], None]]:
    """Show the progress of a search.

    The first Ctrl-C ends the search, writes its tables and prints how to go on: `go_on`, or by default the command that
    resumes the study. A second one exits at once. SIGTERM, and SIGHUP of a terminal that is closed, end the search in
    the same way.
    """
    from rich.console import Console

    from hpo.results.progress import Lines, Screen, interrupted_line

    console = Console(stderr=True)
    display: Any = contextlib.nullcontext() if quiet else Lines(console)
    say = write_line
    if not quiet and console.is_terminal:
        display = screen = Screen(console, budget)
        say = screen.announce

    def last_line() -> str:
        how = go_on or _go_on(folder, budget)
        return interrupted_line(folder, again="run the same command again", go_on=how)

    with ending_signals(say, last_line) as signals:

        def show(event: Event, ledger: Ledger) -> None:
            signals.raise_again()
            if watch is not None:
                watch(event, ledger)

        try:
            with display as watch:
                yield show
        except KeyboardInterrupt:
            click.echo(last_line(), err=True)
            sys.stderr.flush()
            exit_at_once()  # threads may still be busy, and nothing else needs to be cleaned up


def _go_on(folder: Path, budget: Budget) -> str:
    """How to continue a search that was interrupted: by the same command, if `budget` is not on record yet."""
    from hpo.record import StudyFolder

    with contextlib.suppress(HpoError):
        if StudyFolder.reopen(folder).budget == budget.or_default():
            return f"Go on with:  {next_command('resume', folder)}"
    return "Run the same command again to continue"


def _print_outcome(folder: Path, reason: str, quiet: bool) -> None:
    """Print why a search ended, what failed, its best trials, and the next command to type.

    With `quiet`, only what failed and the best trials are printed.
    """
    from hpo.record import StudyFolder
    from hpo.results import table
    from hpo.results.status import data_lines, failures

    study = StudyFolder.reopen(folder)
    frame = table(study).dropna(subset=["loss"])
    notes = [] if quiet else [f"{folder.name}: {reason}", *data_lines(study)]
    for line in [*notes, *failures(study, study.history()[0])]:
        print_line(line, err=True)
    if frame.empty:
        raise HpoError("no trial has a finite loss" if study.history()[0].n_epochs else "no epoch was trained")
    print_table(frame.head(5), study)
    if quiet:
        return
    if not (frame["state"] == "complete").any():
        hint = f"`{next_command('resume', folder)}` with more --trials, --epochs or --time goes further"
        end = with_plural(study.space.fidelity.high, "epoch")
        print_line(f"No trial was trained to its end, {end}: {hint}", err=True)
    click.echo("", err=True)
    record = study.data_record()
    if study.space.task.dataset is not None and record is not None and record["dataset"]["held_out_part"] is not None:
        words = ["--top 1 --seeds 3", *(["--skip-changed-files"] if study.left_out else [])]
        print_command("Test the best on held-out data:  ", next_command("test", folder, *words))
    print_command("Look at every trial:             ", next_command("dashboard", folder))
