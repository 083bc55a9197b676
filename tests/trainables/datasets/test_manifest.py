from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import pandas as pd
import pytest
from click.testing import CliRunner

from hpo.cli.app import app
from tests.trainables.datasets.contract import FilesContract, held_out, samples
from tests.trainables.datasets.pictures import FLOWERS, folders
from trainables.data.dataset import Files
from trainables.data.file_sets import FileSet
from trainables.datasets import image_folder, manifest
from trainables.errors import SetupError


def rows(folder: Path) -> pd.DataFrame:
    """A row for each picture below a folder, with its class as label."""
    paths = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.png"))
    return pd.DataFrame({"path": paths, "label": [path.split("/")[-2] for path in paths]})


def build(file: Path, **options: Any) -> FileSet:
    dataset = manifest.build(None, file=str(file), **options)
    assert isinstance(dataset, FileSet)
    return dataset


def told(file: Path, **options: Any) -> str:
    with pytest.raises(SetupError) as caught:
        build(file, **options)
    return str(caught.value)


class TestManifest(FilesContract):
    dataset = manifest
    options: ClassVar[dict[str, Any]] = {"file": "flowers/table.csv"}
    name = "table"
    folder = "flowers"
    classes = ("daisy", "rose")
    n_training = (16, 12)
    n_held_out = (4, 3)

    def lay_out(self, root: Path) -> None:
        folders(root / "flowers", FLOWERS, suffix=".png")
        rows(root / "flowers").to_csv(root / "flowers" / "table.csv", index=False)

    def test_it_has_the_parts_of_the_same_images_as_a_folder(self, root: Path) -> None:
        assert samples(self.build(root)) == samples(image_folder.build(root, folder="flowers"))

    def test_the_order_of_the_lines_makes_no_difference(self, root: Path) -> None:
        before = samples(self.build(root))
        rows(root / "flowers").iloc[::-1].to_csv(root / "flowers" / "table.csv", index=False)
        assert samples(self.build(root)) == before

    def test_a_table_that_moved_with_its_images_has_the_same_parts_and_names(self, root: Path) -> None:
        before = self.build(root)
        expected = samples(before)
        (root / "flowers").rename(root / "garden")
        after = manifest.build(root, file="garden/table.csv")
        assert samples(after) == expected
        parts = (before.training(), after.training())
        assert all(isinstance(part, Files) for part in parts)
        assert parts[0].names == parts[1].names  # type: ignore[union-attr]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A table of 6 cats and 6 dogs."""
    folders(tmp_path / "pets", {"cat": 6, "dog": 6}, suffix=".png")
    rows(tmp_path / "pets").to_csv(tmp_path / "pets" / "table.csv", index=False)
    return tmp_path / "pets" / "table.csv"


def rewrite(table: Path, **columns: Any) -> pd.DataFrame:
    """Write the table anew with other or further columns. None removes one."""
    frame = pd.read_csv(table, dtype=str).assign(**columns)
    frame = frame.drop(columns=[name for name, value in columns.items() if value is None])
    frame.to_csv(table, index=False)
    return frame


@pytest.mark.parametrize(
    "names", [("train", "validation", "test"), ("Training", "VAL", "testing"), ("train", "dev", "test")]
)
def test_the_column_split_gives_the_parts(table: Path, names: tuple[str, str, str]) -> None:
    frame = rewrite(table, split=[names[i // 2 % 3] for i in range(12)])
    dataset = build(table)
    for part, name in ((dataset.training(), names[0]), (dataset.validation(), names[1]), (held_out(dataset), names[2])):
        assert isinstance(part, Files)
        assert set(part.names) == set(frame["path"][frame["split"] == name])
    assert "must not be given" in told(table, held_out=0.3)


def test_the_column_split_can_be_left_out_of_account(table: Path) -> None:
    expected = samples(build(table))
    rewrite(table, split="train")
    assert samples(build(table, split="none")) == expected


def test_images_of_one_group_stay_in_one_part(table: Path) -> None:
    frame = rewrite(table, group=[f"field {i // 2}" for i in range(12)])
    dataset = build(table, held_out=0.34)
    group_of = dict(zip(frame["path"], frame["group"], strict=True))
    training, unseen = dataset.training(), held_out(dataset)
    assert isinstance(unseen, Files)
    assert training.groups == tuple(group_of[name] for name in training.names)
    assert not set(training.groups) & set(unseen.groups)
    assert build(table, group="none").training().groups == ()


@pytest.mark.parametrize(
    ("group", "groups"),
    [
        ("where", {"w0", "w1", "w2", "w3"}),
        ("folder", {"cat", "dog"}),
        (r"image_00(\d)", {"0", "1"}),
    ],
)
def test_groups_may_be_another_column_the_folder_or_a_part_of_the_name(
    table: Path, group: str, groups: set[str]
) -> None:
    rewrite(table, where=[f"w{i % 4}" for i in range(12)])
    assert set(build(table, group=group, held_out="none").training().groups) == groups
    assert "has no column 'wher'; set `dataset.group` to one of its columns: path, label, where" in told(
        table, group="wher"
    )


def test_the_names_of_the_columns_are_options(table: Path) -> None:
    frame = rewrite(table).rename(columns={"path": "where", "label": "what"})
    frame.assign(path="x", label="y").to_csv(table, index=False)
    assert build(table, path="where", label="what").classes == ("cat", "dog")
    assert f"{table}: has no column 'wher'; set `dataset.path` to one of its columns: where, what, path, label" in told(
        table, path="wher", label="what"
    )


def test_usual_names_of_columns_are_found_and_said(table: Path) -> None:
    frame = rewrite(table).rename(columns={"path": "Image", "label": "class"})
    frame.to_csv(table, index=False)
    assert build(table).notes == ("table.csv: paths from the column 'Image', labels from the column 'class'",)
    frame.assign(filename="x").to_csv(table, index=False)
    assert "`dataset.path` must say which of the columns Image, filename is meant" in told(table)
    assert build(table, path="Image").notes == ("table.csv: labels from the column 'class'",)


@pytest.mark.parametrize("labels", [("007", "12"), ("NA", "nan"), ("None", "null"), ("2", "10"), ("True", "False")])
def test_labels_are_text_and_whole_numbers_are_sorted_by_value(table: Path, labels: tuple[str, str]) -> None:
    rewrite(table, label=[labels[i % 2] for i in range(12)])
    assert build(table).classes == (labels if labels[0] != "True" else ("False", "True"))


def test_absolute_paths_and_those_of_windows_work(table: Path) -> None:
    expected = samples(build(table))
    paths = rewrite(table)["path"]
    rewrite(table, path=[str(table.parent / path) for path in paths])
    assert samples(build(table)) == expected
    rewrite(table, path=[path.replace("/", "\\") for path in paths])
    assert samples(build(table)) == expected


def test_a_parquet_file_gives_the_same_data_set(table: Path) -> None:
    pytest.importorskip("pyarrow")
    pd.read_csv(table).to_parquet(table.with_suffix(".parquet"))
    assert samples(build(table.with_suffix(".parquet"))) == samples(build(table))


@pytest.mark.parametrize(
    ("line", "text", "expected"),
    [
        (4, "cat/gone.png,cat", "{table}:4: {folder}/cat/gone.png is missing"),
        (5, "https://x.org/1.png,cat", "{table}:5: https://x.org/1.png is a web address; download the image"),
        (5, ",cat", "{table}:5: has no path"),
        (6, "cat/image_0004.png,", "{table}:6: cat/image_0004.png has no label"),
        (7, "cat,cat", "{table}:7: {folder}/cat is a folder"),
        (7, "cat/image_0000.png,cat", "{table}:7: cat/image_0000.png stands in line 2 already"),
        (7, "./cat/image_0000.png,dog", "{table}:7: ./cat/image_0000.png stands in line 2 already, with another label"),
        (1, "cat/image_0000.png,cat", "{table}: its first line names an image; put a line with the names"),
        (1, "a,b", "{table}: has no column 'path'; set `dataset.path` to one of its columns: a, b"),
    ],
)
def test_a_wrong_line_is_named_with_its_number(table: Path, line: int, text: str, expected: str) -> None:
    lines = table.read_text().splitlines()
    lines[line - 1] = text
    table.write_text("\n".join(lines))
    message = told(table)
    assert expected.format(table=table, folder=table.parent) in message
    assert "\n" not in message


@pytest.mark.parametrize("link", ["other.png", "other/image_0000.png"])
def test_a_file_that_is_listed_again_through_a_link_is_named(table: Path, link: str) -> None:
    is_file = "/" not in link
    target = table.parent / "cat"
    (table.parent / link.partition("/")[0]).symlink_to(target / "image_0000.png" if is_file else target)
    columns = rewrite(table, split=["train", "test"] * 6)
    rewrite(table, path=[*columns["path"][:7], link, *columns["path"][8:]])
    message = told(table)
    assert message.startswith(f"{table}:9: {link} stands in line 2 already, with ")
    assert message.endswith("another split")


def test_wrong_splits_and_groups_are_named_with_their_lines(table: Path) -> None:
    splits = ["train", "test"] * 6
    rewrite(table, split=[*splits[:7], "tset", *splits[8:]])
    assert f"{table}:9: the split of dog/image_0007.png must be train, validation or test, but is 'tset'" in told(table)
    rewrite(table, split=splits, group=["a"] + [f"g{i}" for i in range(10)] + ["a"])
    assert f"{table}:13: group 'a' is in two splits: test here, and train (line 2)" in told(table)
    rewrite(table, group=["a", ""] + ["c"] * 10)
    assert f"{table}:3: cat/image_0001.png has no group" in told(table, split="none")


def test_of_many_wrong_lines_the_first_are_named(table: Path) -> None:
    rewrite(table, path=[f"gone{i}.png" for i in range(12)])
    lines = told(table).splitlines()
    assert len(lines) == 6
    assert lines[0] == f"{table}:2: {table.parent / 'gone0.png'} is missing"
    assert lines[-1] == "and 7 more such lines"


def test_a_table_of_one_class_is_an_error(table: Path) -> None:
    rewrite(table, label="cat")
    assert "all images are of class 'cat'; at least two classes are needed" in told(table)


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        (None, "`dataset.file` is missing: give the path of a CSV, TSV or Parquet file"),
        (
            "no.csv",
            "`dataset.file`: there is no file {root}/no.csv",
        ),
        ("pets", "`dataset.file`: {root}/pets is a folder; for class folders, use the data set image_folder"),
    ],
)
def test_a_missing_table_says_where_it_was_looked_for(table: Path, file: str | None, expected: str) -> None:
    root = table.parent.parent
    with pytest.raises(SetupError) as caught:
        manifest.build(root, file=file)
    assert expected.format(root=root) in str(caught.value)


def test_hpo_data_looks_a_table_over(table: Path) -> None:
    words = ["data", "manifest", "--option", f"file={table}"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    assert "2 classes" in result.output
    rewrite(table, label=["cat"] * 5 + [""] * 7)
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 2
    assert f"{table}:7: cat/image_0005.png has no label" in result.output
