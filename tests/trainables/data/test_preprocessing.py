"""From a data set to what a regime receives. Pictures are small, and each is told by its colour."""

from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from PIL import Image

from tests.trainables.datasets import pictures
from trainables.data import preprocessing
from trainables.data.dataset import Files, Part, Source
from trainables.data.decoding import DecodingOptions
from trainables.data.images import ImageFormat
from trainables.data.input_spec import IMAGENET, InputSpec
from trainables.data.preprocessing import Preprocessor, PretrainingSet, Validation
from trainables.errors import SetupError
from trainables.hyperparameters import Config

CLASSES = ("cat", "dog", "horse")


@dataclass
class Fake:
    """A data set that counts how often its training part is asked for, and whose held-out part must not be."""

    source: Source
    classes: tuple[str, ...] = CLASSES
    name: str = "fake"
    asked: int = 0

    def training(self) -> Source:
        self.asked += 1
        return self.source

    def held_out(self) -> Source:
        raise AssertionError("a search must not see the held-out part")


def numbered(n: int = 30, *, channels: int = 1, side: int = 4) -> Part:
    """Images of bytes, numbered by their brightness; the classes take turns."""
    values = torch.arange(n, dtype=torch.uint8).reshape(-1, 1, 1, 1)
    return Part(values.expand(-1, channels, side, side).clone(), torch.arange(n) % 3)


def numbers(part: Part) -> list[int]:
    return part.images[:, 0, 0, 0].int().tolist()


def painted(folder: Path, n: int = 12) -> Files:
    """Files of one colour each, numbered by it; the classes take turns."""
    plain = [Image.new("RGB", (9, 6), (number, number, number)) for number in range(n)]
    return pictures.saved(folder, *plain, labels=[number % 3 for number in range(n)])


def test_a_fraction_is_cut_off_once_and_the_rest_trains() -> None:
    (data,) = Preprocessor(Fake(numbered()), Validation(fraction=0.2, seed=1)).folds(ImageFormat())
    assert (len(data.train), len(data.validation), data.classes) == (24, 6, CLASSES)
    assert sorted(numbers(data.train) + numbers(data.validation)) == list(range(30))
    for part in (data.train, data.validation):
        assert part.labels.tolist() == [number % 3 for number in numbers(part)]


def test_each_fold_is_the_validation_part_once() -> None:
    datas = Preprocessor(Fake(numbered()), Validation(fraction=None, folds=5)).folds(ImageFormat())
    assert sorted(number for data in datas for number in numbers(data.validation)) == list(range(30))
    assert [len(data.train) for data in datas] == [24] * 5


def test_the_cut_follows_from_the_seed() -> None:
    cuts = [
        numbers(Preprocessor(Fake(numbered()), Validation(seed=seed)).folds(ImageFormat())[0].validation)
        for seed in (1, 1, 2)
    ]
    assert cuts[0] == cuts[1] != cuts[2]


def test_images_are_read_once_for_one_form_and_anew_for_another(tmp_path: Path) -> None:
    source = painted(tmp_path / "images")
    dataset = Fake(source)
    prepared = Preprocessor(dataset, Validation(fraction=0.25))
    first = prepared.folds(ImageFormat(size=4))
    for path in source.paths:
        path.unlink()
    assert prepared.folds(ImageFormat(size=4)) is first
    assert first[0].train.shape == (3, 4, 4)
    assert dataset.asked == 1
    with pytest.raises(SetupError, match="cannot be read as an image"):
        prepared.folds(ImageFormat(size=5))


def test_another_form_brings_the_same_images_in_the_same_cut(tmp_path: Path) -> None:
    prepared = Preprocessor(Fake(painted(tmp_path / "images")), Validation(fraction=0.25))
    small, large = prepared.folds(ImageFormat(size=4))[0], prepared.folds(ImageFormat(size=8))[0]
    assert (small.train.shape, large.train.shape) == ((3, 4, 4), (3, 8, 8))
    assert numbers(small.validation) == numbers(large.validation)


def test_groups_take_the_place_of_the_classes_and_leave_other_images_out() -> None:
    source = numbered()
    prepared = Preprocessor(Fake(source), Validation(), merged={"large": ["horse"], "small": ["cat"]})
    (data,) = prepared.folds(ImageFormat())
    assert data.classes == ("large", "small")
    for part in (data.train, data.validation):
        assert part.labels.tolist() == [0 if number % 3 == 2 else 1 for number in numbers(part)]
    assert sorted(numbers(data.train) + numbers(data.validation)) == [n for n in range(30) if n % 3 != 1]
    held_out = prepared.with_merged_classes(numbered(6))
    assert isinstance(held_out, Part)
    assert (numbers(held_out), held_out.labels.tolist()) == ([0, 2, 3, 5], [1, 0, 1, 0])


def test_files_are_grouped_like_images(tmp_path: Path) -> None:
    merged = {"small": ["cat", "dog"], "large": ["horse"]}
    (data,) = Preprocessor(Fake(painted(tmp_path / "images")), Validation(fraction=0.25), merged=merged).folds(
        ImageFormat(4)
    )
    for part in (data.train, data.validation):
        assert part.labels.tolist() == [int(number % 3 == 2) for number in numbers(part)]


def test_without_groups_a_source_stays_as_it_is() -> None:
    source = numbered()
    assert Preprocessor(Fake(source), Validation()).with_merged_classes(source) is source


@pytest.mark.parametrize(
    ("merged", "words"),
    [
        (
            {"small": ["cat", "mouse"], "large": ["horse"]},
            r"`merged_classes\.small`: there is no class 'mouse' \(allowed: cat, dog, horse\)",
        ),
        (
            {"small": ["cat"], "large": ["horse", "cat"]},
            r"`merged_classes\.large`: class 'cat' is in two merged classes",
        ),
        (
            {"small": ["cat", "cat"], "large": ["horse"]},
            r"`merged_classes\.small`: class 'cat' is in two merged classes",
        ),
    ],
)
def test_merged_classes_that_do_not_fit_the_classes_are_named(merged: dict[str, list[str]], words: str) -> None:
    with pytest.raises(SetupError, match=words):
        Preprocessor(Fake(numbered()), Validation(), merged=merged)


def test_a_data_set_that_cannot_be_cut_is_named_with_the_class() -> None:
    dataset = Fake(Part(numbered(8).images, torch.tensor([0, 0, 0, 1, 1, 1, 1, 2])))
    with pytest.raises(
        SetupError,
        match=r"data set 'fake': class 'cat' has 3 images to search with; `task.validation.folds: 4` needs 4",
    ):
        Preprocessor(dataset, Validation(fraction=None, folds=4))
    with pytest.raises(
        SetupError,
        match=r"data set 'fake': class 'horse' has 1 image .*; `task.validation.fraction: 0.5` needs 2 of them$",
    ):
        Preprocessor(dataset, Validation(fraction=0.5))


def test_images_that_cannot_have_the_asked_form_are_named_with_the_data_set() -> None:
    with pytest.raises(SetupError, match="data set 'fake': `model` needs images of 1 channels"):
        Preprocessor(Fake(numbered(channels=3)), Validation()).folds(ImageFormat(channels=1))


def test_files_need_a_size(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="data set 'fake': `image_size` must be given"):
        Preprocessor(Fake(painted(tmp_path / "images")), Validation(fraction=0.25)).folds(ImageFormat())


def test_a_file_that_is_no_image_is_named_and_may_be_left_out(tmp_path: Path) -> None:
    source = painted(tmp_path / "images")
    source.paths[4].write_text("no image")
    prepared = Preprocessor(Fake(source), Validation(fraction=0.25))
    with pytest.raises(SetupError, match=r"4\.png: cannot be read as an image"):
        prepared.folds(ImageFormat(size=4))
    (data,) = prepared.folds(ImageFormat(size=4, skip_unreadable=True))
    assert sorted(numbers(data.train) + numbers(data.validation)) == [n for n in range(12) if n != 4]


def test_another_data_set_to_train_on_first_comes_whole_and_in_the_same_form() -> None:
    other = Fake(numbered(9, side=6), classes=("a", "b", "c"), name="other")
    (data,) = Preprocessor(Fake(numbered()), Validation(), pretraining=PretrainingSet(other)).folds(
        ImageFormat(size=5, channels=3)
    )
    assert data.pretraining is not None
    assert data.pretraining.classes == ("a", "b", "c")
    assert sorted(numbers(data.pretraining.train)) == list(range(9))
    assert data.pretraining.train.shape == data.train.shape == (3, 5, 5)


def test_a_first_data_set_of_another_shape_is_refused_with_what_to_do() -> None:
    other = Fake(numbered(9, side=6), name="other")
    with pytest.raises(SetupError, match=r"\(1, 6, 6\) .* data set \(1, 4, 4\): give both one `image_size`"):
        Preprocessor(Fake(numbered()), Validation(), pretraining=PretrainingSet(other)).folds(ImageFormat())


def test_classes_of_the_first_data_set_are_grouped_by_groups_of_its_own() -> None:
    other = Fake(numbered(9, side=4), classes=("a", "b", "c"), name="other")
    merged = {"ab": ["a", "b"], "c": ["c"]}
    (data,) = Preprocessor(Fake(numbered()), Validation(), pretraining=PretrainingSet(other, merged)).folds(
        ImageFormat()
    )
    assert data.pretraining is not None
    assert data.pretraining.classes == ("ab", "c")
    assert set(data.pretraining.train.labels.tolist()) == {0, 1}


def test_the_same_data_set_under_other_options_is_not_trained_on_first_as_its_parts_may_overlap() -> None:
    with pytest.raises(SetupError, match="images to validate or test on would be trained on first"):
        Preprocessor(Fake(numbered()), Validation(), pretraining=PretrainingSet(Fake(numbered())))


def test_another_folder_of_the_same_kind_of_data_set_may_be_trained_on_first(tmp_path: Path) -> None:
    def files(folder: str) -> Files:
        return Files(tuple(tmp_path / folder / f"{i}.png" for i in range(10)), torch.arange(10) % 2)

    here, there = Fake(files("here"), ("a", "b"), "folder"), Fake(files("there"), ("a", "b"), "folder")
    Preprocessor(here, Validation(), pretraining=PretrainingSet(there))
    with pytest.raises(SetupError, match="Name another data set"):
        Preprocessor(here, Validation(), pretraining=PretrainingSet(Fake(files("here"), ("a", "b"), "folder")))


def test_the_images_lie_on_the_device_of_the_preparation() -> None:
    (data,) = Preprocessor(Fake(numbered()), Validation(), device="cpu").folds(ImageFormat())
    assert data.to("cpu") is data


@pytest.mark.parametrize(
    ("config", "expected", "form"),
    [
        ({}, InputSpec(), ImageFormat()),
        ({}, IMAGENET, ImageFormat(224, 3)),
        ({"image_size": 64, "resize": "squash", "skip_unreadable": True}, IMAGENET, ImageFormat(64, 3, "squash", True)),
        ({"image_size": None, "resize": None, "skip_unreadable": None}, IMAGENET, ImageFormat(224, 3)),
        (
            {"exif_orientation": False, "background": "white", "tolerate_truncated": True, "max_pixels": 5},
            InputSpec(),
            ImageFormat(decoding=DecodingOptions(False, "white", True, 5)),
        ),
        ({"max_text_bytes": 6}, InputSpec(), ImageFormat(decoding=DecodingOptions(max_text_bytes=6))),
        ({"exif_orientation": None, "background": None, "max_pixels": None}, InputSpec(), ImageFormat()),
    ],
)
def test_the_form_is_the_models_unless_the_configuration_says_otherwise(
    config: Config, expected: InputSpec, form: ImageFormat
) -> None:
    assert preprocessing.image_format(config, expected) == form


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"image_size": 0}, "`image_size` must be a whole number of at least 1, but is 0"),
        ({"resize": "stretch"}, "`resize` must be one of crop, squash, but is 'stretch'"),
        ({"skip_unreadable": 1}, "`skip_unreadable` must be true or false, but is 1"),
        ({"tolerate_truncated": 1}, "`tolerate_truncated` must be true or false, but is 1"),
        ({"exif_orientation": "no"}, "`exif_orientation` must be true or false, but is 'no'"),
        ({"background": "red"}, "`background` must be one of white, black, but is 'red'"),
        ({"max_pixels": 0}, "`max_pixels` must be a whole number of at least 1, but is 0"),
        ({"max_text_bytes": 1.5}, "`max_text_bytes` must be a whole number of at least 1, but is 1.5"),
    ],
)
def test_a_wrong_form_is_refused_by_name(config: Config, words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        preprocessing.image_format(config, InputSpec())
    assert not isinstance(caught.value, SetupError)  # another value would do, so other trials may go on
