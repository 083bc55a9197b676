from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from hpo import cache
from hpo.cli.app import app
from trainables.store.store import Advance, Bytes, Store


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setenv("HPO_CACHE", str(tmp_path))
    monkeypatch.setenv("HPO_CACHE_GB", "2")
    store = Store(tmp_path, 2**31)
    for name, megabytes in (("cats", 2), ("dogs", 1)):
        assert store.get("pixels", (name,), megabytes * 2**20, f"pictures of {name}", fill) is not None
    return store


def fill(content: Bytes, advance: Advance) -> None:
    content[:] = 1


def run(*words: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["cache", *words])
    return done.exit_code, done.output


def test_the_list_names_each_entry_its_size_the_total_and_the_folder(store: Store) -> None:
    status, output = run()
    assert status == 0
    *entries, total = output.splitlines()
    assert sorted(line.split("ago")[1].rsplit(maxsplit=1)[0].strip() for line in entries) == [
        "pictures of cats",
        "pictures of dogs",
    ]
    assert "2.0 MB" in "".join(entries)
    assert total.split() == ["3.0", "MB", "in", "total,", "of", "2.00", "GB", "at", "most,", "in", str(store.folder)]


def test_one_entry_or_all_are_deleted(store: Store) -> None:
    name = store.entries()[0].name
    assert run("--remove", name)[0] == 0
    assert [entry.name for entry in store.entries()] != [name]
    assert len(store.entries()) == 1
    assert "freed" in run("--clear")[1]
    assert store.entries() == []


@pytest.mark.usefixtures("store")
def test_an_unknown_entry_a_wrong_limit_and_a_store_that_is_off_are_mistakes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("--remove", "pixels-0") == (2, run("--remove", "pixels-0")[1])
    assert "pixels-0" in run("--remove", "pixels-0")[1]
    (tmp_path / "file").touch()
    with monkeypatch.context() as patched:
        patched.setenv("HPO_CACHE", str(tmp_path / "file"))
        assert run() == (2, f"hpo: HPO_CACHE: {tmp_path / 'file'} is a file, not a folder\n")
    monkeypatch.setenv("HPO_CACHE_GB", "much")
    assert run() == (2, "hpo: HPO_CACHE_GB must be a number of at least 0, but is 'much'\n")
    monkeypatch.setenv("HPO_CACHE", "off")
    assert "off" in run()[1]
    assert run("--clear")[0] == 2
    assert cache.in_progress() == []
