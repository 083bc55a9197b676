"""The tracker of docs/trackers.md runs as the page says."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpo.trackers import Target
from tests.docs.test_pages import block
from tests.trackers.contract import study_in, trial_at


def test_the_tracker_of_the_page_writes_the_newest_epochs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "page_package").mkdir()
    (tmp_path / "page_package" / "lines.py").write_text(block("docs/trackers.md", "## A tracker of your own"))
    monkeypatch.syspath_prepend(tmp_path)
    tracker = Target("page_package.lines").build(study_in(tmp_path))
    tracker.update(trial_at(2))
    tracker.update(trial_at(4, "complete"))
    tracker.close()
    assert (tmp_path / "epochs.txt").read_text() == "0 running 2\n0 complete 4\n"
