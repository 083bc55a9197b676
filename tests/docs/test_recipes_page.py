"""The page of recipes: each of its spaces is sound and trains, and so does each line of its tables."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from typing import Any

import pytest

import hpo
from hpo.space import SearchSpace
from hpo.spacefile import read, yaml_text
from tests.docs.test_pages import PAGES, block

PAGE = "docs/recipes.md"
SMALL = {
    "resnet18": ["task.model=small_cnn", "fixed.image_size=8"],
    "timm:vit_small_patch16_224": ["task.model=timm:test_vit", "fixed.image_size=32"],
    "timm:convnext_tiny": ["task.model=timm:test_convnext", "fixed.image_size=32"],
}
"""For each model of the page, one of its kind that trains in a moment, as texts of `--set`."""


def every_recipe() -> list[Any]:
    """The text of each space, and that of fine-tuning with the lines of each recipe in a table, as texts of `--set`."""
    found = []
    for section in PAGES[PAGE].split("\n## ")[1:]:
        title = section.splitlines()[0]
        texts = re.findall(r"```yaml\n(.*?)```", section, re.DOTALL)
        found += [pytest.param(text, [], id=f"{title} {i}") for i, text in enumerate(texts)]
        for row in re.findall(r"^\| (.*) \|$", section, re.MULTILINE):
            cells = row.split(" | ")
            lines = overrides(cells[2 if len(cells) == 4 else 1])
            found += [pytest.param(block(PAGE, "## Fine-tuning", "yaml"), lines, id=cells[0])] if lines else []
    return found


def overrides(cell: str) -> list[str]:
    """The lines of a space file in a cell of a table, as texts of `--set`."""
    found = []
    for line in re.findall(r"`((?:space|fixed|objective): [^`]+)`", cell):
        for section, content in yaml_text.parse(line).value.items():
            values = content if isinstance(content, dict) else {None: content}
            found += [f"{'.'.join(filter(None, (section, key)))}={json.dumps(values[key])}" for key in values]
    return found


def read_recipe(folder: Path, text: str, overrides: list[str]) -> SearchSpace:
    (folder / "recipe.yaml").write_text(text)
    return read(folder / "recipe.yaml", overrides)


@pytest.mark.parametrize(("text", "overrides"), every_recipe())
def test_each_recipe_is_a_space_that_can_be_searched(text: str, overrides: list[str], tmp_path: Path) -> None:
    assert read_recipe(tmp_path, text, overrides).domains


@pytest.mark.slow
@pytest.mark.parametrize(("text", "overrides"), every_recipe())
def test_each_recipe_trains(text: str, overrides: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    if "timm:" in str([text, overrides]) and None in map(importlib.util.find_spec, ("timm", "peft")):
        pytest.skip("timm and peft are extras")
    space = read_recipe(tmp_path, text, overrides)
    small = [*SMALL[str(space.task.model)], "task.weights=none", "task.dataset=digits", "fidelity.low=1"]
    n_epochs = 2 if "_epochs" in str(space.fixed) else 1  # two phases of an epoch each
    small += [f"fixed.{key}=1" for key in space.fixed if key in ("encoder_epochs", "probe_epochs")]
    space = read_recipe(tmp_path, text, [*overrides, *small, f"fidelity.high={n_epochs}"])
    table = hpo.search(space, backend="random", trials=1, runner="inline", quiet=True).table()
    assert table["epochs"][0] == n_epochs
    assert table["state"][0] == "complete"


def test_each_link_within_the_page_leads_to_a_heading() -> None:
    titles = re.findall(r"^## (.*)$", PAGES[PAGE], re.MULTILINE)
    headings = {re.sub(r"[^a-z -]", "", title.lower()).replace(" ", "-") for title in titles}
    assert set(re.findall(r"\]\(#([^)]+)\)", PAGES[PAGE])) <= headings
