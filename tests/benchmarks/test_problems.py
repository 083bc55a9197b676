from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import lcbench, problems
from benchmarks.problems import Choice
from hpo.errors import UnknownName, UserError

needs_lcbench = pytest.mark.skipif(not lcbench.folder().is_dir(), reason="$HPO_DATA has no lcbench")


def test_a_group_is_all_its_problems_and_every_is_a_part_of_them() -> None:
    assert Choice(["synthetic"]).expanded() == list(problems.SYNTHETIC)
    assert Choice(["synthetic"], every=3).expanded() == list(problems.SYNTHETIC[::3])


def test_a_single_problem_named_twice_is_played_once() -> None:
    assert Choice(["hart6-silent", "hart6-silent"]).expanded() == ["hart6-silent"]


@pytest.mark.parametrize("name", ["hart6-silence", "hart7-silent", "branin-crossing@x", "table"])
def test_an_unknown_problem_is_an_error_with_the_nearest_name(name: str) -> None:
    with pytest.raises(UnknownName, match="unknown problem"):
        Choice([name]).expanded()


@needs_lcbench
def test_every_third_data_set_of_lcbench_is_held_out() -> None:
    for_judging, for_development = (lcbench.instances(held_out=held_out) for held_out in (True, False))
    assert (len(for_judging), len(for_development)) == (12, 22)
    assert for_judging[:2] == ["lcbench/3945", "lcbench/126025"]
    assert Choice(["lcbench"]).expanded() == for_development


@needs_lcbench
@pytest.mark.parametrize("name", ["lcbench/3945", "lcbench-held-out"])
def test_a_held_out_data_set_is_refused_unless_it_is_allowed(name: str) -> None:
    with pytest.raises(UserError, match="lcbench/3945 is held out, for judging only"):
        Choice([name]).expanded()
    assert "lcbench/3945" in Choice([name], held_out=True).expanded()


def test_without_the_files_of_lcbench_an_error_says_what_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HPO_DATA", str(tmp_path))
    with pytest.raises(UserError, match=r"lcbench/config_space\.json: there is no such file"):
        Choice(["lcbench"]).expanded()
