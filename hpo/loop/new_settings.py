"""The settings of a search as they are recorded, and new ones for a study that goes on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from hpo import plugins
from hpo.devices import plan_slots
from hpo.errors import UnknownName
from hpo.loop import devices_per_trial
from hpo.loop.runner_options import check_runner_options
from hpo.loop.simulated_settings import check_curves, with_curves
from hpo.record import Settings, StudyFolder, check_devices, data_folder, recorded_url
from hpo.runners import _auto_runner
from hpo.space import SearchSpace
from hpo.trackers import recorded_targets
from hpo.training.user_code import Build

CHANGEABLE = (
    "runner",
    "devices",
    "slots",
    "devices_per_trial",
    "storage",
    "data",
    "max_crashes",
    "report_timeout",
    "curves",
    "runner_options",
    "predictions",
    "track",
)
"""The settings that may change when a study goes on. No suggestion and no seed of a trial depends on them."""


def recorded_settings(settings: Settings, space: SearchSpace, trainable: Build | None) -> Settings:
    """Return settings in the form in which they are recorded.

    Paths are absolute, the storage has no password, and the runner is the one that `auto` chooses. Raises a UserError
    if the runner, an option of it, a device, the storage, a tracker or the curves do not exist, or if a trial cannot be
    trained on several devices.
    """
    settings = with_curves(settings, trainable)
    runner, data = settings.runner, settings.data
    if runner == _auto_runner.AUTO:
        is_alone = trainable is not None or settings.devices_per_trial > 1
        runner = "processes" if is_alone else _auto_runner.runner_for(space)
    plugins.module_name(plugins.RUNNERS, runner, also=[_auto_runner.AUTO])
    if settings.devices_per_trial > 1:
        devices_per_trial.check(settings.devices_per_trial, runner, space, trainable)
    if settings.curves is None:
        plan_slots(settings.devices, settings.given_slots, settings.devices_per_trial)
    folder = str(data_folder(data)) if data else None
    tracked = recorded_targets(settings.track)
    recorded = replace(settings, runner=runner, data=folder, storage=recorded_url(settings.storage), track=tracked)
    check_runner_options(recorded)
    return recorded


def changed_settings(study: StudyFolder, changes: Mapping[str, object], trainable: Build | None) -> Settings:
    """Return the settings of a study with some changes. Nothing is written.

    Options of the runner are added to those of the study, unless the study changes its runner.

    Raises a UserError if a setting may not change, if its value is wrong, or if this machine lacks a device. Raises a
    StudyError if the curves changed.
    """
    for name in changes:
        if name not in CHANGEABLE:
            raise UnknownName("setting of a study that goes on", name, CHANGEABLE)
    values = {name: str(value) if isinstance(value, Path) else value for name, value in changes.items()}
    if "devices" not in values and study.settings.curves is None:
        check_devices(study.settings, study.folder)
    if values.get("runner", study.settings.runner) == study.settings.runner:
        kept = study.settings.runner_options
    else:
        kept = {}
    values["runner_options"] = {**kept, **dict(values.get("runner_options", {}))}  # type: ignore[call-overload]
    changed = replace(study.settings, **values)  # type: ignore[arg-type]
    new_trackers = changed.track if "track" in values else ()
    recorded = recorded_settings(replace(changed, track=new_trackers), study.space, trainable)
    if "track" not in values:
        recorded = replace(recorded, track=study.settings.track)  # one that is not installed here ends no search
    check_curves(study, recorded)
    return recorded
