"""Tests of the file of a trial's epochs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpo.training.epoch_records import append, encode, epoch_of, keep_recorded, read

LOSSES = np.array([0.5, 0.0, 2.0], np.float32)
PREDICTED = np.array([1, 0, 40_000])


def record(epoch: int) -> bytes:
    found = encode(epoch, LOSSES + np.float32(epoch), PREDICTED, 77)
    assert found is not None
    return found


@pytest.fixture
def path(tmp_path: Path) -> str:
    """A file of three epochs."""
    path = str(tmp_path / "0.epochs")
    for epoch in (1, 2, 3):
        append(path, record(epoch))
    return path


def epochs(path: str) -> list[int]:
    return [each.epoch for each in read(path)]


def test_what_was_appended_is_read_in_its_order(path: str) -> None:
    found = list(read(path))
    assert [(each.epoch, each.targets, each.losses.tolist()) for each in found] == [
        (epoch, 77, (LOSSES + epoch).tolist()) for epoch in (1, 2, 3)
    ]
    assert all((each.predicted == PREDICTED).all() and each.losses.dtype == np.float16 for each in found)
    assert epoch_of(record(3)) == 3


def test_an_image_takes_four_bytes_of_an_epoch_and_two_more_with_very_many_classes() -> None:
    sizes = []
    for n_images in (1, 1001):
        losses = np.zeros(n_images, np.float32)
        few, many = (encode(1, losses, np.full(n_images, highest), 0) for highest in (65_535, 65_536))
        assert few is not None
        assert many is not None
        sizes.append((len(few), len(many)))
    assert np.diff(sizes, axis=0).tolist() == [[4000, 6000]]


def test_very_many_classes_are_read_back(tmp_path: Path) -> None:
    content = encode(1, LOSSES, np.array([65_535, 65_536, 70_000]), 0)
    assert content is not None
    append(str(tmp_path / "0"), content)
    (found,) = read(str(tmp_path / "0"))
    assert found.predicted.tolist() == [65_535, 65_536, 70_000]


def test_a_loss_beyond_half_precision_stays_finite_and_one_that_is_nan_is_not_kept(tmp_path: Path) -> None:
    content = encode(1, np.array([np.inf, 1e6, 1], np.float32), PREDICTED, 0)
    assert content is not None
    append(str(tmp_path / "0"), content)
    (found,) = read(str(tmp_path / "0"))
    assert found.losses.tolist() == [65504, 65504, 1]
    assert encode(1, np.array([np.nan, 1, 1], np.float32), PREDICTED, 0) is None


@given(data=st.data())
def test_whatever_is_missing_at_the_end_the_whole_epochs_before_are_read_and_kept(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    whole = b"".join(map(record, (1, 2, 3)))
    n_bytes = data.draw(st.integers(0, len(whole)))
    path = tmp_path_factory.mktemp("torn") / "0.epochs"
    path.write_bytes(whole[:n_bytes])
    n_whole = n_bytes // len(record(1))
    assert epochs(str(path)) == [1, 2, 3][:n_whole]
    assert keep_recorded(str(path), 3) == {1, 2, 3}.intersection(range(n_whole + 1))
    for epoch in (1, 2, 3)[n_whole:]:
        append(str(path), record(epoch))
    assert path.read_bytes() == whole


@pytest.mark.parametrize("after", range(5))
def test_epochs_that_are_not_on_record_are_cut_off(path: str, after: int) -> None:
    assert keep_recorded(path, after) == {1, 2, 3}.intersection(range(after + 1))
    assert epochs(path) == [1, 2, 3][:after]


def test_a_damaged_epoch_and_those_behind_it_are_not_read(path: str) -> None:
    content = bytearray(Path(path).read_bytes())
    for at in (5, len(record(1)) - 1):  # in the header, and in the content
        damaged = content.copy()
        damaged[len(record(1)) + at] ^= 1
        Path(path).write_bytes(damaged)
        assert epochs(path) == [1]
    Path(path).write_bytes(bytes(len(content)))
    assert epochs(path) == []


def test_no_file_holds_no_epoch(tmp_path: Path) -> None:
    assert keep_recorded(str(tmp_path / "0"), 4) == set()
