"""Checks of a URL for checkpoints: its form, and whether this machine can write there."""

from __future__ import annotations

import contextlib
import difflib
import errno
import uuid
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

from hpo import plugins
from hpo.errors import HpoError, MachineError, UserError, shortened

FLAG = "--checkpoints"
OTHER_URL = f"{FLAG} URL"
"""The option of `hpo resume` with which a study goes on elsewhere."""
LOCAL = ("file", "local")
"""The schemes of paths on this machine."""
COMMON = ("s3", "gs", "az", "abfs", "sftp", "hdfs", "smb", "file")
"""Schemes that are named in a message."""
FORMS = "a URL such as s3://bucket/folder, or the whole path of a folder, such as /shared/checkpoints"
"""What is allowed, for a message."""
BROKEN = (errno.ENOSPC, errno.EDQUOT, errno.EIO)
"""The errors of a machine, which another URL need not have."""
CONTENT = b"hpo: a test whether this can be written"


def check_url(url: str) -> None:
    """Raise a UserError if a URL has no allowed form, if fsspec does not know it, or if a package for it is missing.

    Nothing is written, and nothing connects.
    """
    start = f"{FLAG} {shortened(url)}:"
    if plugins.find("fsspec") is None:
        raise UserError(f"{start} needs fsspec, which is not installed: pip install 'hpo[ray]'")
    scheme, separator, rest = url.partition("://")
    _check_path(start, scheme, rest) if separator else _check_path(start, "", url)
    _check_scheme(start, scheme if separator else "file")


def _check_path(start: str, scheme: str, rest: str) -> None:
    """Raise a UserError if a path is relative or empty. `scheme` is empty if the URL is a path."""
    if scheme in ("", *LOCAL):
        if not PurePosixPath(rest).is_absolute():
            whole = f"{scheme}:///shared/checkpoints" if scheme else FORMS
            raise UserError(f"{start} the path is relative, and so another one on each node; write {whole}")
    elif not rest.strip("/"):
        raise UserError(f"{start} names no bucket or folder; write {scheme}://bucket/folder")


def _check_scheme(start: str, scheme: str) -> None:
    """Raise a UserError if fsspec does not know a scheme, if its package is missing, or if files there are lost."""
    import fsspec

    known = {*fsspec.available_protocols(), *fsspec.registry}
    if scheme == "memory":
        raise UserError(f"{start} memory:// is the memory of one process, so nobody else can read it; write {FORMS}")
    if "::" not in scheme and scheme not in known:
        close = difflib.get_close_matches(scheme, COMMON, n=1, cutoff=0.5)
        hint = f"; did you mean {close[0]}://?" if close else ""
        raise UserError(
            f"{start} unknown scheme {scheme}://{hint} (allowed: {', '.join(COMMON)}, and others of fsspec)"
        )
    try:
        for part in scheme.split("::"):
            fsspec.get_filesystem_class(part)
    except ImportError as error:
        raise UserError(f"{start} its file system needs a package that is not installed: {error}") from None
    except ValueError as error:  # an unknown scheme in a chain of them
        raise UserError(f"{start} {first_line(error)}") from None


def check_writable(folder: str) -> None:
    """Write, read and delete a small file in a folder at a URL, which is created if it is missing.

    Raises a UserError if that fails, such as without credentials, or a MachineError if the disk or the network does
    not work.
    """
    url = f"{folder}/{uuid.uuid4().hex}.tmp"
    try:
        files = file_system(url)
        files.makedirs(folder, exist_ok=True)
        files.pipe_file(url, CONTENT)
        if files.cat_file(url) != CONTENT:
            raise OSError(errno.EIO, "what was written is not what is read")
        files.rm_file(url)
    except Exception as error:  # each file system has errors of its own
        is_broken = isinstance(error, ConnectionError | TimeoutError) or getattr(error, "errno", None) in BROKEN
        kind: type[HpoError] = MachineError if is_broken else UserError
        text = f"{FLAG} {shortened(folder.rpartition('/')[0])}: this machine cannot write there"
        raise kind(f"{text}: {type(error).__name__}: {first_line(error)}", go_on_with=(OTHER_URL,)) from None


@contextlib.contextmanager
def network_errors(url: str) -> Iterator[None]:
    """In this context, any error of a file system becomes a MachineError. Each has errors of its own."""
    try:
        yield
    except Exception as error:
        text = f"{url}: the checkpoint cannot be written or read: {type(error).__name__}: {first_line(error)}"
        raise MachineError(text, go_on_with=(OTHER_URL,)) from error


def file_system(url: str) -> Any:
    """Return the file system of a URL, as fsspec names it."""
    import fsspec

    return fsspec.core.url_to_fs(url)[0]


def first_line(error: Exception) -> str:
    """Return the first line of an error's text, or its class."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
