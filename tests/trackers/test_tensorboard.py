"""The tracker `tensorboard`, read by TensorBoard itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import plugin_data_pb2

from hpo.trackers import Target, TrackedStudy, Tracker
from tests.trackers.contract import Shown, Tool, TrackerContract, points, same, study_in, trial_at, wait_until


class TensorBoard:
    """Event files below a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def target(self) -> Target:
        return Target("tensorboard", str(self.folder))

    def tracker(self, study: TrackedStudy) -> Tracker:
        return self.target.build(study)

    def wait(self, study: TrackedStudy, epoch: int) -> None:
        def is_there() -> bool:
            folder = self.folder / study.name / "trial 0"
            return folder.exists() and epoch in [step for step, _ in curve(folder)]

        wait_until(is_there)

    def shown(self, study: TrackedStudy) -> dict[int, Shown]:
        folders = (self.folder / study.name).iterdir()
        return {int(folder.name.removeprefix("trial ")): shown_in(folder) for folder in folders}


def shown_in(folder: Path) -> Shown:
    """What TensorBoard reads in the folder of a run."""
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0, "tensors": 0})
    events.Reload()
    data = events.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    started = plugin_data_pb2.HParamsPluginData.FromString(data).session_start_info
    parameters = {name: str(getattr(value, value.WhichOneof("kind"))) for name, value in started.hparams.items()}
    curves = {tag: [(each.step, each.value) for each in events.Scalars(tag)] for tag in events.Tags()["scalars"]}
    state = events.Tensors("state")[-1].tensor_proto.string_val[0].decode().partition(":")[0]
    return Shown(parameters, curves, state)


def curve(folder: Path) -> list[tuple[int, float]]:
    """The epochs of a run that TensorBoard reads while it is written."""
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    events.Reload()
    return [(each.step, each.value) for each in events.Scalars("val_loss")] if events.Tags()["scalars"] else []


def flipped(content: bytes, place: float) -> bytes:
    """A file with one wrong byte."""
    at = int(len(content) * place)
    return content[:at] + bytes([content[at] ^ 0xFF]) + content[at + 1 :]


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "a tail of zeros": lambda content: content + bytes(200),
    "a tail of zeros in place of records": lambda content: content[:-150] + bytes(150),
    "a wrong byte near the end": lambda content: flipped(content, 0.9),
    "a wrong byte in the middle": lambda content: flipped(content, 0.5),
    "a wrong byte in the hyperparameters": lambda content: flipped(content, 0.1),
    "a wrong byte in the version": lambda content: flipped(content, 0.01),
    "no byte is right": lambda content: bytes(len(content)),
    "no byte is left": lambda content: b"",
}


class TestTensorBoard(TrackerContract):
    @pytest.fixture
    def tool(self, tmp_path: Path) -> Tool:
        return TensorBoard(tmp_path / "runs")

    @pytest.mark.parametrize("damage", DAMAGES)
    def test_from_the_first_damaged_record_on_a_file_is_written_again(
        self, tool: TensorBoard, study: TrackedStudy, damage: str
    ) -> None:
        self.send(tool, study, trial_at(4, "paused"))
        (path,) = tool.folder.rglob("*tfevents*")
        path.write_bytes(DAMAGES[damage](path.read_bytes()))
        self.send(tool, study, trial_at(6, "complete"))
        (shown,) = tool.shown(study).values()
        assert same(shown.curves["val_loss"], points(6))
        assert shown.state == "complete"
        assert set(shown.parameters) >= {"lr", "regime"}

    @pytest.mark.parametrize("n_lost", [1, 5, 40, 100])
    def test_half_a_record_of_a_killed_process_is_written_again(
        self, tool: TensorBoard, study: TrackedStudy, n_lost: int
    ) -> None:
        tracker = tool.tracker(study)
        tracker.update(trial_at(4))
        tracker.close()
        (path,) = tool.folder.rglob("*tfevents*")
        path.write_bytes(path.read_bytes()[:-n_lost])
        tracker = tool.tracker(study)
        tracker.update(trial_at(6, "complete"))
        tracker.close()
        (shown,) = tool.shown(study).values()
        assert same(shown.curves["val_loss"], points(6))

    def test_two_studies_of_one_name_have_folders_of_their_own(self, tool: TensorBoard, tmp_path: Path) -> None:
        for digest in ("a" * 16, "b" * 16, "a" * 16):
            tracker = tool.tracker(study_in(tmp_path / "flowers", digest))
            tracker.update(trial_at(2, "complete"))
            tracker.close()
        assert {path.name for path in tool.folder.iterdir()} == {"flowers", "flowers-bbbbbb"}
        assert len(list(tool.folder.rglob("*tfevents*"))) == 2

    def test_the_files_lie_in_the_folder_of_the_study_by_default(self, tmp_path: Path) -> None:
        tracker = Target("tensorboard").build(study_in(tmp_path / "flowers"))
        tracker.update(trial_at(1, "complete"))
        tracker.close()
        assert (tmp_path / "flowers" / "tensorboard" / "flowers" / "trial 0").is_dir()
