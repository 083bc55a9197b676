"""The flags of the command line for options of a runner."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpo import plugins
from hpo.cli.options import FLAGS
from hpo.errors import UserError
from hpo.record import StudyFolder
from tests.cli.commands import SEARCH, Hpo

OWN_RUNNER = '''
from hpo.runners import inline

{flags}

def build(job, checkpoints, *, devices, slots, host="none"):
    """A runner with an option."""
    return inline.build(job, checkpoints, devices=devices, slots=slots)
'''


@pytest.fixture
def own_runner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def test_a_flag_of_another_runner_is_an_error_that_names_the_cure(hpo: Hpo) -> None:
    result = hpo(*SEARCH, "--ray-address", "auto", "--resources", "cpu=1")
    assert result.exit_code == 2
    assert (
        "--ray-address and --resources: only the runner ray has them, but the runner is inline; add --runner ray, or "
        "leave them out"
    ) in result.stderr
    assert not Path("studies").exists()


def test_a_flag_is_none_of_the_runner_that_is_chosen_by_itself_or_recorded(hpo: Hpo, searched: Hpo) -> None:
    by_itself = hpo("search", "--space", "toy.yaml", "--backend", "random", "--study", "t", "--checkpoints", "/x")
    assert "--checkpoints: only the runner ray has it, but the runner is auto" in by_itself.stderr
    recorded = hpo("resume", "s", "--trials", 12, "--checkpoints", "/x")
    assert "--checkpoints: only the runner ray has it, but the runner is inline" in recorded.stderr
    assert (by_itself.exit_code, recorded.exit_code) == (2, 2)
    assert "no study 'nothing' in" in hpo("resume", "nothing", "--checkpoints", "/x").stderr


def test_a_runner_that_does_not_declare_a_flag_refuses_it(hpo: Hpo, own_runner: Path) -> None:
    words = [*SEARCH, "--runner", "own_runner.runner"]
    (own_runner / "own_runner").mkdir()
    (own_runner / "own_runner" / "runner.py").write_text(OWN_RUNNER.format(flags=""))
    refused = hpo(*words, "--ray-address", "auto")
    assert "--ray-address: only the runner ray has it, but the runner is own_runner.runner" in refused.stderr
    wrong = hpo(*words, "--runner-option", "hots=auto")
    assert "unknown option of the runner own_runner.runner: 'hots'; did you mean 'host'?" in wrong.stderr
    assert hpo(*words, "--runner-option", "host=auto").exit_code == 0


def test_a_runner_that_declares_the_flag_gets_it(hpo: Hpo, own_runner: Path) -> None:
    (own_runner / "declaring").mkdir()
    flags = 'FLAGS = {"host": "--ray-address"}'
    (own_runner / "declaring" / "runner.py").write_text(OWN_RUNNER.format(flags=flags))
    assert plugins.flags("declaring.runner") == {"host": "--ray-address"}
    words = [*SEARCH, "--study", "d", "--runner", "declaring.runner", "--ray-address", "auto"]
    twice = hpo(*words, "--runner-option", "host=local")
    assert "--ray-address and --runner-option host: they are the same, so give only one" in twice.stderr
    assert hpo(*words).exit_code == 0
    assert StudyFolder.reopen(Path("studies/d")).settings.runner_options == {"host": "auto"}


def test_each_flag_of_the_runner_ray_is_one_of_the_command_line() -> None:
    assert sorted(plugins.flags("hpo.runners.ray").values()) == sorted(FLAGS)


@pytest.mark.parametrize("flags", ["FLAGS = ['--ray-address']", "FLAGS = {'host': 7}"])
def test_flags_of_another_form_are_an_error_that_names_the_file(own_runner: Path, flags: str) -> None:
    (own_runner / "declaring").mkdir()
    (own_runner / "declaring" / "runner.py").write_text(OWN_RUNNER.format(flags=flags))
    with pytest.raises(UserError, match=r"declaring/runner\.py: FLAGS must map names of options to flags"):
        plugins.flags("declaring.runner")
