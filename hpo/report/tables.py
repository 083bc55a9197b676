"""The tables of a report, as rows of text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hpo.heldout import per_class
from hpo.heldout.confusion import ConfusionMatrix
from hpo.heldout.trial_result import Spread
from hpo.importance.words import value_text
from hpo.quantities import with_plural
from hpo.record import configuration
from hpo.report.content import Content
from hpo.results import table
from hpo.results.confidence_text import with_interval_text
from hpo.results.rendering import cell
from hpo.space.objectives import searched_metric

N_BEST = 10
"""The number of trials in the table of the best."""
N_CONFUSED = 10
"""The number of confusions in their table."""
N_CLASSES = 200
"""The largest number of rows in the table of classes: those with the lowest recall."""


@dataclass(frozen=True)
class Table:
    """A table of text."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    details: Sequence[str] = ()
    """A text below each row, over the whole width, where it cannot be cut off. Empty if the rows have none."""


def best(content: Content) -> Table:
    """The best trials: their objective with its interval, their other results, and below them their configurations."""
    space = content.study.space
    frame = table(content.study, (content.history, content.finished)).dropna(subset=["loss"]).head(N_BEST)
    frame = with_interval_text(frame, content.confidence)
    shown = frame.map(cell)
    if "test_accuracy" in frame:
        tested = {each.trial: each.test_accuracy.text for each in content.test.trials}
        shown["test_accuracy"] = [tested.get(trial, "") for trial in frame["trial"]]
    epochs = zip(shown["stopping_epoch"], shown["epochs"], strict=True)
    shown["best epoch"] = [f"{stop} of {n}" for stop, n in epochs]
    shown[space.metric] = shown["loss"]
    names = [space.metric, "interval", "val_accuracy", "val_loss", f"val_{searched_metric(space.objective)}"]
    names += ["test_accuracy", f"test_{searched_metric(space.objective)}", "best epoch"]
    columns = ["trial", *(name for name in dict.fromkeys(names) if name in shown), "state"]
    configurations = [configuration(content.history.trials[trial].config) for trial in frame["trial"]]
    return Table([name.replace("_", " ") for name in columns], shown[columns].to_numpy().tolist(), configurations)


def classes(matrices: Sequence[ConfusionMatrix]) -> Table:
    """The held-out results of each class, the lowest recall first."""
    results = per_class.results(matrices)
    known = sorted(
        (each for each in results if each.recall.is_finite), key=lambda each: (each.recall.mean, each.f1.mean)
    )
    rows = [
        [each.name, f"{each.support:,}", *map(_share, (each.precision, each.recall, each.f1))]
        for each in known[:N_CLASSES]
    ]
    return Table(("class", "images", "precision", "recall", "F1"), rows)


def _share(spread: Spread) -> str:
    return f"{spread.mean:.3f}" + (f" ± {spread.std:.3f}" if spread.std is not None else "")


def confused(matrices: Sequence[ConfusionMatrix]) -> Table:
    """The most frequent confusions of two classes, as means over seeds."""
    names = matrices[0].classes
    counts = np.mean([matrix.counts for matrix in matrices], axis=0)
    totals = counts.sum(axis=1)
    wrong = counts * ~np.eye(len(names), dtype=bool)
    places = np.argsort(-wrong, axis=None, kind="stable")[:N_CONFUSED]
    rows = []
    for place in places.tolist():
        i, j = divmod(place, len(names))
        if wrong[i, j] > 0:
            rows.append([names[i], names[j], f"{wrong[i, j]:.3g}", f"{wrong[i, j] / totals[i]:.0%}"])
    return Table(("true class", "predicted as", "images", "share of the class"), rows)


def hyperparameters(content: Content) -> Table:
    """The searched hyperparameters with their domains, then the fixed ones."""
    space = content.study.space
    rows = []
    for name, domain in space.domains.items():
        when = " and ".join(f"{parent} is {' or '.join(map(str, values))}" for parent, values in domain.when.items())
        rows.append([name, _domain_words(domain), f"only if {when}" if when else ""])
    rows += [[name, value_text(value), "fixed"] for name, value in space.fixed.items()]
    return Table(("hyperparameter", "values", ""), rows)


def _domain_words(domain: object) -> str:
    choices = getattr(domain, "choices", None)
    if choices is not None:
        return ", ".join(map(value_text, choices))
    low, high = getattr(domain, "low", None), getattr(domain, "high", None)
    return f"{low:g} to {high:g}" + ", on a logarithmic scale" * bool(getattr(domain, "log", False))


def origin(content: Content) -> Table:
    """The data, the seed, the machine and the versions of a study, and the looks at its held-out data."""
    study, made = content.study, content.study.made
    rows = [("data", _data_words(content)), ("seed", str(study.settings.seed)), ("backend", study.settings.backend)]
    rows.append(("validation", _validation_words(content)))
    looks = with_plural(content.test.n_looks, "look")
    rows.append(("held-out data", looks if content.test.n_looks else "never looked at"))
    for tested in content.test.ranked():
        seeds = ", ".join(map(str, tested.seeds))
        words = f"accuracy {tested.test_accuracy.text}, loss {tested.test_loss.text}"
        rows.append((f"test of trial {tested.trial}", f"{words} ({tested.protocol}, seeds {seeds})"))
    rows.append(("begun", str(made.get("at", "unknown"))))
    machine = f"{made.get('machine', 'unknown')}, {made.get('cores', '?')} cores, Python {made.get('python', '?')}"
    rows.append(("machine", f"{machine}; slots {', '.join(map(str, made.get('slots', []))) or 'none'}"))
    if made.get("commit"):
        rows.append(("git commit of the working directory", str(made["commit"])))
    rows.append(("versions", ", ".join(f"{name} {value}" for name, value in made.get("versions", {}).items())))
    return Table((), rows)


def _data_words(content: Content) -> str:
    """The data set, and how many images are in each part."""
    if content.is_simulated:
        return f"learning curves of {content.study.settings.curves}; nothing was trained"
    dataset = content.study.space.task.dataset
    if dataset is None:
        return "none: the training code brings its own"
    options = ", ".join(f"{key} {value}" for key, value in dataset.options.items())
    name = f"{dataset.name}{f' ({options})' if options else ''}"
    notes = content.data.get("notes", []) if content.data else []
    return "; ".join([name, *map(str, notes)])


def _validation_words(content: Content) -> str:
    parts = content.study.space.task.validation.to_dict()
    return ", ".join(f"{key} {value}" for key, value in parts.items()) or "given"
