import dataclasses
import json
import random
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpo import spacefile
from hpo.errors import SpaceError
from hpo.space import Categorical, DatasetSpec, Domain, Fidelity, Float, Int, SearchSpace, Task, Validation
from hpo.spacefile import yaml_text
from tests.space.spaces import FEW, fidelities, spaces, wrong

SPACE = SearchSpace(
    "small",
    {
        "momentum": Float(0.5, 0.9, when={"optimizer": ("sgd", "nag")}),
        "optimizer": Categorical(("sgd", "nag", "adam")),
        "lr": Float(1e-4, 1e-1, log=True),
    },
    Fidelity(9),
    Task(regime="from_scratch", model="small_cnn", dataset=DatasetSpec("digits")),
    {"patience": 5},
)


@FEW
@given(spaces(), st.integers(0, 2**32))
def test_a_sample_lies_in_the_space(space: SearchSpace, seed: int) -> None:
    assert space.problem(space.sample(random.Random(seed))) is None


@FEW
@given(spaces())
def test_a_space_reads_back_from_its_dictionary_exactly(space: SearchSpace) -> None:
    again = spacefile.parse(space.to_dict(), installed=False)
    assert again == space
    assert again.digest() == space.digest()
    assert list(again.domains) == list(space.domains)


@FEW
@given(spaces())
def test_a_space_reads_back_from_text_exactly(space: SearchSpace) -> None:
    parsed = yaml_text.parse(json.dumps(space.to_dict(), ensure_ascii=False))
    assert parsed.mistakes == []
    assert spacefile.parse(parsed.value, installed=False).digest() == space.digest()


@FEW
@given(spaces(), st.randoms(use_true_random=False))
def test_the_digest_ignores_the_order_of_keys(space: SearchSpace, rng: random.Random) -> None:
    names = list(space.domains)
    rng.shuffle(names)
    fixed = dict(reversed(list(space.fixed.items())))
    other = dataclasses.replace(space, domains={name: space.domains[name] for name in names}, fixed=fixed)
    assert other.digest() == space.digest()


def test_the_digest_ignores_the_name_and_the_reference() -> None:
    assert dataclasses.replace(SPACE, name="other", reference="table").digest() == SPACE.digest()


def test_a_space_of_a_study_that_was_begun_long_ago_still_has_its_digest() -> None:
    assert spacefile.read(spacefile.bundled()["digits_cnn"]).digest() == "abe9e6d9108456f1"


def test_a_data_set_without_options_or_groups_is_its_name() -> None:
    assert Task(dataset=wrong("digits")) == Task(dataset=DatasetSpec("digits"))
    assert SPACE.to_dict()["task"]["dataset"] == "digits"
    data = DatasetSpec("pacs", {"domain": "photo"}, {"a": ("dog",), "b": ("horse", "person")})
    task = dataclasses.replace(SPACE.task, dataset=data, pretraining=DatasetSpec("digits"))
    assert dataclasses.replace(SPACE, task=task).to_dict()["task"] | {"validation": None} == {
        "regime": "from_scratch",
        "model": "small_cnn",
        "weights": "none",
        "dataset": {"name": "pacs", "domain": "photo", "merged_classes": {"a": ["dog"], "b": ["horse", "person"]}},
        "pretraining": "digits",
        "validation": None,
    }


def test_validation_is_a_fifth_unless_a_fraction_or_folds_are_given() -> None:
    assert Validation().to_dict() == {"fraction": 0.2, "seed": 42}
    assert Validation(0.5, seed=1).to_dict() == {"fraction": 0.5, "seed": 1}
    assert Validation(folds=5).to_dict() == {"folds": 5, "seed": 42}


@pytest.mark.parametrize(
    "change",
    [
        {"objective": "val_error"},
        {"fixed": {"patience": 6}},
        {"fixed": {}},
        {"fidelity": Fidelity(27)},
        {"fidelity": Fidelity(9, eta=2)},
        {"task": Task(regime="from_scratch", model="small_cnn", dataset=DatasetSpec("digits"), weights="imagenet")},
        {
            "task": Task(
                regime="from_scratch", model="small_cnn", dataset=DatasetSpec("digits"), validation=Validation(seed=1)
            )
        },
        {"task": dataclasses.replace(SPACE.task, validation=Validation(folds=5))},
        {"task": dataclasses.replace(SPACE.task, dataset=DatasetSpec("digits", {"size": 8}))},
        {
            "task": dataclasses.replace(
                SPACE.task, dataset=DatasetSpec("digits", merged_classes={"a": ("1",), "b": ("2",)})
            )
        },
        {"task": dataclasses.replace(SPACE.task, pretraining=DatasetSpec("digits"))},
        {"domains": {**SPACE.domains, "lr": Float(1e-4, 1e-1)}},
        {"domains": {**SPACE.domains, "lr": Float(1e-4, 1e-1, log=True, default=1e-3)}},
        {"domains": {**SPACE.domains, "momentum": Float(0.5, 0.9)}},
        {"domains": {**SPACE.domains, "gamma": Int(0, 1)}},
    ],
    ids=str,
)
def test_the_digest_changes_with_the_content(change: dict[str, Any]) -> None:
    assert dataclasses.replace(SPACE, **change).digest() != SPACE.digest()


@FEW
@given(fidelities())
def test_rungs_rise_by_eta_up_to_the_top(fidelity: Fidelity) -> None:
    rungs, low, high, eta = fidelity.rungs(), fidelity.low, fidelity.high, fidelity.eta
    assert all(isinstance(rung, int) for rung in rungs)
    assert rungs[-1] == high
    assert rungs[0] >= low
    for lower, upper in pairwise(rungs):
        assert lower < upper
        assert abs(upper - eta * lower) <= (1 + eta) / 2
    n_rungs = len(rungs)
    assert low * eta ** (n_rungs - 1) <= high < low * eta**n_rungs


def test_rungs_of_exact_powers_lose_none_to_rounding() -> None:
    assert Fidelity(243).rungs() == (1, 3, 9, 27, 81, 243)
    assert Fidelity(1000, eta=10).rungs() == (1, 10, 100, 1000)
    assert Fidelity(5, low=5).rungs() == (5,)


def test_parents_stand_before_their_children_and_the_task_before_all() -> None:
    domains: dict[str, Domain] = {
        "c": Float(0, 1, when={"b": ("x",)}),
        "b": Categorical(("x", "y"), when={"a": (1,)}),
        "a": Categorical((1, 2)),
        "model": Categorical(("alexnet", "vgg")),
    }
    assert list(SearchSpace("s", domains, Fidelity(9)).domains) == ["model", "a", "b", "c"]


def test_a_hyperparameter_is_inactive_where_its_parent_is() -> None:
    domains: dict[str, Domain] = {
        "a": Categorical((1, 2)),
        "b": Categorical(("x",), when={"a": (1,)}),
        "c": Float(0, 1, when={"b": ("x",)}),
    }
    space = SearchSpace("s", domains, Fidelity(9))
    assert space.problem({"a": 2}) is None
    assert space.problem({"a": 1, "b": "x", "c": 0.5}) is None


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (
            {"optimizer": "adam", "lr": 0.01, "momentm": 0.9},
            "unknown hyperparameter 'momentm'; did you mean 'momentum'",
        ),
        ({"optimizer": "adam", "lr": 0.01, "momentum": 0.9}, "'momentum' is given, but not active here"),
        ({"optimizer": "sgd", "lr": 0.01}, "'momentum' is missing"),
        ({"optimizer": "adam", "lr": 1.5}, "'lr' is 1.5, outside {low: 0.0001, high: 0.1"),
        ({"optimizer": "adamw", "lr": 0.01}, "'optimizer' is 'adamw', outside {choices: ['sgd', 'nag', 'adam']}"),
    ],
)
def test_what_is_wrong_with_a_configuration_is_said_in_words(config: dict[str, Any], words: str) -> None:
    assert words in (SPACE.problem(config) or "")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": ""}, "name: must be a name, but is ''"),
        ({"domains": {}}, "space: is empty"),
        ({"fixed": {"lr": 0.1}}, "fixed.lr: is searched too"),
        ({"fixed": {"patience": float("nan")}}, "fixed.patience: must be finite, but is nan"),
        ({"fixed": {"window": 2.5}}, "fixed.window: must be a whole number of at least 1, but is 2.5"),
        ({"domains": {"a": Float(0, 1, when={"b": (1,)})}}, "space.a.when.b: no hyperparameter 'b' is searched"),
        ({"domains": {"a": Categorical((1,), when={"a": (1,)})}}, "space.a.when: goes round in a circle: a -> a"),
        ({"domains": {"model": Categorical(("alexnet",))}}, "task.model: is 'small_cnn', and searched too"),
        ({"domains": {"model": Float(0, 1)}}, "space.model: must be a Categorical of names"),
        ({"domains": {"model": Categorical(("a",), default="a")}}, "space.model: must be a Categorical of names"),
    ],
    ids=str,
)
def test_a_space_that_breaks_a_rule_cannot_be_made(change: dict[str, Any], words: str) -> None:
    with pytest.raises(SpaceError) as caught:
        dataclasses.replace(SPACE, **change)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Fidelity(0), "high: must be a whole number of at least 1, but is 0"),
        (lambda: Fidelity(wrong(9.0)), "high: must be a whole number of at least 1, but is 9.0"),
        (lambda: Fidelity(9, low=10), "low: 10 is above high=9; low <= high must hold"),
        (lambda: Fidelity(9, eta=1), "eta: must be a whole number of at least 2, but is 1"),
        (lambda: Fidelity(9, unit="step"), "unit: must be epoch, but is 'step'"),
        (lambda: Validation(fraction=1.0), "fraction: must be a number above 0 and below 1, but is 1.0"),
        (lambda: Validation(seed=-1), "seed: must be a whole number of at least 0, but is -1"),
        (lambda: Validation(0.2, folds=3), "fraction: stands beside `folds`; validation is a fraction or folds"),
        (lambda: Validation(folds=1), "folds: must be a whole number of at least 2, but is 1"),
        (lambda: DatasetSpec(""), "name: must be a name, but is ''"),
        (lambda: DatasetSpec("digits", {"size": wrong([8])}), "size: must be a single value, but is [8]"),
        (lambda: DatasetSpec("digits", merged_classes={"a": ("1",)}), "merged_classes: must name two classes or more"),
        (
            lambda: DatasetSpec("digits", merged_classes={"a": ("1",), "b": wrong("2")}),
            "merged_classes.b: must be a list of names of classes",
        ),
        (
            lambda: DatasetSpec("digits", merged_classes={wrong(1): ("1",), "b": ("2",)}),
            "merged_classes: the key 1 must be a name",
        ),
        (lambda: Task(model=wrong(3)), "model: must be a name, but is 3"),
        (lambda: Task(weights=wrong(None)), "weights: must be a name, but is null"),
    ],
)
def test_a_part_that_breaks_a_rule_cannot_be_made(make: Any, words: str) -> None:
    with pytest.raises(SpaceError) as caught:
        make()
    assert words in str(caught.value)


def test_a_space_cannot_be_changed_once_it_is_made() -> None:
    for part, name in ((SPACE, "objective"), (SPACE.fidelity, "high"), (SPACE.task, "model"), (Validation(), "seed")):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(part, name, None)


def test_a_space_keeps_its_own_copy_of_what_it_is_made_from() -> None:
    domains: dict[str, Domain] = {"lr": Float(0, 1)}
    fixed: dict[str, Any] = {"patience": 5}
    space = SearchSpace("s", domains, Fidelity(9), fixed=fixed)
    domains.clear()
    fixed.clear()
    assert (list(space.domains), space.fixed) == (["lr"], {"patience": 5})
    options: dict[str, Any] = {"domain": "photo"}
    merged: dict[str, Any] = {"a": ["1"], "b": ["2"]}
    data = DatasetSpec("pacs", options, merged)
    options.clear()
    merged["a"].clear()
    assert data == DatasetSpec("pacs", {"domain": "photo"}, {"a": ("1",), "b": ("2",)})


def test_a_group_is_part_of_the_digest_only_if_it_is_given() -> None:
    digests = [
        dataclasses.replace(SPACE, task=dataclasses.replace(SPACE.task, validation=validation)).digest()
        for validation in (Validation(), Validation(0.2), Validation(group="folder"), Validation(group="patient"))
    ]
    assert digests[0] == digests[1]
    assert len(set(digests)) == 3


def test_validation_that_is_not_given_is_not_written_and_stays_so() -> None:
    assert not Validation().is_given
    assert Validation(0.2).is_given
    assert Validation(seed=1).is_given
    task = dataclasses.replace(SPACE.task, validation=Validation())
    content = dataclasses.replace(SPACE, task=task).to_dict()
    assert "validation" not in content["task"]
    assert not spacefile.parse(content, installed=False).task.validation.is_given


def test_two_different_groups_are_an_error() -> None:
    spec = DatasetSpec("image_folder", {"folder": "f", "group": "folder"})
    Task(dataset=spec, validation=Validation(group="folder"))
    with pytest.raises(SpaceError, match=r"validation.group: is 'patient', but `task.dataset.group` is 'folder'"):
        Task(dataset=spec, validation=Validation(group="patient"))


def test_a_group_alone_says_nothing_about_the_cut_and_is_written_alone() -> None:
    validation = Validation(group="folder")
    assert not validation.is_given
    content = dataclasses.replace(SPACE, task=dataclasses.replace(SPACE.task, validation=validation)).to_dict()
    assert content["task"]["validation"] == {"group": "folder"}
    read = spacefile.parse(content, installed=False).task.validation
    assert (read, read.is_given) == (validation, False)
    content["task"]["validation"] = {"group": "folder", "fraction": 0.2}
    assert spacefile.parse(content, installed=False).task.validation.is_given
