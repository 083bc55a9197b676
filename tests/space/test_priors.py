"""The priors of hyperparameters: their mistakes, and that they are kept as they are."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np
import pytest

from hpo import spacefile
from hpo.errors import SpaceError
from hpo.space import Categorical, Domain, Fidelity, Float, Int, SearchSpace
from hpo.spacefile import yaml_text
from tests.space.spaces import wrong

NESTED: Any = ()
for _ in range(3000):
    NESTED = (NESTED,)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Float(0, 1, prior={"centre": 2, "width": 1}), "prior.centre: 2 lies outside the range from low=0"),
        (lambda: Float(0, 1, prior={"centre": 0.5, "width": 0}), "prior.width: must be above 0, but is 0"),
        (lambda: Float(0, 1, prior={"centre": 0.5, "width": True}), "prior.width: must be a number, but is true"),
        (lambda: Float(0, 1, prior={"width": 1}), "prior.centre: is missing"),
        (
            lambda: Int(0, 9, prior={}),
            "prior: must hold a centre and a width, as {centre: 0.01, width: 3}, but is empty",
        ),
        (
            lambda: Categorical((1, 2), prior={}),
            "prior: must give weights to choices, as {adamw: 3, sgd: 1}, but is empty",
        ),
        (lambda: Float(1, 9, log=True, prior={"centre": 3, "width": 1}), "prior.width: must be above 1, because it is"),
        (lambda: Int(0, 9, prior={"centre": float("nan"), "width": 1}), "prior.centre: must be finite, but is nan"),
        (lambda: Int(0, 9, prior={"center": 3, "width": 1}), "prior.center: unknown key; did you mean 'centre'?"),
        (lambda: Categorical(("a", "b"), prior={"c": 3}), "prior.c: 'c' is no choice (allowed: a, b)"),
        (lambda: Categorical(("a", "b"), prior={"a": -1}), "prior.a: must be a weight above 0, but is -1"),
        (lambda: Categorical((1, 2), prior={"1": 2, 1: 3}), "prior.1: is given twice"),  # type: ignore[dict-item]
        (lambda: Categorical((1, "1"), prior={"1": 2}), "prior.1: names two choices"),
        (lambda: Float(0, 1, prior={"mean": 0.5, "width": 1}), "prior.mean: unknown key; did you mean 'centre'?"),
        (lambda: Float(0, 1, prior={"centre": 0.5, "std": 1}), "prior.std: unknown key; did you mean 'width'?"),
        (lambda: Float(0, 1, prior=wrong({b"centre": 1})), "prior.a key of type bytes: unknown key (allowed: centre"),
        (lambda: Float(0, 1, prior=wrong({NESTED: 1})), "prior.a key of type tuple: unknown key (allowed: centre"),
        (
            lambda: Categorical((16, 32), prior=wrong({np.int64(32): 2})),
            "the key must be a single value, but is np.int",
        ),
        (lambda: Categorical((16, 32), prior=wrong({b"32": 2})), "the key must be a single value, but is b'32'"),
        (lambda: Categorical((16, 32), prior=wrong({NESTED: 2})), "the key is nested too deeply"),
        (lambda: Categorical((16, 32), prior={100_000 * "[": 2}), "is no choice (allowed: 16, 32)"),
        (lambda: Categorical((16, 32), prior={2000 * "[" + 2000 * "]": 2}), "is no choice (allowed: 16, 32)"),
        (lambda: Categorical(("a", "b"), prior={"a": 1e300, "b": 1e-300}), "prior: has weights from 1e-300 to 1e+300;"),
        (
            lambda: Categorical(("a", "b"), prior={"a": 1e7}),
            "prior: has weights from 1.0 to 10000000.0; the highest may",
        ),
        (
            lambda: Categorical(("a", "b"), prior={"a": 1e-7}),
            "may be 1,000,000 times the lowest, and choices not named",
        ),
    ],
)
def test_a_prior_that_breaks_a_rule_cannot_be_made(make: Any, words: str) -> None:
    with pytest.raises(SpaceError) as caught:
        make()
    assert words in str(caught.value)


def test_a_centre_may_lie_between_the_values_of_a_range() -> None:
    assert Int(1, 9, prior={"centre": 2.5, "width": 1}).prior == {"centre": 2.5, "width": 1.0}
    assert Float(0, 1, step=0.5, prior={"centre": 0.3, "width": 1}).prior == {"centre": 0.3, "width": 1.0}


def test_a_prior_of_none_is_no_prior() -> None:
    assert Float(0, 1, prior=wrong(None)) == Float(0, 1)
    assert Int(0, 9, prior=wrong(None)) == Int(0, 9)
    assert Categorical(("a", "b"), prior=wrong(None)) == Categorical(("a", "b"))
    for domain in ({"low": 0, "high": 1}, {"choices": ["a", "b"]}):
        read = [
            spacefile.parse({"space": {"x": content}, "fidelity": {"high": 3}}, installed=False)
            for content in (domain, {**domain, "prior": None})
        ]
        assert read[0] == read[1]


@pytest.mark.parametrize(
    ("choices", "key", "weights"),
    [
        (("a", "b"), "b", (1, 3)),
        ((16, 32), "32", (1, 3)),
        ((16, 32), 32, (1, 3)),
        ((1e-5, 1.0), "1e-5", (3, 1)),
        ((True, False, None), "false", (1, 3, 1)),
        ((True, False, None), "null", (1, 1, 3)),
        (((64, 64), (128,)), "[64, 64]", (3, 1)),
    ],
)
def test_a_weight_belongs_to_the_choice_that_its_key_names(choices: Any, key: Any, weights: Any) -> None:
    domain = Categorical(choices, prior={key: 3})
    assert domain.probabilities == pytest.approx([weight / sum(weights) for weight in weights])


@pytest.mark.parametrize(
    ("choices", "key"),
    [
        ((16, 32), 32),
        ((16, 32), "32"),
        ((1e-5, 1.0), 1e-5),
        ((True, False, None), False),
        ((True, False, None), None),
        (("16", "32"), 32),
        (("true", "false"), False),
        (((64, 64), (128,)), (64, 64)),
    ],
)
def test_a_space_file_takes_the_same_keys_as_python(choices: Any, key: Any) -> None:
    domain = Categorical(choices, prior={key: 3})
    prior = f"{{{json.dumps(key)}: 3}}"
    content = f"space: {{x: {{choices: {json.dumps(choices)}, prior: {prior}}}}}\nfidelity: {{high: 3}}"
    parsed = yaml_text.parse(content)
    assert parsed.mistakes == []
    assert spacefile.parse(parsed.value, installed=False).domains["x"] == domain
    weights = yaml_text.parse_value(prior, ("space", "x", "prior"))  # the value of a --set
    assert weights.value == domain.prior


def test_equal_weights_are_as_no_prior_also_huge_ones() -> None:
    assert Categorical(("a", "b")).probabilities == Categorical(("a", "b"), prior={"a": 1}).probabilities == (0.5, 0.5)
    assert Categorical(("a", "b"), prior={"a": 1e308, "b": 1e308}).probabilities == (0.5, 0.5)


DOMAINS: dict[str, Domain] = {
    "x": Float(1e-4, 1, log=True, prior={"centre": 0.01, "width": 3}),
    "n": Int(1, 9, prior={"centre": 4, "width": 2}),
    "kind": Categorical(("a", 16, (64, 64)), prior={"a": 2, "16": 3, "[64,64]": 4}),
}
SPACE = SearchSpace("s", DOMAINS, Fidelity(3))


def test_a_prior_is_written_and_read_back_as_it_was() -> None:
    text = str(SPACE.to_dict())
    read = spacefile.parse(yaml_text.parse(text).value, installed=False)
    assert read.domains == SPACE.domains
    assert read.digest() == SPACE.digest()
    assert SPACE.to_dict()["space"]["x"]["prior"] == {"centre": 0.01, "width": 3.0}


@pytest.mark.parametrize(
    ("name", "prior"),
    [("x", None), ("x", {"centre": 0.01, "width": 4}), ("kind", {"a": 2}), ("n", {"centre": 5, "width": 2})],
)
def test_another_prior_is_another_space(name: str, prior: dict[str, float] | None) -> None:
    changed = dataclasses.replace(DOMAINS[name], prior=prior)
    assert dataclasses.replace(SPACE, domains={**DOMAINS, name: changed}).digest() != SPACE.digest()


def test_a_prior_keeps_its_own_copy_of_what_it_is_made_from() -> None:
    given = {"centre": 0.5, "width": 1.0}
    domain = Float(0, 1, prior=given)
    given["centre"] = 0.1
    assert domain.prior == {"centre": 0.5, "width": 1.0}
