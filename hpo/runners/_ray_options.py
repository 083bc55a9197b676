"""The options of the runner `ray`, and their checks, which need no cluster."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hpo.errors import UserError, shortened
from hpo.runners import _ray_resources
from hpo.training.url_checkpoints import check_url


@dataclass(frozen=True)
class RayOptions:
    """The options as values."""

    address: str | None
    """The address of the cluster. None is $RAY_ADDRESS, or else Ray on this machine."""
    resources: Mapping[str, float] | None
    """What a slot takes, by Ray's names. None is the default."""
    checkpoint_url: str | None
    """Where workers write checkpoints. None is the folder of the study, or the report."""
    sync: tuple[Path, ...]
    """The folders and files that are sent to the nodes that lack them."""


def read(
    *, address: object = None, resources: object = None, checkpoint_url: object = None, sync: object = None
) -> RayOptions:
    """Return the options as values. Raises a UserError that names the option with a wrong value."""
    given = {"address": address, "resources": resources, "checkpoint_url": checkpoint_url, "sync": sync}
    texts = {name: None if value is None else _text(name, value) for name, value in given.items()}
    if (url := texts["checkpoint_url"]) is not None:
        check_url(url)
    parsed = None if texts["resources"] is None else _ray_resources.parse(texts["resources"])
    return RayOptions(texts["address"], parsed, url, _paths(texts["sync"] or ""))


def _text(name: str, value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise UserError(f"option {name} of the runner ray must be a text, but is {value!r}")
    return value.strip()


def _paths(text: str) -> tuple[Path, ...]:
    """The paths of a text such as `/data/flowers,/data/weights`, which must exist on this machine."""
    paths = tuple(Path(part.strip()) for part in text.split(",") if part.strip())
    for path in paths:
        if not path.is_absolute():
            raise UserError(f"ray-sync {shortened(str(path))}: write the whole path, which is the same on every node")
        if not path.exists():
            raise UserError(f"ray-sync {shortened(str(path))}: there is no such file or folder on this machine")
    return paths
