"""Folders, such as those of data sets, that the runner `ray` sends once to each node that lacks them."""

from __future__ import annotations

import os
import shutil
import threading
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hpo.errors import MachineError
from hpo.runners import _ray_cluster

BATCH_BYTES = 32 * 2**20
"""About so many bytes are sent at once."""

Piece = tuple[str, bytes]
"""A part of a file: its path in the folder, and the next bytes of it."""


class FolderSync:
    """Sends folders to nodes, in a thread for each node. A node that has a path already keeps what it has there."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = paths
        self._threads: dict[str, threading.Thread] = {}
        self._errors: list[MachineError] = []

    def is_done(self, node: str) -> bool:
        """Return whether a node has all paths. The first call for a node begins to send them.

        Raises a MachineError if a path could not be sent.
        """
        if self._errors:
            raise self._errors[0]
        if not self._paths:
            return True
        if node not in self._threads:
            self._threads[node] = threading.Thread(target=self._send_all, args=(node,), daemon=True)
            self._threads[node].start()
        return not self._threads[node].is_alive()

    def _send_all(self, node: str) -> None:
        ray = _ray_cluster.imported()
        strategy = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(node, soft=False)
        try:
            receiver = ray.remote(Receiver).options(num_cpus=0, scheduling_strategy=strategy).remote()
            for path in self._paths:
                if ray.get(receiver.begin.remote(str(path), path.is_dir())):
                    _send(ray, receiver, path)
            ray.kill(receiver)
        except ray.exceptions.RayActorError:
            self._threads.pop(node, None)  # the node has died: its slots are dropped
        except (OSError, ray.exceptions.RayError) as error:
            first = next((line for line in str(error).splitlines()[::-1] if line.strip()), "")
            self._errors.append(MachineError(f"ray-sync: a folder could not be sent to a node: {first}"))


def _send(ray: Any, receiver: Any, path: Path) -> None:
    """Send a folder or file. At most two batches are under way at once, so that little memory is needed."""
    calls: list[Any] = []
    for batch in batches(path):
        calls.append(receiver.add.remote(batch))
        if len(calls) == 2:
            ray.get(calls.pop(0))
    ray.get(calls)
    ray.get(receiver.end.remote())


def batches(path: Path, size: int = BATCH_BYTES) -> Iterator[list[Piece]]:
    """Return the content of a folder or file in batches of about `size` bytes. Links are sent as what they point to."""
    batch: list[Piece] = []
    n_bytes = 0
    for file, name in _files(path):
        with file.open("rb") as opened:
            content = opened.read(size)
            while True:
                batch.append((name, content))
                n_bytes += len(content)
                if n_bytes >= size:
                    yield batch
                    batch, n_bytes = [], 0
                if len(content) < size or not (content := opened.read(size)):
                    break
    if batch:
        yield batch


def _files(path: Path) -> Iterator[tuple[Path, str]]:
    """The files below a path, with their paths in it. That of a single file is empty."""
    if path.is_file():
        yield path, ""
        return
    seen: set[str] = set()
    for folder, names, files in os.walk(path, followlinks=True):
        if (real := os.path.realpath(folder)) in seen:  # a link to a folder above it
            names.clear()
            continue
        seen.add(real)
        for name in sorted(files):
            file = Path(folder) / name
            if file.is_file():
                yield file, str(file.relative_to(path))


class Receiver:
    """The actor on a node that writes what is sent. A path is written whole or not at all."""

    def __init__(self) -> None:
        self._path = self._temporary = Path()

    def begin(self, path: str, is_folder: bool) -> bool:
        """Begin a path. Returns False if this node has it already."""
        self._path = Path(path)
        self._temporary = self._path.with_name(f".{self._path.name}.{uuid.uuid4().hex}.tmp")
        if self._path.exists():
            return False
        (self._temporary if is_folder else self._temporary.parent).mkdir(parents=True, exist_ok=True)
        return True

    def add(self, batch: list[Piece]) -> None:
        """Append pieces to their files."""
        for name, content in batch:
            file = self._temporary / name if name else self._temporary
            file.parent.mkdir(parents=True, exist_ok=True)
            with file.open("ab") as opened:
                opened.write(content)

    def end(self) -> None:
        """Give what was sent its name, unless another search has sent the same meanwhile."""
        try:
            self._temporary.rename(self._path)
        except OSError:
            if not self._path.exists():
                raise
            if self._temporary.is_dir():
                shutil.rmtree(self._temporary)
            else:
                self._temporary.unlink()
