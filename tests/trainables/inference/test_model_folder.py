"""Writing a model folder: atomically, and never over something else."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from tests.trainables.inference.final_models import load, write
from trainables.errors import SetupError
from trainables.inference import model_folder

FILES = ["README.md", "model.json", "model.safetensors"]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_folder_holds_the_weights_their_description_and_a_readme(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for name in ("new", "empty", "a/b"):
        write(tmp_path / name)
        assert names(tmp_path / name) == FILES
    assert names(tmp_path) == ["a", "empty", "new"]


def test_a_model_is_replaced_only_if_asked_for(tmp_path: Path) -> None:
    write(tmp_path / "m")
    with pytest.raises(SetupError, match="holds a model already: name a new folder, or give --overwrite"):
        write(tmp_path / "m", temperature=3.0)
    assert load(tmp_path / "m").description.temperature == 1.5
    write(tmp_path / "m", temperature=3.0, overwrite=True)
    assert load(tmp_path / "m").description.temperature == 3.0
    assert names(tmp_path) == ["m"]


@pytest.mark.parametrize("overwrite", [False, True])
def test_other_files_are_never_replaced(tmp_path: Path, overwrite: bool) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "mine.png").write_text("mine")
    write(tmp_path / "m")
    (tmp_path / "m" / "notes.txt").write_text("mine")
    for name, words in (
        ("file", "exists, and is not a folder"),
        ("pictures", "is not empty, and is not a model folder"),
        ("m", "holds other files beside a model, such as notes.txt"),
    ):
        with pytest.raises(SetupError, match=words):
            write(tmp_path / name, overwrite=overwrite)
    assert names(tmp_path) == ["file", "m", "pictures"]
    assert names(tmp_path / "m") == sorted([*FILES, "notes.txt"])


def test_a_model_that_would_load_otherwise_is_not_written(tmp_path: Path) -> None:
    write(tmp_path / "m", temperature=3.0)
    with pytest.raises(SetupError, match="the written model gives other logits than the trained one"):
        write(tmp_path / "m", overwrite=True, check=lambda folder, inputs: torch.zeros(len(inputs), 3))
    assert load(tmp_path / "m").description.temperature == 3.0
    assert names(tmp_path) == ["m"]


@pytest.mark.parametrize("path", [".", "../m", "../link"])
@pytest.mark.parametrize("holds_a_model", [False, True])
def test_the_current_folder_is_never_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, holds_a_model: bool
) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "link").symlink_to("m")
    if holds_a_model:
        write(tmp_path / "m")
    monkeypatch.chdir(tmp_path / "m")
    with pytest.raises(SetupError, match="is the current folder, which cannot be replaced: name another one"):
        write(Path(path), overwrite=True)
    assert names(tmp_path / "m") == (FILES if holds_a_model else [])
    assert names(tmp_path) == ["link", "m"]


@pytest.mark.parametrize("name", ["file/m", "file/a/m", "a" * 300, "loop/m", "a\0b"])
def test_a_place_where_no_folder_can_be_is_an_error_that_names_it(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(SetupError, match=r"--out .*: cannot be written: "):
        model_folder.check_target(tmp_path / name, overwrite=False)
    assert names(tmp_path) == ["file", "loop"]


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() == 0, reason="root may write everywhere")
@pytest.mark.parametrize("name", ["m", "a/b"])
def test_a_folder_without_permission_to_write_is_an_error_that_names_it(tmp_path: Path, name: str) -> None:
    (tmp_path / "closed").mkdir(mode=0o555)
    with pytest.raises(SetupError, match=r"--out .*: cannot be written: no permission to write to .*closed"):
        model_folder.check_target(tmp_path / "closed" / name, overwrite=False)


def test_all_files_have_the_rights_that_new_files_have(tmp_path: Path) -> None:
    (tmp_path / "new").touch()
    write(tmp_path / "m")
    modes = {path.name: path.stat().st_mode for path in (tmp_path / "m").iterdir()}
    assert modes == dict.fromkeys(FILES, (tmp_path / "new").stat().st_mode)


def test_a_model_that_was_being_replaced_when_the_process_was_killed_is_loaded(tmp_path: Path) -> None:
    write(tmp_path / "m")
    (tmp_path / "m").rename(tmp_path / f".m.{2**22 + 1}.tmp.old")
    assert load(tmp_path / "m").description.temperature == 1.5
    (tmp_path / "m").rename(tmp_path / f".m.{2**22 + 1}.tmp.old")
    with pytest.raises(SetupError, match="holds a model already"):
        write(tmp_path / "m")
