"""The data sets that torchvision downloads and reads."""

import gzip
import hashlib
import pickle
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.trainables.datasets.torchvision_contract import N_HELD_OUT, N_TRAINING, TorchvisionContract
from trainables.data.dataset import Part
from trainables.datasets import cifar10, fashion_mnist, kmnist, mnist
from trainables.errors import SetupError


def labels(n: int) -> NDArray[np.uint8]:
    return np.arange(10 * n, dtype=np.uint8) % 10


def noise(seed: int, *shape: int) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


class MnistContract(TorchvisionContract):
    shape = (1, 28, 28)

    def lay_out_at(self, folder: Path) -> None:
        raw = folder / self.kind / "raw"
        raw.mkdir(parents=True)
        for part, n in (("train", N_TRAINING), ("t10k", N_HELD_OUT)):
            _write_idx(raw / f"{part}-images-idx3-ubyte", noise(n, 10 * n, 28, 28))
            _write_idx(raw / f"{part}-labels-idx1-ubyte", labels(n))

    def pack(self, files: Path, folder: Path, patch: pytest.MonkeyPatch) -> None:
        resources = []
        for path in sorted(files.rglob("*-ubyte")):
            packed = folder / f"{path.name}.gz"
            packed.write_bytes(gzip.compress(path.read_bytes()))
            resources.append((packed.name, _md5(packed)))
        patch.setattr(self.torchvision, "resources", resources)

    def download_from(self, address: str, patch: pytest.MonkeyPatch) -> None:
        patch.setattr(self.torchvision, "mirrors", [address])


class TestMnist(MnistContract):
    dataset = mnist
    name = folder = "mnist"
    kind = "MNIST"
    classes = tuple("0123456789")


class TestFashionMnist(MnistContract):
    dataset = fashion_mnist
    name = folder = "fashion_mnist"
    kind = "FashionMNIST"

    @property
    def classes(self) -> tuple[str, ...]:  # type: ignore[override]
        return tuple(self.torchvision.classes)


class TestKmnist(MnistContract):
    dataset = kmnist
    name = folder = "kmnist"
    kind = "KMNIST"

    @property
    def classes(self) -> tuple[str, ...]:  # type: ignore[override]
        return tuple(self.torchvision.classes)


class TestCifar10(TorchvisionContract):
    dataset = cifar10
    name = folder = "cifar10"
    kind = "CIFAR10"
    classes = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
    shape = (3, 32, 32)

    @pytest.fixture
    def root(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """The folder of all data sets; torchvision is told the checksums of the small files in it."""
        root = tmp_path / "root"
        self.lay_out(root)
        files = root / "cifar10/cifar-10-batches-py"
        known = {path.name: _md5(path) for path in files.iterdir()}
        kind = self.torchvision
        for listed in ("train_list", "test_list"):
            monkeypatch.setattr(kind, listed, [[name, known[name]] for name, _ in getattr(kind, listed)])
        monkeypatch.setattr(kind, "meta", {**kind.meta, "md5": known["batches.meta"]})
        return root

    def lay_out_at(self, folder: Path) -> None:
        files = folder / "cifar-10-batches-py"
        files.mkdir(parents=True)
        batches = {f"data_batch_{i}": 1 for i in range(1, 6)} | {"test_batch": N_HELD_OUT}
        for seed, (name, n) in enumerate(batches.items()):
            content = {"data": noise(seed, 10 * n, 3072), "labels": labels(n).tolist()}
            (files / name).write_bytes(pickle.dumps(content))
        (files / "batches.meta").write_bytes(pickle.dumps({"label_names": list(self.classes)}))

    def pack(self, files: Path, folder: Path, patch: pytest.MonkeyPatch) -> None:
        packed = folder / "cifar-10-python.tar.gz"
        with tarfile.open(packed, "w:gz") as archive:
            archive.add(files / "cifar-10-batches-py", "cifar-10-batches-py")
        patch.setattr(self.torchvision, "tgz_md5", _md5(packed))

    def download_from(self, address: str, patch: pytest.MonkeyPatch) -> None:
        patch.setattr(self.torchvision, "url", f"{address}cifar-10-python.tar.gz")

    def test_the_first_values_of_an_image_are_its_red_ones_row_by_row(self, root: Path) -> None:
        part = self.build(root).training()
        assert isinstance(part, Part)
        assert part.images[:10].numpy().reshape(10, 3072).tolist() == noise(0, 10, 3072).tolist()


def test_a_data_set_whose_test_part_is_missing_is_told_before_anything_is_searched(tmp_path: Path) -> None:
    TestMnist().lay_out(tmp_path)
    (tmp_path / "mnist/MNIST/raw/t10k-images-idx3-ubyte").unlink()
    with pytest.raises(SetupError, match="mnist: cannot be read"):
        mnist.build(tmp_path)


def test_one_data_set_in_the_folder_of_another_is_not_taken_for_it(tmp_path: Path) -> None:
    TestMnist().lay_out(tmp_path)
    shutil.move(tmp_path / "mnist", tmp_path / "kmnist")
    with pytest.raises(SetupError, match="kmnist: cannot be read"):
        kmnist.build(tmp_path)


def _write_idx(path: Path, values: NDArray[np.uint8]) -> None:
    """A file of unsigned bytes as MNIST has them: a magic number, the length of each side, the values."""
    header = bytes([0, 0, 8, values.ndim]) + b"".join(side.to_bytes(4, "big") for side in values.shape)
    path.write_bytes(header + values.tobytes())


def _md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()
