"""Checkpoints at a URL that fsspec opens, such as s3://bucket/folder.

Each checkpoint is an object with a name of its own, which is written once and never changed. So an object store needs
no rename, and a worker of a search that was killed cannot change a checkpoint of the resumed one. The folder of the
study has a small file for each trial, which names the objects of its last epoch and of its best epoch.
"""

from __future__ import annotations

import contextlib
import json
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path

from hpo.training.checkpoint_urls import check_writable, file_system, network_errors
from hpo.training.checkpoints import best_checkpoint, disk_errors, names_file
from hpo.training.sent_checkpoints import Change, KeepBest


class UrlPlace:
    """The side of the worker: reads the object that it is told, and writes new ones."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.given: str | None = None
        """The URL of the checkpoint with which the next trial begins. None if it has none."""

    def read(self, trial: int) -> bytes | None:
        if self.given is None:
            return None
        with network_errors(self.given):
            try:
                return bytes(file_system(self.given).cat_file(self.given))
            except FileNotFoundError:
                return None

    def write(self, trial: int, content: bytes) -> str:
        url = f"{self._url}/{trial}.{uuid.uuid4().hex}.pt"
        with network_errors(url):
            files = file_system(url)
            files.makedirs(self._url, exist_ok=True)
            files.pipe_file(url, content)
        return url


class UrlCheckpoints:
    """The side of the process that searches: which objects are the checkpoints of each trial."""

    def __init__(self, folder: Path, url: str) -> None:
        """`folder` is that of the checkpoints of the study, and `url` one that no other study uses."""
        self._folder, self.url = folder, url

    def check_writable(self) -> None:
        """Raise the errors of `checkpoint_urls.check_writable` if this machine cannot write at the URL."""
        check_writable(self.url)

    def receive(self, trial: int, changes: Iterable[Change], *, has_ended: bool) -> None:
        """Name the objects that a worker wrote. If the trial has ended, its best checkpoint is copied to the folder."""
        from trainables.training import checkpoints

        names = self._read(trial)
        before = set(names.values())
        for change in changes:
            if isinstance(change, KeepBest):
                names["best"] = names["last"]
            else:
                names["last"] = str(change.content)
        if has_ended and "best" in names:
            best = names.pop("best")
            with network_errors(best):
                content = file_system(best).cat_file(best)
            path = best_checkpoint(self._folder, trial)
            with disk_errors(path):
                checkpoints.write_encoded(path, bytes(content))
        self._write(trial, names)
        self._remove(before - set(names.values()))

    def given(self, trial: int, *, sees_folder: bool) -> str | None:
        """Return the URL of the checkpoint of a trial, or None if there is none."""
        return self._read(trial).get("last")

    def delete_unneeded(self) -> None:
        """Delete the objects that no trial names."""
        named = {
            url.rpartition("/")[2]
            for path in self._folder.glob(f"*{names_file(self._folder, 0).suffix}")
            for url in self._read(int(path.stem)).values()
        }
        with network_errors(self.url):
            files = file_system(self.url)
            try:
                found = files.ls(self.url, detail=False)
            except FileNotFoundError:
                return
            self._remove({f"{self.url}/{name}" for each in found if (name := each.rpartition("/")[2]) not in named})

    @contextlib.contextmanager
    def discarding(self, trial: int) -> Iterator[None]:
        """Delete the objects of a trial if its file was deleted in this context."""
        urls = set(self._read(trial).values())
        yield
        if not names_file(self._folder, trial).exists():
            self._remove(urls)

    def _read(self, trial: int) -> dict[str, str]:
        path = names_file(self._folder, trial)
        with disk_errors(path):
            try:
                return dict(json.loads(path.read_text()))
            except (FileNotFoundError, ValueError):
                return {}

    def _write(self, trial: int, names: dict[str, str]) -> None:
        from trainables.store import atomic

        path = names_file(self._folder, trial)
        with disk_errors(path):
            atomic.write(path, lambda temporary: temporary.write_text(json.dumps(names)))

    def _remove(self, urls: Iterable[str]) -> None:
        for url in urls:
            with network_errors(url), contextlib.suppress(FileNotFoundError):
                file_system(url).rm_file(url)
