"""What makes two searches the same search, and the names of studies."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hpo.errors import UserError
from hpo.record.settings import Settings
from hpo.space import SearchSpace
from hpo.space.given_values import with_defaults
from hpo.space.values import with_lists

OBJECTIVE = "objective code"
"""The key of `identity` for the digest of the user's function that is the objective. It is absent without one."""

TRAINABLE = "trainable"
"""The key of `identity` for the digest of the user's own training code. It is absent if a regime is trained."""

MAX_LENGTH = 200
"""The longest name of a study, in characters. Most file systems allow 255 for a folder."""

CURVES = "curves"
"""The key of `identity` for the digest of the learning curves of a simulated search. It is absent if trials train."""

FIRST = "first configurations"
"""The key of `identity` for the configurations that the user wants to try first. It is absent if there are none."""

FROM = "earlier study"
"""The key of `identity` for the earlier study that informs the search. It is absent without one."""

TOP = "top"
"""The key of `identity` for the number of the best trials of the earlier study to try first. It is absent if none was
given and the backend chooses by itself."""


def identity(
    space: SearchSpace,
    settings: Settings,
    trainable_digest: str | None = None,
    objective_digest: str | None = None,
) -> dict[str, Any]:
    """The space, backend, options, seed, training code, code of the objective, curves, first configurations and earlier
    study of a search.

    If all are equal, it is the same search. `trainable_digest` identifies the user's own training code, and
    `objective_digest` the user's function that is the objective; None without it. The first configurations do not
    include the defaults of the space, which belong to the space, nor the best trials of the earlier study.
    """
    defaults, source = with_defaults(space, {}), settings.from_study
    first = [{name: with_lists(each[name]) for name in each} for each in settings.try_first if each != defaults]
    return {
        "space": space.digest(),
        "backend": settings.backend,
        "options": dict(settings.options),
        "seed": settings.seed,
        **({TRAINABLE: trainable_digest} if trainable_digest is not None else {}),
        **({OBJECTIVE: objective_digest} if objective_digest is not None else {}),
        **({CURVES: settings.curves_digest} if settings.curves_digest is not None else {}),
        **({FIRST: first} if first else {}),
        **({FROM: f"{source.study} {source.digest}"} if source is not None else {}),
        **({TOP: source.top} if source is not None and source.top is not None else {}),
    }


def differing(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """The keys in which two identities differ."""
    return [key for key in {**before, **after} if before.get(key) != after.get(key)]


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """How the identity of an existing study differs from that of a new search: "another space, other options"."""
    words = {"options": "other options", FIRST: "other first configurations", TRAINABLE: "other training code"}
    words[TOP] = "another `top` of its earlier study"
    words[OBJECTIVE] = "other code of its objective"
    words[CURVES] = "other curves" if CURVES in before and CURVES in after else "curves in only one of the two"
    if TRAINABLE not in after:
        words[TRAINABLE] = "training code of its own, but this search was given none"
    if TRAINABLE not in before:
        words[TRAINABLE] = "the regime of its space, but this search was given training code"
    return ", ".join(words.get(key, f"another {key}") for key in differing(before, after))


def free_name(folder: Path) -> str:
    """A name that is still free beside a study, such as "flowers-2"."""
    stem = valid_name(folder.name)[: MAX_LENGTH - 5]
    return next(name for n in range(2, 10_000) if not (folder.parent / (name := f"{stem}-{n}")).exists())


def valid_name(text: str) -> str:
    """Make the name of a study from any text: other characters become "-", and the end of a long text is cut off."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", re.sub(r"[^A-Za-z0-9._-]+$", "", text)).lstrip("._-")
    return name[:MAX_LENGTH] or "study"


def check_name(name: str) -> str:
    """Return the name of a study. Raises a UserError if no folder should have it."""
    if isinstance(name, str) and len(name) > MAX_LENGTH:
        raise UserError(f"study {name[:20] + '...'!r}: a name has at most {MAX_LENGTH} characters, but has {len(name)}")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", str(name)) or not isinstance(name, str):
        raise UserError(
            f"study {name!r}: a name has letters, digits, '.', '_' and '-', and begins with a letter or digit; "
            "without a name, a study is named after its space"
        )
    return name


def other_code(folder: Path, recorded: str | None, digest: str | None) -> str:
    """Return what to do about a study that was begun with other training code than that of `digest`, as an error says.

    `recorded` is the digest of the code that the study in `folder` was begun with. None stands for the regime of the
    space.
    """
    study = f"study {folder.name!r} in {folder.parent}"
    if digest is None:
        return (
            f"{study} was searched with training code of its own: open it from Python with that code, "
            f"as hpo.open_study({str(folder)!r}, trainable=...)"
        )
    if recorded is None:
        return f"{study} was searched with the regime of its space: leave `trainable` out"
    return (
        f"{study} was begun with other training code: search under another name, "
        f"such as {free_name(folder)!r}, or bring the old code back"
    )
