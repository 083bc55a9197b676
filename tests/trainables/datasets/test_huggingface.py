from __future__ import annotations

import json
import multiprocessing
import shutil
import sys
from pathlib import Path
from typing import Any, ClassVar

import pytest

from tests.trainables.datasets.contract import OnDiskContract, counts, digests, held_out, samples
from tests.trainables.datasets.pictures import picture
from trainables.data.dataset import Files
from trainables.data.file_sets import FileSet
from trainables.datasets import huggingface
from trainables.errors import SetupError

datasets = pytest.importorskip("datasets")
CLASSES = ("wild rose", "daisy")  # in the order of the ClassLabel, which is not sorted


def dataset(n: int, first: int = 0, **columns: Any) -> Any:
    """A data set of `n` pictures, of two classes in turns."""
    content = {"image": [picture(first + i) for i in range(n)], "label": [i % 2 for i in range(n)]} | columns
    found = datasets.Dataset.from_dict(content).cast_column("image", datasets.Image())
    return found if "label" in columns else found.cast_column("label", datasets.ClassLabel(names=list(CLASSES)))


def save(found: Any, folder: Path) -> Path:
    datasets.disable_progress_bars()
    found.save_to_disk(str(folder))
    return folder


def build(root: Path, **options: Any) -> FileSet:
    found = huggingface.build(root, **({"path": "saved"} | options))
    assert isinstance(found, FileSet)
    return found


def told(root: Path, **options: Any) -> str:
    with pytest.raises(SetupError) as caught:
        build(root, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


class TestSavedToDisk(OnDiskContract):
    dataset = huggingface
    options: ClassVar[dict[str, Any]] = {"path": "flowers"}
    name = "flowers"
    folder = "flowers"
    classes = CLASSES
    n_training = (8, 8)
    n_held_out = (2, 2)

    def lay_out(self, root: Path) -> None:
        save(dataset(20), root / "flowers")
        self.build(root)  # writes the images

    def test_where_its_folder_is_missing_the_message_names_it_and_what_to_do(self, tmp_path: Path) -> None:
        message = told(tmp_path, path="flowers")
        assert f"`dataset.path`: there is no folder {tmp_path / 'flowers'}; give a folder that" in message


@pytest.mark.parametrize("names", [("train", "validation", "test"), ("Training", "dev", "testing")])
def test_the_splits_of_a_dict_are_the_parts(tmp_path: Path, names: tuple[str, str, str]) -> None:
    splits = {name: dataset(4, first=10 * i) for i, name in enumerate(names)}
    save(datasets.DatasetDict(splits), tmp_path / "saved")
    found = build(tmp_path)
    for i, part in enumerate((found.training(), found.validation(), held_out(found))):
        assert isinstance(part, Files)
        assert sorted(digests(part)) == sorted(pixels(picture(10 * i + k)) for k in range(4))


def pixels(image: Any) -> str:
    """The hash of a picture, as the contract computes it."""
    from tests.trainables.datasets.contract import _digest

    return _digest(image.tobytes(), image.size)


def test_images_that_are_files_keep_their_bytes_and_their_labels(tmp_path: Path) -> None:
    files = []
    for i in range(10):
        files.append(tmp_path / f"{i}.jpg")
        picture(i).save(files[-1])
    content = {"image": [str(file) for file in files], "label": ["cat", "dog"] * 5}
    save(datasets.Dataset.from_dict(content).cast_column("image", datasets.Image()), tmp_path / "saved")
    found = build(tmp_path, held_out="none")
    assert found.classes == ("cat", "dog")
    contents = {file.read_bytes(): "cat" if int(file.stem) % 2 == 0 else "dog" for file in files}
    training = found.training()
    assert {
        path.read_bytes(): found.classes[label]
        for path, label in zip(training.paths, training.labels.tolist(), strict=True)
    } == contents
    assert {path.suffix for path in training.paths} == {".jpeg"}


def test_the_images_are_written_once_and_anew_for_another_content(tmp_path: Path) -> None:
    save(dataset(10), tmp_path / "saved")
    before = samples(build(tmp_path))
    written = sorted((tmp_path / "huggingface").glob("*/train/*"))
    times = [path.stat().st_mtime_ns for path in written]
    assert samples(build(tmp_path)) == before
    assert [path.stat().st_mtime_ns for path in written] == times
    save(dataset(10, first=50), tmp_path / "other")
    (tmp_path / "saved").rename(tmp_path / "old")
    (tmp_path / "other").rename(tmp_path / "saved")
    assert samples(build(tmp_path)) != before


def test_splits_of_the_same_images_under_other_names_are_other_parts(tmp_path: Path) -> None:
    first, second = dataset(4), dataset(4, first=10)
    for names in (("train", "test"), ("train", "validation"), ("test", "train")):
        shutil.rmtree(tmp_path / "saved", ignore_errors=True)
        save(datasets.DatasetDict(dict(zip(names, (first, second), strict=True))), tmp_path / "saved")
        found = build(tmp_path, held_out="none" if "test" not in names else None)
        parts = {"train": found.training(), "validation": found.validation(), "test": found.held_out()}
        for name, start in zip(names, (0, 10), strict=True):
            part = parts[name]
            assert isinstance(part, Files)
            images = digests(part)
            assert {pixels(picture(start + k)) for k in range(4)} <= set(images), (names, name)


def test_data_sets_of_the_hub_whose_columns_look_alike_have_folders_of_their_own(tmp_path: Path) -> None:
    folders = set()
    for options in ({}, {"config": "a"}, {"image": "a b"}, {"image": "a/b"}, {"label": "a b"}, {"label": "image=a"}):
        message = told(tmp_path, path=None, hub="me/it", **options)
        folders.add(message.partition(": there is no such data set")[0])
    assert len(folders) == 6


def kill_while_writing(root: Path) -> None:
    """Builds the data set in a process that ends in the middle."""
    write, n = Path.write_bytes, 0

    def write_some(self: Path, content: bytes) -> int:
        nonlocal n
        n += 1
        if n > 4:
            import os

            os._exit(9)
        return write(self, content)

    Path.write_bytes = write_some  # type: ignore[method-assign, assignment]
    build(root)


@pytest.mark.slow
def test_a_process_that_is_killed_leaves_nothing_that_counts(tmp_path: Path) -> None:
    save(dataset(10), tmp_path / "saved")
    process = multiprocessing.get_context("spawn").Process(target=kill_while_writing, args=(tmp_path,))
    process.start()
    process.join()
    assert process.exitcode == 9
    assert [path.name for path in (tmp_path / "huggingface").iterdir() if not path.name.startswith(".")] == []
    assert counts(build(tmp_path)) == ((4, 4), (1, 1))
    assert list((tmp_path / "huggingface").glob(".*.partial")) == []


def test_groups_stay_in_one_part(tmp_path: Path) -> None:
    save(dataset(20, patient=[f"p{i // 4}" for i in range(20)]), tmp_path / "saved")
    found = build(tmp_path, group="patient", held_out=0.4)
    unseen = held_out(found)
    assert isinstance(unseen, Files)
    assert len(set(found.training().groups) | set(unseen.groups)) == 5
    assert not set(found.training().groups) & set(unseen.groups)
    assert len(list((tmp_path / "huggingface").glob("[!.]*"))) == 1
    assert told(tmp_path, group="paitent") == (
        "`dataset.group` must be a column of text or whole numbers (patient), but is 'paitent'"
    )
    assert len(list((tmp_path / "huggingface").glob("[!.]*"))) == 1  # the images were not written again


def test_splits_must_have_the_same_columns_and_classes(tmp_path: Path) -> None:
    other = dataset(4).cast_column("label", datasets.ClassLabel(names=["daisy", "wild rose"]))
    save(datasets.DatasetDict({"train": dataset(10), "test": other}), tmp_path / "saved")
    assert "split test: its columns or classes differ from those of the first split" in told(tmp_path)


def test_splits_of_other_names_or_without_labels_are_left_out_with_a_note(tmp_path: Path) -> None:
    unlabelled = dataset(4, first=30).map(lambda row: {"label": -1})
    splits = {"train": dataset(10), "unsupervised": dataset(4, first=20), "test": unlabelled}
    save(datasets.DatasetDict(splits), tmp_path / "saved")
    found = build(tmp_path)
    assert found.notes == (
        "splits that are neither train, validation nor test are not used: unsupervised",
        "split test has no labels, and is not used",
    )
    assert counts(found) == ((4, 4), (1, 1))


@pytest.mark.parametrize(
    ("columns", "options", "expected"),
    [
        (
            {},
            {"image": "picture"},
            "`dataset.image`: there is no column 'picture'; the columns are image (Image), label",
        ),
        ({}, {"image": "label"}, "`dataset.image`: the column 'label' must be of the type Image"),
        (
            {"label": [0.5] * 4},
            {},
            "the column 'label' must hold class labels, text or whole numbers, but holds float64",
        ),
        ({"label": [[0, 1]] * 4}, {}, "`dataset.label`: the column 'label' has several labels for an image"),
        ({"label": ["a", "b", None, "a"]}, {}, "split train, row 2: has no label"),
        ({"image": [None, *map(picture, range(3))]}, {}, "split train, row 0: has no image"),
        ({}, {"config": "small"}, "`dataset.config` must not be given without `dataset.hub`"),
        ({}, {"path": None}, "`dataset.path` is missing: give a folder that `save_to_disk` wrote, or `hub`"),
        ({}, {"path": "."}, "is no data set that `save_to_disk` wrote"),
        ({}, {"image": 3}, "`dataset.image` must be the name of a column, but is 3"),
        ({}, {"path": None, "hub": "a b"}, "`dataset.hub` must be a name on the hub"),
        ({}, {"path": None, "hub": "me/it"}, "download it by: hpo fetch --dataset huggingface --option hub=me/it"),
    ],
)
def test_a_mistake_is_one_line(tmp_path: Path, columns: dict[str, Any], options: dict[str, Any], expected: str) -> None:
    save(dataset(4, **columns), tmp_path / "saved")
    assert expected in told(tmp_path, **options)
    assert list((tmp_path / "huggingface").glob("[!.]*")) == [] if (tmp_path / "huggingface").exists() else True


def test_without_the_library_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(dataset(4), tmp_path / "saved")
    monkeypatch.setitem(sys.modules, "datasets", None)
    assert "install it by: pip install 'hpo[huggingface]'" in told(tmp_path)


def test_a_data_set_of_the_hub_that_was_fetched_needs_no_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(dataset(10), tmp_path / "saved")
    build(tmp_path)
    (written,) = (tmp_path / "huggingface").glob("[!.]*")
    target = Path(told(tmp_path, path=None, hub="me/flowers").partition(": there is no such data set")[0])
    target.parent.mkdir()
    written.rename(target)
    monkeypatch.setitem(sys.modules, "datasets", None)
    huggingface.fetch(tmp_path, hub="me/flowers")  # it is there
    assert build(tmp_path, path=None, hub="me/flowers").name == "flowers"


def test_a_failed_download_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*given: object) -> None:
        raise ConnectionError("Couldn't reach the hub\nmore")

    monkeypatch.setattr(datasets, "load_dataset", fail)
    with pytest.raises(SetupError, match=r"^`dataset\.hub`: me/it cannot be downloaded: ConnectionError: .* the hub$"):
        huggingface.fetch(tmp_path, hub="me/it")
    assert not (tmp_path / "huggingface").exists()


def test_a_damaged_index_says_what_to_do(tmp_path: Path) -> None:
    save(dataset(10), tmp_path / "saved")
    build(tmp_path)
    (index,) = (tmp_path / "huggingface").glob("*/index.json")
    whole = json.loads(index.read_text())
    damaged: list[Any] = [{"paths": []}, [], None, 3, "text", {**whole, "notes": None}, {**whole, "paths": 3}]
    for content in damaged:
        index.write_text(json.dumps(content))
        message = told(tmp_path)
        assert message.startswith(f"{index}: cannot be read (")
        assert message.endswith("; remove the folder, to have it anew")
