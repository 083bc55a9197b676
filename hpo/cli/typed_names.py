"""Names of plug-ins as they are typed: which kind has a name, and whether there is a variant such as `timm:NAME`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from hpo.cli.completion import KINDS, names_of
from hpo.errors import UnknownName, UserError, nearest, shortened


def find_kind(name: str, others: Iterable[str] = ()) -> str:
    """The kind that has a name, such as `regime` for `lora`. `timm:resnet18` is of the kind of `timm`.

    `others` are further names that may have been meant, such as those of hyperparameters.
    Raises UserError if several kinds have it, and UnknownName if none has it.
    """
    kinds = kinds_with(name)
    if len(kinds) > 1:
        commands = " or ".join(f"`hpo describe {kind} {name}`" for kind in kinds)
        raise UserError(f"{name} is {' and '.join(map(with_article, kinds))}: type {commands}")
    if kinds:
        return kinds[0]
    known = sorted({*KINDS, *others, *(each for kind in KINDS for each in names_of(kind))})
    raise UserError(f"unknown kind or name {shortened(repr(name))}{_of_a_space(name) or nearest(name, known)}")


def kinds_with(name: str) -> list[str]:
    """The kinds that have a name."""
    return [kind for kind in KINDS if name.partition(":")[0] in names_of(kind)]


def check_kind(kind: str, name: str | None) -> None:
    """Raise an UnknownName if there is no such kind. It says what to type if the words are in the other order."""
    if kind in KINDS:
        return
    if name is not None and name in KINDS and kind in names_of(name):
        raise UserError(f"the kind comes first: `hpo describe {name} {kind}`")
    raise UnknownName("kind", kind, KINDS)


def check_name(kind: str, name: str) -> None:
    """Raise a UserError if a kind has no plug-in, or no variant of a family, of this name.

    It says which other kinds have the name. A variant imports its family.
    """
    from hpo import plugins

    if kind == "augmentation":
        if name not in names_of(kind):
            raise UserError(f"{UnknownName(kind, name, names_of(kind))}{_other_kinds(name)}")
        return
    try:
        plugins.module_name(KINDS[kind], name)
    except UnknownName as error:
        raise UserError(f"{error}{_other_kinds(name)}") from None
    if ":" in name:
        load(KINDS[kind], name)


def load(package: str, name: str, *, option: str = "") -> Any:
    """Import a plug-in, such as `timm:resnet18`. A UserError if there is none, or a package that it needs is missing.

    `option` is the option of the command line that gave the name. The error begins with it.
    """
    from hpo import plugins
    from trainables.errors import SetupError

    try:
        return plugins.load(package, name)
    except SetupError as error:
        raise UserError(f"{option} {shortened(name)}: {error}" if option else str(error)) from error


def with_article(kind: str) -> str:
    """A kind with its article: a regime, an augmentation."""
    return f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}"


def _other_kinds(name: str) -> str:
    """The end of a message about a name that other kinds have. Empty if none has it."""
    return "".join(f"; {name} is {with_article(kind)}: `hpo describe {kind} {name}`" for kind in kinds_with(name))


def _of_a_space(name: str) -> str:
    """The end of a message about the name of a bundled space. Empty if there is no such space."""
    from hpo import spacefile

    return f"; it is a bundled space: `hpo describe --space {name}`" if name in spacefile.bundled() else ""
