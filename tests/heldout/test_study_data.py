"""A study keeps the data that it was begun on: the stories of files that change while it lasts."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from hpo.errors import StudyError, TaskError
from hpo.figures.plot import plot
from hpo.heldout import evaluate, study_data
from hpo.loop import begin, resume
from hpo.record import Budget, Settings, StudyFolder
from hpo.results import status
from hpo.space import DatasetSpec, Fidelity, SearchSpace, Task, Validation
from hpo.space.domains import Categorical
from hpo.training import Builder, Job
from tests.trainables.datasets import pictures
from trainables.data.heldout import held_out

COUNTS = {"cat": 15, "dog": 15}
LR = {"lr": Categorical((0.01, 0.02, 0.03, 0.04))}


def space(rare_classes: str | None = None, **task: Any) -> SearchSpace:
    options = {"folder": "zoo", **({} if rare_classes is None else {"rare_classes": rare_classes})}
    chosen = Task(**{"regime": "from_scratch", "model": "softmax_regression"} | task, dataset=spec(options))
    return SearchSpace("zoo", LR, Fidelity(1), chosen, {"image_size": 4, "batch_size": 8})


def spec(options: dict[str, Any], name: str = "image_folder") -> DatasetSpec:
    return DatasetSpec(name, options)


def settings(root: Path, **others: Any) -> Settings:
    return Settings(**{"backend": "grid", "runner": "inline", "devices": "cpu", "data": str(root)} | others)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The folder of the data sets, with 30 pictures in two classes."""
    pictures.folders(tmp_path / "data" / "zoo", COUNTS, suffix=".png")
    return tmp_path / "data"


@pytest.fixture
def study(root: Path, tmp_path: Path) -> Path:
    """A finished search of two trials."""
    begin(tmp_path / "s", space(), settings(root), Budget(trials=2))
    return tmp_path / "s"


def parts(folder: Path, *, with_held_out: bool = True) -> dict[str, set[str]]:
    """The names of the files of each part, as a search and a test of the study read them now."""
    found = StudyFolder.reopen(folder)
    job = Job(found.space, found.settings.seed, found.data)
    data = study_data.check(found, job, skip_changed_files=True, with_held_out=with_held_out)
    manifest = data.manifest
    assert manifest is not None
    names = manifest["training"]["names"]
    sides = {part: {n for n, at in zip(names, manifest["assignment"], strict=True) if at == part} for part in (0, 1)}
    held = set(manifest["held"]["names"]) if with_held_out else set()
    return {"train": sides[0], "validation": sides[1], "held_out": held}


def file_of(folder: Path, part: str) -> Path:
    """A file of a part."""
    return StudyFolder.reopen(folder).data / "zoo" / min(parts(folder)[part])


def add_a_picture(root: Path) -> None:
    pictures.folders(root / "zoo", {"cat": 1}, suffix=".png", first=1000)


def add_a_class(root: Path) -> None:
    pictures.folders(root / "zoo", {"bird": 10}, suffix=".png", first=2000)


def add_a_rare_class(root: Path) -> None:
    """The data set could not be split any more."""
    pictures.folders(root / "zoo", {"bird": 1}, suffix=".png", first=2000)


@pytest.mark.parametrize("content", [b"", b"no picture"])
def test_a_broken_held_out_image_is_named_before_the_search_begins(root: Path, tmp_path: Path, content: bytes) -> None:
    begin(tmp_path / "first", space(), settings(root), Budget(trials=1))
    broken = file_of(tmp_path / "first", "held_out")
    broken.write_bytes(content)
    with pytest.raises(TaskError, match=rf"{broken}: cannot be read as an image .* `skip_unreadable: true`"):
        begin(tmp_path / "s", space(), settings(root), Budget(trials=1))
    assert not (tmp_path / "s").exists()
    skipping = SearchSpace("zoo", LR, Fidelity(1), space().task, {"image_size": 4, "skip_unreadable": True})
    begin(tmp_path / "s", skipping, settings(root), Budget(trials=1))
    assert evaluate(tmp_path / "s", protocol="checkpoint").trials[0].left_out == {}


@pytest.mark.parametrize("change", [add_a_picture, add_a_class, add_a_rare_class])
def test_what_is_added_later_is_in_no_part_of_the_study(
    study: Path, root: Path, change: Callable[[Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    before = parts(study)
    first = evaluate(study, protocol="checkpoint").trials[0].test_accuracy
    change(root)
    capsys.readouterr()
    assert parts(study) == before
    if change is not add_a_rare_class:
        n = "1 new file is" if change is add_a_picture else "10 new files are"
        assert f"hpo: {n} in no part of study 's'" in capsys.readouterr().err
    resume(study, Budget(trials=3))
    assert evaluate(study, protocol="checkpoint").trials[0].test_accuracy == first
    assert StudyFolder.reopen(study).left_out == {}


def test_a_changed_file_is_refused_and_named_with_what_to_type(study: Path) -> None:
    removed, replaced = file_of(study, "held_out"), file_of(study, "train")
    removed.unlink()
    pictures.picture(77).save(replaced)
    before = {path: path.read_bytes() for path in study.rglob("*") if path.is_file()}
    for go_on in (lambda: resume(study, Budget(trials=3)), lambda: evaluate(study, protocol="checkpoint")):
        with pytest.raises(StudyError) as caught:
            go_on()
        lines = str(caught.value).splitlines()
        assert lines[1:3] == [f"  1 file was removed: {removed}", f"  1 file was changed: {replaced}"]
        assert "go on without them by --skip-changed-files, such as `hpo resume s --skip-changed-files" in lines[3]
    with pytest.raises(StudyError, match=rf"1 file was changed: {replaced}\n"):
        plot(study, "tsne")
    assert {path: path.read_bytes() for path in before} == before


def test_the_study_goes_on_without_changed_files_and_counts_them(study: Path) -> None:
    before = parts(study)
    removed, replaced = file_of(study, "held_out"), file_of(study, "train")
    removed.unlink()
    pictures.picture(77).save(replaced)
    after = parts(study)
    assert after["validation"] == before["validation"]
    assert [len(before[part] - after[part]) for part in ("train", "held_out")] == [1, 1]
    assert not any(after[part] - before[part] for part in before)
    resume(study, Budget(trials=3), skip_changed_files=True)
    words = "2 changed files left out: 1 to search with, 1 held out"
    assert f"data     {words}" in status.lines(study)
    for protocol in ("checkpoint", "retrain"):
        record = evaluate(study, protocol=protocol, skip_changed_files=True)
        assert words in status.test_lines(record)[0]
        (result,) = json.loads((study / "test.json").read_text())["results"]
        assert result["left_out"] == {"training": 1, "held_out": 1}


def test_a_study_that_goes_on_with_all_files_again_says_nothing_of_them(study: Path) -> None:
    path = file_of(study, "train")
    content = path.read_bytes()
    path.unlink()
    resume(study, Budget(trials=3), skip_changed_files=True)
    path.write_bytes(content)
    resume(study, Budget(trials=4))
    assert not [line for line in status.lines(study) if line.startswith("data")]


def test_an_image_in_the_folder_of_another_class_has_moved(study: Path, root: Path) -> None:
    path = file_of(study, "train")
    target = root / "zoo" / {"cat": "dog", "dog": "cat"}[path.parent.name] / path.name
    path.rename(target)
    with pytest.raises(StudyError, match=rf"1 file was moved: {path} \(now {target}\)"):
        resume(study, Budget(trials=3))


def test_a_file_that_is_touched_or_a_folder_that_lies_elsewhere_is_no_change(study: Path, root: Path) -> None:
    file_of(study, "train").touch()
    resume(study, Budget(trials=3))
    moved = root.rename(root.with_name("elsewhere"))
    root.symlink_to(moved)
    evaluate(study, protocol="checkpoint")


def test_if_nothing_of_a_part_is_left_the_study_ends(study: Path, root: Path) -> None:
    for name in parts(study)["held_out"]:
        (root / "zoo" / name).unlink()
    with pytest.raises(StudyError, match="nothing of its held-out part is left"):
        evaluate(study, skip_changed_files=True)


def test_a_search_knows_no_held_out_file(study: Path) -> None:
    found = StudyFolder.reopen(study)
    job = Job(found.space, 0, found.data, manifest=study_data.check(found, Job(found.space, 0, found.data)).for_search)
    with pytest.raises(AssertionError, match="a search gets no held-out part"):
        Builder(job, "cpu").held_out(held_out, {"image_size": 4})


def test_folds_are_those_that_the_study_began_with(root: Path, tmp_path: Path) -> None:
    begin(tmp_path / "s", space(validation=Validation(folds=3)), settings(root), Budget(trials=1))
    study = StudyFolder.reopen(tmp_path / "s")
    job = Job(study.space, 0, study.data)

    def labels() -> list[list[int]]:
        data = study_data.check(study, job)
        folds = Builder(replace(job, manifest=data.for_search), "cpu").search_data({"image_size": 4})
        return [part.labels.tolist() for fold in folds if fold is not None for part in (fold.train, fold.validation)]

    before = labels()
    pictures.folders(root / "zoo", {"ape": 20, "cat": 20}, suffix=".png", first=3000)
    assert labels() == before
    assert len(before) == 6


def test_a_study_without_a_record_of_its_data_is_not_read_again(study: Path) -> None:
    (study / "data.json.gz").unlink()
    for go_on in (lambda: resume(study, Budget(trials=3)), lambda: evaluate(study), lambda: plot(study, "tsne")):
        with pytest.raises(StudyError, match=r"has no data\.json\.gz, .*: it was begun by an earlier version"):
            go_on()
    assert status.lines(study)


def test_the_record_is_the_same_for_the_same_data_and_is_small(root: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        begin(tmp_path / name, space(), settings(root), Budget(trials=1))
    contents = [(tmp_path / name / "data.json.gz").read_bytes() for name in ("a", "b")]
    assert contents[0] == contents[1]
    assert len(contents[0]) < 1500


def test_a_study_without_any_epoch_begins_on_the_data_of_now(root: Path, tmp_path: Path) -> None:
    begin(tmp_path / "s", space(), settings(root), Budget(trials=0))
    add_a_picture(root)
    resume(tmp_path / "s", Budget(trials=1))
    assert sum(map(len, parts(tmp_path / "s").values())) == sum(COUNTS.values()) + 1


def test_ending_a_study_needs_no_data(study: Path, root: Path) -> None:
    resume(study, Budget(trials=3))
    shutil.rmtree(root)
    resume(study, Budget(seconds=0))


TINY = """
from torch import nn
from trainables.models import TransferModel, load_into
HYPERPARAMETERS = {}
def build(config, *, shape, n_classes, weights):
    model = TransferModel({"stage": nn.Sequential(nn.Flatten(), nn.Linear(48, 8))}, nn.Linear(8, n_classes))
    if weights != "none":
        load_into(model, weights, head="head.", model="tiny")
    return model
"""


def write_weights(path: Path, seed: int) -> None:
    draw = torch.Generator().manual_seed(seed)
    tensors = {"stages.stage.1.weight": torch.rand(8, 48, generator=draw), "stages.stage.1.bias": torch.zeros(8)}
    torch.save(tensors, path)


def test_weights_that_changed_are_refused_and_cannot_be_skipped(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    package, path = f"tiny_{tmp_path.name}", tmp_path / "tiny.pth"
    (tmp_path / package).mkdir()
    (tmp_path / package / "model.py").write_text(TINY)
    write_weights(path, 0)
    task = {"regime": "linear_probe", "model": f"{package}.model", "weights": str(path)}
    begin(tmp_path / "s", space(**task), settings(root), Budget(trials=1))
    write_weights(path, 0)
    resume(tmp_path / "s", Budget(trials=2))
    write_weights(path, 1)
    for go_on in (
        lambda: resume(tmp_path / "s", Budget(trials=3), skip_changed_files=True),
        lambda: evaluate(tmp_path / "s", protocol="checkpoint", skip_changed_files=True),
        lambda: plot(tmp_path / "s", "tsne", skip_changed_files=True),
    ):
        with pytest.raises(StudyError, match=rf"its weights {path} were changed since it was begun"):
            go_on()
    path.unlink()
    with pytest.raises(StudyError, match=rf"its weights {path} were removed since it was begun"):
        evaluate(tmp_path / "s")


def test_images_in_memory_that_changed_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    package = f"stripes_{tmp_path.name}"
    (tmp_path / package).mkdir()
    (tmp_path / package / "data.py").write_text(STRIPES)
    one = SearchSpace("stripes", LR, Fidelity(1), Task("from_scratch", "softmax_regression", dataset=f"{package}.data"))  # type: ignore[arg-type]
    monkeypatch.setenv("STRIPES", "100")
    begin(tmp_path / "s", one, settings(tmp_path), Budget(trials=1))
    resume(tmp_path / "s", Budget(trials=2))
    evaluate(tmp_path / "s", protocol="checkpoint")
    monkeypatch.setenv("STRIPES", "101")
    with pytest.raises(StudyError, match="the images to search with are other ones than when it was begun"):
        resume(tmp_path / "s", Budget(trials=3), skip_changed_files=True)


STRIPES = """
import os
import torch
from trainables.data import Part
class Stripes:
    name, classes = "stripes", ("a", "b")
    def training(self):
        n = int(os.environ["STRIPES"])
        return Part(torch.rand(n, 1, 4, 4, generator=torch.Generator().manual_seed(0)), torch.arange(n) % 2)
    def held_out(self):
        return Part(torch.rand(20, 1, 4, 4, generator=torch.Generator().manual_seed(1)), torch.arange(20) % 2)
def build(root):
    return Stripes()
"""


@pytest.mark.parametrize("validation", [Validation(fraction=0.2), Validation(folds=5)])
@pytest.mark.parametrize(("rule", "count"), [("keep", 3), ("keep", 5), ("leave_out", 1), ("leave_out", 5)])
def test_a_rare_class_is_kept_or_left_out_of_a_whole_study(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], rule: str, count: int, validation: Validation
) -> None:
    """With 5 images, the class can be held out, but is too small to validate on."""
    pictures.folders(root / "zoo", {"yak": count}, suffix=".png", first=100)
    with pytest.raises(TaskError, match=r"class 'yak' has .*; or set `dataset\.rare_classes` to keep or leave_out"):
        begin(tmp_path / "s", space(validation=validation), settings(root), Budget(trials=1))
    begin(tmp_path / "s", space(rule, validation=validation), settings(root), Budget(trials=1))
    done = {"keep": "keeps at least one image in each part", "leave_out": "is left out"}[rule]
    assert f"hpo: a class with fewer than 5 images {done}: 'yak' (" in capsys.readouterr().err
    resume(tmp_path / "s", Budget(trials=2))
    evaluate(tmp_path / "s", protocol="checkpoint")
    found = StudyFolder.reopen(tmp_path / "s")
    job = Job(found.space, 0, found.data)
    data = study_data.check(found, job)
    builder = Builder(replace(job, manifest=data.manifest), "cpu")
    folds = builder.search_data({"image_size": 4})
    held = builder.held_out(held_out, {"image_size": 4})
    assert folds[0] is not None
    assert folds[0].classes == (("cat", "dog", "yak") if rule == "keep" else ("cat", "dog"))
    parts = [held, *(part for fold in folds if fold is not None for part in (fold.train, fold.validation))]
    n_yaks = [int((part.labels == 2).sum()) for part in parts]
    assert (sum(n_yaks) > 0) == (rule == "keep")
    if rule == "keep":
        assert all(n_yaks[1::2])
        assert n_yaks[0] == 1
