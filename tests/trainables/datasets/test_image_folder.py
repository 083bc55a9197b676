import os
import shutil
from pathlib import Path
from typing import Any, ClassVar

import pytest

from tests.trainables.datasets.contract import FilesContract, counts, held_out, left_out, samples
from tests.trainables.datasets.pictures import FLOWERS, folders, picture
from trainables.data.dataset import DataSet, Files
from trainables.datasets import image_folder
from trainables.errors import SetupError


class TestCut(FilesContract):
    dataset = image_folder
    options: ClassVar[dict[str, Any]] = {"folder": "flowers"}
    name = "flowers"
    folder = "flowers"
    classes = ("daisy", "rose")
    n_training = (16, 12)
    n_held_out = (4, 3)

    def lay_out(self, root: Path) -> None:
        folders(root / "flowers", FLOWERS, suffix=".png")

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
        with pytest.raises(SetupError, match="~nobody_of_this_name/flowers"):
            image_folder.build(root, folder="~nobody_of_this_name/flowers")

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
