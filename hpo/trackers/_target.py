"""Targets: which tracker, and where it sends to, as in `--track mlflow=http://127.0.0.1:5000`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from hpo import plugins
from hpo.errors import UserError
from hpo.plugins import declarations
from hpo.trackers._tracker import TrackedStudy, Tracker

PACKAGE = "hpo.trackers"


@dataclass(frozen=True)
class Target:
    """A tracker and where it sends to."""

    kind: str
    """The name of the tracker."""
    where: str | None = None
    """A URL, a folder, or what else the tracker takes. None for its default."""

    def __str__(self) -> str:
        return self.kind if self.where is None else f"{self.kind}={self.where}"

    def build(self, study: TrackedStudy) -> Tracker:
        """Build the tracker. It may raise any error."""
        tracker: Tracker = plugins.load(PACKAGE, self.kind).build(study, self.where)
        return tracker


def parse(text: object) -> Target:
    """Read a target that is written as `mlflow` or `mlflow=http://127.0.0.1:5000`.

    Raises a UserError if nothing stands after `=`, or if a URL has a password, which would be recorded.
    """
    if not isinstance(text, str):
        raise UserError(f"a tracker must be a text such as 'tensorboard', but is {text!r}")
    kind, equals, where = text.partition("=")
    if equals and not where:
        raise UserError(f"tracker {text}: nothing stands after the =; write {kind}, or {kind}=WHERE")
    if "://" in where and urlsplit(where).password:
        raise UserError(
            f"tracker {kind}: the URL holds a password, which would be recorded; "
            "give it in the environment, such as $MLFLOW_TRACKING_PASSWORD"
        )
    return Target(kind, where or None)


def check(text: object) -> Target:
    """Read a target, and check that its tracker and the package that it needs are installed. Neither is imported.

    Raises the errors of `parse`, an UnknownName if there is no such tracker, and a UserError if its package is missing.
    """
    target = parse(text)
    package = declarations.requires(plugins.module_name(PACKAGE, target.kind), plugins.find)
    if package is not None and plugins.find(package) is None:
        raise UserError(
            f"tracker {target.kind!r} needs {package}, which is not installed"
            f"{plugins.install_hint(PACKAGE, target.kind)}"
        )
    return target


def recorded(text: object) -> str:
    """A target in the form in which a study records it. The path of a folder is absolute.

    Raises the errors of `check`.
    """
    target = check(text)
    if target.where is not None and target.kind == "tensorboard":
        target = Target(target.kind, str(Path(target.where).expanduser().absolute()))
    return str(target)
