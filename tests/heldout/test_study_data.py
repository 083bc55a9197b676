"""A study keeps the data that it was begun on: the stories of files that change while it lasts."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hpo.errors import StudyError, TaskError
from hpo.figures.plot import plot
from hpo.heldout import ModelResult, Plan, evaluate, study_data
from hpo.loop import Session, begin, resume
from hpo.record import Budget, StudyFolder
from hpo.results import status
from hpo.space import DatasetSpec, Fidelity, SearchSpace, Validation
from hpo.training import Builder, Job
from tests.heldout.zoo import COUNTS, LR, settings, space, spec
from tests.trainables.datasets import pictures
from trainables.data.heldout import held_out


def parts(folder: Path, *, with_held_out: bool = True) -> dict[str, set[str]]:
    """The names of the files of each part, as a search and a test of the study read them now."""
    found = StudyFolder.reopen(folder)
    job = Job(found.space, found.settings.seed, found.data)
    data = study_data.check(found, job, skip_changed_files=True, with_held_out=with_held_out)
    manifest = data.manifest
    assert manifest is not None
    names = manifest["training"]["names"]
    sides = {part: {n for n, at in zip(names, manifest["assignment"], strict=True) if at == part} for part in (0, 1)}
    held = set(manifest["held_out_part"]["names"]) if with_held_out else set()
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
    notes: list[str] = []
    begin(tmp_path / "s", skipping, settings(root), Budget(trials=1), session=Session(notify=notes.append))
    assert [
        note for note in notes if note.startswith(f"1 held-out file left out by `skip_unreadable`, such as {broken}")
    ]
    assert evaluate(tmp_path / "s", Plan(protocol="checkpoint")).trials[0].left_out == {}


def test_held_out_images_are_looked_over_with_the_options_that_they_are_read_with(root: Path, tmp_path: Path) -> None:
    small = SearchSpace("zoo", LR, Fidelity(1), space().task, {"image_size": 4, "max_pixels": 5})
    with pytest.raises(TaskError, match=r"`max_pixels` allows 5: raise it .* other held-out files"):
        begin(tmp_path / "s", small, settings(root), Budget(trials=1))
    wrong = SearchSpace("zoo", LR, Fidelity(1), space().task, {"image_size": 4, "max_pixels": 0})
    with pytest.raises(TaskError, match=r"^fixed: `max_pixels` must be a whole number of at least 1, but is 0"):
        begin(tmp_path / "s", wrong, settings(root), Budget(trials=1))
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize("change", [add_a_picture, add_a_class, add_a_rare_class])
def test_what_is_added_later_is_in_no_part_of_the_study(
    study: Path, root: Path, change: Callable[[Path], None]
) -> None:
    before = parts(study)
    first = evaluate(study, Plan(protocol="checkpoint")).trials[0].test_accuracy
    change(root)
    assert parts(study) == before
    notes: list[str] = []
    resume(study, Budget(trials=3), session=Session(notify=notes.append))
    assert evaluate(study, Plan(protocol="checkpoint"), notify=notes.append).trials[0].test_accuracy == first
    if change is not add_a_rare_class:
        n = "1 new file is" if change is add_a_picture else "10 new files are"
        assert notes == [f"{n} not used by study 's'"] * 2
    assert StudyFolder.reopen(study).left_out == {}


def test_a_changed_file_is_refused_and_named_with_what_to_type(study: Path) -> None:
    removed, replaced = file_of(study, "held_out"), file_of(study, "train")
    removed.unlink()
    pictures.picture(77).save(replaced)
    before = {path: path.read_bytes() for path in study.rglob("*") if path.is_file()}
    for go_on in (lambda: resume(study, Budget(trials=3)), lambda: evaluate(study, Plan(protocol="checkpoint"))):
        with pytest.raises(StudyError) as caught:
            go_on()
        lines = str(caught.value).splitlines()
        assert lines[1:3] == [f"  1 file was removed: {removed}", f"  1 file was changed: {replaced}"]
        assert lines[3].startswith(
            "Bring the files back, or give --skip-changed-files each time, to go on without them"
        )
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
        record = evaluate(study, Plan(protocol=protocol), skip_changed_files=True)
        assert words in status.test_lines(record)[0]
        (result,) = json.loads((study / "test.json").read_text())["results"]
        assert result["left_out"] == {"training": 1, "held_out": 1}


def test_models_of_an_interrupted_test_without_some_files_are_trained_again_on_all(
    study: Path,
) -> None:
    def interrupt(model: ModelResult) -> None:
        raise KeyboardInterrupt

    def checkpoints() -> dict[str, int]:
        return {path.name: path.stat().st_mtime_ns for path in (study / "retrained").glob("*.pt")}

    plan = Plan(seeds=2)
    whole = evaluate(study, plan).to_json()["results"]
    (study / "test.json").unlink()
    path = file_of(study, "train")
    content = path.read_bytes()
    path.unlink()
    with pytest.raises(KeyboardInterrupt):
        evaluate(study, plan, skip_changed_files=True, watch=interrupt)
    path.write_bytes(content)
    without = checkpoints()
    assert without
    with pytest.raises(KeyboardInterrupt):
        evaluate(study, plan, watch=interrupt)
    assert checkpoints() != without
    assert evaluate(study, plan).to_json()["results"] == whole


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
    evaluate(study, Plan(protocol="checkpoint"))


def test_if_nothing_of_a_part_is_left_the_study_ends(study: Path, root: Path) -> None:
    for name in parts(study)["held_out"]:
        (root / "zoo" / name).unlink()
    with pytest.raises(StudyError, match="nothing of its held-out part is left"):
        evaluate(study, skip_changed_files=True)


def test_a_search_knows_no_held_out_file(study: Path) -> None:
    found = StudyFolder.reopen(study)
    job = Job(found.space, 0, found.data, manifest=study_data.check(found, Job(found.space, 0, found.data)).for_search)
    with pytest.raises(TaskError, match="'zoo' has no held-out part"):
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


def test_a_record_of_another_version_is_named(study: Path) -> None:
    path = study / "data.json.gz"
    content = json.loads(gzip.decompress(path.read_bytes()))
    content["dataset"]["held"] = content["dataset"].pop("held_out_part")
    path.write_bytes(gzip.compress(json.dumps(content).encode()))
    with pytest.raises(StudyError, match=r"its data\.json\.gz is damaged, or was written by another version"):
        resume(study, Budget(trials=3))


def test_the_pretraining_set_is_checked_like_the_training_part(root: Path, tmp_path: Path) -> None:
    pictures.folders(root / "first", {"oak": 8, "elm": 8}, suffix=".png", first=500)
    task: dict[str, Any] = {"regime": "pretrain_then_head", "pretraining": spec({"folder": "first"})}
    one = replace(space(**task), fixed={"image_size": 4, "pretrain_epochs": 1})
    begin(tmp_path / "s", one, settings(root), Budget(trials=1))
    before = StudyFolder.reopen(tmp_path / "s").data_record()
    assert before is not None
    names = before["dataset"]["pretraining"]["training"]["names"]
    removed = root / "first" / names[0]
    removed.unlink()
    with pytest.raises(StudyError, match=rf"1 file was removed: {removed}\n"):
        resume(tmp_path / "s", Budget(trials=2))
    resume(tmp_path / "s", Budget(trials=2), skip_changed_files=True)
    assert StudyFolder.reopen(tmp_path / "s").left_out == {"pretraining": 1}
    pictures.folders(root / "first", {"ash": 8}, suffix=".png", first=600)
    resume(tmp_path / "s", Budget(trials=3), skip_changed_files=True)


def test_a_file_that_the_list_of_a_data_set_no_longer_names_is_removed(tmp_path: Path) -> None:
    images = tmp_path / "data/caltech101/101_ObjectCategories"
    pictures.folders(images, {"ant": 12, "crab": 12})
    names = [path.relative_to(images).as_posix() for path in sorted(images.rglob("*.jpg"))]
    lists = {"train.txt": [name for i, name in enumerate(names) if i % 3], "test.txt": names[::3]}
    for name, lines in lists.items():
        (images.parent / name).write_text("\n".join(lines))
    one = replace(space(), task=replace(space().task, dataset=DatasetSpec("caltech101")))
    begin(tmp_path / "s", one, settings(tmp_path / "data"), Budget(trials=1))
    (images.parent / "test.txt").write_text("\n".join(lists["test.txt"][1:]))
    with pytest.raises(StudyError, match=rf"1 file was removed: {images / names[0]}\n"):
        evaluate(tmp_path / "s", Plan(protocol="checkpoint"))
    (images.parent / "train.txt").write_text("\n".join([*lists["train.txt"], names[0]]))
    evaluate(tmp_path / "s", Plan(protocol="checkpoint"))  # it is listed again, and stays held out
    with_it = study_data.check(StudyFolder.reopen(tmp_path / "s"), Job(one, 0, tmp_path / "data"))
    assert with_it.manifest is not None
    assert names[0] in with_it.manifest["held_out_part"]["names"]


def test_the_record_is_the_same_for_the_same_data_and_is_small(root: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        begin(tmp_path / name, space(), settings(root), Budget(trials=1))
    contents = [(tmp_path / name / "data.json.gz").read_bytes() for name in ("a", "b")]
    assert contents[0] == contents[1]
    assert len(contents[0]) < 1500


def test_a_study_without_any_epoch_begins_on_the_data_of_now(root: Path, tmp_path: Path) -> None:
    begin(tmp_path / "s", space(), settings(root), Budget(seconds=1e-9))
    add_a_picture(root)
    resume(tmp_path / "s", Budget(trials=1))
    assert sum(map(len, parts(tmp_path / "s").values())) == sum(COUNTS.values()) + 1


def test_ending_a_study_needs_no_data(study: Path, root: Path) -> None:
    resume(study, Budget(trials=3))
    shutil.rmtree(root)
    resume(study, Budget(seconds=0))
