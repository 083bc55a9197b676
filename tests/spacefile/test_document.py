from pathlib import Path

import pytest

from hpo import spacefile
from hpo.space import Categorical, DatasetSpec, Float
from tests.spacefile.spacefiles import mistakes, write


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", ": is empty; a space file holds keys and their values"),
        (b"# only a comment\n", ": is empty"),
        (b"- 1\n- 2\n", ": holds only [1, 2]; a space file holds keys and their values"),
        (b"a: caf\xe9\n", ": is not UTF-8 text (byte 6)"),
        (b"a: 1\nb: [1, 2\nc: 3\n", ":3: is broken YAML at column 2: while parsing a flow sequence"),
    ],
)
def test_a_file_that_is_no_yaml_mapping_says_why(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "broken.yaml"
    path.write_bytes(content)
    (mistake,) = mistakes(path)
    assert mistake.startswith(f"{path}{words}")


def test_a_byte_order_mark_is_no_part_of_the_first_key(tmp_path: Path) -> None:
    path = write(tmp_path)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert spacefile.read(path).fixed == {"patience": 8}
    assert spacefile.describe(path) == "How to train a small network on handwritten digits."


def test_a_missing_file_and_a_folder_are_mistakes(tmp_path: Path) -> None:
    assert mistakes(tmp_path / "none.yaml") == [f"{tmp_path / 'none.yaml'}: no such file"]
    assert mistakes(tmp_path) == [f"{tmp_path}: is a folder; a space is a file"]
    assert mistakes(write(tmp_path) / "within") == [f"{tmp_path}/small.yaml/within: cannot be read: Not a directory"]


def test_an_override_changes_or_adds_any_key(tmp_path: Path) -> None:
    overrides = ["space.lr.high=0.5", "fixed.patience=3", "task.model=[small_cnn]", "fidelity.high=9"]
    overrides += ["space.gamma={low: 0.1, high: 0.9}", "task.validation.seed=1", "objective=val_error"]
    space = spacefile.read(write(tmp_path, {13: "fixed:"}), overrides)
    assert space.domains["lr"] == Float(1e-4, 0.5, log=True, default=5e-3)
    assert space.domains["gamma"] == Float(0.1, 0.9)
    assert space.domains["model"] == Categorical(("small_cnn",))
    assert space.fixed == {"patience": 3}
    assert (space.fidelity.high, space.task.validation.seed, space.objective) == (9, 1, "val_error")


def test_an_override_makes_the_sections_that_are_missing(tmp_path: Path) -> None:
    space = spacefile.read(write(tmp_path, {13: "", 14: ""}), ["fixed.patience=3", "fidelity.high=9"])
    assert (space.fixed, space.fidelity.high) == ({"patience": 3}, 9)


def test_an_override_of_an_option_may_follow_the_name_of_a_data_set(tmp_path: Path) -> None:
    path = write(tmp_path)
    task = spacefile.read(path, ["task.dataset=pacs", "task.dataset.domain=cartoon"]).task
    assert task.dataset == DatasetSpec("pacs", {"domain": "cartoon"})
    task = spacefile.read(path, ["task.dataset.merged_classes={low: ['0'], high: ['9']}"]).task
    assert task.dataset == DatasetSpec("digits", {}, {"low": ("0",), "high": ("9",)})


def test_of_two_overrides_of_one_key_the_last_counts(tmp_path: Path) -> None:
    assert spacefile.read(write(tmp_path), ["fidelity.high=3", "fidelity.high=9"]).fidelity.high == 9


def test_a_value_may_hold_an_equals_sign(tmp_path: Path) -> None:
    path = write(tmp_path)
    (mistake,) = mistakes(path, "task.weights=a=b")
    assert mistake == "--set task.weights=a=b: there is no file 'a=b' (allowed: imagenet, none)"


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("space.lr.high", "must be a dotted key and its value, as space.lr.high=0.5"),
        ("=3", "must be a dotted key and its value"),
        ("space..lr=3", "must be a dotted key and its value"),
        ("space.lr.high.x=3", "space.lr.high: is 0.1, and holds no key 'x'"),
        ("task.dataset.size=8", "data set 'digits' has no such option"),
        ("task.model.width=3", "task.model: is 'small_cnn', and holds no key 'width'"),
        ("space.lr.high=[1", "is broken YAML at column 3"),
        ("space.lr={low: 2, high: 1}", "space.lr.low: 2 is above high=1"),
        ("space.lr.hig=1", "unknown key; did you mean 'high'?"),
        ("fidelity.high=abc", "must be a whole number of at least 1, but is 'abc'"),
        ("objective=no_costs:cost", "there is no module no_costs, and no file"),
        ("objective=logging:error", "its metric would be called val_error"),
        ("spce.lr.high=1", "spce: unknown key; did you mean 'space'?"),
        ("fixed.patince=3", "nothing that this task names reads it; did you mean 'patience'?"),
    ],
)
def test_a_mistake_in_an_override_names_its_text(tmp_path: Path, override: str, words: str) -> None:
    (mistake,) = mistakes(write(tmp_path), override)
    assert mistake.startswith(f"--set {override}: {words}")


def test_the_text_of_a_long_override_is_cut(tmp_path: Path) -> None:
    for override in ("space.lr.high=" + 300 * "a", 300 * "a" + "=3", 300 * "a", "task.regime=" + 300 * "a"):
        (mistake,) = mistakes(write(tmp_path), override)
        assert mistake.startswith(f"--set {override[:38]}...{override[-38:]}: ")
        assert 100 * "a" not in mistake


def test_a_line_of_the_file_that_an_override_contradicts_names_both(tmp_path: Path) -> None:
    path = write(tmp_path, {10: "  lr: {low: 1e-4, high: 1e-1}"})
    assert mistakes(path, "space.lr.high=1e-5") == [
        f"{path}:10: space.lr.low: 0.0001 is above high=1e-05; low <= high must hold (by --set space.lr.high=1e-5)"
    ]
