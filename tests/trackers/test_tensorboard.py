"""The tracker `tensorboard`, read by TensorBoard itself."""

from __future__ import annotations

from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import plugin_data_pb2

from hpo.trackers import Target, TrackedStudy, Tracker
from tests.trackers.contract import Shown, Tool, TrackerContract, points, same, study_in, trial_at


class TensorBoard:
    """Event files below a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def tracker(self, study: TrackedStudy) -> Tracker:
        return Target("tensorboard", str(self.folder)).build(study)

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


class TestTensorBoard(TrackerContract):
    @pytest.fixture
    def tool(self, tmp_path: Path) -> Tool:
        return TensorBoard(tmp_path / "runs")

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
