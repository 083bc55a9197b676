"""The control groups of this process, by which Linux limits and counts what a container uses."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple


class ControlGroup(NamedTuple):
    """A control group. It may not exist: a container sees only some of its groups."""

    folder: Path
    is_v2: bool
    """Whether its files are those of version 2: https://docs.kernel.org/admin-guide/cgroup-v2.html."""


def control_groups(controller: str, root: Path = Path("/")) -> list[ControlGroup]:
    """Return the groups of this process with `controller`, such as cpu or memory. A group comes after its parents.

    A limit of a group also holds for the groups in it. `root` is the folder of `proc` and `sys`.
    """
    mounts = root / "sys" / "fs" / "cgroup"
    found: list[ControlGroup] = []
    for line in text(root / "proc" / "self" / "cgroup").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, group = rest.partition(":")
        if not controllers:
            folders, is_v2 = [mounts, mounts / "unified"], True
        elif controller in controllers.split(","):
            folders, is_v2 = [mounts / controllers, mounts / controller], False
        else:
            continue
        parts = [part for part in group.split("/") if part not in ("", "..")]
        found += [ControlGroup(folder.joinpath(*parts[:n]), is_v2) for folder in folders for n in range(len(parts) + 1)]
    return found


def text(path: Path) -> str:
    """Return the content of a file, empty if it cannot be read."""
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError):
        return ""
