"""The functions of the Python API: search, read_space, open_study, list_studies, test, load_model."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpo import plugins, spacefile
from hpo.api.progress import interrupt_note, print_notices, show_progress
from hpo.api.short_traceback import short_traceback
from hpo.api.study import Study, resume_with_progress
from hpo.errors import SpaceFileError, UnknownName, UserError
from hpo.final_model import Model
from hpo.final_model import load_model as load_model_folder
from hpo.loop import (
    CHANGEABLE,
    Earlier,
    Session,
    begin,
    changed_settings,
    default_name,
    recorded_source,
    with_curves,
    with_first_configurations,
)
from hpo.record import STUDY_FILE, Budget, Settings, StudyFolder, changed_parts, check_name, find_folder, lock
from hpo.results.progress import print_note
from hpo.runners._auto_runner import AUTO
from hpo.space import SearchSpace
from hpo.training.user_code import Build, digest, is_generator_function

if TYPE_CHECKING:
    from pandas import DataFrame

ARGUMENTS = ("study", "studies", "trials", "epochs", "time", "from_study", "top", "quiet", "skip_changed_files")
"""The keyword arguments of `search` that are not settings."""
FOR_GENERATORS = "optuna"
"""The backend that searches a generator function if none is given. It never pauses a trial."""


@short_traceback
def search(
    space: SearchSpace | Mapping[str, object] | str | Path,
    trainable: Build | None = None,
    *,
    study: str | None = None,
    studies: str | Path = "studies",
    trials: int | None = None,
    epochs: int | None = None,
    time: float | None = None,
    from_study: str | Path | None = None,
    top: int | None = None,
    quiet: bool = False,
    skip_changed_files: bool = False,
    **settings: object,
) -> Study:
    """Search a space, and return the study.

    Called again with the same space, trainable, backend and seed, it goes on where the record ends: a script or cell
    that is run again trains nothing twice. If the study has spent more trials or epochs than the budget already, it
    is returned as it is. Ctrl-C ends a search, and nothing is lost.

    Args:
        space: a SearchSpace, a dictionary in the form of a space file, the path of one, or the name of a bundled one.
        trainable: your training code, used instead of the space's regime: a class with `step`, `state_dict` and
            `load_state_dict`, a function that builds one, or a generator function that yields metrics once an epoch.
            It takes `config`, or `config, model, data, device`.
        study: the name of the study; `<space>-<backend>-<seed>` by default.
        studies: the folder of the studies.
        trials, epochs, time: the total budget, over all runs: trials begun, epochs trained, seconds of search. By
            default 64 trials. Each must be more than 0 for a new study.
        from_study: an earlier study on the same or a similar task, by its name or the path of its folder. The backend
            freeze_thaw learns from its trials, any other tries the best of them first. What is used of it is recorded
            when the search begins.
        top: with `from_study`, how many of its best trials to try first. By default 5; freeze_thaw chooses by itself.
        quiet: show no progress. By default it is shown in a terminal and in a notebook.
        skip_changed_files: if the study goes on, and files of its data set changed since it was begun, go on without
            them. By default, that is an error.
        settings: the fields of `hpo.record.Settings`: backend ("freeze_thaw"; "optuna" for a generator function),
            options, seed (0), runner ("inline": in this process), devices, slots, storage, data, try_first (a list of
            configurations, such as `[{"lr": 0.01}]`, that the first trials take, after the defaults of the space),
            max_crashes, report_timeout (in seconds), curves (learning curves to simulate, instead of training),
            devices_per_trial (1), runner_options (a dictionary), predictions (False to keep no validation logits),
            track (a list of trackers, such as `["tensorboard"]`). A study that goes on takes new values of runner,
            devices, slots, devices_per_trial, storage, data, max_crashes, report_timeout, curves, runner_options,
            predictions and track.

    A generator function cannot be paused: freeze_thaw would run it again from its beginning after each pause. optuna
    only stops trials. A lambda or a decorator that calls a generator function is recognised only at its first call:
    without `backend`, this is an error.

    Raises UserError (and its kinds) where an argument is wrong, TooManyCrashes, MachineError.
    """
    folder: Path | None = None
    with interrupt_note(lambda: folder, quiet=quiet):
        read = _read_space(space, is_new=False)  # a study of an earlier version goes on, also if it breaks a new rule
        _check(trainable, from_study, settings)
        if trainable is not None and is_generator_function(trainable):
            settings.setdefault("backend", FOR_GENERATORS)
        # Code that turns out to be a generator function later needs a backend that the user has chosen.
        session = Session(trainable, "backend" in settings, notify=None if quiet else print_note)
        if callable(settings.get("curves")):
            settings["curves"] = _name_of_curves(settings["curves"])
        for name in ("data", "curves"):
            if isinstance(settings.get(name), Path):
                settings[name] = str(settings[name])
        runner = "inline" if settings.get("curves") is None else AUTO
        chosen = with_curves(Settings(**{"runner": runner, **settings}), trainable)  # type: ignore[arg-type]
        folder = Path(studies).absolute() / check_name(default_name(read, chosen) if study is None else study)
        earlier, budget = _earlier(from_study, top, folder.parent), Budget(trials, epochs, time)
        if _is_on_record(folder, read, with_first_configurations(read, chosen), earlier, trainable):
            changes: dict[str, Any] = {name: value for name, value in settings.items() if name in CHANGEABLE}
            _resume(folder, budget, changes, session, quiet=quiet, skip_changed_files=skip_changed_files)
            return Study(folder, trainable)
        _read_space(space)
        with show_progress(budget.or_default(), quiet=quiet) as watch:
            begin(folder, read, chosen, budget, earlier=earlier, session=replace(session, watch=watch))
        print_notices(StudyFolder.reopen(folder), quiet=quiet)
        return Study(folder, trainable)


def _name_of_curves(function: Any) -> str:
    """The name of a function of curves, as `module:function`. Raises a UserError if others could not import it."""
    module, name = getattr(function, "__module__", None), getattr(function, "__qualname__", type(function).__name__)
    if module in (None, "__main__") or not name.isidentifier():
        raise UserError(
            f"curves {name}: must be a function at the top level of a module other than the script itself, so that a "
            "study that goes on finds it again"
        )
    return f"{module}:{name}"


def _check(trainable: object, from_study: object, settings: Mapping[str, object]) -> None:
    """Raise a UserError if one of these arguments of `search` is wrong."""
    known = Settings.__dataclass_fields__.keys() - {"curves_digest"}  # which is computed
    for name in settings:
        if name not in known:
            raise UnknownName("argument of hpo.search", name, {*ARGUMENTS, *known})
    if trainable is not None and not callable(trainable):
        raise UserError(f"trainable must be a class or a function, but is {trainable!r}")
    if from_study is not None and not isinstance(from_study, str | Path):
        raise UserError(f"from_study must be the name of a study or the path of its folder, but is {from_study!r}")


def _resume(
    folder: Path,
    budget: Budget,
    changes: Mapping[str, Any],
    session: Session,
    *,
    quiet: bool,
    skip_changed_files: bool,
) -> None:
    """Resume a study with some new settings. If it has spent more than the budget, only the settings are recorded."""
    known = StudyFolder.reopen(folder)
    known.settings = changed_settings(known, changes, session.trainable)
    with contextlib.closing(known.ledger(write=False)) as ledger:
        history, seconds = ledger.history, 0.0 if ledger.finished is None else ledger.recorded
    if not budget.overspent(history.n_trials, history.n_epochs, seconds):
        how = {"skip_changed_files": skip_changed_files, "settings": changes}
        resume_with_progress(folder, budget, session, quiet=quiet, **how)
    elif known.settings != StudyFolder.reopen(folder).settings:
        with lock(folder):  # another process may have changed the study meanwhile
            known = StudyFolder.reopen(folder)
            known.settings = changed_settings(known, changes, session.trainable)
            known.save()


def _earlier(from_study: str | Path | None, top: int | None, studies: Path) -> Earlier | None:
    """The earlier study that a search is told of. None without one."""
    if from_study is None:
        if top is not None:
            raise UserError("top: belongs to from_study")
        return None
    return Earlier(find_folder(from_study, studies), top)


def _is_on_record(
    folder: Path, space: SearchSpace, settings: Settings, earlier: Earlier | None, trainable: Build | None
) -> bool:
    """Whether the study in `folder` is this search, so that it goes on.

    It goes on with what it has on record of the earlier study, also if that went on or was deleted.
    """
    source = None if earlier is None else recorded_source(folder, earlier)
    if earlier is not None and source is None:
        return False
    code = None if trainable is None else digest(trainable)
    return changed_parts(folder, space, replace(settings, from_study=source), code) == []


@short_traceback
def read_space(space: SearchSpace | Mapping[str, object] | str | Path, overrides: Sequence[str] = ()) -> SearchSpace:
    """Read the space of a file, of a bundled name, or of a dictionary in the form of a space file.

    `overrides` change keys of a file, as `--set` does: "space.lr.high=0.5".

    Raises a SpaceFileError that lists all mistakes.
    """
    return _read_space(space, overrides)


def _read_space(
    space: SearchSpace | Mapping[str, object] | str | Path, overrides: Sequence[str] = (), *, is_new: bool = True
) -> SearchSpace:
    """Read a space as `read_space` does. Only one that `is_new` must keep the rules of `plugins.rule_problems`."""
    if overrides and not isinstance(space, str | Path):
        raise UserError("overrides change the keys of a space file, so they need the name or path of one")
    if isinstance(space, SearchSpace):
        if mistakes := plugins.problem_lines(space, is_new=is_new):
            raise SpaceFileError(mistakes)
        return space.located(Path())
    if isinstance(space, Mapping):
        return spacefile.parse(space, name=str(space.get("name", "space")), is_new=is_new)
    return spacefile.read(spacefile.find(str(space)), overrides, is_new=is_new)


@short_traceback
def open_study(name: str | Path, *, studies: str | Path = "studies", trainable: Build | None = None) -> Study:
    """The study of that name in the folder `studies`, or in the folder that is named by a path.

    `trainable` is needed to resume or test a study that was begun with one.

    Raises a StudyError if there is no such study.
    """
    folder = find_folder(name, Path(studies))
    StudyFolder.reopen(folder)
    return Study(folder, trainable)


@short_traceback
def list_studies(studies: str | Path = "studies") -> list[Study]:
    """All studies in a folder, by name; none where there is no such folder."""
    return [Study(path.parent) for path in sorted(Path(studies).glob(f"*/{STUDY_FILE}"))]


@short_traceback
def load_model(folder: str | Path, *, device: str = "auto") -> Model:
    """Load the model of a folder that `hpo model` or `Study.model` wrote.

    Its `predict(paths)` classifies image files. `device` is auto (a GPU if there is one), cpu, or a GPU such as cuda:0.

    Raises UserError if the folder holds no model, if a file of it is damaged or was written by another version, or if
    a package that it needs is missing.
    """
    return load_model_folder(folder, device=device)


@short_traceback
def test(
    study: Study | str | Path,
    *,
    studies: str | Path = "studies",
    trainable: Build | None = None,
    top: int = 1,
    seeds: int | None = None,
    protocol: str | None = None,
    quiet: bool = False,
    skip_changed_files: bool = False,
) -> DataFrame:
    """Test the best trials of a study on held-out data; see `Study.test`.

    `trainable` is needed if the study was searched with your own training code, and `study` is a name or a path.
    """
    found = study if isinstance(study, Study) else open_study(study, studies=studies, trainable=trainable)
    return found.test(top=top, seeds=seeds, protocol=protocol, quiet=quiet, skip_changed_files=skip_changed_files)
