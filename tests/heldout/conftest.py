from __future__ import annotations

from pathlib import Path

import pytest

from tests.heldout.studies import searched


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of a finished search of three trials on real images."""
    return searched(tmp_path / "s")
