from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.trainables.numbered import check_labels, files, numbers, pictures
from trainables.data.dataset import Files, Part, Source
from trainables.data.splits import apply, sample_per_class, split, split_into_folds


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


def test_a_split_rounds_the_share_of_each_class_to_the_nearest_sample() -> None:
    both = split(pictures(30, 51, 22, 23), classes="abcd", fraction=0.5, seed=0)
    assert both.validation.labels.bincount().tolist() == [15, 26, 11, 12]
    both = split(pictures(32, 33), classes="ab", fraction=0.2, seed=0)
    assert both.validation.labels.bincount().tolist() == [6, 7]


def test_a_split_follows_from_its_seed_alone() -> None:
    splits = [
        numbers(split(pictures(30, 50, 20), classes="abc", fraction=0.2, seed=seed).validation) for seed in (1, 1, 2)
    ]
    assert splits[0] == splits[1] != splits[2]


def test_a_class_with_too_few_samples_is_named_with_what_is_needed() -> None:
    with pytest.raises(ValueError, match=r"class 'b' has 4 of 100 samples: to cut 20 off, .* at least 5$"):
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


COUNTS = st.lists(st.integers(1, 30), min_size=2, max_size=5)


@given(counts=COUNTS, share=st.floats(0.05, 0.95), seed=st.integers(0, 2**32 - 1))
def test_a_split_leaves_every_class_on_both_sides_or_is_refused(counts: list[int], share: float, seed: int) -> None:
    classes, source = "abcde"[: len(counts)], files(*counts)
    if min(min(counts) * share, min(counts) * (1 - share)) < 1 - 1e-6:
        with pytest.raises(ValueError, match="each class needs at least"):
            split(source, classes=classes, fraction=share, seed=seed)
        return
    both = split(source, classes=classes, fraction=share, seed=seed)
    assert sorted(numbers(both.train) + numbers(both.validation)) == list(range(sum(counts)))
    for part in both:
        assert set(part.labels.tolist()) == set(range(len(counts)))
    for count, n_second in zip(counts, both.validation.labels.bincount().tolist(), strict=True):
        assert abs(n_second - share * count) < 1


def extended(source: Source, label: int, at: int) -> tuple[Source, set[int]]:
    """The source with one more sample of class `label` at position `at`; and the numbers of the class's own samples."""
    n = len(source)
    labels = torch.cat([source.labels[:at], torch.tensor([label]), source.labels[at:]])
    own = {number for number, each in zip(numbers(source), source.labels.tolist(), strict=True) if each == label}
    if isinstance(source, Files):
        return Files((*source.paths[:at], Path(str(n)), *source.paths[at:]), labels), own
    images = torch.cat([source.images[:at], torch.full((1, 1, 1, 1), float(n)), source.images[at:]])
    return Part(images, labels), own


@pytest.mark.parametrize("kind", [pictures, files])
@given(
    counts=st.lists(st.integers(5, 30), min_size=2, max_size=5),
    label=st.integers(0, 1),
    place=st.floats(0, 1),
    share=st.floats(0.2, 0.8),
    seed=st.integers(0, 100),
)
def test_one_more_sample_moves_at_most_one_other_of_its_class_and_none_of_other_classes(
    kind: Callable[..., Source], counts: list[int], label: int, place: float, share: float, seed: int
) -> None:
    source, classes = kind(*counts), "abcde"[: len(counts)]
    more, own = extended(source, label, round(place * len(source)))
    before = set(numbers(split(source, classes=classes, fraction=share, seed=seed).validation))
    after = set(numbers(split(more, classes=classes, fraction=share, seed=seed).validation))
    moved = (before ^ after) - {len(source)}
    assert moved <= own
    assert len(moved) <= 1


@given(counts=st.lists(st.integers(5, 30), min_size=2, max_size=4), label=st.integers(0, 1), seed=st.integers(0, 100))
def test_one_more_sample_moves_at_most_one_other_at_each_border_of_two_folds(
    counts: list[int], label: int, seed: int
) -> None:
    source, classes, n_folds = files(*counts), "abcde"[: len(counts)], 4

    def folds(source: Source) -> dict[int, int]:
        found = split_into_folds(source, classes=classes, n_folds=n_folds, seed=seed)
        return {number: fold for fold, each in enumerate(found) for number in numbers(each.validation)}

    more, own = extended(source, label, 0)
    before, after = folds(source), folds(more)
    moved = {number for number in before if before[number] != after[number]}
    assert moved <= own
    assert len(moved) < n_folds


def test_one_more_class_moves_no_sample_of_another() -> None:
    before = split(files(20, 30), classes="ab", fraction=0.3, seed=5).validation
    after = split(files(20, 30, 10), classes="abc", fraction=0.3, seed=5).validation
    assert [number for number in numbers(after) if number < 50] == numbers(before)


def test_a_split_depends_on_the_names_below_the_folder_and_not_on_where_the_folder_lies() -> None:
    def names(folder: str) -> set[str]:
        paths = tuple(Path(folder, name, f"{number}.png") for name in "ab" for number in range(10))
        source = Files(paths, torch.arange(20) // 10, folder=Path(folder))
        validation = split(source, classes="ab", fraction=0.5, seed=0).validation
        assert isinstance(validation, Files)
        return set(validation.names)

    assert names("/home/me/flowers") == names("relative/folder")


def test_equal_images_in_memory_validate_together() -> None:
    source = Part(torch.arange(5.0).repeat(2).reshape(-1, 1, 1, 1), torch.zeros(10, dtype=torch.int64))
    validating = sorted(numbers(split(source, classes="a", fraction=0.4, seed=0).validation))
    assert validating[::2] == validating[1::2]


@pytest.mark.parametrize("count", [2, 3, 4])
def test_a_rare_class_can_be_kept_with_a_sample_on_each_side(count: int) -> None:
    both = split(files(30, count), classes="ab", fraction=0.2, seed=0, keep_rare=True)
    assert both.validation.labels.bincount().tolist() == [6, 1]
    assert both.train.labels.bincount().tolist() == [24, count - 1]


def test_a_rare_class_can_be_kept_in_the_training_part_of_each_fold() -> None:
    found = split_into_folds(files(10, 2), classes="ab", n_folds=5, seed=0, keep_rare=True)
    assert sorted(int((each.validation.labels == 1).sum()) for each in found) == [0, 0, 0, 1, 1]
    assert all((each.train.labels == 1).any() for each in found)


def test_a_class_of_one_sample_cannot_be_kept() -> None:
    with pytest.raises(ValueError, match=r"class 'b' has 1 of 31 samples: .* each class needs at least 2"):
        split(files(30, 1), classes="ab", fraction=0.2, seed=0, keep_rare=True)
    with pytest.raises(ValueError, match=r"class 'b' has 1 of 31 samples: .* each class needs at least 2"):
        split_into_folds(files(30, 1), classes="ab", n_folds=3, seed=0, keep_rare=True)


@pytest.mark.parametrize("source", [pictures(2, 3), files(2, 3)], ids=["part", "files"])
@pytest.mark.parametrize("n", [4, 6])
def test_a_split_of_another_number_of_samples_is_refused(source: Source, n: int) -> None:
    with pytest.raises(ValueError, match=f"the split is of {n} samples, but there are 5"):
        apply(source, [0, 1] * (n // 2), n_folds=None)
