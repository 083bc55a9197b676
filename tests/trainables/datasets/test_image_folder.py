import os
import shutil
from pathlib import Path
from typing import Any, ClassVar

import pytest

from tests.trainables.datasets.contract import FilesContract, counts, held_out, samples
from tests.trainables.datasets.pictures import folders, picture
from trainables.data.dataset import DataSet, Files
from trainables.data.file_sets import FileSet
from trainables.datasets import image_folder
from trainables.errors import SetupError


def left_out(dataset: DataSet) -> dict[str, bool]:
    """The relative paths of the files that are left out, and whether they may matter."""
    assert isinstance(dataset, FileSet)
    return {each.path.as_posix().partition("/flowers/")[2]: each.may_matter for each in dataset.left_out}


COUNTS = {"rose": 15, "daisy": 20}


class TestCut(FilesContract):
    dataset = image_folder
    options: ClassVar[dict[str, Any]] = {"folder": "flowers"}
    name = "flowers"
    folder = "flowers"
    classes = ("daisy", "rose")
    n_training = (16, 12)
    n_held_out = (4, 3)

    def lay_out(self, root: Path) -> None:
        folders(root / "flowers", COUNTS, suffix=".png")

    def test_the_share_that_is_held_out_can_be_chosen(self, root: Path) -> None:
        assert counts(image_folder.build(root, folder="flowers", held_out=0.4)) == ((12, 9), (8, 6))

    def test_the_cut_follows_from_its_seed(self, root: Path) -> None:
        cuts = [samples(image_folder.build(root, folder="flowers", seed=seed)) for seed in (0, 1, 1)]
        assert cuts[0] != cuts[1] == cuts[2]
        assert cuts[0] == samples(self.build(root))

    def test_a_folder_elsewhere_is_given_by_its_path(self, root: Path, tmp_path: Path) -> None:
        elsewhere = (root / "flowers").rename(tmp_path / "garden")
        for folder_of_all in (root, None):
            dataset = image_folder.build(folder_of_all, folder=str(elsewhere))
            assert (dataset.name, counts(dataset)) == ("garden", (self.n_training, self.n_held_out))

    def test_the_path_may_begin_with_the_home_folder(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HOME", str(root))
        assert samples(image_folder.build(None, folder="~/flowers")) == samples(self.build(root))

    def test_what_is_hidden_or_no_image_is_ignored(self, root: Path) -> None:
        expected = samples(self.build(root))
        for name in (".hidden.png", "notes.txt", "no_suffix"):
            (root / "flowers/rose" / name).write_text("no picture")
        (root / "flowers/rose/folder.png").mkdir()
        (root / "flowers/.cache").mkdir()
        (root / "flowers/list.csv").write_text("")
        assert samples(self.build(root)) == expected

    def test_what_is_left_out_is_counted_beside_the_classes_as_well(self, root: Path) -> None:
        assert left_out(self.build(root)) == {}
        flowers = root / "flowers"
        (flowers / "rose/broken.jpg").symlink_to("gone.jpg")
        (flowers / "rose/notes.txt").write_text("")
        (flowers / "LICENSE").write_text("")
        (flowers / "tulip").symlink_to("gone")
        picture(0).save(flowers / "cover.png")
        assert left_out(self.build(root)) == {
            "rose/broken.jpg": True,
            "rose/notes.txt": False,
            "LICENSE": False,
            "tulip": True,
            "cover.png": True,
        }

    def test_the_images_of_a_class_may_lie_in_folders_below_it(self, root: Path) -> None:
        rose = root / "flowers/rose"
        expected = {path.name for path in rose.iterdir()}
        (rose / "2023/may").mkdir(parents=True)
        for path in list(rose.glob("*5.png")):
            path.rename(rose / "2023/may" / path.name)
        dataset = self.build(root)
        assert counts(dataset) == (self.n_training, self.n_held_out)
        sources = [source for source in (dataset.training(), held_out(dataset)) if isinstance(source, Files)]
        assert {path.name for source in sources for path in source.paths if rose in path.parents} == expected

    def test_a_class_whose_name_is_not_utf8_has_a_name_with_escapes(self, root: Path) -> None:
        (root / "flowers/rose").rename(root / "flowers" / os.fsdecode(b"ros\xe9"))
        dataset = self.build(root)
        assert dataset.classes == ("daisy", r"ros\xe9")
        assert counts(dataset) == (self.n_training, self.n_held_out)

    def test_a_class_that_holds_only_other_files_says_so(self, root: Path) -> None:
        (root / "flowers/tulip").mkdir()
        (root / "flowers/tulip/a.jpg").symlink_to("gone")
        with pytest.raises(SetupError, match=r"'tulip' has no image; .*; left out: 1, the first is a.jpg \(broken"):
            self.build(root)

    def test_parts_without_train_are_not_taken_for_classes(self, root: Path) -> None:
        flowers = root / "flowers"
        for part in ("Test", "valid"):
            (flowers / part).mkdir()
            shutil.copytree(flowers / "rose", flowers / part / "rose")
        with pytest.raises(SetupError, match=r"Test: class 'Test' has no image of its own, .* looks like a part"):
            self.build(root)

    def test_a_class_named_like_a_part_is_one_if_it_holds_images(self, root: Path) -> None:
        (root / "flowers/rose").rename(root / "flowers/eval")
        (root / "flowers/daisy/itself").symlink_to("itself")
        dataset = self.build(root)
        assert dataset.classes == ("daisy", "eval")
        assert left_out(dataset)["daisy/itself"]

    def test_a_suffix_may_be_written_in_capitals(self, root: Path) -> None:
        for path in (root / "flowers/rose").iterdir():
            path.rename(path.with_suffix(".PNG"))
        assert counts(self.build(root)) == (self.n_training, self.n_held_out)

    def test_a_class_without_an_image_is_named(self, root: Path) -> None:
        (root / "flowers/tulip").mkdir()
        (root / "flowers/tulip/notes.txt").write_text("")
        with pytest.raises(SetupError, match=r"flowers/tulip: class 'tulip' has no image; put image files"):
            self.build(root)

    def test_a_class_too_small_to_be_cut_is_named(self, root: Path) -> None:
        folders(root / "flowers", {"tulip": 1}, first=100)
        needs = "data set 'flowers': class 'tulip' has 1 image; `dataset.held_out: 0.2` needs 5"
        with pytest.raises(SetupError) as caught:
            self.build(root)
        assert str(caught.value) == f"{needs}; set `dataset.rare_classes` to leave_out, or add images"
        with pytest.raises(SetupError) as caught:
            image_folder.build(root, folder="flowers", rare_classes="keep")
        assert str(caught.value) == (
            "data set 'flowers': class 'tulip' has 1 image; `dataset.rare_classes: keep` needs 3: one to train, one to "
            "validate, one held out"
        )
        shutil.rmtree(root / "flowers/daisy")
        with pytest.raises(SetupError) as caught:
            self.build(root)
        assert str(caught.value) == f"{needs}; add images"

    @pytest.mark.parametrize(("fraction", "values"), [(0.2, "keep or leave_out"), (0.9, "leave_out")])
    def test_to_keep_a_small_class_is_advised_only_if_two_images_are_left(
        self, root: Path, fraction: float, values: str
    ) -> None:
        folders(root / "flowers", {"tulip": 3}, first=100)
        with pytest.raises(SetupError, match=f"; set `dataset.rare_classes` to {values}, or add images$"):
            image_folder.build(root, folder="flowers", held_out=fraction)

    def test_a_class_too_small_to_be_cut_can_be_kept_or_left_out(self, root: Path) -> None:
        folders(root / "flowers", {"tulip": 4}, first=100)
        with pytest.raises(SetupError, match=r"has 4 images; .* needs 5; set `dataset\.rare_classes` to keep or"):
            self.build(root)
        kept = image_folder.build(root, folder="flowers", rare_classes="keep")
        assert counts(kept) == ((16, 12, 3), (4, 3, 1))
        left = image_folder.build(root, folder="flowers", rare_classes="leave_out")
        assert (left.classes, counts(left)) == (("daisy", "rose"), (self.n_training, self.n_held_out))
        assert samples(left) == samples(self.build_without(root, "tulip"))
        notes = [getattr(dataset, "notes", ()) for dataset in (kept, left)]
        assert notes == [
            ("a class with fewer than 5 images keeps at least one image in each part: 'tulip' (4 images)",),
            ("a class with fewer than 5 images is left out: 'tulip' (4 images)",),
        ]

    def build_without(self, root: Path, name: str) -> DataSet:
        (root / "flowers" / name).rename(root / name)
        return self.build(root)

    def test_two_classes_at_least_must_be_left(self, root: Path) -> None:
        folders(root / "few", {"tulip": 4, "rose": 20}, first=100)
        with pytest.raises(SetupError, match="without its rare classes, 1 of 2 classes are left"):
            image_folder.build(root, folder="few", rare_classes="leave_out")

    def test_a_folder_without_classes_is_told(self, root: Path) -> None:
        (root / "empty").mkdir()
        with pytest.raises(SetupError, match=r"empty: holds no folder; each class needs one of its own"):
            image_folder.build(root, folder="empty")

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"folder": None}, "`dataset.folder` is missing: give the path of a folder"),
            ({"folder": ""}, "`dataset.folder` is '': give the path of a folder"),
            ({"folder": "weeds"}, "`dataset.folder`: there is no folder .*weeds"),
            ({"held_out": 0}, "`dataset.held_out` must be above 0 and below 1, but is 0"),
            ({"held_out": 1.0}, "`dataset.held_out` must be above 0 and below 1, but is 1.0"),
            ({"held_out": "0.2"}, "`dataset.held_out` must be a finite number .*, but is '0.2'"),
            ({"rare_classes": "drop"}, "`dataset.rare_classes` must be one of error, keep, leave_out, but is 'drop'"),
            ({"seed": -1}, "`dataset.seed` must be a whole number of at least 0, but is -1"),
        ],
    )
    def test_a_wrong_option_is_named(self, root: Path, options: dict[str, Any], message: str) -> None:
        with pytest.raises(SetupError, match=message):
            image_folder.build(root, **{**self.options, **options})


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
