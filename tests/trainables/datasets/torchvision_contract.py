"""What every data set that torchvision downloads and reads must keep: small files laid out as it does, and served."""

import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch

from tests.trainables.datasets.contract import OnDiskContract, download, held_out, samples
from trainables import vision
from trainables.data.dataset import Part
from trainables.errors import SetupError

N_TRAINING, N_HELD_OUT = 5, 3
"""Images of each class in the small data sets."""


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        pass


class TorchvisionContract(OnDiskContract):
    kind: ClassVar[str]
    """The class in torchvision."""
    shape: ClassVar[tuple[int, int, int]]
    n_training = (N_TRAINING,) * 10
    n_held_out = (N_HELD_OUT,) * 10

    @property
    def torchvision(self) -> Any:
        return getattr(vision.datasets(), self.kind)

    def lay_out_at(self, folder: Path) -> None:
        """Write what torchvision finds in the folder of the data set."""
        raise NotImplementedError

    def pack(self, files: Path, folder: Path, patch: pytest.MonkeyPatch) -> None:
        """Put what `lay_out_at` wrote into `folder` as it is downloaded, and tell torchvision the checksums."""
        raise NotImplementedError

    def download_from(self, address: str, patch: pytest.MonkeyPatch) -> None:
        """Let torchvision download from an address."""
        raise NotImplementedError

    @pytest.fixture
    def mirror(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Path, str]]:
        """A folder, and the address that its files are served at."""
        folder = tmp_path / "mirror"
        folder.mkdir()
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder))) as server:
            serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
            serving.start()
            yield folder, f"http://127.0.0.1:{server.server_port}/"
            server.shutdown()
            serving.join()

    def lay_out(self, root: Path) -> None:
        self.lay_out_at(root / self.folder)

    def test_images_have_the_shape_of_the_real_ones(self, root: Path) -> None:
        dataset = self.build(root)
        for part in (dataset.training(), held_out(dataset)):
            assert isinstance(part, Part)
            assert part.shape == self.shape
            assert part.images.dtype == torch.uint8
            assert part.images.is_contiguous()

    def test_the_held_out_part_is_read_once(self, root: Path) -> None:
        dataset = self.build(root)
        assert held_out(dataset) is held_out(dataset)

    def test_a_download_is_what_is_built_afterwards(
        self, root: Path, tmp_path: Path, mirror: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.pack(root / self.folder, mirror[0], monkeypatch)
        self.download_from(mirror[1], monkeypatch)
        fresh = tmp_path / "fresh"
        with download():
            self.dataset.fetch(fresh)
        assert samples(self.build(fresh)) == samples(self.build(root))
        assert [path.name for path in fresh.iterdir()] == [self.folder]

    def test_a_download_that_fails_leaves_nothing_behind(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.download_from(f"{(tmp_path / 'nowhere').as_uri()}/", monkeypatch)
        fresh = tmp_path / "fresh"
        with pytest.raises(SetupError, match=f"{self.name} cannot be downloaded"):
            self.dataset.fetch(fresh)
        assert list(fresh.iterdir()) == []

    def test_what_is_there_is_not_downloaded_again(self, root: Path) -> None:
        before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
        self.dataset.fetch(root)
        assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before

    def test_a_damaged_file_is_told_when_it_is_built_and_when_it_is_fetched(self, root: Path) -> None:
        for path in (root / self.folder).rglob("*"):
            if path.is_file():
                path.write_bytes(path.read_bytes()[:-100])
        message = f"{self.folder}: cannot be read .*; remove it and download it by: hpo fetch --dataset {self.name}"
        with pytest.raises(SetupError, match=message):
            self.build(root)
        with pytest.raises(SetupError, match=message):
            self.dataset.fetch(root)
