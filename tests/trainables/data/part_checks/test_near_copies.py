from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageEnhance

from trainables.data import Files, Part, file_checks
from trainables.data.decoding import DEFAULT
from trainables.data.part_checks import are_files, near_copies
from trainables.store import store

HASHES = st.lists(st.integers(0, 2**64 - 1), max_size=20)


def picture(seed: int) -> Image.Image:
    """A picture of soft random shapes."""
    rng = np.random.default_rng(seed)
    return Image.fromarray(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8)).resize((120, 90), Image.Resampling.BICUBIC)


def files(folder: Path, images: dict[str, Image.Image]) -> Files:
    folder.mkdir()
    for name, image in images.items():
        image.save(folder / name)
    return Files(tuple(folder / name for name in images), torch.arange(len(images)) % 2)


@pytest.fixture
def parts(tmp_path: Path) -> dict[str, Files]:
    training = files(tmp_path / "training", {f"{i}.png": picture(i) for i in range(4)})
    changed = {
        "small.jpg": picture(0).resize((60, 45)),
        "contrast.png": ImageEnhance.Contrast(picture(1)).enhance(1.2),
        "new.png": picture(7),
    }
    return {"training": training, "held-out": files(tmp_path / "held_out", changed)}


def test_copies_of_another_size_and_contrast_are_found_in_other_parts(parts: dict[str, Files]) -> None:
    found = near_copies.find(parts, ("a", "b"), DEFAULT)
    names = {(Path(pair.first.path).name, Path(pair.second.path).name) for pair in found.pairs}
    assert (found.n, names) == (2, {("0.png", "small.jpg"), ("1.png", "contrast.png")})
    assert {(pair.first.part, pair.second.part) for pair in found.pairs} == {("training", "held-out")}
    assert [pair.distance for pair in found.pairs] == sorted(pair.distance for pair in found.pairs)
    table = near_copies.table(found)
    assert list(table.columns) == [
        *("distance", "first", "first_part", "first_class", "second", "second_part", "second_class"),
    ]
    assert table.set_index("second")["second_class"].to_dict() == {
        str(path): "ab"[i] for i, path in enumerate(parts["held-out"].paths[:2])
    }


def test_copies_in_one_part_are_not_reported(parts: dict[str, Files]) -> None:
    both = {"training": Files((parts["training"].paths[0],) * 3, torch.zeros(3, dtype=torch.int64))}
    assert near_copies.find(both, ("a",), DEFAULT) == near_copies.Found(0, ())


def test_a_larger_distance_finds_more(parts: dict[str, Files]) -> None:
    few, many = (near_copies.find(parts, ("a", "b"), DEFAULT, distance=bits).n for bits in (4, 40))
    assert few == 2
    assert many > 8


@pytest.mark.parametrize("max_listed", [1, 2, 5])
def test_all_pairs_are_counted_and_the_closest_are_listed(parts: dict[str, Files], max_listed: int) -> None:
    everything = near_copies.find(parts, ("a", "b"), DEFAULT, distance=64)
    found = near_copies.find(parts, ("a", "b"), DEFAULT, distance=64, max_listed=max_listed)
    assert (found.n, found.pairs) == (12, everything.pairs[:max_listed])
    assert f"only the {max_listed} closest pairs are listed" in near_copies.lines(found, 64)[-1]
    assert len(near_copies.table(found)) == max_listed


def test_an_exact_copy_in_a_late_part_is_listed_before_similar_images(tmp_path: Path) -> None:
    parts = {
        "training": files(tmp_path / "a", {f"{i}.png": picture(i) for i in range(4)}),
        "validation": files(tmp_path / "b", {f"{i}.png": picture(10 + i) for i in range(4)}),
        "held-out": files(tmp_path / "c", {"copy.png": picture(13)}),
    }
    found = near_copies.find(parts, ("a", "b"), DEFAULT, distance=64, max_listed=1)
    assert [(each.distance, Path(each.second.path).name) for each in found.pairs] == [(0, "copy.png")]


@given(HASHES, HASHES, st.integers(0, 64))
def test_the_pairs_are_those_of_a_plain_loop(left: list[int], right: list[int], distance: int) -> None:
    blocks = near_copies._close_pairs(np.array(left, np.uint64), np.array(right, np.uint64), distance)
    found = {(int(i), int(j), int(d)) for block in blocks for i, j, d in zip(*block, strict=True)}
    expected = {(i, j, (a ^ b).bit_count()) for i, a in enumerate(left) for j, b in enumerate(right)}
    assert found == {pair for pair in expected if pair[2] <= distance}


def test_a_file_that_cannot_be_read_has_no_hash_and_does_not_shift_the_others(parts: dict[str, Files]) -> None:
    parts["training"].paths[0].write_bytes(b"no image")
    found = near_copies.find(parts, ("a", "b"), DEFAULT)
    assert [Path(pair.first.path).name for pair in found.pairs] == ["1.png"]


def test_hashes_are_computed_once_for_each_version_of_a_file(parts: dict[str, Files]) -> None:
    disk = store.shared()
    assert disk is not None
    paths = parts["training"].paths
    (first, *others) = file_checks.perceptual_hashes(paths, DEFAULT)
    paths[0].write_bytes(paths[1].read_bytes())
    again = file_checks.perceptual_hashes(paths, DEFAULT)
    assert (again[0], again[1:]) == (again[1], others)
    assert again[0] != first


def test_images_in_memory_are_not_compared() -> None:
    part = Part(torch.zeros(2, 1, 8, 8), torch.tensor([0, 1]))
    assert not are_files({"training": part, "held-out": part})
    assert near_copies.find({"training": part, "held-out": part}, ("a", "b"), DEFAULT).n == 0


def test_the_lines_name_the_first_pairs_and_count_all(parts: dict[str, Files]) -> None:
    found = near_copies.find(parts, ("a", "b"), DEFAULT, distance=64)
    text = near_copies.lines(found, 64)
    assert text[0] == "Exact and near copies in different parts (at most 64 of 64 hash bits differ): 12"
    assert text[-1] == "  and 2 more"
    assert len(text[0]) <= 80
    assert all(line.count(" bits  training: ") == 1 and "\n           held-out: " in line for line in text[1:-1])
    none = near_copies.lines(near_copies.Found(0, ()), 4)
    assert none == ["Exact and near copies in different parts (at most 4 of 64 hash bits differ): 0"]
