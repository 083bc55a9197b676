from __future__ import annotations

from pathlib import Path

import pytest
import torch

from hpo.errors import HpoError, MachineError
from hpo.training.checkpoints import Checkpoints, best_checkpoint, checkpoint, prepare
from hpo.training.received_checkpoints import FolderCheckpoints
from hpo.training.sent_checkpoints import FolderPlace, KeepBest, NewCheckpoint, ReportPlace, SentCheckpoints
from hpo.training.url_checkpoints import UrlCheckpoints, UrlPlace


def content(epoch: int) -> dict[str, object]:
    return {"epoch": epoch, "weights": torch.full((3,), float(epoch))}


def epoch_of(folder: Path, trial: int = 0) -> int:
    read = Checkpoints(folder).read(trial)
    assert read is not None
    return int(read["epoch"])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    prepare(tmp_path / "checkpoints")
    return tmp_path / "checkpoints"


@pytest.mark.parametrize("sees_folder", [True, False])
def test_a_sent_checkpoint_becomes_that_of_the_trial_when_it_is_received(folder: Path, sees_folder: bool) -> None:
    sender = SentCheckpoints(FolderPlace(folder) if sees_folder else ReportPlace())
    received = FolderCheckpoints(folder)
    sender.write(0, content(1))
    assert not checkpoint(folder, 0).exists()
    received.receive(0, sender.taken_changes(), has_ended=False)
    assert epoch_of(folder) == 1
    sender.keep_best(0)
    sender.write(0, content(2))
    received.receive(0, sender.taken_changes(), has_ended=False)
    assert epoch_of(folder) == 2
    assert sorted(path.name for path in folder.iterdir()) == ["0.best.pt", "0.pt"]
    best_checkpoint(folder, 0).rename(checkpoint(folder, 7))
    assert epoch_of(folder, 7) == 1


@pytest.mark.parametrize("sees_folder", [True, False])
def test_a_worker_that_nobody_listens_to_changes_no_checkpoint(folder: Path, sees_folder: bool) -> None:
    sender = SentCheckpoints(FolderPlace(folder) if sees_folder else ReportPlace())
    sender.write(0, content(5))
    FolderCheckpoints(folder).receive(0, sender.taken_changes(), has_ended=False)
    sender.write(0, content(6))  # the search is killed before it receives this
    assert epoch_of(folder) == 5
    prepare(folder)
    assert [path.name for path in folder.iterdir()] == ["0.pt"]


def test_a_worker_that_does_not_see_the_folder_is_given_the_content(folder: Path) -> None:
    received, place = FolderCheckpoints(folder), ReportPlace()
    assert received.given(0, sees_folder=False) is None
    Checkpoints(folder).write(0, content(3))
    place.given = received.given(0, sees_folder=False)
    read = SentCheckpoints(place).read(0)
    assert read is not None
    assert read["epoch"] == 3
    place.given = b"half a checkpo"
    assert SentCheckpoints(place).read(0) is None


def test_a_state_that_could_not_be_read_again_is_an_error_at_the_first_write() -> None:
    with pytest.raises(HpoError, match="may hold only tensors and plain Python values"):
        SentCheckpoints(ReportPlace()).write(0, {"state": Path})


def test_a_full_disk_is_the_machines_fault(folder: Path) -> None:
    checkpoint(folder, 0).mkdir()
    changes = [NewCheckpoint(b"content")]
    with pytest.raises(MachineError, match=r"0\.pt: the checkpoint cannot be written or read"):
        FolderCheckpoints(folder).receive(0, changes, has_ended=False)


class TestUrl:
    @pytest.fixture
    def objects(self, tmp_path: Path) -> Path:
        return tmp_path / "objects"

    @pytest.fixture
    def url(self, objects: Path) -> str:
        return f"local://{objects}"

    def names(self, objects: Path) -> int:
        return len(list(objects.iterdir()))

    def test_each_checkpoint_is_an_object_and_old_ones_are_deleted(self, folder: Path, objects: Path, url: str) -> None:
        place, received = UrlPlace(url), UrlCheckpoints(folder, url)
        sender = SentCheckpoints(place)
        for epoch in (1, 2, 3):
            if epoch == 3:
                sender.keep_best(0)
            sender.write(0, content(epoch))
            received.receive(0, sender.taken_changes(), has_ended=False)
        assert self.names(objects) == 2
        place.given = received.given(0, sees_folder=True)
        read = sender.read(0)
        assert read is not None
        assert read["epoch"] == 3

    def test_the_best_checkpoint_of_an_ended_trial_is_copied_to_the_folder(
        self, folder: Path, objects: Path, url: str
    ) -> None:
        received, sender = UrlCheckpoints(folder, url), SentCheckpoints(UrlPlace(url))
        sender.write(0, content(1))
        sender.keep_best(0)
        received.receive(0, sender.taken_changes(), has_ended=True)
        best_checkpoint(folder, 0).rename(checkpoint(folder, 7))
        assert epoch_of(folder, 7) == 1
        assert self.names(objects) == 1

    def test_discarding_deletes_the_objects_too(self, folder: Path, objects: Path, url: str) -> None:
        received, sender = UrlCheckpoints(folder, url), SentCheckpoints(UrlPlace(url))
        sender.write(0, content(1))
        received.receive(0, sender.taken_changes(), has_ended=False)
        with received.discarding(0):
            pass
        assert self.names(objects) == 1
        with received.discarding(0):
            (folder / "0.urls").unlink()
        assert self.names(objects) == 0

    def test_an_object_that_was_deleted_by_hand_is_as_good_as_a_lost_checkpoint(
        self, folder: Path, objects: Path, url: str
    ) -> None:
        place, received = UrlPlace(url), UrlCheckpoints(folder, url)
        sender = SentCheckpoints(place)
        sender.write(0, content(1))
        received.receive(0, sender.taken_changes(), has_ended=False)
        place.given = received.given(0, sees_folder=False)
        for path in objects.iterdir():
            path.unlink()
        assert sender.read(0) is None

    def test_a_network_that_fails_is_the_machines_fault(self, folder: Path, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        sender = SentCheckpoints(UrlPlace(f"local://{tmp_path}/file/objects"))
        with pytest.raises(MachineError, match="the checkpoint cannot be written or read"):
            sender.write(0, content(1))


def test_changes_are_taken_once() -> None:
    sender = SentCheckpoints(ReportPlace())
    sender.keep_best(0)
    assert sender.taken_changes() == [KeepBest()]
    assert sender.taken_changes() == []
