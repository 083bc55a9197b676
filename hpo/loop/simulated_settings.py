"""The settings of a search on known learning curves, in simulated time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from hpo import plugins
from hpo.errors import StudyError, UserError
from hpo.plugins.traits import plays_curves
from hpo.record import AUTO_SLOTS, Settings, StudyFolder
from hpo.record.identity import free_name
from hpo.runners import _auto_runner, _curve_sources
from hpo.training.user_code import Build

SIMULATED = "simulated"
"""The runner that plays learning curves, unless another one is chosen."""


def with_curves(settings: Settings, trainable: Build | None) -> Settings:
    """Return the settings with an absolute path of the curves, their digest, and a runner that plays them.

    Settings without curves are returned as they are. Raises a UserError if there are no such curves, if they cannot be
    loaded, or if another setting excludes them.
    """
    if settings.curves is None:
        if _plays_curves(settings.runner):
            raise UserError(f"runner {settings.runner!r} trains nothing, so it needs `curves`: {_curve_sources.FORMS}")
        return replace(settings, curves_digest=None)
    given = f"curves {settings.curves}"
    runner = SIMULATED if settings.runner == _auto_runner.AUTO else settings.runner
    if not _plays_curves(runner):
        raise UserError(f"{given}: needs the runner {SIMULATED}, but the runner is {settings.runner}, which trains")
    if trainable is not None:
        raise UserError(f"{given}: the runner {runner} trains nothing; leave the training code or the curves out")
    if settings.slots == AUTO_SLOTS:
        raise UserError(f"{given}: no memory is needed that could be measured; give a whole number of slots")
    if settings.report_timeout is not None:
        raise UserError(f"{given}: a simulated trial cannot hang; leave the report timeout out")
    source = _curve_sources.located(settings.curves, Path.cwd())
    return replace(settings, runner=runner, curves=source, curves_digest=_curve_sources.digest(source))


def _plays_curves(runner: str) -> bool:
    if runner == _auto_runner.AUTO:
        return False
    return plays_curves(plugins.module_name(plugins.RUNNERS, runner, also=[_auto_runner.AUTO]), plugins.find)


def simulation_note(settings: Settings) -> str | None:
    """A line that says where learning curves come from. None if the trials train."""
    return None if settings.curves is None else f"simulated: curves from {settings.curves}; nothing is trained"


def check_curves(study: StudyFolder, settings: Settings) -> None:
    """Raise a StudyError if the curves in `settings` are not those that the study was begun with."""
    if study.settings.curves_digest == settings.curves_digest:
        return
    if study.settings.curves is None:
        raise StudyError(f"study {study.name!r} trains its trials, so it cannot go on with curves: begin a new study")
    raise StudyError(
        f"study {study.name!r} in {study.folder.parent} was begun with other curves than {settings.curves} has now: "
        f"search under another name, such as {free_name(study.folder)!r}, or bring the old ones back"
    )
