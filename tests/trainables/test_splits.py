import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from trainables.splits import Part, SearchData, cut, split

IMAGES = torch.zeros(4, 1, 2, 2)
LABELS = torch.tensor([0, 0, 1, 1])


class Fake:
    """A data set whose images are numbered by their first pixel, and whose held-out part must not be asked for."""

    name = "fake"

    def __init__(self, *counts: int) -> None:
        self.classes = tuple("abc"[: len(counts)])
        labels = torch.cat([torch.full((count,), label) for label, count in enumerate(counts)])
        self._part = Part(torch.arange(len(labels)).float().reshape(-1, 1, 1, 1), labels)

    def training(self) -> Part:
        return self._part

    def held_out(self) -> Part:
        raise AssertionError("a search must not see the held-out part")


def numbers(part: Part) -> list[int]:
    return part.images.flatten().int().tolist()


def test_a_part_knows_its_length_and_the_shape_of_an_image() -> None:
    part = Part(torch.zeros(5, 3, 4, 6), torch.zeros(5, dtype=torch.int64))
    assert (len(part), part.shape) == (5, (3, 4, 6))


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (IMAGES[0], LABELS, r"`images` must be float32 .* but are float32 \(1, 2, 2\)"),
        (IMAGES.double(), LABELS, "`images` must be float32 .* but are float64"),
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


def test_parts_of_different_shapes_are_no_search_data() -> None:
    with pytest.raises(ValueError, match=r"train as \(1, 2, 2\), but validate as \(1, 2, 3\)"):
        SearchData(Part(IMAGES, LABELS), Part(torch.zeros(4, 1, 2, 3), LABELS), ("a", "b"))


@pytest.mark.parametrize("labels", [torch.tensor([0, 0, 1, 2]), torch.tensor([0, 0, 1, -1])])
def test_a_label_without_a_class_is_refused(labels: torch.Tensor) -> None:
    with pytest.raises(ValueError, match=r"labels must lie in 0\.\.1, but reach from"):
        SearchData(Part(IMAGES, LABELS), Part(IMAGES, labels), ("a", "b"))


def test_a_split_puts_each_training_sample_on_one_side_with_its_label() -> None:
    dataset = Fake(30, 50, 20)
    data = split(dataset, fraction=0.2, seed=0)
    assert sorted(numbers(data.train) + numbers(data.validation)) == list(range(100))
    for part in (data.train, data.validation):
        assert torch.equal(part.labels, dataset.training().labels[numbers(part)])


def test_a_split_keeps_the_shares_of_the_classes() -> None:
    data = split(Fake(30, 50, 20), fraction=0.2, seed=0)
    assert data.train.labels.bincount().tolist() == [24, 40, 16]
    assert data.validation.labels.bincount().tolist() == [6, 10, 4]


def test_a_split_follows_from_its_seed_alone() -> None:
    cuts = [numbers(split(Fake(30, 50, 20), fraction=0.2, seed=seed).validation) for seed in (1, 1, 2)]
    assert cuts[0] == cuts[1] != cuts[2]


def test_a_class_with_too_few_samples_is_named_with_what_is_needed() -> None:
    with pytest.raises(ValueError, match=r"class 'b' has 4 of 100 samples: to cut 20 off, .* at least 5"):
        split(Fake(96, 4), fraction=0.2, seed=0)


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.5, 1.5, float("nan")])
def test_a_fraction_that_is_none_is_refused(fraction: float) -> None:
    with pytest.raises(ValueError, match="`fraction` must lie between 0 and 1, but is"):
        split(Fake(10, 10), fraction=fraction, seed=0)


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
