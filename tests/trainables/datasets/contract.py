"""What every data set must keep. A data set's test subclasses DataSetContract and says what is its own."""

import contextlib
import gc
import hashlib
import inspect
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import pytest
import torch

from trainables.data import decoding, heldout, images
from trainables.data.dataset import DataSet, Files, Source
from trainables.data.file_sets import FileSet
from trainables.data.splits import split
from trainables.errors import SetupError


def held_out(dataset: DataSet) -> Source:
    """The held-out part of a data set that has one."""
    part = heldout.held_out(dataset)
    assert part is not None
    return part


def left_out(dataset: DataSet) -> dict[str, bool]:
    """The relative paths of the files that are left out, and whether they may matter."""
    assert isinstance(dataset, FileSet)
    return {each.path.as_posix().partition("/flowers/")[2]: each.may_matter for each in dataset.left_out}


class DataSetContract:
    dataset: ModuleType
    """The module under test."""
    options: ClassVar[dict[str, Any]] = {}
    """Those it is tried with."""
    name: str
    classes: tuple[str, ...]
    n_training: tuple[int, ...]
    """Images of each class, as `lay_out` writes them."""
    n_held_out: tuple[int, ...]
    n_validation: tuple[int, ...] = ()
    """Those of the validation part that is given. Empty if there is none."""

    def lay_out(self, root: Path) -> None:
        """Write a small data set into the folder of all data sets, as the real one lies there."""

    @pytest.fixture
    def root(self, tmp_path: Path) -> Path:
        """The folder of all data sets, with this one in it."""
        root = tmp_path / "root"
        root.mkdir()
        self.lay_out(root)
        return root

    def build(self, root: Path | None) -> DataSet:
        built: DataSet = self.dataset.build(root, **self.options)
        return built

    def test_its_classes_and_its_parts_have_the_stated_sizes(self, root: Path) -> None:
        dataset = self.build(root)
        assert (dataset.name, dataset.classes) == (self.name, self.classes)
        assert counts(dataset) == (self.n_training, self.n_held_out)
        validation = getattr(dataset, "validation", lambda: None)()
        assert (() if validation is None else tuple(validation.labels.bincount().tolist())) == self.n_validation

    def test_a_given_validation_part_shares_no_image_with_the_others(self, root: Path) -> None:
        dataset = self.build(root)
        validation = getattr(dataset, "validation", lambda: None)()
        if validation is not None:
            for other in (dataset.training(), held_out(dataset)):
                assert not contents(validation) & contents(other)

    def test_every_class_has_a_name_of_its_own_and_samples_in_both_parts(self, root: Path) -> None:
        dataset = self.build(root)
        assert len(set(dataset.classes)) == len(dataset.classes)
        for n in counts(dataset):
            assert len(n) == len(dataset.classes)
            assert min(n) > 0

    def test_no_held_out_image_is_one_to_train_or_validate_on(self, root: Path) -> None:
        dataset = self.build(root)
        data = split(dataset.training(), classes=dataset.classes, fraction=0.4, seed=1)
        unseen = contents(held_out(dataset))
        for seen in (dataset.training(), data.train, data.validation):
            assert not unseen & contents(seen)

    def test_no_image_to_validate_on_is_one_to_train_on(self, root: Path) -> None:
        dataset = self.build(root)
        data = split(dataset.training(), classes=dataset.classes, fraction=0.4, seed=1)
        assert not contents(data.train) & contents(data.validation)

    def test_it_is_the_same_whenever_and_under_whatever_seed_it_is_built(self, root: Path) -> None:
        torch.manual_seed(1)
        one = self.build(root)
        torch.manual_seed(2)
        assert samples(one) == samples(self.build(root))

    def test_it_is_the_same_in_whatever_order_the_operating_system_lists_files(
        self, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        built = []
        for backwards in (False, True):
            with monkeypatch.context() as patch:
                patch.setattr(Path, "iterdir", listing(backwards))
                built.append(samples(self.build(root)))
        assert built[0] == built[1]

    def test_building_it_leaves_the_folder_of_data_sets_as_it_is(self, root: Path) -> None:
        before = sorted(root.rglob("*"))
        held_out(self.build(root))
        assert sorted(root.rglob("*")) == before

    def test_the_options_that_it_declares_are_those_that_it_takes(self, tmp_path: Path) -> None:
        declared = set(getattr(self.dataset, "OPTIONS", {}))
        for function in (getattr(self.dataset, name) for name in ("build", "fetch") if hasattr(self.dataset, name)):
            parameters = inspect.signature(function).parameters
            if all(each.kind is not each.VAR_KEYWORD for each in parameters.values()):
                assert set(parameters) == {"root"} | declared
                continue
            with contextlib.suppress(SetupError):
                function(tmp_path, **dict.fromkeys(declared))
            with pytest.raises(TypeError):
                function(tmp_path, no_option=None)


class OnDiskContract(DataSetContract):
    """A data set that needs its folder."""

    folder: str
    """Where it lies in the folder of all data sets."""

    def test_where_its_folder_is_missing_the_message_names_it_and_what_to_do(self, tmp_path: Path) -> None:
        with pytest.raises(SetupError) as caught:
            self.build(tmp_path)
        assert str(tmp_path / self.folder) in str(caught.value)
        if hasattr(self.dataset, "fetch"):
            assert f"hpo fetch --dataset {self.dataset.__name__.rpartition('.')[2]}" in str(caught.value)

    def test_without_a_folder_of_data_sets_it_says_that_it_needs_one(self) -> None:
        with pytest.raises(SetupError, match=r"`dataset.*folder"):
            self.build(None)


class FilesContract(OnDiskContract):
    """A data set of image files in a folder a class."""

    def test_a_file_has_the_label_of_the_folder_that_it_lies_in(self, root: Path) -> None:
        dataset = self.build(root)
        for source in (dataset.training(), held_out(dataset)):
            assert isinstance(source, Files)
            assert [path.parent.name for path in source.paths] == [dataset.classes[i] for i in source.labels.tolist()]

    def test_its_files_can_be_read(self, root: Path) -> None:
        part = images.load(self.build(root).training(), images.ImageFormat(size=8))
        assert part.images.shape == (sum(self.n_training), 3, 8, 8)


def counts(dataset: DataSet) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Images of each class in the training and in the held-out part."""
    n = len(dataset.classes)
    training, unseen = (part.labels.bincount(minlength=n).tolist() for part in (dataset.training(), held_out(dataset)))
    return tuple(training), tuple(unseen)


def samples(dataset: DataSet) -> list[list[tuple[str, int]]]:
    """The content and the label of each image, in order, of the training and of the held-out part."""
    parts = (dataset.training(), held_out(dataset))
    return [list(zip(digests(part), part.labels.tolist(), strict=True)) for part in parts]


def contents(source: Source) -> set[str]:
    """What makes two images the same."""
    return set(digests(source))


def digests(source: Source) -> list[str]:
    """For each image, a hash of its decoded pixels."""
    if isinstance(source, Files):
        return [_digest(image.tobytes(), image.size) for image in map(decoding.read, source.paths)]
    return [_digest(image.numpy().tobytes(), image.shape) for image in source.images]


@contextmanager
def download() -> Iterator[None]:
    """For a download by torchvision: it unpacks in a way that Python is about to change, and lets go of connections."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        warnings.simplefilter("ignore", DeprecationWarning)
        yield
        gc.collect()


def real_data() -> Path:
    """The folder of the real data sets; the test that asks for it is skipped where none is given."""
    if "HPO_DATA" not in os.environ:
        pytest.skip("HPO_DATA names no folder of data sets")
    return Path(os.environ["HPO_DATA"])


def listing(backwards: bool) -> Any:
    """What lists a folder by name, forwards or backwards: an operating system may do it in any order."""

    def iterdir(self: Path) -> Iterator[Path]:
        return iter(self / name for name in sorted(os.listdir(self), reverse=backwards))

    return iterdir


def _digest(pixels: bytes, shape: tuple[int, ...]) -> str:
    return hashlib.sha256(repr(tuple(shape)).encode() + pixels).hexdigest()
