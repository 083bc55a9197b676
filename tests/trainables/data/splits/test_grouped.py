from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from tests.trainables.numbered import files
from trainables.data.dataset import Files
from trainables.data.splits import assign_folds, assign_fraction, split
from trainables.data.splits.grouped import n_groups_of_classes


def grouped(counts: list[int], groups: list[int]) -> Files:
    """So many files of each class, and the number of the group of each."""
    return replace(files(*counts), groups=tuple(f"g{group}" for group in groups))


def sides(source: Files, part_of: np.ndarray) -> dict[str, set[int]]:
    """The parts that the files of each group are in."""
    found: dict[str, set[int]] = {}
    for group, part in zip(source.groups, part_of.tolist(), strict=True):
        found.setdefault(group, set()).add(part)
    return found


@st.composite
def sources(draw: st.DrawFn) -> Files:
    counts = draw(st.lists(st.integers(2, 40), min_size=2, max_size=4))
    n_groups = draw(st.integers(2, 20))
    return grouped(counts, draw(st.lists(st.integers(0, n_groups), min_size=sum(counts), max_size=sum(counts))))


def can_be_split_for_sure(source: Files) -> bool:
    """Whether each class has two groups of its own, or more, so that one of them may go to each side."""
    classes_of: dict[str, set[int]] = {}
    for group, label in zip(source.groups, source.labels.tolist(), strict=True):
        classes_of.setdefault(group, set()).add(label)
    own = [next(iter(labels)) for labels in classes_of.values() if len(labels) == 1]
    return all(own.count(label) >= 2 for label in set(source.labels.tolist()))


@settings(deadline=None)
@given(source=sources(), fraction=st.floats(0.1, 0.9), seed=st.integers(0, 2**40))
def test_a_fraction_never_divides_a_group_and_leaves_every_class_on_both_sides(
    source: Files, fraction: float, seed: int
) -> None:
    classes = "abcd"[: int(source.labels.max()) + 1]
    try:
        part_of = assign_fraction(source, classes=classes, fraction=fraction, seed=seed)
    except ValueError:
        assert not can_be_split_for_sure(source)
        return
    assert all(len(parts) == 1 for parts in sides(source, part_of).values())
    for part in (0, 1):
        assert set(source.labels.numpy()[part_of == part]) == set(range(len(classes)))


@settings(deadline=None)
@given(source=sources(), n_folds=st.integers(2, 5), seed=st.integers(0, 2**40))
def test_folds_never_divide_a_group_and_every_fold_trains_on_every_class(
    source: Files, n_folds: int, seed: int
) -> None:
    classes = "abcd"[: int(source.labels.max()) + 1]
    try:
        fold_of = assign_folds(source, classes=classes, n_folds=n_folds, seed=seed, keep_rare=True)
    except ValueError:
        reject()  # hypothesis fails if nearly every source is rejected
    assert all(len(parts) == 1 for parts in sides(source, fold_of).values())
    for fold in range(n_folds):
        assert set(source.labels.numpy()[fold_of != fold]) == set(range(len(classes)))


def test_groups_of_three_keep_the_shares_of_the_classes() -> None:
    counts = [90, 300, 150]
    source = grouped(counts, [i // 3 for i in range(sum(counts))])
    part_of = assign_fraction(source, classes="abc", fraction=0.2, seed=0)
    shares = np.bincount(source.labels.numpy()[part_of == 1]) / counts
    assert np.abs(shares - 0.2).max() < 0.02
    fold_of = assign_folds(source, classes="abc", n_folds=5, seed=0)
    for fold in range(5):
        shares = np.bincount(source.labels.numpy()[fold_of == fold]) / counts
        assert np.abs(shares - 0.2).max() < 0.02


def test_patients_with_images_of_several_classes_keep_the_shares_about() -> None:
    draw = np.random.default_rng(0)
    counts = [200, 100]
    source = grouped(counts, draw.integers(0, 40, sum(counts)).tolist())
    part_of = assign_fraction(source, classes="ab", fraction=0.25, seed=3)
    assert np.abs(np.bincount(source.labels.numpy()[part_of == 1]) / counts - 0.25).max() < 0.05


@pytest.mark.parametrize(
    "assign",
    [
        lambda source, seed: assign_fraction(source, classes="ab", fraction=0.3, seed=seed),
        lambda source, seed: assign_folds(source, classes="ab", n_folds=3, seed=seed),
    ],
)
def test_a_split_of_groups_follows_from_the_seed_and_not_from_the_order_of_files(
    assign: Callable[[Files, int], np.ndarray],
) -> None:
    source = grouped([40, 50], [i // 4 for i in range(90)])
    backwards = source.take(list(range(89, -1, -1)))
    assert assign(source, 1).tolist() == assign(backwards, 1).tolist()[::-1]
    assert assign(source, 1).tolist() != assign(source, 2).tolist()


def test_one_more_group_moves_few_others_for_a_fraction() -> None:
    source = grouped([60, 60], [i // 3 for i in range(120)])
    more = grouped([60, 63], [*(i // 3 for i in range(120)), 99, 99, 99])
    before, after = (sides(each, assign_fraction(each, classes="ab", fraction=0.2, seed=0)) for each in (source, more))
    assert sum(before[group] != after[group] for group in before) <= 2


def test_a_class_in_one_group_is_named() -> None:
    source = grouped([10, 4], [*range(10), *[77] * 4])
    with pytest.raises(
        ValueError, match="class 'b' has 1 group: to cut 3 off, stratified, each class needs at least 2"
    ):
        assign_fraction(source, classes="ab", fraction=0.2, seed=0)
    with pytest.raises(ValueError, match="class 'b' has 1 group: for 3 folds, each class needs at least 3"):
        assign_folds(source, classes="ab", n_folds=3, seed=0)


def test_two_large_groups_of_a_class_are_put_on_both_sides() -> None:
    source = grouped([30, 10], [*range(30), *[50] * 5, *[51] * 5])
    part_of = assign_fraction(source, classes="ab", fraction=0.1, seed=0)
    assert np.bincount(source.labels.numpy()[part_of == 1])[1] == 5


def test_fewer_groups_than_folds_are_an_error() -> None:
    source = grouped([6, 6], [0, 0, 0, 1, 1, 1] * 2)
    with pytest.raises(ValueError, match="5 folds need at least 5 groups, but there are 2"):
        assign_folds(source, classes="ab", n_folds=5, seed=0, keep_rare=True)


def test_groups_that_cannot_be_divided_name_the_class() -> None:
    source = grouped([3, 2, 2], [0, 0, 1, 0, 1, 0, 0])
    with pytest.raises(ValueError, match="class 'c' has 1 group"):
        assign_fraction(source, classes="abc", fraction=0.5, seed=0)
    crossed = grouped([2, 2, 2], [0, 1, 1, 2, 2, 0])
    with pytest.raises(ValueError, match=r"the groups of class 'a|b|c' cannot be divided"):
        assign_fraction(crossed, classes="abc", fraction=0.5, seed=0)


def test_groups_of_a_class_are_counted_once() -> None:
    assert n_groups_of_classes(np.array([0, 0, 1, 1]), ["x", "x", "x", "y"], 2) == [1, 2]


def test_groups_go_along_with_their_files() -> None:
    source = grouped([2, 2], [0, 1, 0, 1])
    taken = source.as_whole().take([3, 0])
    assert (taken.groups, taken.relabelled(taken.labels).groups) == (("g1", "g0"), ("g1", "g0"))
    train = split(source, classes="ab", fraction=0.5, seed=0).train
    assert isinstance(train, Files)
    assert len(set(train.groups)) == 1
    with pytest.raises(ValueError, match="4 files need a group each, but there are 1 groups"):
        replace(source, groups=("g0",))
