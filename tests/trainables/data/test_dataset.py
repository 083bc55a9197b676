from pathlib import Path

import pytest
import torch

from tests.trainables.numbered import files, numbers, pictures
from trainables.data.dataset import Files, Part, SearchData, Source
from trainables.data.fingerprint import fingerprint

IMAGES = torch.zeros(4, 1, 2, 2)
LABELS = torch.tensor([0, 0, 1, 1])


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


@pytest.mark.parametrize("n", [3, 1024, 2500])
def test_a_fingerprint_of_some_rows_is_that_of_their_copy(n: int) -> None:
    pool = torch.arange(3000 * 4).reshape(3000, 1, 2, 2).to(torch.float32).to(memory_format=torch.channels_last)
    rows = torch.arange(2999, 2999 - n, -1)
    assert fingerprint(pool, rows) == fingerprint(pool[rows])
    others = rows.clone()
    others[-1] = 0
    assert fingerprint(pool, rows) != fingerprint(pool, others)
    assert fingerprint(pool) != fingerprint(pool[:-1])


@pytest.mark.parametrize("rows", [None, torch.tensor([3, 2, 1, 0])])
def test_a_selection_of_images_keeps_their_groups(rows: torch.Tensor | None) -> None:
    part = Part(IMAGES, LABELS, rows=rows, groups=torch.tensor([5, 6, 7, 5]))
    for selected, groups in (
        (part.take([3, 1]), [5, 6]),
        (part.relabelled(1 - LABELS), [5, 6, 7, 5]),
        (part.to("meta"), [5, 6, 7, 5]),
    ):
        assert selected.groups is not None
        assert selected.groups.tolist() == groups
    assert Part(IMAGES, LABELS).take([0]).groups is None
