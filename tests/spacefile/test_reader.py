from pathlib import Path
from typing import Any

import pytest

from hpo import spacefile
from hpo.errors import SpaceFileError, UserError
from hpo.space import Categorical, DatasetSpec, Float, Int, Validation
from tests.spacefile.spacefiles import mistakes, write


def test_a_space_file_is_read_into_a_space_of_its_name(tmp_path: Path) -> None:
    space = spacefile.read(write(tmp_path))
    assert space.name == "small"
    assert space.domains == {
        "optimizer": Categorical(("sgd", "nag", "adam")),
        "lr": Float(1e-4, 1e-1, log=True, default=5e-3),
        "momentum": Float(0.5, 0.99, when={"optimizer": ("sgd", "nag")}),
        "step_size": Int(5, 30),
    }
    assert (space.task.regime, space.task.model, space.task.dataset) == (
        "from_scratch",
        "small_cnn",
        DatasetSpec("digits"),
    )
    assert (space.task.weights, space.task.validation.fraction) == ("none", 0.2)
    assert space.fixed == {"patience": 8}
    assert space.fidelity.rungs() == (1, 3, 9, 27)


def test_a_data_set_may_stand_with_its_options_and_groups_of_its_classes(tmp_path: Path) -> None:
    merged = "merged_classes: {animals: [dog, horse], things: [guitar, house]}"
    path = write(tmp_path, {
        4: "  regime: pretrain_then_head",
        6: f"  dataset: {{name: pacs, domain: cartoon, variant: few_shot, {merged}}}",
        7: "  validation: {folds: 5, seed: 1}\n  pretraining: {name: image_folder, folder: flowers}",
    })  # fmt: skip
    task = spacefile.read(path).task
    assert task.dataset == DatasetSpec(
        "pacs",
        {"domain": "cartoon", "variant": "few_shot"},
        {"animals": ("dog", "horse"), "things": ("guitar", "house")},
    )
    assert task.pretraining == DatasetSpec("image_folder", {"folder": "flowers"})
    assert task.validation == Validation(folds=5, seed=1)


def test_an_option_of_a_data_set_can_be_set_on_the_command_line(tmp_path: Path) -> None:
    path = write(tmp_path, {6: "  dataset: {name: pacs, domain: cartoon}"})
    space = spacefile.read(path, ["task.dataset.domain=photo", "task.dataset.variant=full"])
    assert space.task.dataset == DatasetSpec("pacs", {"domain": "photo", "variant": "full"})


def test_a_space_may_name_the_published_numbers_that_it_is_to_stand_beside(tmp_path: Path) -> None:
    path = write(tmp_path, {3: "reference: caltech101_alexnet_fine_tune\ntask:"})
    assert spacefile.read(path).reference == "caltech101_alexnet_fine_tune"


def test_published_numbers_need_not_be_there_to_look_at_a_study() -> None:
    content = {"reference": "lost", "space": {"lr": {"low": 0, "high": 1}}, "fidelity": {"high": 9}}
    assert spacefile.parse(content, installed=False).reference == "lost"
    with pytest.raises(SpaceFileError, match="reference: no published table 'lost'"):
        spacefile.parse(content)


def test_a_range_is_of_whole_numbers_only_where_it_says_so(tmp_path: Path) -> None:
    path = write(tmp_path, {12: "  clip_norm: {low: 5, high: 30}"})
    assert spacefile.read(path).domains["clip_norm"] == Float(5, 30)


def test_a_list_of_models_is_a_hyperparameter_placed_first(tmp_path: Path) -> None:
    text = "  momentum: {low: 0.5, high: 0.99, when: {model: [small_cnn]}}"
    space = spacefile.read(write(tmp_path, {5: "  model: [small_cnn, softmax_regression]", 11: text}))
    assert next(iter(space.domains)) == "model"
    assert space.domains["model"] == Categorical(("small_cnn", "softmax_regression"))
    assert space.domains["momentum"].when == {"model": ("small_cnn",)}
    assert space.task.model is None


def test_a_list_of_one_model_is_a_hyperparameter_too(tmp_path: Path) -> None:
    space = spacefile.read(write(tmp_path, {5: "  model: [small_cnn]"}))
    assert space.domains["model"] == Categorical(("small_cnn",))


def test_a_model_both_listed_and_in_the_space_is_named_once(tmp_path: Path) -> None:
    path = write(tmp_path, {5: "  model: [small_cnn]", 12: "  model: {choices: [small_cnn]}"})
    (mistake,) = mistakes(path)
    assert mistake.startswith(f"{path}:12: space.model: must stand under task.model")


def test_mistakes_in_a_dictionary_name_the_keys_alone() -> None:
    content = {"task": {"regime": "from_scratch"}, "space": {"lr": {"low": 2, "high": 1}}, "fidelity": {"high": 9}}
    with pytest.raises(SpaceFileError) as caught:
        spacefile.parse(content)
    assert caught.value.mistakes == ("space.lr.low: 2 is above high=1; low <= high must hold",)


def test_mistakes_in_a_dictionary_name_the_source_that_is_given() -> None:
    with pytest.raises(SpaceFileError) as caught:
        spacefile.parse({"space": {"lr": {"low": 0, "high": 1}}}, source="study.yaml")
    assert str(caught.value).startswith("study.yaml: fidelity: is missing")


def test_a_dictionary_is_left_as_it_was_and_may_hold_its_name() -> None:
    content = {"name": "mine", "space": {"lr": {"low": 0, "high": 1}}, "fidelity": {"high": 9}}
    assert spacefile.parse(content, name="other").name == "mine"
    assert content == {"name": "mine", "space": {"lr": {"low": 0, "high": 1}}, "fidelity": {"high": 9}}


def test_names_are_taken_on_trust_where_plug_ins_need_not_be_installed() -> None:
    content = {"task": {"regime": "not_here"}, "space": {"x": {"low": 0, "high": 1}}, "fidelity": {"high": 9}}
    assert spacefile.parse(content, installed=False).task.regime == "not_here"
    with pytest.raises(SpaceFileError, match="unknown regime 'not_here'"):
        spacefile.parse(content)


def test_keys_and_values_of_a_dictionary_that_no_yaml_could_hold_are_mistakes_too() -> None:
    content: Any = {"space": {"lr": {"low": object(), "high": 1}, 3: {}}, "fidelity": {"high": 9}, "fixed": {"a": {1}}}
    with pytest.raises(SpaceFileError) as caught:
        spacefile.parse(content)
    assert [mistake.partition(":")[0] for mistake in caught.value.mistakes] == ["space", "space.lr.low", "fixed.a"]


@pytest.mark.parametrize("path", spacefile.bundled().values(), ids=lambda path: path.stem)
def test_every_bundled_space_is_sound_and_describes_itself(path: Path) -> None:
    assert spacefile.read(path).name == path.stem
    assert 20 < len(spacefile.describe(path)) < 120


def test_a_file_without_a_comment_at_its_top_has_no_description(tmp_path: Path) -> None:
    assert spacefile.describe(write(tmp_path, text="task:\n# not at the top\n")) == ""


def test_a_space_is_found_by_path_or_by_bundled_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundled = spacefile.bundled()["digits_cnn"]
    assert spacefile.find("digits_cnn") == spacefile.find("digits_cnn.yaml") == bundled
    monkeypatch.chdir(tmp_path)
    assert spacefile.find(str(write(tmp_path))) == tmp_path / "small.yaml"
    (tmp_path / "digits_cnn").mkdir()
    assert spacefile.find("digits_cnn") == bundled
    (tmp_path / "digits_cnn.yaml").write_text("")
    assert spacefile.find("digits_cnn.yaml") == Path("digits_cnn.yaml")
    assert spacefile.find(str(tmp_path)) == tmp_path


def test_a_space_that_is_nowhere_names_the_nearest_bundled_one() -> None:
    with pytest.raises(UserError) as caught:
        spacefile.find("digit_cnn.yaml")
    assert "no file 'digit_cnn.yaml', and no bundled space of that name; did you mean 'digits_cnn'?" in str(
        caught.value
    )


def test_an_empty_name_is_no_folder() -> None:
    with pytest.raises(UserError, match=r"^the name of the space is empty \(allowed: "):
        spacefile.find("")


def test_weights_are_relative_to_the_space_file_then_to_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spaces = tmp_path / "spaces"
    spaces.mkdir()
    path = write(spaces)
    path.write_text(path.read_text().replace("model: small_cnn", "model: small_cnn\n  weights: w.pth"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "w.pth").touch()
    before = spacefile.read(path)
    assert before.task.weights == str(tmp_path / "w.pth")
    (spaces / "w.pth").touch()
    space = spacefile.read(path)
    assert space.task.weights == str(spaces / "w.pth")
    assert space.digest() == before.digest()
    assert spacefile.read(path, ["task.weights=w.pth"]).task.weights == str(tmp_path / "w.pth")
    assert spacefile.parse(space.to_dict()).task.weights == str(tmp_path / "w.pth")
