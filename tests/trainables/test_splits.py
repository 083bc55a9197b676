from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from trainables.splits import Files, Part, SearchData, Source, cut, folds, per_class, split

IMAGES = torch.zeros(4, 1, 2, 2)
LABELS = torch.tensor([0, 0, 1, 1])


def labels_of(*counts: int) -> torch.Tensor:
    return torch.cat([torch.full((count,), label) for label, count in enumerate(counts)])


def pictures(*counts: int) -> Part:
    """So many images of each class, numbered by their only pixel."""
    labels = labels_of(*counts)
    return Part(torch.arange(len(labels)).float().reshape(-1, 1, 1, 1), labels)


def files(*counts: int) -> Files:
    """So many files of each class, numbered by their names."""
    labels = labels_of(*counts)
    return Files(tuple(Path(str(number)) for number in range(len(labels))), labels)


def numbers(source: Source) -> list[int]:
    if isinstance(source, Files):
        return [int(path.name) for path in source.paths]
    return source.images.flatten().int().tolist()


def check_labels(sources: Sequence[Source], whole: Source) -> None:
    """Each image has the label that it has in the whole."""
    for source in sources:
        assert torch.equal(source.labels, whole.labels[numbers(source)])


def test_a_part_knows_its_length_and_the_shape_of_an_image() -> None:
    part = Part(torch.zeros(5, 3, 4, 6), torch.zeros(5, dtype=torch.int64))
    assert (len(part), part.shape) == (5, (3, 4, 6))


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (IMAGES[0], LABELS, r"`images` must be float32 or uint8 \(n, .* but are float32 \(1, 2, 2\)"),
        (IMAGES.double(), LABELS, "`images` must be float32 or uint8 .* but are float64"),
        (IMAGES.to(torch.int8), LABELS, "`images` must be float32 or uint8 .* but are int8"),
        (IMAGES, LABELS.int(), "`labels` must be int64 .* but are int32"),
        (IMAGES, LABELS[:, None], r"`labels` must be int64 .* but are int64 \(4, 1\)"),
        (IMAGES, LABELS[:3], "has 4 and 3 labels"),
        (IMAGES[:0], LABELS[:0], "has 0 and 0 labels"),
        (IMAGES, LABELS.to("meta"), "`images` lie on cpu, but `labels` on meta"),
    ],
)
def test_a_part_whose_tensors_do_not_fit_is_refused(images: torch.Tensor, labels: torch.Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Part(images, labels)


def test_images_of_bytes_make_a_part() -> None:
    assert len(Part(IMAGES.to(torch.uint8), LABELS)) == 4


@pytest.mark.parametrize(
    ("n", "labels", "message"),
    [(3, LABELS, "has 3 and 4 labels"), (0, LABELS[:0], "has 0 and 0 labels"), (4, LABELS.int(), "must be int64")],
)
def test_files_whose_labels_do_not_fit_are_refused(n: int, labels: torch.Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Files((Path("image.png"),) * n, labels)


@pytest.mark.parametrize("source", [pictures(3, 3), files(3, 3)], ids=["part", "files"])
def test_what_is_taken_comes_in_the_asked_order_with_its_labels(source: Source) -> None:
    taken = source.take([4, 0, 4])
    assert (numbers(taken), taken.labels.tolist(), len(taken)) == ([4, 0, 4], [1, 0, 1], 3)


def test_a_part_that_lies_where_it_is_asked_to_is_this_very_one() -> None:
    part = Part(IMAGES, LABELS)
    data = SearchData(part, part, ("a", "b"))
    assert part.to("cpu") is part
    assert data.to("cpu") is data
    assert part.to("meta").images.device.type == part.to("meta").labels.device.type == "meta"


def test_parts_of_different_shapes_are_no_search_data() -> None:
    with pytest.raises(ValueError, match=r"train as \(1, 2, 2\), but validate as \(1, 2, 3\)"):
        SearchData(Part(IMAGES, LABELS), Part(torch.zeros(4, 1, 2, 3), LABELS), ("a", "b"))


@pytest.mark.parametrize("labels", [torch.tensor([0, 0, 1, 2]), torch.tensor([0, 0, 1, -1])])
def test_a_label_without_a_class_is_refused(labels: torch.Tensor) -> None:
    with pytest.raises(ValueError, match=r"labels must lie in 0\.\.1, but reach from"):
        SearchData(Part(IMAGES, LABELS), Part(IMAGES, labels), ("a", "b"))


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
    cuts = [
        numbers(split(pictures(30, 50, 20), classes="abc", fraction=0.2, seed=seed).validation) for seed in (1, 1, 2)
    ]
    assert cuts[0] == cuts[1] != cuts[2]


def test_a_class_with_too_few_samples_is_named_with_what_is_needed() -> None:
    with pytest.raises(ValueError, match=r"class 'b' has 4 of 100 samples: to cut 20 off, .* at least 5; a cut nearer"):
        split(pictures(96, 4), classes="ab", fraction=0.2, seed=0)


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.5, 1.5, float("nan")])
def test_a_fraction_that_is_none_is_refused(fraction: float) -> None:
    with pytest.raises(ValueError, match="`fraction` must lie between 0 and 1, but is"):
        split(pictures(10, 10), classes="ab", fraction=fraction, seed=0)


@pytest.mark.parametrize("source", [pictures(9, 16, 5), files(9, 16, 5)], ids=["part", "files"])
def test_each_sample_is_in_the_validation_part_of_one_fold_and_trains_in_all_others(source: Source) -> None:
    cuts = folds(source, classes="abc", n_folds=3, seed=0)
    assert sorted(number for each in cuts for number in numbers(each.validation)) == list(range(30))
    for each in cuts:
        assert sorted(numbers(each.train) + numbers(each.validation)) == list(range(30))
        check_labels(each, source)


def test_folds_keep_the_shares_of_the_classes() -> None:
    for each in folds(pictures(9, 15, 6), classes="abc", n_folds=3, seed=0):
        assert each.validation.labels.bincount().tolist() == [3, 5, 2]


def test_folds_follow_from_their_seed_alone() -> None:
    cuts = [
        [numbers(each.validation) for each in folds(pictures(9, 15), classes="ab", n_folds=3, seed=seed)]
        for seed in (1, 1, 2)
    ]
    assert cuts[0] == cuts[1] != cuts[2]


def test_a_class_with_fewer_samples_than_folds_is_named() -> None:
    with pytest.raises(ValueError, match=r"class 'b' has 4 of 24 samples: for 5 folds, each class needs at least 5$"):
        folds(pictures(20, 4), classes="ab", n_folds=5, seed=0)


def test_so_many_of_each_class_are_drawn_by_seed() -> None:
    part = pictures(9, 15, 6)
    drawn = [per_class(part, 4, seed=seed, classes="abc", key="n") for seed in (1, 1, 2)]
    assert drawn[0].labels.bincount().tolist() == [4, 4, 4]
    assert numbers(drawn[0]) == numbers(drawn[1]) != numbers(drawn[2])
    assert len(set(numbers(drawn[0]))) == 12
    check_labels(drawn, part)


def test_each_image_of_a_class_is_as_likely_to_be_drawn() -> None:
    counts = torch.zeros(12)
    for seed in range(300):
        counts[numbers(per_class(pictures(8, 4), 2, seed=seed, classes="ab", key="n"))] += 1
    assert (counts[:8] - 75).abs().max() < 40
    assert (counts[8:] - 150).abs().max() < 50


def test_a_class_with_fewer_images_than_are_to_be_drawn_is_named_with_the_key() -> None:
    assert len(per_class(pictures(3, 3), 3, seed=0, classes="ab", key="few")) == 6
    with pytest.raises(ValueError, match=r"class 'a' has 3 of 8 samples: for `few` = 4, each class needs at least 4"):
        per_class(pictures(3, 5), 4, seed=0, classes="ab", key="few")


def test_a_cut_that_leaves_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="4 of 4 samples cannot be cut off"):
        cut(LABELS, n_cut=4, seed=0, classes="ab")


@given(
    counts=st.lists(st.integers(1, 30), min_size=2, max_size=5),
    share=st.floats(0.05, 0.95),
    seed=st.integers(0, 2**32 - 1),
)
def test_a_cut_leaves_every_class_on_both_sides_or_is_refused(counts: list[int], share: float, seed: int) -> None:
    labels = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    n_cut = min(max(round(share * len(labels)), 1), len(labels) - 1)
    classes = "abcde"[: len(counts)]
    if min(min(counts) * n_cut, min(counts) * (len(labels) - n_cut)) < len(labels):
        with pytest.raises(ValueError, match="each class needs at least"):
            cut(labels, n_cut=n_cut, seed=seed, classes=classes)
        return
    kept, cut_off = cut(labels, n_cut=n_cut, seed=seed, classes=classes)
    assert sorted(kept + cut_off) == list(range(len(labels)))
    assert len(cut_off) == n_cut
    for side in (kept, cut_off):
        assert set(labels[side].tolist()) == set(range(len(counts)))
