import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.model_selection import StratifiedKFold, train_test_split

from tests.trainables.numbered import check_labels, files, labels_of, numbers, pictures
from trainables.data.dataset import Source
from trainables.data.splits import sample_per_class, split, split_indices, split_into_folds

LABELS = torch.tensor([0, 0, 1, 1])


@pytest.mark.parametrize("source", [pictures(30, 50, 20), files(30, 50, 20)], ids=["part", "files"])
def test_a_split_puts_each_training_sample_on_one_side_with_its_label(source: Source) -> None:
    both = split(source, classes="abc", fraction=0.2, seed=0)
    assert type(both.train) is type(both.validation) is type(source)
    assert sorted(numbers(both.train) + numbers(both.validation)) == list(range(100))
    check_labels(both, source)


def test_a_split_keeps_the_shares_of_the_classes() -> None:
    both = split(pictures(30, 50, 20), classes="abc", fraction=0.2, seed=0)
    assert both.train.labels.bincount().tolist() == [24, 40, 16]
    assert both.validation.labels.bincount().tolist() == [6, 10, 4]


def test_a_split_rounds_its_validation_part_up_to_a_sample() -> None:
    assert len(split(pictures(30, 51), classes="ab", fraction=0.5, seed=0).validation) == 41


def test_a_split_follows_from_its_seed_alone() -> None:
    splits = [
        numbers(split(pictures(30, 50, 20), classes="abc", fraction=0.2, seed=seed).validation) for seed in (1, 1, 2)
    ]
    assert splits[0] == splits[1] != splits[2]


def test_a_class_with_too_few_samples_is_named_with_what_is_needed() -> None:
    with pytest.raises(ValueError, match=r"class 'b' has 4 of 100 samples: to cut 20 off, .* at least 5; a cut nearer"):
        split(pictures(96, 4), classes="ab", fraction=0.2, seed=0)


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.5, 1.5, float("nan")])
def test_a_fraction_that_is_none_is_refused(fraction: float) -> None:
    with pytest.raises(ValueError, match="`fraction` must lie between 0 and 1, but is"):
        split(pictures(10, 10), classes="ab", fraction=fraction, seed=0)


@pytest.mark.parametrize("source", [pictures(9, 16, 5), files(9, 16, 5)], ids=["part", "files"])
def test_each_sample_is_in_the_validation_part_of_one_fold_and_trains_in_all_others(source: Source) -> None:
    splits = split_into_folds(source, classes="abc", n_folds=3, seed=0)
    assert sorted(number for each in splits for number in numbers(each.validation)) == list(range(30))
    for each in splits:
        assert sorted(numbers(each.train) + numbers(each.validation)) == list(range(30))
        check_labels(each, source)


def test_folds_keep_the_shares_of_the_classes() -> None:
    for each in split_into_folds(pictures(9, 15, 6), classes="abc", n_folds=3, seed=0):
        assert each.validation.labels.bincount().tolist() == [3, 5, 2]


def test_folds_follow_from_their_seed_alone() -> None:
    splits = [
        [numbers(each.validation) for each in split_into_folds(pictures(9, 15), classes="ab", n_folds=3, seed=seed)]
        for seed in (1, 1, 2)
    ]
    assert splits[0] == splits[1] != splits[2]


def test_a_class_with_fewer_samples_than_folds_is_named() -> None:
    with pytest.raises(ValueError, match=r"class 'b' has 4 of 24 samples: for 5 folds, each class needs at least 5$"):
        split_into_folds(pictures(20, 4), classes="ab", n_folds=5, seed=0)


def test_so_many_of_each_class_are_drawn_by_seed() -> None:
    part = pictures(9, 15, 6)
    drawn = [sample_per_class(part, 4, seed=seed, classes="abc", key="n") for seed in (1, 1, 2)]
    assert drawn[0].labels.bincount().tolist() == [4, 4, 4]
    assert numbers(drawn[0]) == numbers(drawn[1]) != numbers(drawn[2])
    assert len(set(numbers(drawn[0]))) == 12
    check_labels(drawn, part)


def test_each_image_of_a_class_is_as_likely_to_be_drawn() -> None:
    counts = torch.zeros(12)
    for seed in range(300):
        counts[numbers(sample_per_class(pictures(8, 4), 2, seed=seed, classes="ab", key="n"))] += 1
    assert (counts[:8] - 75).abs().max() < 40
    assert (counts[8:] - 150).abs().max() < 50


def test_a_class_with_fewer_images_than_are_to_be_drawn_is_named_with_the_key() -> None:
    assert len(sample_per_class(pictures(3, 3), 3, seed=0, classes="ab", key="few")) == 6
    with pytest.raises(ValueError, match=r"class 'a' has 3 of 8 samples: for `few` = 4, each class needs at least 4"):
        sample_per_class(pictures(3, 5), 4, seed=0, classes="ab", key="few")


def test_a_split_that_leaves_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="4 of 4 samples cannot be cut off"):
        split_indices(LABELS, n_second=4, seed=0, classes="ab")


@given(
    counts=st.lists(st.integers(1, 30), min_size=2, max_size=5),
    share=st.floats(0.05, 0.95),
    seed=st.integers(0, 2**32 - 1),
)
def test_a_split_leaves_every_class_on_both_sides_or_is_refused(counts: list[int], share: float, seed: int) -> None:
    labels = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    n_second = min(max(round(share * len(labels)), 1), len(labels) - 1)
    classes = "abcde"[: len(counts)]
    if min(min(counts) * n_second, min(counts) * (len(labels) - n_second)) < len(labels):
        with pytest.raises(ValueError, match="each class needs at least"):
            split_indices(labels, n_second=n_second, seed=seed, classes=classes)
        return
    first, second = split_indices(labels, n_second=n_second, seed=seed, classes=classes)
    assert sorted(first + second) == list(range(len(labels)))
    assert len(second) == n_second
    for part in (first, second):
        assert set(labels[part].tolist()) == set(range(len(counts)))


@pytest.fixture(params=["kept", "off"])
def _store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HPO_CACHE", "off" if request.param == "off" else str(tmp_path / "store"))


@pytest.mark.usefixtures("_store")
def test_scikit_learn_draws_them_and_what_is_kept_is_what_it_drew() -> None:
    labels = labels_of(30, 50, 20)
    expected = train_test_split(range(100), test_size=20, stratify=labels, random_state=7)
    for _ in range(2):
        assert split_indices(labels, n_second=20, seed=7, classes="abc") == tuple(map(sorted, expected))
    splitter = StratifiedKFold(4, shuffle=True, random_state=7)
    for _ in range(2):
        found = split_into_folds(pictures(30, 50, 20), classes="abc", n_folds=4, seed=7)
        for each, (train, validation) in zip(found, splitter.split(range(100), labels), strict=True):
            assert (numbers(each.train), numbers(each.validation)) == (train.tolist(), validation.tolist())


def test_what_was_drawn_once_is_found_without_scikit_learn(tmp_path: Path) -> None:
    script = (
        "import sys, torch; from trainables.data.splits import split_indices\n"
        "print(split_indices(torch.arange(40) % 4, n_second=8, seed=3, classes='abcd'), 'sklearn' in sys.modules)"
    )
    environment = os.environ | {"HPO_CACHE": str(tmp_path)}
    command = [sys.executable, "-c", script]
    first, second = (subprocess.check_output(command, env=environment, text=True) for _ in range(2))
    assert first.endswith("True\n")
    assert second == first.replace("True", "False")
