"""What a shell offers when Tab is pressed: spaces, backends, studies and other names. Verbs and options are from click.

Each function takes the context, the parameter and the beginning of a word, as click calls it. None of them imports
torch or optuna, so that Tab answers at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from hpo.study_names import recorded_study_names

Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]

PLOT_KINDS = (
    *("curves", "filters", "activations", "tsne", "misclassified", "confusion", "per_class", "samples"),
    "validation_test",
)
"""The kinds of figures. `hpo.figures.plot.KINDS` is the same, but takes long to import."""
KINDS = {
    "backend": "hpo.backends",
    "runner": "hpo.runners",
    "tracker": "hpo.trackers",
    "regime": "trainables.regimes",
    "model": "trainables.models",
    "dataset": "trainables.datasets",
    "augmentation": "trainables.augmentation.recipes",
}
"""The kinds of things that can be named in a space file or on the command line, and where they are found."""


def names_of(kind: str) -> dict[str, str]:
    """The names of a kind, and the module of each."""
    from hpo import plugins
    from hpo.plugins.declarations import own

    if kind == "augmentation":
        recipes = own(KINDS[kind], plugins.find)["augmentation"]
        return dict.fromkeys(map(str, recipes), KINDS[kind])
    return plugins.names(KINDS[kind])


def plug_ins(kind: str, *others: str) -> Complete:
    """Complete the names of a kind, such as `backend`, and some others."""
    return lambda ctx, param, start: _beginning(start, [*names_of(kind), *others])


def models(ctx: click.Context, param: click.Parameter, start: str) -> list[CompletionItem]:
    """Complete the last of the names of models with commas between them."""
    before, comma, last = start.rpartition(",")
    return [CompletionItem(before + comma + name) for name in names_of("model") if name.startswith(last)]


def plot_kinds(ctx: click.Context, param: click.Parameter, start: str) -> list[CompletionItem]:
    """Complete the kinds of figures."""
    return _beginning(start, PLOT_KINDS)


def described_kinds(ctx: click.Context, param: click.Parameter, start: str) -> list[CompletionItem]:
    """Complete the kinds of `hpo describe`."""
    return _beginning(start, KINDS)


def described_names(ctx: click.Context, param: click.Parameter, start: str) -> list[CompletionItem]:
    """Complete the names of the kind that is given to `hpo describe`."""
    kind: Any = ctx.params.get("kind")
    return _beginning(start, names_of(kind)) if kind in KINDS else []


def spaces(ctx: click.Context, param: click.Parameter, start: str) -> list[CompletionItem]:
    """Complete the names of the bundled spaces, and the YAML files and the folders that begin with `start`."""
    from hpo import spacefile

    return _beginning(start, [*spacefile.bundled(), *_yaml_files(start)])


def studies(ctx: click.Context, param: click.Parameter, start: str) -> list[CompletionItem]:
    """Complete the names of studies with a record in the folder of `--studies`. Those given already are left out."""
    folder = Path(ctx.params.get("studies") or "studies")
    given = ctx.params.get("names") or ()
    try:
        found = recorded_study_names(folder)
    except OSError:
        found = []
    return _beginning(start, [name for name in found if name not in given])


def _yaml_files(start: str) -> list[str]:
    """The YAML files and the folders whose paths begin with `start`. A folder ends with a slash."""
    head, slash, tail = start.rpartition("/")
    try:
        paths = sorted(Path(head + slash or ".").iterdir())
    except OSError:
        return []
    shown = [path for path in paths if not path.name.startswith(".") or tail.startswith(".")]
    files = [path for path in shown if path.is_dir() or path.suffix in (".yaml", ".yml")]
    return [f"{head}{slash}{path.name}{'/' if path.is_dir() else ''}" for path in files]


def _beginning(start: str, names: Iterable[str]) -> list[CompletionItem]:
    return [CompletionItem(name) for name in names if name.startswith(start)]
