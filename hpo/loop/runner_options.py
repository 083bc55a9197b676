"""The options of a runner: the keywords of its `build` beside those that every runner has."""

from __future__ import annotations

import inspect
from pathlib import Path

from hpo import plugins
from hpo.errors import UnknownName
from hpo.record import Settings
from hpo.runners._runner import Runner
from hpo.training.builder import Job

COMMON = ("job", "checkpoints", "devices", "slots", "report_timeout", "curves", "devices_per_trial")
"""The arguments of `build` that are no options."""


def check_runner_options(settings: Settings) -> None:
    """Raise a UserError if the runner does not have one of the options of `settings`, or if it refuses a value.

    The module of a runner may have a function `check_options`, which takes the options as keywords. It raises a
    UserError if a value is wrong, before anything is written. It must not take long.
    """
    if not settings.runner_options:
        return
    module = plugins.load(plugins.RUNNERS, settings.runner)
    parameters = inspect.signature(module.build).parameters.values()
    known = [each.name for each in parameters if each.kind is each.KEYWORD_ONLY and each.name not in COMMON]
    takes_any = any(each.kind is each.VAR_KEYWORD for each in parameters)
    for name in settings.runner_options:
        if name in COMMON or (name not in known and not takes_any):
            raise UnknownName(f"option of the runner {settings.runner}:", name, known)
    if callable(check := getattr(module, "check_options", None)):
        check(**settings.runner_options)


def build_runner(settings: Settings, job: Job, checkpoints: Path, slots: int | None) -> Runner:
    """Build the runner of a study. Raises a UserError if it does not suit this machine or this job."""
    build = plugins.load(plugins.RUNNERS, settings.runner).build
    runner: Runner = build(job, checkpoints, devices=settings.devices, slots=slots, **settings.runner_arguments)
    return runner
