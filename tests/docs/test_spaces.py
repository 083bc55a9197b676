"""Each space that the README and the pages of docs/ show in whole keeps the rules of a new space."""

from __future__ import annotations

import re
from typing import Any

import pytest

from hpo import plugins
from hpo.spacefile import bundled, parse, read, yaml_text
from tests.docs.test_pages import PAGES


def whole_spaces() -> list[Any]:
    """The content of each block of YAML that has a task and a fidelity."""
    found = []
    for page, text in PAGES.items():
        for i, shown in enumerate(re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)):
            content = yaml_text.parse(shown).value
            if isinstance(content, dict) and {"task", "fidelity"} <= content.keys():
                found.append(pytest.param(content, id=f"{page} {i}"))
    return found


@pytest.mark.parametrize("content", whole_spaces())
def test_each_space_of_the_pages_keeps_the_rules_of_a_new_space(content: dict[str, Any]) -> None:
    read_without_rules = parse(content, installed=False)  # some of them name files that the reader of the page has
    task = vars(read_without_rules.task)
    parts = read_without_rules.domains, read_without_rules.fixed, read_without_rules.fidelity
    assert list(plugins.rule_problems(task, *parts)) == []


def test_the_pages_show_whole_spaces() -> None:
    assert len(whole_spaces()) > 5


@pytest.mark.parametrize("name", ["lp_then_ft"])
def test_a_bundled_space_with_two_regimes_has_no_notice_of_the_first_phase(name: str) -> None:
    assert not [each for each in plugins.notices(read(bundled()[name])) if "first phase" in each]
