"""The rules of a search space, on plain values: each finds all that is wrong, none raises.

A rule yields a Problem for everything it finds: the keys that lead to it, and a sentence that says
what the value is and what is allowed. `hpo/space/domains.py` and `hpo/space/search_space.py` raise the problems of one
value (`demand`); `hpo/spacefile/reader.py` collects those of a whole file, each with its line.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from typing import Any

from hpo.errors import SpaceError, nearest
from hpo.space.values import count_problem, holds, identity, is_number, number_problem, scalar_problem, shown
from hpo.trial import Scalar

When = Mapping[str, Sequence[Scalar]]
"""The conditions of a domain: it is active where each named parent holds one of these values."""

Problem = tuple[tuple[str, ...], str]
"""The keys that lead to a value, and what is wrong with it."""

OBJECTIVES = ("val_loss", "val_error")

METRICS = ("train_loss", "train_accuracy", "val_loss", "val_accuracy")
TESTS = ("test_accuracy", "test_accuracy_std", "test_loss", "test_seeds")
TAKEN = frozenset(
    (*METRICS, *TESTS, "trial", "state", "loss", "stopping_epoch", "epochs", "bracket", "seconds", "error")
)
"""The columns of a study's table: no hyperparameter can have such a name."""


def demand(problems: Iterable[Problem]) -> None:
    """Raise a SpaceError that names all problems, one a line; nothing where there are none."""
    lines = [f"{'.'.join(path)}: {text}" for path, text in problems]
    if lines:
        raise SpaceError("\n".join(lines))


def range_problems(fields: Mapping[str, Any], *, whole: bool) -> Iterator[Problem]:
    """What is wrong with the fields of a range; `whole` for one of whole numbers."""
    sound: dict[str, Any] = {}
    for key in ("low", "high", "default"):
        value = fields.get(key)
        if key == "default" and value is None:
            continue
        if (text := number_problem(value, whole=whole)) is not None:
            yield (key,), text
        else:
            sound[key] = value
    log, points = fields.get("log", False), fields.get("points")
    if not isinstance(log, bool):
        yield ("log",), f"must be true or false, but is {shown(log)}"
    elif log and "low" in sound and sound["low"] <= 0:
        yield ("low",), f"is {shown(sound['low'])}; low > 0 must hold with log=true"
    if points is not None and (text := count_problem(points, 1)) is not None:
        yield ("points",), text
    yield from _order_problems(sound)
    yield from when_problems(fields.get("when"))


def _order_problems(sound: Mapping[str, Any]) -> Iterator[Problem]:
    if "low" not in sound or "high" not in sound:
        return
    low, high = sound["low"], sound["high"]
    if low > high:
        yield ("low",), f"{shown(low)} is above high={shown(high)}; low <= high must hold"
    elif "default" in sound and not low <= sound["default"] <= high:
        yield ("default",), f"{shown(sound['default'])} lies outside the range from low={low} to high={high}"


def choices_problems(fields: Mapping[str, Any]) -> Iterator[Problem]:
    """What is wrong with the fields of a list of choices."""
    choices, default = fields.get("choices"), fields.get("default")
    if not isinstance(choices, list | tuple) or not choices:
        yield ("choices",), f"must be a list of at least one value, but is {shown(choices)}"
    elif texts := [text for choice in choices if (text := scalar_problem(choice)) is not None]:
        yield from ((("choices",), f"each choice {text}") for text in texts)
    else:
        twice = {identity(choice): choice for i, choice in enumerate(choices) if holds(choice, choices[:i])}
        for choice in twice.values():
            yield ("choices",), f"{shown(choice)} stands in it twice; choices must differ from each other"
        if default is not None and not (scalar_problem(default) is None and holds(default, choices)):
            yield ("default",), f"{shown(default)} is no choice; one of {shown(choices)} is allowed"
    yield from when_problems(fields.get("when"))


def when_problems(when: Any) -> Iterator[Problem]:
    """What is wrong with the form of a domain's conditions; `condition_problems` knows the parents."""
    if when is None:
        return
    if not isinstance(when, Mapping):
        yield ("when",), f"must name parents and their values, as {{optimizer: [sgd, nag]}}, but is {shown(when)}"
        return
    for parent, allowed in when.items():
        if not isinstance(allowed, list | tuple) or not allowed:
            yield ("when", str(parent)), f"must be a list of at least one value, but is {shown(allowed)}"
        else:
            for value in allowed:
                if (text := scalar_problem(value)) is not None:
                    yield ("when", str(parent)), f"each value {text}"


def fidelity_problems(fields: Mapping[str, Any]) -> Iterator[Problem]:
    """What is wrong with the fields of a fidelity."""
    sound: dict[str, Any] = {}
    for key, least in (("low", 1), ("high", 1), ("eta", 2)):
        if (text := count_problem(fields.get(key), least)) is not None:
            yield (key,), text
        else:
            sound[key] = fields[key]
    yield from _order_problems(sound)
    if fields.get("unit") != "epoch":
        yield ("unit",), f"must be epoch, but is {shown(fields.get('unit'))}"


def validation_problems(fields: Mapping[str, Any]) -> Iterator[Problem]:
    """What is wrong with the fields of a validation split."""
    fraction, folds = fields.get("fraction"), fields.get("folds")
    if folds is not None:
        if (text := count_problem(folds, 2)) is not None:
            yield ("folds",), text
        if fraction is not None:
            yield ("fraction",), "stands beside `folds`; validation is a fraction or folds"
    elif not is_number(fraction) or not 0 < fraction < 1:
        yield ("fraction",), f"must be a number above 0 and below 1, but is {shown(fraction)}"
    if (text := count_problem(fields.get("seed"), 0)) is not None:
        yield ("seed",), text


def task_problems(fields: Mapping[str, Any]) -> Iterator[Problem]:
    """What is wrong with the names of a task; each may be absent, but for the weights."""
    for key in ("regime", "model", "weights"):
        name = fields.get(key)
        if not (isinstance(name, str) and name) and not (name is None and key != "weights"):
            yield (key,), f"must be a name, but is {shown(name)}"


def data_problems(fields: Mapping[str, Any]) -> Iterator[Problem]:
    """What is wrong with the form of a data set's name, options and groups; its own file knows its options."""
    name = fields.get("name")
    if not (isinstance(name, str) and name):
        yield ("name",), f"must be a name, but is {shown(name)}"
    for key, value in fields.get("options", {}).items():
        if (text := scalar_problem(value)) is not None:
            yield (key,), text
    groups = fields.get("groups", {})
    if not isinstance(groups, Mapping) or len(groups) == 1:
        yield (
            ("groups",),
            f"must name two classes or more, as {{small: [cat, dog], large: [horse]}}; is {shown(groups)}",
        )
        return
    for group, names in groups.items():
        if not isinstance(group, str):
            yield ("groups",), f"the key {shown(group)} must be a name"
        elif not isinstance(names, list | tuple) or not names or not all(isinstance(each, str) for each in names):
            yield ("groups", str(group)), f"must be a list of names of classes, but is {shown(names)}"


def space_problems(domains: Collection[str], fixed: Mapping[str, Any], objective: object) -> Iterator[Problem]:
    """What is wrong between the parts of a space, its conditions left out."""
    if not domains:
        yield ("space",), "is empty; a search needs at least one hyperparameter"
    for name in sorted(TAKEN & set(domains)):
        yield ("space", name), "is the name of a column of the result; choose another"
    for name, value in fixed.items():
        if name in domains:
            yield ("fixed", name), "is searched too; a hyperparameter is searched or fixed"
        text = scalar_problem(value)
        if name in ("patience", "window") and value is not None:
            text = text or count_problem(value, 1)
        if text is not None:
            yield ("fixed", name), text
    if objective not in OBJECTIVES:
        yield ("objective",), f"{shown(objective)} is unknown{nearest(str(objective), OBJECTIVES)}"


def condition_problems(
    conditions: Mapping[str, When],
    choices: Mapping[str, Sequence[Scalar] | None],
    constants: Mapping[str, Scalar],
    unsure: Collection[str] = (),
) -> Iterator[Problem]:
    """What is wrong with the conditions of all domains.

    `choices` holds what each domain offers, None for a range; `constants` the names that have one
    value throughout; `unsure` the domains that are broken themselves, of which nothing is asked.
    """
    for name, when in conditions.items():
        for parent, allowed in when.items():
            path, offered = ("space", name, "when", parent), choices.get(parent)
            if parent in unsure:
                continue
            if parent in constants and parent not in choices:
                yield path, f"{parent} is not searched, but always {shown(constants[parent])}; name one with choices"
            elif parent not in choices:
                known = [each for each, values in choices.items() if values is not None]
                yield path, f"no hyperparameter {parent!r} is searched{nearest(parent, known)}"
            elif offered is None:
                yield path, f"{parent} is a range; a condition can only name a hyperparameter with choices"
            else:
                for value in allowed:
                    if not holds(value, offered):
                        yield path, f"{shown(value)} is no choice of {parent}{nearest(str(value), map(str, offered))}"
    try:
        TopologicalSorter({name: when.keys() for name, when in conditions.items()}).prepare()
    except CycleError as error:
        circle = error.args[1]
        yield ("space", circle[-1], "when"), f"goes round in a circle: {' -> '.join(reversed(circle))}"
