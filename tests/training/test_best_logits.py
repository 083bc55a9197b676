"""Tests of the file of a trial in training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hpo.training.best_logits import BestLogits, drop_later, read, write

LOGITS = np.array([[0, -1], [-2, 0], [-3, 0]], np.float16)


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "0.training")


def best(epoch: int, logits: np.ndarray = LOGITS, targets: int = 77) -> BestLogits:
    return BestLogits(epoch, np.minimum(logits, 0) - np.float16(epoch), targets)


def epochs(path: str) -> list[int]:
    return [each.epoch for each in read(path)]


def test_the_last_two_are_read_the_latest_first(path: str) -> None:
    assert epochs(path) == []
    for epoch, expected in [(1, [1]), (2, [2, 1]), (5, [5, 2]), (6, [6, 5])]:
        write(path, best(epoch))
        assert epochs(path) == expected
    for found in read(path):
        assert (found.logits == best(found.epoch).logits).all()
        assert found.logits.dtype == np.float16
        assert found.targets == 77


def test_the_file_does_not_grow(path: str) -> None:
    sizes = []
    for epoch in range(1, 6):
        write(path, best(epoch))
        sizes.append(Path(path).stat().st_size)
    assert len(set(sizes[1:])) == 1


def test_an_epoch_written_again_replaces_only_itself(path: str) -> None:
    for epoch in (3, 5, 5, 3):
        write(path, best(epoch))
    assert epochs(path) == [5, 3]


@pytest.mark.parametrize("first", [1, 2])
def test_of_a_write_that_a_kill_cut_short_the_one_before_is_left(path: str, first: int) -> None:
    """Whatever part of the new bytes reached the file, and whichever place of the file they are in."""
    for epoch in range(1, first + 1):
        write(path, best(epoch))
    before = Path(path).read_bytes()
    write(path, best(first + 1))
    after = Path(path).read_bytes()
    changed = [i for i in range(len(after)) if after[i : i + 1] != before[i : i + 1]]
    for n_bytes in range(changed[0] + 1, changed[-1] + 1):
        end = max(len(before), n_bytes)
        Path(path).write_bytes((after[:n_bytes] + before[n_bytes:])[:end])
        assert first in epochs(path)
        assert first + 1 not in epochs(path)


def test_what_is_not_on_record_is_removed_and_written_over_next(path: str) -> None:
    drop_later(path, 0)
    for epoch in (3, 5):
        write(path, best(epoch))
    drop_later(path, 5)
    assert epochs(path) == [5, 3]
    drop_later(path, 4)
    assert epochs(path) == [3]
    write(path, best(6))
    assert epochs(path) == [6, 3]


def test_logits_of_other_images_replace_all(path: str) -> None:
    for epoch in (1, 2):
        write(path, best(epoch))
    write(path, best(3, LOGITS[:2]))
    assert epochs(path) == [3]
    write(path, best(4, LOGITS[:2], targets=5))
    assert epochs(path) == [4]


def test_a_foreign_file_holds_nothing_and_is_replaced(path: str) -> None:
    for content in (b"", b"PK", bytes(100)):
        Path(path).write_bytes(content)
        drop_later(path, 0)
        assert epochs(path) == []
        write(path, best(1))
        assert epochs(path) == [1]
