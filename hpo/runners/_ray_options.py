"""The options of the runner `ray`, and their checks, which need no cluster."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hpo.errors import UserError, shortened
from hpo.runners import _ray_cluster, _ray_resources
from hpo.runners._ray_address import FORMS, LOCAL, check_address
from hpo.runners._ray_flags import FLAGS
from hpo.training.checkpoint_urls import check_url

WANTED = {
    "address": f"write {FORMS}",
    "resources": f"write {_ray_resources.FORM}",
    "checkpoint_url": "write a URL such as s3://bucket/folder, or the whole path of a folder",
    "sync": "write whole paths with commas between them, such as /data/flowers,/data/weights",
}
"""What each option must be, for a message."""


@dataclass(frozen=True)
class RayOptions:
    """The options as values."""

    address: str | None
    """The address of the cluster. None is $RAY_ADDRESS, or else Ray on this machine, as with `local`."""
    resources: Mapping[str, float] | None
    """What a slot takes, by Ray's names. None is the default."""
    checkpoint_url: str | None
    """Where workers write checkpoints. None is the folder of the study, or the report."""
    sync: tuple[Path, ...]
    """The folders and files that are sent to the nodes that lack them."""


def read(given: Mapping[str, object], devices: str = "auto") -> RayOptions:
    """Return the options as values. `given` are keywords of `build` of the runner, those of `FLAGS`.

    Raises a UserError that names the flag of the option with a wrong value, or if it contradicts `devices`.
    """
    texts = {name: None if (value := given.get(name)) is None else _text(name, value) for name in FLAGS}
    if (url := texts["checkpoint_url"]) is not None:
        check_url(url)
    parsed = None if texts["resources"] is None else _ray_resources.parse(texts["resources"])
    _ray_resources.check_devices(devices, parsed)
    if texts["address"] is not None:
        check_address(texts["address"], FLAGS["address"])
    is_local = not _ray_cluster.is_connected() and _ray_cluster.address_of(texts["address"]) == LOCAL
    if is_local and parsed:
        _ray_resources.check_local(parsed)
    return RayOptions(texts["address"], parsed, url, _paths(texts["sync"] or ""))


def _text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise UserError(f"{FLAGS[name]} must be a text, but is {shortened(repr(value))}: {WANTED[name]}")
    if not value.strip():
        raise UserError(f"{FLAGS[name]} is empty: {WANTED[name]}, or leave it out")
    return value.strip()


def _paths(text: str) -> tuple[Path, ...]:
    """The paths of a text such as `/data/flowers,/data/weights`, which must exist on this machine."""
    paths = tuple(Path(part.strip()) for part in text.split(",") if part.strip())
    if text and not paths:
        raise UserError(f"{FLAGS['sync']} {shortened(text)}: names no path; {WANTED['sync']}, or leave it out")
    for path in paths:
        if not path.is_absolute():
            raise UserError(f"{FLAGS['sync']} {shortened(str(path))}: write the whole path, the same on every node")
        if not path.exists():
            raise UserError(f"{FLAGS['sync']} {shortened(str(path))}: there is no such file or folder on this machine")
    return paths
