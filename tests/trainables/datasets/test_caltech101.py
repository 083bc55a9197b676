import tarfile
from pathlib import Path
from urllib.error import URLError

import pytest

from tests.trainables.datasets.contract import FilesContract, contents, counts, download, held_out, real_data
from tests.trainables.datasets.pictures import folders
from trainables import vision
from trainables.data.dataset import Files
from trainables.datasets import caltech101
from trainables.errors import SetupError

N_FILES = {"BACKGROUND_Google": 3, "Faces": 6, "accordion": 9, "yin_yang": 5}
TRAINING = [0, 1, 3, 4, 5, 6, 9, 10, 11, 12, 13, 18, 19, 20]
"""The numbers of the images in the training list, of which the first two show background."""


def lists(root: Path) -> tuple[Path, Path]:
    folder = root / "caltech101"
    return folder / "train.txt", folder / "test.txt"


class CaltechContract(FilesContract):
    dataset = caltech101
    name = "caltech101"
    folder = "caltech101"
    classes = ("Faces", "accordion", "yin_yang")

    def lay_out(self, root: Path) -> None:
        folders(root / "caltech101/101_ObjectCategories", N_FILES)

    def test_the_background_is_left_out(self, root: Path) -> None:
        dataset = self.build(root)
        for source in (dataset.training(), held_out(dataset)):
            assert isinstance(source, Files)
            assert not any("BACKGROUND" in str(path) for path in source.paths)

    def test_what_is_there_is_not_downloaded_again(self, root: Path) -> None:
        before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
        caltech101.fetch(root)
        assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before


class TestGivenLists(CaltechContract):
    n_training = (4, 5, 3)
    n_held_out = (2, 4, 2)

    def lay_out(self, root: Path) -> None:
        super().lay_out(root)
        images = root / "caltech101/101_ObjectCategories"
        lines: tuple[list[str], list[str]] = ([], [])
        for path in sorted(images.rglob("*.jpg")):
            lines[int(path.stem[-4:]) not in TRAINING].append(path.relative_to(images).as_posix())
        for path, part in zip(lists(root), lines, strict=True):
            path.write_text("\n".join(part) + "\n\n")

    def test_the_parts_are_those_of_the_lists(self, root: Path) -> None:
        source = self.build(root).training()
        assert isinstance(source, Files)
        assert [int(path.stem[-4:]) for path in source.paths] == TRAINING[2:]

    def test_files_of_the_background_may_be_missing(self, root: Path) -> None:
        for path in (root / "caltech101/101_ObjectCategories/BACKGROUND_Google").iterdir():
            path.unlink()
        assert counts(self.build(root)) == (self.n_training, self.n_held_out)

    @pytest.mark.parametrize("line", ["accordion/image_9999.jpg", "accordion", "../train.txt", "/hostname"])
    def test_a_line_that_names_no_image_is_told_by_its_number(self, root: Path, line: str) -> None:
        path = lists(root)[1]
        path.write_text(f"{path.read_text()}{line}\n")
        with pytest.raises(SetupError, match=rf"test\.txt:11: must name a file of .*, but is {line!r}"):
            self.build(root)

    def test_an_image_in_both_lists_is_told(self, root: Path) -> None:
        training, unseen = lists(root)
        unseen.write_text(unseen.read_text() + "accordion/image_0010.jpg")
        assert "accordion/image_0010.jpg" in training.read_text()
        with pytest.raises(SetupError, match=r"accordion/image_0010.jpg stands in both train.txt and test.txt"):
            self.build(root)

    def test_a_class_that_one_list_lacks_is_told(self, root: Path) -> None:
        path = lists(root)[0]
        path.write_text("\n".join(line for line in path.read_text().splitlines() if "Faces" not in line))
        with pytest.raises(SetupError, match=r"train.txt: names no image of class 'Faces'"):
            self.build(root)

    def test_one_list_without_the_other_is_no_split(self, root: Path) -> None:
        lists(root)[1].unlink()
        with pytest.raises(SetupError, match=r"test.txt is missing; the lists train.txt and test.txt go together"):
            self.build(root)

    def test_a_list_without_images_is_told(self, root: Path) -> None:
        lists(root)[0].write_text("BACKGROUND_Google/image_0000.jpg\n")
        with pytest.raises(SetupError, match=r"train.txt: names no image"):
            self.build(root)

    def test_lists_without_images_beside_them_are_told(self, root: Path) -> None:
        (root / "caltech101/101_ObjectCategories").rename(root / "elsewhere")
        with pytest.raises(SetupError, match=r"caltech101: must hold 101_ObjectCategories .* hpo fetch"):
            self.build(root)


class TestTheDownloadAlone(CaltechContract):
    n_training = (4, 6, 3)
    n_held_out = (2, 3, 2)


def test_a_download_is_what_is_built_afterwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def bring(url: str, download_root: str, **others: str) -> None:
        """Lay the archive down as it comes; torchvision goes on from there as always."""
        folders(tmp_path / "images", N_FILES)
        folder = Path(download_root) / "caltech-101"
        folder.mkdir()
        (folder.parent / "caltech-101.zip").touch()
        with tarfile.open(folder / "101_ObjectCategories.tar.gz", "w:gz") as archive:
            archive.add(tmp_path / "images", "101_ObjectCategories")

    monkeypatch.setattr(vision.datasets().caltech, "download_and_extract_archive", bring)
    with download():
        caltech101.fetch(tmp_path / "root")
    dataset = caltech101.build(tmp_path / "root")
    assert counts(dataset) == (TestTheDownloadAlone.n_training, TestTheDownloadAlone.n_held_out)
    assert [path.name for path in (tmp_path / "root/caltech101").iterdir()] == ["101_ObjectCategories"]


def test_a_download_that_fails_says_why_and_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: str, **others: str) -> None:
        raise URLError("no connection")

    monkeypatch.setattr(vision.datasets().caltech, "download_and_extract_archive", fail)
    with pytest.raises(SetupError, match=r"caltech101 cannot be downloaded: .*no connection"):
        caltech101.fetch(tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_the_real_data_have_the_known_sizes_and_no_image_in_both_parts() -> None:
    dataset = caltech101.build(real_data())
    training, unseen = counts(dataset)
    assert len(dataset.classes) == 101
    assert (sum(training), sum(unseen)) == (5784, 2893)
    sizes = [sum(pair) for pair in zip(training, unseen, strict=True)]
    assert (min(sizes), max(sizes)) == (31, 800)
    assert not contents(dataset.training()) & contents(held_out(dataset))
