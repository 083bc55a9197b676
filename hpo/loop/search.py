"""The search loop, and how a study begins and resumes.

backend.ask -> runner.start -> runner.events -> ledger.record -> backend.tell -> ledger.settle, runner.settle
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from hpo import cache, plugins, spacefile
from hpo.backends._backend import Answer, Backend, PlansForBudget
from hpo.errors import HpoError, TooManyCrashes, UserError
from hpo.heldout import study_data
from hpo.loop import checks, time_limit
from hpo.loop.backend_building import build_backend
from hpo.loop.crashed_trials import retry_crashed
from hpo.loop.endings import no_configuration_left, spent_budget, spent_trials
from hpo.loop.epochs_left import EpochsLeft
from hpo.loop.first_configurations import with_first_configurations
from hpo.loop.interrupts import deferred_interrupt
from hpo.loop.leftover_files import discard_leftover_files
from hpo.loop.new_settings import changed_settings, recorded_settings
from hpo.loop.notes import notes
from hpo.loop.recorded_data import Notify, job_on_recorded_data, with_parts
from hpo.loop.replay import replay
from hpo.loop.runner_options import build_runner
from hpo.loop.slots import slots_per_device
from hpo.loop.tracking import Watch, tracking
from hpo.loop.ways_on import with_commands
from hpo.record import (
    AnyLedger,
    Budget,
    Event,
    Ledger,
    Settings,
    StudyFolder,
    check_url,
    is_locked,
    lock,
    locked_error,
    valid_name,
)
from hpo.record.deletion import delete_empty_study, delete_if_empty
from hpo.record.identity import identity
from hpo.record.new_study import check_is_new
from hpo.record.resuming import how_to_resume
from hpo.results import write_tables
from hpo.runners._runner import Runner, SimulatesTime
from hpo.space import SearchSpace
from hpo.training import user_code
from hpo.training.builder import Job
from hpo.training.own_objective import objective_digest
from hpo.training.user_code import Build
from hpo.trial import Decision, EarlierStudy, Suggestion

L = TypeVar("L", bound=AnyLedger)


def begin(
    folder: Path,
    space: SearchSpace,
    settings: Settings,
    budget: Budget,
    *,
    earlier: EarlierStudy | None = None,
    trainable: Build | None = None,
    allow_generator: bool = True,
    watch: Watch | None = None,
    notify: Notify | None = None,
) -> str:
    """Create a study in `folder`, run its search, and return why the search ended.

    All settings are checked before anything is written. Raises a UserError if one of them is wrong or if a limit of
    the budget is 0, and a StudyError if the folder is locked or contains a study already. An empty study of another
    search is replaced. If the search ends with a UserError before any epoch is recorded, the study is deleted.

    `earlier` is what the backend learns from `settings.from_study`, see `with_earlier_study`. A UserError is raised if
    only one of them is given.
    `trainable` is the user's training code, used instead of a regime. Without `allow_generator`, a TaskError is raised
    when it turns out to be a generator function. `watch` and `notify` show progress and notes.
    """
    cache.check()
    checks.new_budget(budget)
    settings = recorded_settings(with_first_configurations(space, settings), space, trainable)
    space = replace(space, task=plugins.located(space.task.located(Path.cwd()), [Path.cwd()])).located(Path.cwd())
    if is_locked(folder):
        raise locked_error(folder)
    digest, objective = None if trainable is None else user_code.digest(trainable), objective_digest(space)
    wanted = identity(space, settings, digest, objective)
    check_is_new(folder, wanted)
    if (settings.from_study is not None and settings.from_study.learns) != (earlier is not None):
        raise UserError(
            "`settings.from_study` and `earlier` belong together: give both as `with_earlier_study` returns them"
        )
    if settings.curves is None:
        checks.task(space, trainable)
    backend = build_backend(space, settings, earlier)
    check_url(settings.storage)
    with lock(folder):
        check_is_new(folder, wanted)
        total = budget.or_default()
        study = StudyFolder(folder, space, settings, total, trainable_digest=digest, objective_digest=objective)
        job = _job(study, trainable, allow_generator=allow_generator)
        recorded = None if settings.curves is not None else study_data.record(job)
        job = with_parts(job, recorded, notify)
        for note in notes(space, settings, study.budget, backend):
            if notify is not None:
                notify(note)
        delete_empty_study(folder)
        ledger = study.begin(recorded, earlier)
        try:
            return _run_study(study, ledger, backend, job, watch, notify)
        except HpoError as error:
            if isinstance(error, UserError) or (error.go_on_with and not ledger.history.trials):
                delete_if_empty(study)
            raise with_commands(error, study) from error.__cause__


def resume(
    folder: Path,
    budget: Budget | None = None,
    *,
    trainable: Build | None = None,
    allow_generator: bool = True,
    watch: Watch | None = None,
    notify: Notify | None = None,
    skip_changed_files: bool = False,
    retry: bool = False,
    settings: Mapping[str, object] | None = None,
) -> str:
    """Continue a study from the end of its record, and return why the search ended.

    `budget`, if given, replaces the study's budget. It is the total over all runs. With `skip_changed_files`, files of
    the data set that changed since the study was begun are left out. With `retry`, crashed trials are tried again,
    without counting them twice. `settings` are new values of some `CHANGEABLE` settings, which are recorded.
    `allow_generator` is that of `begin`, for a study that was interrupted before its first epoch.

    Raises a StudyError if the study does not exist, is locked, or was begun with another trainable or on other data.
    Raises a UserError if the study has spent more than `budget` already, if a new setting is wrong, or if no epoch or
    time is left to try crashed trials again.
    """
    cache.check()
    study = StudyFolder.reopen(folder)
    study.check_trainable(None if trainable is None else user_code.digest(trainable))
    content = study.space.to_dict(absolute=True)
    spacefile.parse(
        content, source=str(folder / "study.yaml"), is_new=False
    )  # raises a UserError if a plug-in, the weights or the objective are missing
    study.check_objective(objective_digest(study.space))
    with lock(folder):
        study = StudyFolder.reopen(folder)
        study.settings = changed_settings(study, settings or {}, trainable)
        ledger = study.ledger(write=True)
        if study.settings.curves is not None:
            ledger.simulate_time(lambda: ledger.recorded)  # until the runner goes on from there
        try:
            backend = build_backend(study.space, study.settings, study.earlier())
            replay(backend, ledger)
            if budget is not None and budget != Budget():
                # The last epoch may end a little after the budget of time, and the same budget may be given again.
                seconds = 0.0 if budget.seconds == study.budget.seconds else ledger.recorded
                if problem := budget.overspent(ledger.history.n_trials, ledger.history.n_epochs, seconds):
                    raise UserError(problem)
                study.budget = budget
            job = _job(study, trainable, allow_generator=allow_generator)
            if study.settings.curves is None and spent_budget(study.budget, ledger) is None:
                job = job_on_recorded_data(study, job, ledger, notify, skip_changed_files=skip_changed_files)
            if retry:
                retry_crashed(backend, ledger, study.budget)
            study.save()
        except BaseException:
            ledger.close()
            raise
        try:
            return _run_study(study, ledger, backend, job, watch, notify)
        except HpoError as error:
            raise with_commands(error, study) from error.__cause__


def default_name(space: SearchSpace, settings: Settings) -> str:
    """The name of a study that the user did not name: `<space>-<backend>-<seed>`, in the characters of a name."""
    return valid_name(f"{valid_name(space.name)[:100]}-{settings.backend}-{settings.seed}")


def _run_study(
    study: StudyFolder, ledger: Ledger, backend: Backend, job: Job, watch: Watch | None, notify: Notify | None
) -> str:
    """Build the runner, run the search loop, and write the tables. Returns why the search ended.

    The caller must hold the study's lock.
    """
    settings, n_events = study.settings, len(ledger.history.events)
    # Simulated seconds do not pass while a storage is waited for.
    seconds = study.budget.seconds if settings.curves is None else None
    try:
        ledger.outages.tolerate(notify, None if seconds is None else seconds - ledger.elapsed)
        ended = ledger.finished
        ledger.reopen(study.folder)  # the study is no longer finished
        discard_leftover_files(ledger.history, study)
        slots = slots_per_device(job, settings, notify)
        with tracking(study, ledger, watch, notify) as watch:
            with contextlib.closing(build_runner(settings, job, study.checkpoints, slots, notify)) as runner:
                try:
                    reason = run(backend, runner, ledger, study.budget, watch, settings.max_crashes)
                except TooManyCrashes as error:
                    again = how_to_resume(study, "--retry-crashed")
                    raise TooManyCrashes(f"{str(error).rstrip()}\n{again} tries crashed trials again") from None
            if ended is not None and len(ledger.history.events) == n_events:
                reason = ended  # nothing was searched, as with `hpo resume --time 0`
            ledger.close_unfinished(reason)
    except BaseException:
        ledger.close()
        with contextlib.suppress(Exception):  # what ended the search is what the user must learn
            write_tables(study)
        raise
    ledger.close()
    write_tables(study, (ledger.history, reason))
    return reason


def _job(study: StudyFolder, trainable: Build | None, *, allow_generator: bool) -> Job:
    """The job of a study, with its data set split anew."""
    settings = study.settings
    kept = study.predictions if settings.predictions else None
    inputs = study.space, settings.seed, study.data, trainable
    defaults = study.regime_defaults
    return Job(*inputs, allow_generator=allow_generator, predictions=kept, regime_defaults=defaults)


def run(
    backend: Backend,
    runner: Runner,
    ledger: L,
    budget: Budget,
    watch: Callable[[Event, L], None] | None = None,
    max_crashes: int | None = None,
) -> str:
    """Run the search loop until the budget is spent or no configuration is left. Returns why the search ended.

    The backend must have received all events of the ledger (see `replay`). Interrupted trials start again first.
    Raises an HpoError if the backend breaks its protocol, and the errors of `checks.crashes`, with `max_crashes`.
    """
    history = ledger.history
    show: Callable[[Event, L], None] = watch or (lambda *_: None)
    interrupted = [history.trials[number].suggestion for number in sorted(history.running)]
    history.crashes_in_a_row = history.infeasible_in_a_row = 0
    trials_are_spent = False
    if isinstance(runner, SimulatesTime):
        runner.restore(history.events, history.running)
        ledger.simulate_time(lambda: runner.now)
    left = EpochsLeft(budget, ledger)
    while True:
        if spent := spent_budget(budget, ledger):
            return spent
        answer: Answer = "wait"  # stays so if no slot is free, or if interrupted trials take all of them
        while runner.free():
            if interrupted:
                suggestion = interrupted.pop(0)
            else:
                trials_are_spent = budget.trials is not None and history.n_trials >= budget.trials
                with deferred_interrupt():
                    if isinstance(backend, PlansForBudget):
                        backend.plan(left.count())
                    answer = backend.ask(new=not trials_are_spent)
                if answer in ("wait", "done"):
                    break
                if not isinstance(answer, Suggestion):
                    raise HpoError(f"the backend answered {answer!r}: neither a Suggestion, nor 'wait', nor 'done'")
                suggestion = answer
                checks.suggestion(suggestion, ledger)
                ledger.suggest(suggestion)
                show(suggestion, ledger)
            runner.start(suggestion, after=history.trials[suggestion.trial].epoch)
        if not history.running:
            checks.crashes(history, max_crashes, at_end=True)
            if answer == "wait":
                raise HpoError("the backend answered 'wait', but no trial is running")
            return spent_trials(budget) if trials_are_spent else no_configuration_left(history)
        for event in (
            runner.events_until(budget.seconds)
            if isinstance(runner, SimulatesTime)
            else time_limit.wait_for_events(runner, budget, ledger)
        ):
            ledger.record(event)
            with deferred_interrupt():
                decisions = backend.tell(event)
            checks.decisions(history, event, decisions)
            ledger.settle(event, decisions)
            for trial, decision in {event.trial: Decision.CONTINUE, **decisions}.items():
                runner.settle(trial, decision)
            show(event, ledger)
            checks.crashes(history, max_crashes)
            if spent := spent_budget(budget, ledger):
                return spent
