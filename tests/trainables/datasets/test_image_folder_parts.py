"""An image folder with a folder for each part."""

import shutil
from pathlib import Path
from typing import Any, ClassVar

import pytest

from tests.trainables.datasets.contract import FilesContract, counts, held_out, left_out
from tests.trainables.datasets.pictures import folders
from trainables.data.dataset import Files
from trainables.data.file_sets import FileSet
from trainables.datasets import image_folder
from trainables.errors import SetupError


class TestParts(FilesContract):
    dataset = image_folder
    options: ClassVar[dict[str, Any]] = {"folder": "flowers"}
    name = "flowers"
    folder = "flowers"
    classes = ("daisy", "rose")
    n_training = (6, 5)
    n_held_out = (2, 3)

    def lay_out(self, root: Path) -> None:
        n = folders(root / "flowers/train", {"rose": 5, "daisy": 6})
        n = folders(root / "flowers/test", {"rose": 3, "daisy": 2}, first=n)
        folders(root / "flowers/raw", {"rose": 1}, first=n)

    def test_the_folders_train_and_test_are_the_parts(self, root: Path) -> None:
        dataset = self.build(root)
        for source, name in ((dataset.training(), "train"), (held_out(dataset), "test")):
            assert isinstance(source, Files)
            assert {path.parent.parent.name for path in source.paths} == {name}

    def test_other_folders_beside_them_are_left_out_and_counted(self, root: Path) -> None:
        (root / "flowers/test/rose/broken.jpg").symlink_to("gone.jpg")
        assert left_out(self.build(root)) == {"raw": True, "test/rose/broken.jpg": True}

    @pytest.mark.parametrize("options", [{"held_out": 0.2}, {"seed": 0}])
    def test_to_ask_for_a_cut_as_well_is_an_error(self, root: Path, options: dict[str, Any]) -> None:
        with pytest.raises(
            SetupError, match=rf"`dataset.{next(iter(options))}` must not be given: data set 'flowers' has"
        ):
            image_folder.build(root, folder="flowers", **options)

    @pytest.mark.parametrize(("part", "other"), [("train", "test"), ("test", "train")])
    def test_a_class_in_one_part_alone_is_named(self, root: Path, part: str, other: str) -> None:
        folders(root / f"flowers/{other}", {"tulip": 2}, first=100)
        with pytest.raises(SetupError, match=rf"flowers/{part}: class 'tulip' is missing, which another part has"):
            self.build(root)

    def test_one_of_the_folders_alone_is_a_class_without_images(self, root: Path) -> None:
        (root / "flowers/test").rename(root / "flowers/other")
        with pytest.raises(SetupError, match=r"flowers/train: class 'train' has no image"):
            self.build(root)

    def test_a_link_from_one_part_into_the_other_adds_no_image(self, root: Path) -> None:
        (root / "flowers/train/rose/more").symlink_to("../../test/rose")
        dataset = self.build(root)
        assert counts(dataset) == (self.n_training, self.n_held_out)
        assert left_out(dataset)["train/rose/more"]

    def test_a_part_that_is_a_link_to_the_other_is_an_error(self, root: Path) -> None:
        shutil.rmtree(root / "flowers/test")
        (root / "flowers/test").symlink_to("train")
        with pytest.raises(SetupError, match=r"test/daisy: is a link to .*train/daisy, which has its images already"):
            self.build(root)


class TestGivenValidation(FilesContract):
    dataset = image_folder
    options: ClassVar[dict[str, Any]] = {"folder": "flowers"}
    name = "flowers"
    folder = "flowers"
    classes = ("daisy", "rose")
    n_training = (6, 7)
    n_validation = (5, 5)
    n_held_out = (2, 3)

    def lay_out(self, root: Path) -> None:
        n = folders(root / "flowers/Training", {"rose": 7, "daisy": 6})
        n = folders(root / "flowers/Valid", {"rose": 5, "daisy": 5}, first=n)
        folders(root / "flowers/TEST", {"rose": 3, "daisy": 2}, first=n)

    def test_the_folders_may_have_other_usual_names_in_any_case(self, root: Path) -> None:
        dataset = self.build(root)
        assert isinstance(dataset, FileSet)
        assert dataset.part_folders == {
            "train": "flowers/Training",
            "validation": "flowers/Valid",
            "test": "flowers/TEST",
        }

    def test_without_test_a_share_of_both_others_is_held_out(self, root: Path) -> None:
        shutil.rmtree(root / "flowers/TEST")
        dataset = self.build(root)
        assert isinstance(dataset, FileSet)
        parts = [dataset.training(), dataset.validation(), dataset.held_out()]
        assert [part and part.labels.bincount().tolist() for part in parts] == [[5, 6], [4, 4], [2, 2]]
        assert dataset.part_folders["test"] == "flowers/Training and flowers/Valid"

    def test_without_test_nothing_may_be_held_out(self, root: Path) -> None:
        shutil.rmtree(root / "flowers/TEST")
        dataset = image_folder.build(root, folder="flowers", held_out="none")
        assert dataset.held_out() is None
        assert len(dataset.training()) == 13

    def test_two_folders_of_one_part_are_an_error(self, root: Path) -> None:
        shutil.copytree(root / "flowers/Valid", root / "flowers/val")
        with pytest.raises(SetupError, match="the folders Valid and val both stand for the validation part"):
            self.build(root)

    def test_a_class_that_the_validation_folder_lacks_is_named(self, root: Path) -> None:
        shutil.rmtree(root / "flowers/Valid/rose")
        with pytest.raises(SetupError, match=r"flowers/Valid: class 'rose' is missing, which another part has"):
            self.build(root)

    def test_a_part_without_images_is_an_error(self, root: Path) -> None:
        for path in (root / "flowers/Valid/rose").iterdir():
            path.unlink()
        with pytest.raises(SetupError, match=r"Valid/rose: class 'rose' has no image"):
            self.build(root)

    def test_a_group_in_two_folders_names_the_group_and_the_parts(self, root: Path) -> None:
        shutil.copy(next((root / "flowers/Valid/rose").iterdir()), root / "flowers/TEST/rose/again_0003.jpg")
        with pytest.raises(SetupError, match=r"group '0003' has images in two parts, training .*again_0003.jpg\)"):
            image_folder.build(root, folder="flowers", group=r"(\d+)\.")
