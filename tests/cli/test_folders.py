"""Studies and space files whose folders have unusual names, are moved, are copied, or can only be read."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from hpo.cli.printing import next_command
from hpo.record import StudyFolder
from tests.cli.commands import ROOT, SEARCH, TOY, Hpo

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("change", [os.rename, shutil.copytree, lambda old, new: os.symlink("s", new)])
def test_a_study_that_is_renamed_copied_or_linked_is_read_and_resumed(hpo: Hpo, tmp_path: Path, change: object) -> None:
    hpo(*SEARCH, "--study", "s")
    assert callable(change)
    change(tmp_path / "studies" / "s", tmp_path / "studies" / "an other")
    for words in (("status",), ("best",), ("export",), ("resume", "--trials", "2", "-q")):
        result = hpo(words[0], "an other", *words[1:])
        assert result.exit_code == 0, result.output
    assert "2 complete" in hpo("status", "an other").output
    assert hpo("resume", "an other", "--trials", "3", "-q").exit_code == 0


def test_of_two_folders_with_one_record_only_the_original_searches(hpo: Hpo, tmp_path: Path) -> None:
    hpo(*SEARCH, "--study", "s", "--storage", "sqlite:///s.db")
    studies = tmp_path / "studies"
    shutil.copytree(studies / "s", studies / "copy")
    refused = hpo("resume", "copy", "--trials", "2")
    assert refused.exit_code == 2
    assert f"is a copy of {studies / 's'}, and both have one record" in refused.output
    assert "1 complete" in hpo("status", "copy").output
    assert hpo("resume", "s", "--trials", "2").exit_code == 0
    assert "2 complete" in hpo("status", "copy").output
    shutil.rmtree(studies / "s")
    assert hpo("resume", "copy", "--trials", "3").exit_code == 0


def test_a_copy_without_epochs_is_replaced_and_the_record_of_the_original_stays(hpo: Hpo, tmp_path: Path) -> None:
    hpo(*SEARCH, "--time", "0.000001s", "--study", "s", "--storage", "sqlite:///s.db")
    shutil.copytree(tmp_path / "studies" / "s", tmp_path / "studies" / "copy")
    assert hpo(*SEARCH, "--seed", "1", "--study", "copy").exit_code == 0
    assert hpo("resume", "s", "--trials", "1").exit_code == 0


def test_a_space_file_with_a_blank_in_its_name_is_searched(hpo: Hpo, tmp_path: Path) -> None:
    (tmp_path / "toy.yaml").rename(tmp_path / "my (space).yaml")
    result = hpo("search", "--space", "my (space).yaml", *SEARCH[3:])
    assert result.exit_code == 0, result.output
    assert "hpo dashboard my-space-random-0" in result.output
    assert hpo("best", "my-space-random-0").exit_code == 0


def test_the_next_command_is_quoted_and_short_inside_of_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert next_command("best", tmp_path / "studies" / "my study").endswith("hpo best 'my study'")
    assert next_command("best", tmp_path / "my studies" / "s").endswith("hpo best s --studies 'my studies'")
    assert next_command("best", Path("/studies/s")).endswith("hpo best s --studies /studies")


def test_a_name_that_is_too_long_is_refused(hpo: Hpo, tmp_path: Path) -> None:
    result = hpo(*SEARCH, "--study", "s" * 201)
    assert result.exit_code == 2
    assert "at most 200 characters" in result.output
    assert not (tmp_path / "studies").exists()
    assert hpo(*SEARCH, "--study", "s" * 200).exit_code == 0


def test_training_code_may_change_the_working_directory(hpo: Hpo, tmp_path: Path) -> None:
    for runner in ("inline", "processes"):
        (tmp_path / runner).mkdir()
        words = ("--set", f"fixed.folder={tmp_path / runner}", "--set", "task.regime=tests.wandering")
        result = hpo(*SEARCH, *words, "--runner", runner, "--slots", "1", "--devices", "cpu", "--study", runner)
        assert result.exit_code == 0, result.output
        assert Path.cwd() == tmp_path
        assert (tmp_path / "studies" / runner / "checkpoints" / "0.best.pt").exists()
        assert list((tmp_path / runner).iterdir()) == []


def test_weights_and_data_are_found_again_from_another_folder(
    hpo: Hpo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project, elsewhere = tmp_path / "project", tmp_path / "elsewhere"
    for folder in (project, elsewhere):
        folder.mkdir()
    (project / "w.pth").write_bytes(b"the toy does not read its weights")
    (project / "toy.yaml").write_text(TOY.replace("regime: tests.toy", "regime: tests.toy, weights: w.pth"))
    words = ("--space", "project/toy.yaml", "--study", "s", "--data", "project")
    assert hpo(*SEARCH, *words).exit_code == 0
    monkeypatch.chdir(elsewhere)
    assert hpo("resume", "s", "--studies", "../studies", "--trials", "2").exit_code == 0
    study = StudyFolder.reopen(tmp_path / "studies" / "s")
    assert study.space.task.weights == str(project / "w.pth")
    assert study.space.to_dict()["task"]["weights"] == "w.pth"
    assert study.data == project
    (project / "w.pth").rename(elsewhere / "w.pth")
    assert StudyFolder.reopen(study.folder).space.task.weights == str(elsewhere / "w.pth")
    (elsewhere / "w.pth").unlink()
    lost = hpo("resume", "s", "--studies", "../studies", "--trials", "3")
    assert lost.exit_code == 2
    assert f"there is no file '{project / 'w.pth'}'" in lost.output


@pytest.fixture
def read_only() -> Iterator[Path]:
    """A folder that every user may read and none may write. It contains the study `s`."""
    folder = Path(tempfile.mkdtemp())
    (folder / "toy.yaml").write_text(TOY)
    command = [sys.executable, "-m", "hpo.cli", *SEARCH, "--study", "s", "--trials", "2"]
    subprocess.run(command, cwd=folder, env=_environment(), check=True, capture_output=True)
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    yield folder
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o755)
    shutil.rmtree(folder)


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "HPO_CACHE": "off"}


@pytest.mark.skipif(sys.platform == "win32", reason="needs the permissions of Unix")
def test_a_study_in_a_folder_that_can_only_be_read_is_shown(read_only: Path) -> None:
    """A root user may write everywhere, so the commands run as another user then.

    They run before as well, because the other user may have no access to the modules that they import.
    """
    script = (
        "import os, sys; from hpo.cli import app\n"
        "def run():\n"
        "    for words in (['status', 's'], ['best', 's'], ['export', 's']): app(words, standalone_mode=False)\n"
        "run()\n"
        "if os.getuid() == 0: os.setuid(65534)\n"
        "try: open('studies/s/new', 'w')\n"
        "except PermissionError: pass\n"
        "else: sys.exit('the folder can be written')\n"
        "run()\n"
    )
    command = [sys.executable, "-c", script]
    result = subprocess.run(command, cwd=read_only, env=_environment(), capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("2 complete") == 2
