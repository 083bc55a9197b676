"""The page of augmentation names what there is, its space is sound, and its picture is made by its script."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from docs import augmentation_figure
from hpo.plugins.space_problems import problem_lines
from hpo.spacefile import read
from tests.docs.test_pages import PAGES, block
from trainables.augmentation import erasing, mixing, random_crop, random_operations, recipes

PAGE = "docs/augmentation.md"


def test_its_space_is_sound(tmp_path: Path) -> None:
    path = tmp_path / "my_recipe.yaml"
    path.write_text(block(PAGE, "# Augmentation", "yaml"))
    space = read(path)
    assert problem_lines(space) == []
    assert {"augmentation", "random_erasing", "mixing", "magnitude"} <= set(space.domains)


def test_it_names_every_recipe_every_mixing_and_every_hyperparameter() -> None:
    named = [*recipes.NAMES, *mixing.HYPERPARAMETERS["mixing"], *mixing.ALPHAS, *recipes.HYPERPARAMETERS]
    for module in (random_crop, random_operations, erasing):
        named += module.HYPERPARAMETERS
    for name in {*named} - {"none", "erasing_scale"}:
        assert f"`{name}" in PAGES[PAGE], name


@pytest.mark.slow
def test_its_picture_has_a_row_for_each_recipe_and_mixing(tmp_path: Path) -> None:
    augmentation_figure.draw(tmp_path / "picture.jpg", side=24, n=3)
    with Image.open(tmp_path / "picture.jpg") as picture, Image.open(augmentation_figure.PATH) as in_docs:
        assert picture.height == 28 * len(augmentation_figure.ROWS)
        assert in_docs.height == 100 * len(augmentation_figure.ROWS)
    shown = {value for config in augmentation_figure.ROWS for value in config.values()}
    assert {*recipes.NAMES, *mixing.HYPERPARAMETERS["mixing"][1:], "const", "pixel"} <= shown
