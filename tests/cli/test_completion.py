"""Completion of words in a shell: what is offered, in real bash, zsh and fish, and that it imports little."""

from __future__ import annotations

import os
import pty
import re
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete

from hpo import plugins
from hpo.cli.app import app
from hpo.cli.completion import KINDS as DESCRIBED
from hpo.cli.completion import PLOT_KINDS
from hpo.figures.plot import KINDS
from tests.cli.commands import ROOT, SEARCH, Hpo
from tests.docs.test_pages import PAGES


def offered(*words: str) -> list[str]:
    """What is offered for the last of some words after `hpo`."""
    completed = ShellComplete(app, {}, "hpo", "_HPO_COMPLETE")
    return [item.value for item in completed.get_completions(list(words[:-1]), words[-1])]


def test_verbs_options_and_names_are_offered() -> None:
    assert offered("sea") == ["search"]
    assert "--track" in offered("search", "--tr")
    assert offered("search", "--backend", "b") == ["bohb"]
    assert offered("resume", "--runner", "p") == ["processes"]
    assert offered("search", "--runner", "au") == ["auto"]
    assert offered("replay", "--backend", "free") == ["freeze_thaw"]
    assert offered("search", "--track", "") == ["mlflow", "tensorboard", "wandb", "none"]
    assert offered("track", "--to", "w") == ["wandb"]
    assert offered("plot", "--kind", "c") == ["curves", "confusion"]
    assert offered("describe", "re") == ["regime"]
    assert offered("describe", "regime", "probe") == ["probe_then_fine_tune"]
    assert offered("describe", "augmentation", "few") == ["few_shot"]
    assert offered("describe", "nothing", "") == []
    assert offered("rank", "--dataset", "pa") == ["pacs"]
    assert offered("rank", "--models", "alexnet,resnet1") == ["alexnet,resnet18"]


def test_what_is_written_twice_is_the_same() -> None:
    assert tuple(KINDS) == PLOT_KINDS
    packages = {kind: package for kind, package in DESCRIBED.items() if kind != "augmentation"}
    assert packages == {noun: package for package, noun in plugins.NOUNS.items()}
    assert plugins.find(DESCRIBED["augmentation"]) is not None


def test_bundled_spaces_and_the_yaml_files_and_folders_beside_them_are_offered(hpo: Hpo, tmp_path: Path) -> None:
    (tmp_path / "digits_own").mkdir()
    (tmp_path / "digits_own" / "a.yml").touch()
    (tmp_path / "digits.txt").touch()
    assert "digits_cnn" in offered("search", "--space", "digits")
    assert "digits_own/" in offered("describe", "--space", "digits")
    assert "digits.txt" not in offered("search", "--space", "digits")
    assert offered("search", "--space", "to") == ["toy.yaml"]
    assert offered("search", "--space", "digits_own/") == ["digits_own/a.yml"]
    assert offered("search", "--space", "no/where/") == []


def test_studies_are_offered_from_the_folder_that_is_given(hpo: Hpo) -> None:
    for name in ("one", "two"):
        assert hpo(*SEARCH, "--study", name).exit_code == 0
    assert hpo(*SEARCH, "--study", "three", "--studies", "others").exit_code == 0
    assert offered("best", "") == ["one", "two"]
    assert offered("best", "--studies", "others", "") == ["three"]
    assert offered("compare", "one", "") == ["two"]
    assert offered("search", "--from", "t") == ["two"]
    assert offered("best", "--studies", "nowhere", "") == []
    Path("studies/two/ledger.log").unlink()
    assert offered("best", "") == ["one"]


def test_completing_imports_no_torch_no_optuna_and_no_pandas() -> None:
    code = (
        "import sys\nfrom click.shell_completion import ShellComplete\nfrom hpo.cli.app import app\n"
        "complete = ShellComplete(app, {}, 'hpo', '_HPO_COMPLETE')\n"
        "for words in (['search', '--space'], ['search', '--backend'], ['plot', '--kind'], ['describe', 'model']):\n"
        "    assert complete.get_completions(words, '')\n"
        "complete.get_completions(['best'], '')\n"
        "print([name for name in ('torch', 'optuna', 'ray', 'pandas', 'scipy') if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def documented(shell: str) -> str:
    """The line that docs/search.md tells the user of a shell to add."""
    match = re.search(rf"^\| {shell} \| `(.*?)` \| `", PAGES["docs/search.md"], re.MULTILINE)
    assert match is not None
    return match[1].replace("\\|", "|")


def environment(folder: Path) -> Mapping[str, str]:
    """An environment with the command `hpo`."""
    script = folder / "bin" / "hpo"
    script.parent.mkdir()
    script.write_text(f"#!{sys.executable}\nimport sys\nfrom hpo.cli import app\nsys.exit(app())\n")
    script.chmod(0o755)
    path = f"{script.parent}:{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "TERM": "dumb", "HOME": str(folder), "PS1": "> "}


def typed(command: list[str], lines: list[str], wanted: str, folder: Path) -> str:
    """Type lines into a shell in a terminal until it shows a text, and return all that it shows."""
    main, other = pty.openpty()
    process = subprocess.Popen(
        command, stdin=other, stdout=other, stderr=other, cwd=folder, env=environment(folder), start_new_session=True
    )
    os.close(other)
    shown, end = "", time.monotonic() + 120
    try:
        for line in lines:
            os.write(main, line.encode())
            time.sleep(1)
        while wanted not in shown and time.monotonic() < end:
            if select.select([main], [], [], 0.2)[0]:
                shown += os.read(main, 4096).decode(errors="replace")
    finally:
        process.kill()
        process.wait()
        os.close(main)
    return shown


SHELLS = {
    "bash": ["bash", "--norc", "--noprofile", "-i"],
    "zsh": ["zsh", "-f", "-i"],
}


@pytest.mark.slow
@pytest.mark.parametrize("shell", SHELLS)
def test_tab_completes_a_word_in_a_real_shell(shell: str, tmp_path: Path) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    prepare = "autoload -Uz compinit && compinit -u\n" if shell == "zsh" else ""
    lines = [f"{prepare}{documented(shell)}\n", "hpo describe regime probe_t\t", "\n"]
    assert "probe_epochs" in typed(SHELLS[shell], lines, "probe_epochs", tmp_path)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("fish") is None, reason="fish is not installed")
def test_fish_offers_the_words(tmp_path: Path) -> None:
    script = f"{documented('fish')}; complete -C 'hpo describe regime probe_t'"
    command = ["fish", "--no-config", "-c", script]
    result = subprocess.run(
        command, cwd=tmp_path, env=environment(tmp_path), capture_output=True, text=True, timeout=120, check=True
    )
    assert result.stdout.split()[0] == "probe_then_fine_tune"
