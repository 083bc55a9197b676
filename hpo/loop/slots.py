"""The number of trials at once on each device, as the settings of a study say it."""

from __future__ import annotations

from hpo import plugins
from hpo.loop.session import Notify
from hpo.plugins.traits import measures_slots
from hpo.record import AUTO_SLOTS, Settings
from hpo.runners._measured_slots import measured_slots
from hpo.training.builder import Job


def slots_per_device(job: Job, settings: Settings, notify: Notify | None) -> int | None:
    """Return the number of slots on each device, which is measured for `slots: auto`. None is the runner's default.

    A runner that does not declare `MEASURES_SLOTS` takes its default: its trials train in one process,
    elsewhere or not at all.

    Raises the errors of `measured_slots`.
    """
    if settings.slots != AUTO_SLOTS:
        return settings.given_slots
    notify = notify or (lambda _: None)
    if not measures_slots(plugins.module_name(plugins.RUNNERS, settings.runner), plugins.find):
        notify(f"slots auto: no memory is measured for the runner {settings.runner}, which takes its default")
        return None
    return measured_slots(
        job,
        settings.devices,
        notify,
        devices_per_trial=settings.devices_per_trial,
        report_timeout=settings.report_timeout,
    )
