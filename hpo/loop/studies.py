"""How a study begins, and how it resumes."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from hpo import cache, plugins, spacefile
from hpo.backends._backend import Backend
from hpo.errors import HpoError, TooManyCrashes, UserError
from hpo.heldout import study_data
from hpo.loop import checks
from hpo.loop.backend_building import build_backend, new_backend, prepare
from hpo.loop.crashed_trials import retry_crashed
from hpo.loop.earlier_study import Earlier, Informed, with_earlier_study
from hpo.loop.endings import spent_budget
from hpo.loop.first_configurations import with_first_configurations
from hpo.loop.leftover_files import discard_leftover_files
from hpo.loop.new_settings import changed_settings, recorded_settings
from hpo.loop.notes import notes
from hpo.loop.recorded_data import job_on_recorded_data, with_parts
from hpo.loop.replay import replay
from hpo.loop.runner_options import build_runner
from hpo.loop.search import run
from hpo.loop.session import UNWATCHED, Session
from hpo.loop.slots import slots_per_device
from hpo.loop.tracking import tracking
from hpo.loop.ways_on import with_commands
from hpo.record import (
    Budget,
    Ledger,
    Settings,
    StudyFolder,
    changed_versions,
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
from hpo.space import SearchSpace
from hpo.training import user_code
from hpo.training.builder import Job
from hpo.training.own_objective import objective_digest
from hpo.trial import EarlierStudy


def begin(
    folder: Path,
    space: SearchSpace,
    settings: Settings,
    budget: Budget,
    *,
    earlier: Earlier | None = None,
    session: Session = UNWATCHED,
) -> str:
    """Create a study in `folder`, run its search, and return why the search ended.

    All settings are checked before anything is written. Raises a UserError if one of them is wrong or if a limit of
    the budget is 0, and a StudyError if the folder is locked or contains a study already. An empty study of another
    search is replaced. If the search ends with a UserError before any epoch is recorded, the study is deleted.

    `earlier` is an earlier study that informs the search, see `with_earlier_study`, whose errors are raised.
    """
    cache.check()
    checks.new_budget(budget)
    new = _checked(folder, space, settings, earlier, session)
    with lock(folder):
        new.check_is_new(folder)
        study = new.study(folder, budget.or_default())
        job = _job(study, session)
        recorded = None if study.settings.curves is not None else study_data.record(job)
        job = with_parts(job, recorded, session.notify)
        session.note(*notes(study.space, study.settings, study.budget, new.backend))
        delete_empty_study(folder)
        ledger = study.begin(recorded, new.earlier)
        try:
            return _run_study(study, ledger, new.backend, job, session)
        except HpoError as error:
            if isinstance(error, UserError) or (error.go_on_with and not ledger.history.trials):
                delete_if_empty(study)
            raise with_commands(error, study) from error.__cause__


@dataclass(frozen=True)
class _NewSearch:
    """A search that can begin."""

    space: SearchSpace
    settings: Settings
    backend: Backend
    earlier: EarlierStudy | None
    """What the backend has learnt from."""
    trainable_digest: str | None
    objective_digest: str | None

    def check_is_new(self, folder: Path) -> None:
        """Raise a StudyError if the folder contains a study with an epoch, or this search."""
        check_is_new(folder, identity(self.space, self.settings, self.trainable_digest, self.objective_digest))

    def study(self, folder: Path, budget: Budget) -> StudyFolder:
        """The study of this search. Nothing is written."""
        return StudyFolder(
            folder,
            self.space,
            self.settings,
            budget,
            trainable_digest=self.trainable_digest,
            objective_digest=self.objective_digest,
        )


def _checked(
    folder: Path, space: SearchSpace, settings: Settings, earlier: Earlier | None, session: Session
) -> _NewSearch:
    """Check all settings of a new search, and build its backend. Raises the errors of `begin`. Nothing is written."""
    settings = recorded_settings(with_first_configurations(space, settings), space, session.trainable)
    space = replace(space, task=plugins.located(space.task.located(Path.cwd()), [Path.cwd()])).located(Path.cwd())
    if is_locked(folder):
        raise locked_error(folder)
    if settings.curves is None:
        checks.task(space, session.trainable)
    if earlier is None and settings.from_study is not None:
        raise UserError("`settings.from_study` is what a study has on record: name the earlier study by `earlier`")
    backend = new_backend(space, settings)
    informed = Informed(settings, None, [])
    if earlier is not None:
        informed = with_earlier_study(space, settings, backend, earlier, folder)
    digest = None if session.trainable is None else user_code.digest(session.trainable)
    search = _NewSearch(space, informed.settings, backend, informed.earlier, digest, objective_digest(space))
    search.check_is_new(folder)
    session.note(*informed.lines)
    prepare(backend, space, search.settings, search.earlier)
    check_url(settings.storage)
    return search


def resume(
    folder: Path,
    budget: Budget | None = None,
    *,
    session: Session = UNWATCHED,
    skip_changed_files: bool = False,
    retry: bool = False,
    settings: Mapping[str, object] | None = None,
) -> str:
    """Continue a study from the end of its record, and return why the search ended.

    `budget`, if given, replaces the study's budget. It is the total over all runs. With `skip_changed_files`, files of
    the data set that changed since the study was begun are left out. With `retry`, crashed trials are tried again,
    without counting them twice. `settings` are new values of some `CHANGEABLE` settings, which are recorded.

    Raises a StudyError if the study does not exist, is locked, or was begun with another trainable or on other data.
    Raises a UserError if the study has spent more than `budget` already, if a new setting is wrong, or if no epoch or
    time is left to try crashed trials again.
    """
    cache.check()
    _check_code(StudyFolder.reopen(folder), session)
    with lock(folder):
        study = StudyFolder.reopen(folder)
        study.settings = changed_settings(study, settings or {}, session.trainable)
        ledger = study.ledger(write=True)
        if study.settings.curves is not None:
            ledger.simulate_time(lambda: ledger.recorded)  # until the runner goes on from there
        try:
            backend = build_backend(study.space, study.settings, study.earlier())
            replay(backend, ledger)
            if budget is not None and budget != Budget():
                study.budget = _checked_budget(budget, study, ledger)
            job = _job(study, session)
            if study.settings.curves is None and spent_budget(study.budget, ledger) is None:
                job = job_on_recorded_data(study, job, ledger, session.notify, skip_changed_files=skip_changed_files)
                session.note(*_changed_packages(study))
            if retry:
                retry_crashed(backend, ledger, study.budget)
            study.save()
        except BaseException:
            ledger.close()
            raise
        try:
            return _run_study(study, ledger, backend, job, session)
        except HpoError as error:
            raise with_commands(error, study) from error.__cause__


def _changed_packages(study: StudyFolder) -> list[str]:
    """A line about the packages that changed since a study was begun. Empty if none did."""
    recorded = study.made.get("versions")
    changed = changed_versions(recorded) if recorded else {}
    packages = "; ".join(f"{name} {what}" for name, what in changed.items() if name in (recorded or {}))
    return [f"packages have changed since the study was begun: {packages}"] if packages else []


def _check_code(study: StudyFolder, session: Session) -> None:
    """Raise a StudyError if a study was begun with other code.

    Raises a UserError if a plug-in, the weights or the objective are missing.
    """
    study.check_trainable(None if session.trainable is None else user_code.digest(session.trainable))
    content, source = study.space.to_dict(absolute=True), str(study.folder / "study.yaml")
    spacefile.parse(content, source=source, is_new=False)
    study.check_objective(objective_digest(study.space))


def _checked_budget(budget: Budget, study: StudyFolder, ledger: Ledger) -> Budget:
    """Return the new budget of a study. Raises a UserError if the study has spent more already."""
    # The last epoch may end a little after the budget of time, and the same budget may be given again.
    seconds = 0.0 if budget.seconds == study.budget.seconds else ledger.recorded
    if problem := budget.overspent(ledger.history.n_trials, ledger.history.n_epochs, seconds):
        raise UserError(problem)
    return budget


def default_name(space: SearchSpace, settings: Settings) -> str:
    """The name of a study that the user did not name: `<space>-<backend>-<seed>`, in the characters of a name."""
    return valid_name(f"{valid_name(space.name)[:100]}-{settings.backend}-{settings.seed}")


def _run_study(study: StudyFolder, ledger: Ledger, backend: Backend, job: Job, session: Session) -> str:
    """Build the runner, run the search loop, and write the tables. Returns why the search ended.

    The caller must hold the study's lock.
    """
    settings, n_events, notify = study.settings, len(ledger.history.events), session.notify
    # Simulated seconds do not pass while a storage is waited for.
    seconds = study.budget.seconds if settings.curves is None else None
    try:
        ledger.outages.tolerate(notify, None if seconds is None else seconds - ledger.elapsed)
        ended = ledger.finished
        ledger.reopen(study.folder)  # the study is no longer finished
        discard_leftover_files(ledger.history, study)
        slots = slots_per_device(job, settings, notify)
        with tracking(study, ledger, session.watch, notify) as watch:
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


def _job(study: StudyFolder, session: Session) -> Job:
    """The job of a study, with its data set split anew."""
    return Job(
        study.space,
        study.settings.seed,
        study.data,
        session.trainable,
        allow_generator=session.allow_generator,
        predictions=study.predictions if study.settings.predictions else None,
        regime_defaults=study.regime_defaults,
    )
