"""The options of a runner: the keywords of its `build` beside those that every runner has."""

from __future__ import annotations

import inspect
from pathlib import Path

from hpo import plugins
from hpo.errors import UnknownName
from hpo.loop.session import Notify
from hpo.plugins import described
from hpo.record import Settings
from hpo.runners._runner import Runner
from hpo.training.builder import Job


def check_runner_options(settings: Settings) -> None:
    """Raise a UserError if the runner does not have one of the options of `settings`, or if it refuses a value.

    The module of a runner may have a function `check_options`, which takes the options as keywords, and `devices` if it
    has a keyword of this name. It raises a UserError if a value is wrong, before anything is written. It must not take
    long.
    """
    module = plugins.load(plugins.RUNNERS, settings.runner)
    parameters = inspect.signature(module.build).parameters.values()
    common = described.NO_OPTIONS["runner"]
    known = [each.name for each in parameters if each.kind is each.KEYWORD_ONLY and each.name not in common]
    takes_any = any(each.kind is each.VAR_KEYWORD for each in parameters)
    unknown = [name for name in settings.runner_options if name in common or (name not in known and not takes_any)]
    if unknown:
        raise UnknownName(f"option of the runner {settings.runner}:", unknown[0], known)
    if callable(check := getattr(module, "check_options", None)):
        takes_devices = "devices" in inspect.signature(check).parameters
        check(**({"devices": settings.devices} if takes_devices else {}), **settings.runner_options)


def build_runner(
    settings: Settings, job: Job, checkpoints: Path, slots: int | None, notify: Notify | None = None
) -> Runner:
    """Build the runner of a study. Raises a UserError if it does not suit this machine or this job.

    `notify` shows notes, and is given to a `build` that has a keyword of this name.
    """
    build = plugins.load(plugins.RUNNERS, settings.runner).build
    arguments = {"devices": settings.devices, "slots": slots, **settings.runner_arguments}
    if "notify" in inspect.signature(build).parameters:
        arguments["notify"] = notify
    runner: Runner = build(job, checkpoints, **arguments)
    if notify is not None and (summary := getattr(runner, "summary", "")):
        notify(summary)
    return runner
