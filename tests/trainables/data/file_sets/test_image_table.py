from pathlib import Path
from typing import Any

import pytest

from trainables.data import ImageTable, SplitOptions, from_files
from trainables.data.file_sets import FileSet, part_of
from trainables.errors import SetupError

LABELS = ["cat", "dog"] * 20


@pytest.fixture
def names(tmp_path: Path) -> list[str]:
    """The names of 40 files in the folder of the test."""
    for i in range(len(LABELS)):
        (tmp_path / f"{i:02}.png").write_bytes(b"")
    return [f"{i:02}.png" for i in range(len(LABELS))]


def splits(train: int, validation: int, test: int) -> list[str]:
    return ["train"] * train + ["validation"] * validation + ["test"] * test


def build(names: list[str], folder: Path, /, *, classes: list[str] | None = None, **columns: Any) -> FileSet:
    options = {
        key: columns.pop(key) for key in ("held_out_fraction", "seed", "rare_classes", "group") if key in columns
    }
    table = ImageTable(columns.pop("paths", names), columns.pop("labels", LABELS), folder=folder, **columns)
    return from_files("pets", table, classes=classes, options=SplitOptions(**options))


def sizes(dataset: FileSet) -> list[int | None]:
    parts = (dataset.training(), dataset.validation(), dataset.held_out())
    return [None if part is None else len(part) for part in parts]


def test_without_splits_a_fifth_of_each_class_is_held_out(names: list[str], tmp_path: Path) -> None:
    dataset = build(names, tmp_path)
    assert (dataset.classes, sizes(dataset)) == (("cat", "dog"), [32, None, 8])
    held_out = dataset.held_out()
    assert held_out is not None
    assert held_out.labels.tolist() == [0] * 4 + [1] * 4


def test_the_share_may_be_none(names: list[str], tmp_path: Path) -> None:
    assert sizes(build(names, tmp_path, held_out_fraction="none")) == [40, None, None]


def test_given_splits_are_the_parts(names: list[str], tmp_path: Path) -> None:
    dataset = build(names, tmp_path, splits=splits(20, 12, 8))
    assert sizes(dataset) == [20, 12, 8]
    assert set(dataset.training().names) == set(names[:20])
    assert dataset.rare_classes == "error"


def test_without_a_test_split_the_held_out_part_is_cut_from_both_others(names: list[str], tmp_path: Path) -> None:
    assert sizes(build(names, tmp_path, splits=splits(20, 20, 0))) == [16, 16, 8]
    assert sizes(build(names, tmp_path, splits=splits(20, 20, 0), held_out_fraction="none")) == [20, 20, None]


def test_a_given_test_split_alone_leaves_validation_to_be_cut(names: list[str], tmp_path: Path) -> None:
    assert sizes(build(names, tmp_path, splits=splits(30, 0, 10))) == [30, None, 10]


def test_files_are_sorted_by_class_then_by_name_then_by_folder(tmp_path: Path) -> None:
    for name in ("b/1.png", "a/2.png", "a/1.png", "b/0.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    table = ImageTable(["b/1.png", "a/2.png", "a/1.png", "b/0.png"], ["x", "x", "x", "w"], folder=tmp_path)
    files = from_files("letters", table, options=SplitOptions(held_out_fraction="none")).training()
    assert files.names == ("b/0.png", "a/1.png", "b/1.png", "a/2.png")


def test_classes_may_have_an_order_of_their_own(names: list[str], tmp_path: Path) -> None:
    dataset = build(names, tmp_path, classes=["dog", "cat"], held_out_fraction="none")
    assert dataset.classes == ("dog", "cat")
    assert dataset.training().names[0] == "01.png"


@pytest.mark.parametrize("by", ["column", "expression", "folder"])
def test_a_group_is_held_out_as_a_whole(tmp_path: Path, by: str) -> None:
    names = [f"{i // 4:02}/{i // 4:02}_{i}.png" for i in range(40)]
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    labels = [("cat", "dog")[i // 4 % 2] for i in range(40)]
    columns: dict[str, Any] = {
        "column": {"groups": [name[:2] for name in names]},
        "expression": {"group": r"^(\d+)_"},
        "folder": {"group": "folder"},
    }
    dataset = build(names, tmp_path, labels=labels, **columns[by])
    held_out = dataset.held_out()
    assert held_out is not None
    assert len(held_out) == 8
    assert set(held_out.groups).isdisjoint(dataset.training().groups)
    assert held_out.groups == tuple(name[:2] for name in held_out.names)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"labels": ["cat"] * 40}, "all images are of class 'cat'; at least two classes are needed"),
        ({"labels": ["", *LABELS[1:]]}, r"the label of .*00\.png must be a name, but is ''"),
        ({"classes": ["cat", "dog", "cow"]}, "class 'cow' has no image"),
        ({"classes": ["cat", "dgo"]}, r"01\.png has the label 'dog', which is no class; did you mean 'dgo'\?"),
        ({"classes": ["cat", "dog", "cat"]}, "a class is listed twice in cat, dog, cat"),
        ({"paths": ["gone.png"] * 40}, "there is no file .*gone.png"),
        ({"paths": ["00.png", "./00.png", *(f"{i:02}.png" for i in range(2, 40))]}, r"00\.png is listed twice"),
        ({"paths": [], "labels": []}, "there is no image"),
        ({"splits": ["trian", *["train"] * 39]}, r"split of .*00\.png must be .* 'trian'; did you mean 'train'\?"),
        ({"splits": ["validation", *["test"] * 39]}, "no image is of the split train"),
        ({"splits": ["train"] * 38 + ["test", "val"]}, "no image in the validation part; add images of it, or leave"),
        ({"splits": ["train"] * 39 + ["test"]}, "has no image in the held-out part; add images of it, or leave"),
        ({"splits": ["train", "test"] * 20}, "class 'dog' has no image in the training part; add images of it$"),
        ({"splits": splits(30, 0, 10), "held_out_fraction": 0.3}, "`dataset.held_out` must not be given: data set"),
        ({"splits": splits(30, 0, 10), "seed": 0}, "`dataset.seed` must not be given: data set 'pets' has"),
        (
            {"splits": splits(20, 12, 8), "groups": ["g"] + [str(i) for i in range(1, 39)] + ["g"]},
            r"group 'g' has images in two parts, training \(00.png\) and held-out \(39.png\)",
        ),
        ({"groups": ["g"] * 40}, "'cat' has 1 group; `dataset.held_out: 0.2` needs 2; .*: .* are one group, 'g'"),
        ({"group": "folder"}, "'cat' has 1 group; .*; add groups: all its images lie directly in the folder '.*'"),
        ({"groups": ["", *"g" * 39]}, r"the group of .*00\.png must be a name, but is ''"),
        ({"groups": ["g"]}, "there are 40 paths, but 1 groups"),
        ({"group": "([a"}, r"`dataset.group` must be `folder` or a regular .* '\(\[a' is neither: unterminated"),
        ({"group": "x"}, r"`dataset.group`: 'x' matches nothing in the name of .*00\.png"),
        ({"group": ""}, "`dataset.group` must be `folder` or a regular expression on the names"),
        ({"held_out_fraction": 1.5}, "`dataset.held_out` must be above 0 and below 1, but is 1.5, or none"),
        ({"rare_classes": "drop"}, "`dataset.rare_classes` must be one of error, keep, leave_out, but is 'drop'"),
        ({"splits": splits(32, 8, 0)}, "class 'cat' has 4 images in the training or the validation part; .* needs 5"),
        (
            {"splits": splits(38, 2, 0), "rare_classes": "keep"},
            "'cat' has 1 image in the training .*keep` needs 2: one that stays, one held out",
        ),
    ],
)  # fmt: skip
def test_each_mistake_has_its_message(names: list[str], tmp_path: Path, columns: dict[str, Any], message: str) -> None:
    with pytest.raises(SetupError, match=message):
        build(names, tmp_path, **columns)


def test_rare_classes_are_kept_or_left_out_of_both_given_parts(names: list[str], tmp_path: Path) -> None:
    labels = ["cow", "cow", "cow", *LABELS[3:37], "cow", "cow", "cow"]
    columns: dict[str, Any] = {"labels": labels, "splits": splits(20, 20, 0)}
    kept = build(names, tmp_path, rare_classes="keep", **columns)
    assert kept.notes == ("a class with fewer than 5 images keeps at least one image in each part: 'cow' (3 images)",)
    assert kept.training().labels.bincount().tolist()[1] == 2
    left = build(names, tmp_path, rare_classes="leave_out", **columns)
    assert (left.classes, left.notes) == (
        ("cat", "dog"),
        ("a class with fewer than 5 images is left out: 'cow' (3 images)",),
    )


@pytest.mark.parametrize(
    ("name", "part"),
    [("Train", "train"), ("VAL", "validation"), ("valid", "validation"), ("dev", "validation"), ("Testing", "test")],
)
def test_parts_have_several_names_in_any_case(name: str, part: str) -> None:
    assert part_of(name) == part
    assert part_of("rose") is None
