"""The page about `hpo rank` says what the command does."""

from __future__ import annotations

from pathlib import Path

from hpo.spacefile import read
from hpo.training.ranking import SIZES
from tests.docs.test_pages import PAGES, block

PAGE = "docs/rank.md"


def test_the_models_of_each_size_are_those_of_the_page() -> None:
    for size, models in SIZES.items():
        assert f"| `{size}` | {', '.join(f'`{model}`' for model in models)} |" in PAGES[PAGE]


def test_the_space_that_is_shown_is_a_space(tmp_path: Path) -> None:
    (tmp_path / "cartoon.yaml").write_text(block(PAGE, "## What comes next", "yaml"))
    assert read(tmp_path / "cartoon.yaml").task.weights == "imagenet"
