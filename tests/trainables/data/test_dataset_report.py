import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.trainables.datasets.contract import real_data
from tests.trainables.datasets.pictures import broken, files, picture, saved
from trainables.data import images
from trainables.data.dataset import Files, LeftOut, Part
from trainables.data.dataset_report import ClassCounts, DuplicatePair, SizeStatistics, UnreadableFile, lines, report
from trainables.data.decoding import DecodingOptions
from trainables.data.heldout import held_out
from trainables.datasets import caltech101, digits

CLASSES = ("rose", "daisy")


@pytest.fixture
def unseen(tmp_path: Path) -> Files:
    return saved(tmp_path / "unseen", picture(100), picture(101), labels=[0, 1])


def part(*numbers: int, labels: list[int]) -> Part:
    """Images of 1 x 2 pixels that hold their number."""
    values = torch.tensor(numbers, dtype=torch.uint8).reshape(-1, 1, 1, 1).expand(-1, 1, 1, 2)
    return Part(values, torch.tensor(labels))


def test_it_counts_each_class_in_both_parts(tmp_path: Path, unseen: Files) -> None:
    training = saved(tmp_path / "seen", *(picture(i) for i in range(5)), labels=[1, 0, 1, 1, 1])
    found = report(training, unseen, CLASSES)
    assert found.classes == (ClassCounts("rose", 1, 1), ClassCounts("daisy", 4, 1))
    assert found.is_sound


def test_it_tells_the_sizes_of_the_images_to_search_with(tmp_path: Path, unseen: Files) -> None:
    sides = [(10, 40), (20, 9), (70, 30), (30, 20)]
    training = saved(tmp_path / "seen", *(picture(i, size) for i, size in enumerate(sides)), labels=[0, 1, 1, 1])
    found = report(training, unseen, CLASSES)
    assert (found.width, found.height) == (SizeStatistics(10, 25, 70), SizeStatistics(9, 25, 40))


def test_an_image_is_grey_where_its_colours_are_alike_however_it_is_stored(tmp_path: Path, unseen: Files) -> None:
    grey = picture(0).convert("L")
    red, green, blue = picture(1).split()
    pictures = [grey, Image.merge("RGB", (red, red, red)), picture(2)]
    pictures += [Image.merge("RGB", bands) for bands in ((red, red, blue), (red, green, red), (green, red, red))]
    found = report(saved(tmp_path / "seen", *pictures, labels=[0, 1, 1, 1, 1, 1]), unseen, CLASSES)
    assert found.n_grey == 2


def test_mean_and_deviation_are_those_of_all_pixels_of_the_files(tmp_path: Path, unseen: Files) -> None:
    pictures = [picture(i, (10 + 7 * i, 8)) for i in range(4)]
    pixels = np.concatenate([np.asarray(image).reshape(-1, 3) for image in pictures]) / 255
    found = report(saved(tmp_path / "seen", *pictures, labels=[0, 1, 0, 1]), unseen, CLASSES)
    assert found.mean == pytest.approx(pixels.mean(0).tolist(), rel=1e-12)
    assert found.std == pytest.approx(pixels.std(0).tolist(), rel=1e-12)


def test_each_file_that_cannot_be_read_is_named_with_the_reason(tmp_path: Path) -> None:
    bad = broken(tmp_path / "broken")
    training = files(*saved(tmp_path / "seen", picture(0)).paths, bad["text.jpg"], labels=[0, 1])
    unseen = files(bad["missing.jpg"], *saved(tmp_path / "unseen", picture(1)).paths, labels=[0, 1])
    found = report(training, unseen, CLASSES)
    assert found.unreadable == (
        UnreadableFile(str(bad["text.jpg"]), "it is no image of a known format"),
        UnreadableFile(str(bad["missing.jpg"]), "No such file or directory"),
    )
    assert found.classes == (ClassCounts("rose", 1, 1), ClassCounts("daisy", 1, 1))
    assert found.width == SizeStatistics(12, 12, 12)


def test_a_part_of_which_nothing_can_be_read_has_no_sizes_and_no_brightness(tmp_path: Path, unseen: Files) -> None:
    bad = broken(tmp_path / "broken")
    found = report(files(bad["text.jpg"], bad["empty.jpg"], labels=[0, 1]), unseen, CLASSES)
    assert (found.width, found.height, found.mean, found.std, found.n_grey) == (None, None, (), (), 0)
    assert len(found.unreadable) == 2
    assert lines(found)


def test_classes_that_a_part_lacks_are_named(unseen: Files, tmp_path: Path) -> None:
    training = saved(tmp_path / "seen", picture(0), picture(1), labels=[0, 2])
    assert report(training, unseen, (*CLASSES, "tulip", "lily")).empty == ("daisy", "tulip", "lily")


def test_an_image_in_both_parts_is_found_by_its_pixels_whatever_its_file(tmp_path: Path) -> None:
    training = saved(tmp_path / "seen", picture(0), picture(1), labels=[0, 1])
    unseen = saved(tmp_path / "unseen", picture(2), picture(3), labels=[0, 1])
    copy = tmp_path / "copy.bmp"
    picture(1).save(copy)
    found = report(training, files(*unseen.paths, copy, labels=[0, 1, 1]), CLASSES)
    assert found.in_both_parts == (DuplicatePair(str(training.paths[1]), str(copy)),)
    assert found.in_two_classes == ()


def test_the_same_pixels_in_another_shape_are_another_image(tmp_path: Path) -> None:
    one, other = Image.new("RGB", (4, 6), (9, 9, 9)), Image.new("RGB", (6, 4), (9, 9, 9))
    training = saved(tmp_path / "seen", one, picture(0), labels=[0, 1])
    assert report(training, saved(tmp_path / "unseen", other, picture(1), labels=[0, 1]), CLASSES).is_sound


def test_one_image_in_two_classes_of_a_part_is_found(tmp_path: Path) -> None:
    training = saved(tmp_path / "seen", *(picture(i) for i in (0, 1, 0, 1)), labels=[0, 1, 0, 0])
    unseen = saved(tmp_path / "unseen", *(picture(i) for i in (2, 2)), labels=[0, 1])
    found = report(training, unseen, CLASSES)
    seen, other = training.paths, unseen.paths
    assert found.in_two_classes == (
        DuplicatePair(str(seen[1]), str(seen[3])),
        DuplicatePair(str(other[0]), str(other[1])),
    )
    assert found.in_both_parts == ()


def test_images_in_memory_are_surveyed_as_files_are() -> None:
    training = part(7, 8, 9, 8, labels=[0, 1, 1, 0])
    found = report(training, part(9, 5, labels=[0, 1]), CLASSES)
    assert found.classes == (ClassCounts("rose", 2, 1), ClassCounts("daisy", 2, 1))
    assert (found.width, found.height, found.n_grey) == (SizeStatistics(2, 2, 2), SizeStatistics(1, 1, 1), 4)
    assert (found.mean, found.std) == images.statistics(training)
    assert found.in_both_parts == (DuplicatePair("training image 2", "held-out image 0"),)
    assert found.in_two_classes == (DuplicatePair("training image 1", "training image 3"),)


def test_an_image_in_memory_with_all_channels_alike_is_grey() -> None:
    colours = torch.rand(4, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    colours[1] = colours[1, :1]
    colours[2, 1] = colours[2, 0]
    colours[3, 2] = colours[3, 0]
    training = Part(colours, torch.tensor([0, 1, 1, 1]))
    assert report(training, part(1, 2, labels=[0, 1]), CLASSES).n_grey == 1


def test_the_number_of_threads_changes_nothing(tmp_path: Path, unseen: Files) -> None:
    training = saved(tmp_path / "seen", *(picture(i % 90, (9 + i % 7, 9)) for i in range(100)), labels=[0, 1] * 50)
    before = torch.get_num_threads()
    try:
        found = []
        for n in (1, 3):
            torch.set_num_threads(n)
            found.append(report(training, unseen, CLASSES))
    finally:
        torch.set_num_threads(before)
    assert found[0] == found[1]


def test_the_digits_are_sound() -> None:
    dataset = digits.build(None)
    found = report(dataset.training(), held_out(dataset), dataset.classes)
    assert found.is_sound
    assert (found.width, found.n_grey) == (SizeStatistics(8, 8, 8), 1437)


@pytest.mark.slow
def test_real_photographs_are_sound() -> None:
    dataset = caltech101.build(real_data())
    found = report(dataset.training(), held_out(dataset), dataset.classes)
    assert found.is_sound
    assert found.n_grey == 271
    assert (found.width, found.height) == (SizeStatistics(80, 300, 708), SizeStatistics(101, 240, 494))


def test_files_that_are_left_out_are_told_apart_from_images_of_the_parts(tmp_path: Path, unseen: Files) -> None:
    training = saved(tmp_path / "seen", picture(0), picture(1), labels=[0, 1])
    left_out = (LeftOut(tmp_path / "a.jpg", "broken links"),)
    found = report(training, unseen, CLASSES, left_out=left_out)
    assert found.left_out == left_out
    assert found.is_sound


def test_files_are_read_with_the_given_options(tmp_path: Path, unseen: Files) -> None:
    training = saved(tmp_path / "seen", picture(0, (30, 30)), picture(1), labels=[0, 1])
    found = report(training, unseen, CLASSES, decoding=DecodingOptions(max_pixels=899))
    assert [file.path for file in found.unreadable] == [str(training.paths[0])]


def test_paths_that_are_not_utf8_are_given_with_escapes(tmp_path: Path, unseen: Files) -> None:
    path = tmp_path / os.fsdecode(b"caf\xe9.jpg")
    path.write_bytes(b"")
    found = report(files(*unseen.paths, path, labels=[0, 1, 1]), unseen, CLASSES)
    assert found.unreadable[0].path == str(tmp_path / r"caf\xe9.jpg")
