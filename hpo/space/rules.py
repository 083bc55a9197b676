"""The rules of a search space. Each rule checks plain values and yields every problem that it finds.

A rule raises nothing. A problem consists of the keys that lead to a value and of a sentence that says what the value
is and what is allowed. `hpo/space/domains.py` and `hpo/space/search_space.py` raise the problems of one object with
`raise_problems`. `hpo/spacefile/reader.py` collects the problems of a whole file, each with its line.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from graphlib import CycleError, TopologicalSorter
from typing import Any

from hpo.errors import SpaceError, nearest
from hpo.space.objectives import RESERVED_NAMES, objective_problems, own_columns
from hpo.space.priors import choices_prior_problems, range_prior_problems
from hpo.space.values import (
    MAX_INT,
    comparison_key,
    count_problem,
    format_value,
    is_number,
    is_one_of,
    number_problem,
    scalar_problem,
    value_problem,
)
from hpo.trial import Value

When = Mapping[str, Sequence[Value]]
"""The conditions of a domain: it is active if each parent (key) has one of the listed values."""
Problem = tuple[tuple[str, ...], str]
"""The keys that lead to a value, and what is wrong with it."""


def raise_problems(problems: Iterable[Problem]) -> None:
    """Raise a SpaceError that lists all problems, one per line. Does nothing if there are none."""
    lines = [f"{'.'.join(path)}: {text}" for path, text in problems]
    if lines:
        raise SpaceError("\n".join(lines))


def range_problems(fields: Mapping[str, Any], *, whole: bool) -> Iterator[Problem]:
    """The problems of the fields of a range. `whole` says that it is a range of whole numbers."""
    valid: dict[str, Any] = {}
    for key in ("low", "high", "default"):
        value = fields.get(key)
        if key == "default" and value is None:
            continue
        if (text := number_problem(value, whole=whole)) is not None:
            yield (key,), text
        else:
            valid[key] = value
    log, points = fields.get("log", False), fields.get("points")
    if not isinstance(log, bool):
        yield ("log",), f"must be true or false, but is {format_value(log)}"
    elif log and "low" in valid and valid["low"] <= 0:
        yield ("low",), f"is {format_value(valid['low'])}; low > 0 must hold with log=true"
    if points is not None and (text := count_problem(points, 1)) is not None:
        yield ("points",), text
    yield from _order_problems(valid)
    yield from _step_problems(fields.get("step"), valid, log is True, whole=whole)
    yield from range_prior_problems(fields.get("prior"), valid, log=log is True)
    yield from when_problems(fields.get("when"))


def _step_problems(step: Any, valid: Mapping[str, Any], log: bool, *, whole: bool) -> Iterator[Problem]:
    """The problems of the step of a range. `valid` holds those of `low`, `high` and `default` that are numbers."""
    if step is None:
        return
    if (text := number_problem(step, whole=whole)) is not None:
        yield ("step",), text
    elif step <= 0:
        yield ("step",), f"must be above 0, but is {format_value(step)}"
    elif log:
        yield ("step",), f"is {format_value(step)}; a range with log=true has no step"
    elif "low" in valid and "high" in valid and valid["low"] <= valid["high"]:
        if (valid["high"] - valid["low"]) / step > MAX_INT:
            yield ("step",), f"is {format_value(step)}, too small for the range; there may be 2**53 steps at most"
            return
        low, high, size = (Decimal(str(number)) for number in (valid["low"], valid["high"], step))
        below = high - (high - low) % size
        if below != high:
            rule = f"is not low={_plain(low)} and a whole number of steps of {_plain(size)}"
            yield ("high",), f"{_plain(high)} {rule}; the nearest are {_plain(below)} and {_plain(below + size)}"
        elif "default" in valid and (Decimal(str(valid["default"])) - low) % size != 0:
            default = format_value(valid["default"])
            yield ("default",), f"{default} is not low={_plain(low)} and a whole number of steps of {_plain(size)}"


def _plain(number: Decimal) -> str:
    """A decimal number as a space file shows it: 0.3, 16 or 1e-05."""
    return f"{float(number):.12g}"


def _order_problems(valid: Mapping[str, Any]) -> Iterator[Problem]:
    """The problems of the order of `low`, `default` and `high`. Bounds that are not valid numbers are left out."""
    if "low" not in valid or "high" not in valid:
        return
    low, high = valid["low"], valid["high"]
    if low > high:
        yield ("low",), f"{format_value(low)} is above high={format_value(high)}; low <= high must hold"
    elif "default" in valid and not low <= valid["default"] <= high:
        yield ("default",), f"{format_value(valid['default'])} lies outside the range from low={low} to high={high}"


def choices_problems(fields: Mapping[str, Any]) -> Iterator[Problem]:
    """The problems of the fields of a list of choices."""
    choices, default = fields.get("choices"), fields.get("default")
    known = None
    if not isinstance(choices, list | tuple) or not choices:
        yield ("choices",), f"must be a list of at least one value, but is {format_value(choices)}"
    elif texts := [text for choice in choices if (text := value_problem(choice)) is not None]:
        yield from ((("choices",), f"each choice {text}") for text in texts)
    else:
        known = choices
        times = Counter(map(comparison_key, choices))
        repeated = {key: value for value in choices if times[key := comparison_key(value)] > 1}
        for choice in repeated.values():
            yield ("choices",), f"{format_value(choice)} stands in it twice; choices must differ from each other"
        if default is not None and not (value_problem(default) is None and is_one_of(default, choices)):
            yield ("default",), f"{format_value(default)} is no choice; one of {format_value(choices)} is allowed"
    yield from choices_prior_problems(fields.get("prior"), known)
    yield from when_problems(fields.get("when"))


def when_problems(when: Any) -> Iterator[Problem]:
    """The problems of the form of a domain's conditions. `condition_problems` checks them against the parents."""
    if when is None:
        return
    if not isinstance(when, Mapping):
        example = "{optimizer: [sgd, nag]}"
        yield ("when",), f"must name parents and their values, as {example}, but is {format_value(when)}"
        return
    for parent, allowed in when.items():
        if not isinstance(allowed, list | tuple) or not allowed:
            yield ("when", str(parent)), f"must be a list of at least one value, but is {format_value(allowed)}"
        else:
            for value in allowed:
                if (text := value_problem(value)) is not None:
                    yield ("when", str(parent)), f"each value {text}"


def fidelity_problems(fields: Mapping[str, Any]) -> Iterator[Problem]:
    """The problems of the fields of a fidelity."""
    valid: dict[str, Any] = {}
    for key, least in (("low", 1), ("high", 1), ("eta", 2)):
        if (text := count_problem(fields.get(key), least)) is not None:
            yield (key,), text
        else:
            valid[key] = fields[key]
    yield from _order_problems(valid)
    if fields.get("unit") != "epoch":
        yield ("unit",), f"must be epoch, but is {format_value(fields.get('unit'))}"


def validation_problems(fields: Mapping[str, Any]) -> Iterator[Problem]:
    """The problems of the fields of a validation split."""
    fraction, folds = fields.get("fraction"), fields.get("folds")
    if folds is not None:
        if (text := count_problem(folds, 2)) is not None:
            yield ("folds",), text
        if fraction is not None:
            yield ("fraction",), "stands beside `folds`; validation is a fraction or folds"
    elif not is_number(fraction) or not 0 < fraction < 1:
        yield ("fraction",), f"must be a number above 0 and below 1, but is {format_value(fraction)}"
    if (text := count_problem(fields.get("seed"), 0)) is not None:
        yield ("seed",), text
    group = fields.get("group")
    if group is not None and not (isinstance(group, str) and group):
        rule = "must be `folder`, a regular expression on the names of the files, or what the data set knows"
        yield ("group",), f"{rule}; is {format_value(group)}"


def group_problems(group: object, options: Mapping[str, Any]) -> Iterator[Problem]:
    """The problems of two different groups: that of `task.validation`, and that in the options of the data set."""
    other = options.get("group")
    if group is not None and other is not None and group != other:
        yield (
            ("validation", "group"),
            f"is {format_value(group)}, but `task.dataset.group` is {format_value(other)}; give one of them",
        )


def task_problems(fields: Mapping[str, Any]) -> Iterator[Problem]:
    """The problems of the names in a task. The regime and the model may be missing, the weights may not."""
    for key in ("regime", "model", "weights"):
        name = fields.get(key)
        if not (isinstance(name, str) and name) and not (name is None and key != "weights"):
            yield (key,), f"must be a name, but is {format_value(name)}"


def data_problems(fields: Mapping[str, Any]) -> Iterator[Problem]:
    """The problems of the form of a data set's name, options and merged classes.

    `hpo.plugins.data_problems` checks the options against those that the data set declares.
    """
    name = fields.get("name")
    if not (isinstance(name, str) and name):
        yield ("name",), f"must be a name, but is {format_value(name)}"
    for key, value in fields.get("options", {}).items():
        if (text := scalar_problem(value)) is not None:
            yield (key,), f"{text}; classes are joined by `merged_classes`" if isinstance(value, Mapping) else text
    merged = fields.get("merged_classes", {})
    if not isinstance(merged, Mapping) or len(merged) == 1:
        yield (
            ("merged_classes",),
            f"must name two classes or more, as {{small: [cat, dog], large: [horse]}}; is {format_value(merged)}",
        )
        return
    for name, names in merged.items():
        if not isinstance(name, str):
            yield ("merged_classes",), f"the key {format_value(name)} must be a name"
        elif not isinstance(names, list | tuple) or not names or not all(isinstance(item, str) for item in names):
            yield ("merged_classes", str(name)), f"must be a list of names of classes, but is {format_value(names)}"


def space_problems(domains: Collection[str], fixed: Mapping[str, Any], objective: object) -> Iterator[Problem]:
    """The problems of a whole space: clashes of names, fixed values and the objective. Conditions are not checked."""
    if not domains:
        yield ("space",), "is empty; a search needs at least one hyperparameter"
    for name in sorted({*RESERVED_NAMES, *own_columns(str(objective))} & set(domains)):
        yield ("space", name), "is the name of a column of the result; choose another"
    for name, value in fixed.items():
        if name in domains:
            yield ("fixed", name), "is searched too; a hyperparameter is searched or fixed"
        text = value_problem(value)
        if name in ("patience", "window") and value is not None:
            text = text or count_problem(value, 1)
        if text is not None and isinstance(value, Mapping) and "prior" in value:
            text += "; a hyperparameter with a prior is searched, and stands in `space`"
        if text is not None:
            yield ("fixed", name), text
    yield from objective_problems(objective)


def condition_problems(
    conditions: Mapping[str, When],
    choices: Mapping[str, Sequence[Value] | None],
    constants: Mapping[str, Value],
    unsure: Collection[str] = (),
) -> Iterator[Problem]:
    """The problems of the conditions of all domains.

    Args:
        conditions: the conditions of each domain.
        choices: the choices of each domain, None for a range.
        constants: the values of the names that are fixed and not searched.
        unsure: the domains that have problems of their own. Conditions on them are not checked.
    """
    for name, when in conditions.items():
        for parent, allowed in when.items():
            path, offered = ("space", name, "when", parent), choices.get(parent)
            if parent in unsure:
                continue
            if parent in constants and parent not in choices:
                text = f"{parent} is not searched, but always {format_value(constants[parent])}"
                yield path, f"{text}; leave this condition out, or name a searched one with choices"
            elif parent not in choices:
                known = [other for other, values in choices.items() if values is not None]
                yield path, f"no hyperparameter {parent!r} is searched{nearest(parent, known)}"
            elif offered is None:
                yield path, f"{parent} is a range; a condition can only name a hyperparameter with choices"
            else:
                for value in allowed:
                    if not is_one_of(value, offered):
                        hint = nearest(str(value), map(str, offered))
                        yield path, f"{format_value(value)} is no choice of {parent}{hint}"
    try:
        TopologicalSorter({name: when.keys() for name, when in conditions.items()}).prepare()
    except CycleError as error:
        cycle = error.args[1]
        yield ("space", cycle[-1], "when"), f"goes round in a circle: {' -> '.join(reversed(cycle))}"
