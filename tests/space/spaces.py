"""Strategies that draw any sound search space, for tests that state what holds for all of them."""

import json
from decimal import Decimal
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from hpo.space import Categorical, DatasetSpec, Domain, Fidelity, Float, Int, SearchSpace, Task, Validation
from hpo.space.values import comparison_key
from hpo.trial import Scalar, Value

FEW = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""For a shared machine: enough examples to find a fault, and none fails for being slow."""

TEXTS = st.text(st.characters(categories=["L", "N", "P", "Zs"]), min_size=1, max_size=8)
NAMES = st.from_regex(r"[a-z][a-z0-9_]{0,6}", fullmatch=True).filter(lambda name: name not in ("regime", "model"))
FINITE = st.floats(-1e6, 1e6, allow_subnormal=False).map(lambda value: value + 0.0)  # without -0.0
SCALARS: st.SearchStrategy[Scalar] = st.one_of(st.none(), st.booleans(), st.integers(-99, 99), FINITE, TEXTS)
VALUES: st.SearchStrategy[Value] = SCALARS | st.lists(SCALARS, max_size=2).map(tuple)
POINTS = st.none() | st.integers(1, 9)


def wrong(value: Any) -> Any:
    """A value of a type that mypy would not let pass."""
    return value


@st.composite
def range_priors(draw: st.DrawFn, low: float, high: float, log: bool) -> dict[str, float] | None:
    """No prior, or one of a range."""
    if draw(st.booleans()):
        return None
    width = st.floats(1.01, 1e3) if log else st.floats(1e-3, 1e6)
    return {"centre": draw(st.floats(low, high)), "width": draw(width)}


@st.composite
def floats(draw: st.DrawFn) -> Float:
    log = draw(st.booleans())
    ends = st.floats(1e-9, 1e6) if log else FINITE
    low, high = sorted(draw(st.tuples(ends, ends)))
    prior = draw(range_priors(low, high, log))
    return Float(low, high, log, draw(st.none() | st.floats(low, high)), draw(POINTS), prior=prior)


@st.composite
def stepped(draw: st.DrawFn) -> Float | Int:
    """A range with a step, real or whole."""
    whole, n_steps = draw(st.booleans()), draw(st.integers(0, 40))
    step = Decimal(draw(st.integers(1, 300))) if whole else Decimal(draw(st.sampled_from(["0.1", "0.025", "3"])))
    low = Decimal(draw(st.integers(-50, 50)))
    high, default = low + n_steps * step, low + draw(st.integers(0, n_steps)) * step
    prior = draw(range_priors(float(low), float(high), False))
    if whole:
        return Int(int(low), int(high), False, int(default), draw(POINTS), step=int(step), prior=prior)
    return Float(float(low), float(high), False, float(default), draw(POINTS), step=float(step), prior=prior)


@st.composite
def ints(draw: st.DrawFn) -> Int:
    log = draw(st.booleans())
    ends = st.integers(1 if log else -(10**6), 10**6)
    low, high = sorted(draw(st.tuples(ends, ends)))
    prior = draw(range_priors(low, high, log))
    return Int(low, high, log, draw(st.none() | st.integers(low, high)), draw(POINTS), prior=prior)


@st.composite
def categoricals(draw: st.DrawFn) -> Categorical:
    choices = draw(st.lists(VALUES, min_size=1, max_size=5, unique_by=comparison_key))
    names = [choice for choice in choices if isinstance(choice, str)]
    weights = st.dictionaries(st.sampled_from(names), st.floats(0.01, 100), min_size=1) if names else st.none()
    prior = draw(st.none() | weights) if len({_name(choice) for choice in choices}) == len(choices) else None
    return Categorical(tuple(choices), draw(st.sampled_from([None, *choices])), prior=prior)


def _name(choice: Value) -> str:
    return choice if isinstance(choice, str) else json.dumps(choice)


DOMAINS: st.SearchStrategy[Domain] = st.one_of(floats(), ints(), stepped(), categoricals())


@st.composite
def fidelities(draw: st.DrawFn) -> Fidelity:
    low, high = sorted(draw(st.tuples(st.integers(1, 3000), st.integers(1, 3000))))
    return Fidelity(high, low, draw(st.integers(2, 6)))


@st.composite
def datas(draw: st.DrawFn) -> DatasetSpec:
    """A data set, with or without options and merged classes."""
    options = draw(
        st.dictionaries(NAMES.filter(lambda name: name not in ("name", "merged_classes")), SCALARS, max_size=2)
    )
    names = st.lists(TEXTS, min_size=1, max_size=3)
    merged = draw(st.just({}) | st.dictionaries(TEXTS, names, min_size=2, max_size=3))
    return DatasetSpec(draw(TEXTS), options, {name: tuple(classes) for name, classes in merged.items()})


@st.composite
def validations(draw: st.DrawFn) -> Validation:
    seed = draw(st.integers(0, 99))
    if draw(st.booleans()):
        return Validation(folds=draw(st.integers(2, 9)), seed=seed)
    return Validation(draw(st.floats(0.01, 0.99)), seed)


@st.composite
def spaces(draw: st.DrawFn) -> SearchSpace:
    """A space of up to six hyperparameters, some of which depend on others, in any order."""
    domains: dict[str, Domain] = {}
    task: dict[str, Any] = {key: draw(st.none() | datas()) for key in ("dataset", "pretraining")}
    for key in ("regime", "model"):
        if draw(st.booleans()):
            choices: list[str] = draw(st.lists(TEXTS, min_size=1, max_size=3, unique=True))
            domains[key] = Categorical(tuple(choices))
        else:
            task[key] = draw(st.none() | TEXTS)
    names = draw(st.lists(NAMES, min_size=1, max_size=6, unique=True))
    for name in names:
        domain, depends = draw(DOMAINS), draw(st.booleans())
        parents = {parent: each.choices for parent, each in domains.items() if isinstance(each, Categorical)}
        if parents and depends:
            parent = draw(st.sampled_from(sorted(parents)))
            allowed = draw(st.lists(st.sampled_from(parents[parent]), min_size=1, max_size=2))
            domain = type(domain)(**vars(domain) | {"when": {parent: allowed}})
        domains[name] = domain
    shuffled: list[str] = draw(st.permutations(list(domains)))
    return SearchSpace(
        name=draw(TEXTS),
        domains={name: domains[name] for name in shuffled},
        fidelity=draw(fidelities()),
        task=Task(**task, weights=draw(TEXTS), validation=draw(validations())),
        fixed=draw(st.dictionaries(NAMES.filter(lambda name: name not in domains), SCALARS, max_size=3)),
        objective=draw(st.sampled_from(["val_loss", "val_error"])),
        reference=draw(st.none() | TEXTS),
    )
