"""The tracker `wandb`, offline: what its client wrote is read with the client's own messages."""

from __future__ import annotations

import json
import shutil
import struct
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hpo.trackers import Target, TrackedStudy, Tracker
from tests.trackers.contract import Shown, Tool, TrackerContract, points, same, trial_at, wait_until

pytestmark = pytest.mark.slow


class WeightsAndBiases:
    """The offline runs in the folder of a study."""

    target = Target("wandb", "hpo-tests")

    def tracker(self, study: TrackedStudy) -> Tracker:
        return self.target.build(study)

    def wait(self, study: TrackedStudy, epoch: int) -> None:
        sent = study.folder / "wandb" / "sent.json"  # the epochs of a run that is open are not known
        wait_until(lambda: sent.exists() and "open" in sent.read_text())

    def shown(self, study: TrackedStudy) -> dict[int, Shown]:
        found: dict[int, Shown] = {}
        for folder in sorted((study.folder / "wandb").glob("offline-run-*"), key=lambda each: each.stat().st_mtime_ns):
            ids = (record.run.run_id for record in records(folder) if record.HasField("run"))
            add_run(folder, found.setdefault(int(next(ids).rpartition("-")[2]), Shown({})))
        return found


HEADER, BLOCK = 7, 32768
"""The bytes before each part of a record, as before the first one in the file, and the size of a block of the file."""


def records(folder: Path) -> Iterator[Any]:
    """The records of an offline run, whose file has the format of a log of LevelDB."""
    from wandb.proto.wandb_internal_pb2 import Record

    (path,) = folder.glob("*.wandb")
    content, offset, record = path.read_bytes(), HEADER, b""
    while offset + HEADER <= len(content):
        left = BLOCK - offset % BLOCK
        if left < HEADER:
            offset += left
            continue
        length, kind = struct.unpack_from("<HB", content, offset + 4)
        record += content[offset + HEADER : offset + HEADER + length]
        offset += HEADER + length
        if kind in (1, 4):  # the whole record, or its last part
            yield Record.FromString(record)
            record = b""


def add_run(folder: Path, shown: Shown) -> None:
    """Add what an offline run holds to what is shown of its trial."""
    for record in records(folder):
        for each in (*record.run.config.update, *record.config.update):
            shown.parameters[each.key] = str(json.loads(each.value_json))
        values = {item.key or item.nested_key[0]: json.loads(item.value_json) for item in record.history.item}
        for name, value in values.items():
            if isinstance(value, int | float | str) and "epoch" in values:
                shown.curves.setdefault(name, []).append((values["epoch"], float(value)))
        for item in record.summary.update:
            if (item.key or item.nested_key[0]) == "state":
                shown.state = json.loads(item.value_json)


class TestWeightsAndBiases(TrackerContract):
    @pytest.fixture
    def tool(self, monkeypatch: pytest.MonkeyPatch) -> Tool:
        monkeypatch.setenv("WANDB_MODE", "offline")
        return WeightsAndBiases()

    def test_a_run_that_a_killed_process_left_open_is_written_again(self, tool: Tool, study: TrackedStudy) -> None:
        tracker = tool.tracker(study)
        tracker.update(trial_at(2, "paused"))
        tracker.update(trial_at(3))
        sent = study.folder / "wandb" / "sent.json"
        open_now = sent.read_text()
        tracker.close()
        sent.write_text(open_now)  # as if the process had been killed before it closed the run
        tracker = tool.tracker(study)
        tracker.update(trial_at(5, "complete"))
        tracker.close()
        (shown,) = tool.shown(study).values()
        assert same(shown.curves["val_loss"], points(5))

    def test_a_run_that_a_version_before_recorded_by_its_path_is_deleted_in_the_copy_only(
        self, tool: Tool, study: TrackedStudy, tmp_path: Path
    ) -> None:
        tracker = tool.tracker(study)
        tracker.update(trial_at(2))
        (original,) = (study.folder / "wandb").glob("offline-run-*")
        copy = replace(study, folder=tmp_path / "copy")
        shutil.copytree(study.folder, copy.folder)
        tracker.close()
        for name in (str(original), "../../flowers/wandb/" + original.name, ".."):
            content = json.dumps({"0": {"open": name}})
            (copy.folder / "wandb" / "sent.json").write_text(content)
            self.send(tool, copy, trial_at(3, "complete"))
        assert original.is_dir()
        assert copy.folder.is_dir()
        assert not (copy.folder / "wandb" / original.name).exists()

    def test_the_runs_of_a_study_are_one_group(self, tool: Tool, study: TrackedStudy) -> None:
        tracker = tool.tracker(study)
        tracker.update(trial_at(1, "complete"))
        tracker.close()
        (folder,) = (study.folder / "wandb").glob("offline-run-*")
        (run,) = [record.run for record in records(folder) if record.HasField("run")][:1]
        assert (run.run_group, run.project, run.display_name) == ("flowers", "hpo-tests", "flowers trial 0")
