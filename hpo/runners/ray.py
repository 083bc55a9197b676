"""The ray runner: trains one trial at a time in each of several Ray actors, on one machine or on a cluster.

A slot is an actor (`_ray_slots.py`), which imports torch and reads the data set once, then trains one trial after
another. Ray places it on a node that has the resources for it. `_ray_runner.py` says what happens to trials whose
actor or node dies. A process of its own is connected to the cluster (`_ray_process.py`).
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from hpo.runners import _ray_cluster, _ray_options
from hpo.runners._ray_process import SeparateRay
from hpo.runners._ray_resources import SlotRequest
from hpo.runners._ray_runner import Ray, RayRequest, opened
from hpo.runners._ray_slots import namespace
from hpo.runners._ray_sync import FolderSync
from hpo.training.builder import Job
from hpo.training.checkpoints import prepare
from hpo.training.received_checkpoints import FolderCheckpoints, ReceivedCheckpoints
from hpo.training.url_checkpoints import UrlCheckpoints

READS_ALSO = ("hpo.runners._ray_flags",)
"""The module that declares the flags of the options."""


def build(
    job: Job,
    checkpoints: Path,
    *,
    devices: str = "auto",
    slots: int | None = None,
    report_timeout: float | None = None,
    address: str | None = None,
    resources: str | None = None,
    checkpoint_url: str | None = None,
    sync: str | None = None,
    notify: _ray_cluster.Say | None = None,
) -> Ray | SeparateRay:
    """Build a runner on a Ray cluster.

    Args:
        job, checkpoints: see `_runner.py`.
        devices: "auto", or "cpu" to use no GPU.
        slots: the largest number of slots. None is as many as there is room for.
        report_timeout: the longest time without a report, in seconds.
        address: `auto`, `HOST:PORT` or `ray://HOST:PORT`. None starts Ray on this machine, unless $RAY_ADDRESS is set.
        resources: what a slot takes, such as "gpu=0.5,cpu=2". By default one GPU and its share of the cores, or a core.
        checkpoint_url: where workers write checkpoints, as fsspec opens it. None is the folder, or this process if a
            node does not see the folder.
        sync: the paths of folders and files that are sent to each node that lacks them, with commas between them.
        notify: shows notes to the user, such as that the search waits for the cluster. None hides them.

    Raises a UserError if there is no cluster at the address, if no node has the resources, if an option is wrong, if
    the trainable of `job` cannot be sent, or if this machine cannot write at the URL of the checkpoints.

    A process of its own connects to the cluster, unless this one is connected already.
    """
    given = {"address": address, "resources": resources, "checkpoint_url": checkpoint_url, "sync": sync}
    options = _ray_options.read(given, devices)
    job.check_can_be_sent()
    prepare(checkpoints)
    received: ReceivedCheckpoints = FolderCheckpoints(checkpoints)
    if options.checkpoint_url is not None:
        url = f"{options.checkpoint_url.rstrip('/')}/{namespace(checkpoints)}"
        received = UrlCheckpoints(checkpoints, url)
        received.check_writable()
    uses, folders = SlotRequest(devices, slots, options.resources), FolderSync(options.sync)
    request = RayRequest(job, checkpoints, received, uses, options.address, report_timeout, folders)
    say = notify or _ray_cluster.silent
    if _ray_cluster.is_connected():
        return opened(request, say)[0]
    separate = SeparateRay(partial(opened, request), checkpoints, say)
    separate.open()
    return separate


def check_options(*, devices: str = "auto", **options: object) -> None:
    """Raise a UserError if `devices` or the value of an option is wrong. Nothing is started."""
    _ray_options.read(options, devices)
