"""Targets: which tracker, and where it sends to, as in `--track mlflow=http://127.0.0.1:5000`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from hpo import plugins
from hpo.errors import UserError
from hpo.plugins import traits
from hpo.trackers._tracker import TrackedStudy, Tracker

PACKAGE = plugins.TRACKERS
NONE = "none"
"""What stands for no tracker, as in `hpo resume NAME --track none`."""


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

    def place(self, study: TrackedStudy) -> str | None:
        """Where the user finds the trials of a study. None if the tracker does not say it."""
        place = getattr(plugins.load(PACKAGE, self.kind), "place", None)
        return None if place is None else str(place(study, self.where))


def parse(text: object) -> Target:
    """Read a target that is written as `mlflow` or `mlflow=http://127.0.0.1:5000`.

    Raises a UserError if nothing stands after `=`, or if a URL is none or has a password, which would be recorded.
    """
    if not isinstance(text, str):
        raise UserError(f"a tracker must be a text such as 'tensorboard', but is {text!r}")
    kind, equals, where = text.partition("=")
    if equals and not where:
        raise UserError(f"tracker {text}: nothing stands after the =; write {kind}, or {kind}=WHERE")
    if "://" in where:
        try:
            url = urlsplit(where)
            _ = url.port  # raises a ValueError if it is no number of a port
        except ValueError as error:
            raise UserError(f"tracker {kind}: {where.rpartition('@')[2]} is no URL: {error}") from None
        if url.password:
            raise UserError(
                f"tracker {kind}: the URL holds a password, which would be recorded; "
                "give it in the environment, such as $MLFLOW_TRACKING_PASSWORD"
            )
    return Target(kind, where or None)


def check(text: object) -> Target:
    """Read a target, with absolute paths, and check that it can be used. The tool itself is not imported.

    Raises the errors of `parse`, an UnknownName if there is no such tracker, and a UserError if its package is missing
    or if the tracker refuses what is written after `=`.
    """
    target = parse(text)
    package = traits.requires(plugins.module_name(PACKAGE, target.kind), plugins.find)
    if package is not None and plugins.find(package) is None:
        raise UserError(
            f"tracker {target.kind!r} needs {package}, which is not installed"
            f"{plugins.install_hint(PACKAGE, target.kind)}"
        )
    check_where = getattr(plugins.load(PACKAGE, target.kind), "check", None)
    where = None if check_where is None else check_where(target.where)
    return target if where is None else replace(target, where=where)


def recorded(texts: Iterable[object]) -> tuple[str, ...]:
    """Targets in the form in which a study records them: with absolute paths, and each once. `none` stands for none.

    Raises the errors of `check`, and a UserError if a tracker sends to two places, or if more stands beside `none`.
    """
    given = list(texts)
    if NONE in given:
        if len(set(map(str, given))) > 1:
            raise UserError(f"trackers: {NONE} stands for no tracker, so leave the others out")
        return ()
    targets: dict[str, Target] = {}
    for target in map(check, given):
        other = targets.setdefault(target.kind, target)
        if other != target:
            raise UserError(
                f"tracker {target.kind} is given twice, as {other} and {target}; a search sends to one place of each "
                "kind, and `hpo track` to others"
            )
    return tuple(map(str, targets.values()))
