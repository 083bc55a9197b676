import torch

from tests.trainables.numbered import pictures
from trainables.data import group_numbers
from trainables.data.dataset import Part


def grouped(*groups: int) -> Part:
    images = pictures(len(groups))
    return Part(images.pool, images.labels, groups=torch.tensor(groups))


def test_groups_are_numbered_in_the_order_in_which_they_appear() -> None:
    assert group_numbers.numbers(["b", "a", "b", "c"]) == (0, 1, 0, 2)
    assert group_numbers.numbers([]) == ()


def test_the_groups_of_two_parts_are_never_the_same() -> None:
    found = group_numbers.of_parts([grouped(0, 1, 0), grouped(0, 0), grouped(1, 0)])
    assert found is not None
    assert found.tolist() == [0, 1, 0, 2, 2, 4, 3]


def test_a_part_without_groups_leaves_none_of_them_known() -> None:
    assert group_numbers.of_parts([grouped(0, 1), pictures(2)]) is None
