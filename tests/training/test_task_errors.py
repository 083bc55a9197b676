"""Errors in the names of a task: the message that the search ends with. No study is left."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from hpo import spacefile
from hpo.cli.app import app
from hpo.errors import TaskError
from hpo.loop import begin
from hpo.record import Budget, History, Settings, State, StudyFolder
from tests.cli.commands import Hpo
from tests.trainables.datasets import pictures
from trainables import errors

needs_timm = pytest.mark.skipif(importlib.util.find_spec("timm") is None, reason="timm is an extra")


ZOO = """
task:
  regime: from_scratch
  model: softmax_regression
  dataset: {name: image_folder, folder: zoo, held_out: 0.25}
space:
  lr: {low: 1e-4, high: 1e-1, log: true}
fixed: {image_size: 4, batch_size: 4}
fidelity: {low: 1, high: 1}
"""


@pytest.fixture
def search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hpo:
    """Searches the pictures of a zoo, which is not there yet."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "zoo.yaml").write_text(ZOO)
    common = ["--space", "zoo.yaml", "--backend", "random", "--trials", "2", "--devices", "cpu", "--slots", "1"]
    options = [*common, "--data", str(tmp_path / "data"), "--study", "s"]
    return lambda *words: CliRunner().invoke(app, ["search", *options, *words])


@pytest.mark.parametrize("runner", ["inline", "processes", "fused"])
def test_a_search_without_its_data_ends_with_that_error_and_leaves_no_study(
    search: Hpo, tmp_path: Path, runner: str
) -> None:
    result = search("--runner", runner)
    assert result.exit_code == 2, result.output
    assert "there is no 'zoo' in" in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "studies" / "s").exists()


def test_the_same_command_searches_when_the_data_are_there(search: Hpo, tmp_path: Path) -> None:
    assert search("--runner", "inline").exit_code == 2
    pictures.folders(tmp_path / "data" / "zoo", {"cat": 8, "dog": 8})
    result = search("--runner", "inline")
    assert result.exit_code == 0, result.output
    history, _ = StudyFolder.reopen(tmp_path / "studies" / "s").history()
    assert len(history.trials) == 2


def test_a_study_whose_data_get_lost_goes_on_when_they_are_back(search: Hpo, tmp_path: Path) -> None:
    pictures.folders(tmp_path / "data" / "zoo", {"cat": 8, "dog": 8})
    assert search("--runner", "inline").exit_code == 0
    (tmp_path / "data" / "zoo").rename(tmp_path / "data" / "lost")
    words = ["resume", "s", "--trials", "4"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 2, result.output
    assert "there is no 'zoo' in" in result.stderr
    (tmp_path / "data" / "lost").rename(tmp_path / "data" / "zoo")
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    history, _ = StudyFolder.reopen(tmp_path / "studies" / "s").history()
    assert [len(trial.reports) for trial in history.trials.values()] == [1] * 4


def test_a_file_that_is_no_image_ends_a_search_with_its_name_and_what_to_do(search: Hpo, tmp_path: Path) -> None:
    pictures.folders(tmp_path / "data" / "zoo", {"cat": 8, "dog": 8})
    for path in (tmp_path / "data" / "zoo" / "cat").iterdir():
        path.write_bytes(path.read_bytes()[:100])
    result = search("--runner", "inline")
    assert result.exit_code == 2, result.output
    assert "cannot be read as an image" in result.stderr
    assert "`skip_unreadable: true`" in result.stderr


ODD = """
from torch import nn
from trainables.trainable import TransferModel
HYPERPARAMETERS = {"size": "of the head"}
def build(config, *, shape, n_classes, weights):
    body = nn.Sequential(nn.Flatten(), nn.LazyLinear(8)) if config["size"] else nn.Linear(3, 3)
    return TransferModel({"stage": body}, nn.Linear(8, config["size"] or n_classes))
"""


@pytest.fixture
def digits_search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hpo:
    """Searches the digits by a space that the words of --set change; `own.odd` is a model with a head of any size."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    package = f"odd_{tmp_path.name}"
    (tmp_path / package).mkdir()
    (tmp_path / package / "model.py").write_text(ODD)
    common = ["--space", "digits_softmax", "--backend", "random", "--trials", "4", "--devices", "cpu", "--study", "s"]
    options = [*common, "--runner", "inline", "--set", "fidelity.high=1"]

    def typed(*words: str, more: Sequence[str] = ()) -> Result:
        sets = [part for word in words for part in ("--set", word.replace("own.odd", f"{package}.model"))]
        return CliRunner().invoke(app, ["search", *options, *sets, *more])

    return typed


@pytest.mark.parametrize(
    ("words", "told"),
    [
        pytest.param(["task.model=timm:resnet10x"], "timm has no network 'resnet10x' (nearest: ", marks=needs_timm),
        (["task.model=timm"], "name a variant, as timm:NAME"),
        (["task.model=softmax_regression:foo"], "has no function `variant`"),
        (["task.model=[softmax_regression, 'softmax_regression:foo']"], "has no function `variant`"),
        (
            ["task.model=small_cnn", "task.regime=frozen_fc", "task.weights=none", "fixed.train_head=true"],
            "this model has none: name the",
        ),
        (
            ["task.regime=contrastive", "fixed.encoder_epochs=1", "fidelity.high=2"],
            "regime contrastive, model softmax_regression: nothing is left to train: head would be frozen",
        ),
        (
            ["task.regime=[contrastive]", "fixed.encoder_epochs=1", "fidelity.high=2"],
            "regime contrastive, model softmax_regression: nothing is left to train",
        ),
        (["task.model=logistic_regression"], "needs a data set of 2 classes, but this has 10"),
        (["task.model=conv4", "fixed.image_size=3"], "conv4 needs images of at least 4 pixels a side (`image_size`)"),
        (["task.model=own.odd", "fixed.size=7"], "gives 7 numbers an image, but the data set has 10 classes"),
        (["task.model=own.odd", "fixed.size=0"], "model cannot take images of (1, 8, 8) (channels, height, width): "),
        (["task.pretraining=digits"], "the regime from_scratch trains on no other data set first"),
    ],
)
def test_what_does_not_go_together_ends_a_search_in_plain_words_and_leaves_no_study(
    digits_search: Hpo, tmp_path: Path, words: list[str], told: str
) -> None:
    result = digits_search(*words)
    assert result.exit_code == 2, result.output
    assert told in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "studies" / "s").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def build(config): return None", "`build` must take (config, model, data, device): too many positional"),
        ("def build(config, model, data, device): return None", "what its `build` returned has no method `step`"),
    ],
)
def test_a_regime_that_breaks_its_rules_is_one_line(
    digits_search: Hpo, tmp_path: Path, text: str, message: str
) -> None:
    package = f"odd_{tmp_path.name}"
    (tmp_path / package / "regime.py").write_text(text)
    result = digits_search(f"task.regime={package}.regime")
    assert result.exit_code == 2, result.output
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "studies" / "s").exists()


def test_workers_of_their_own_tell_a_wrong_task_in_the_same_words(digits_search: Hpo, tmp_path: Path) -> None:
    result = digits_search("task.model=softmax_regression:foo", more=["--runner", "processes", "--slots", "1"])
    assert result.exit_code == 2, result.output
    assert "has no function `variant`" in result.stderr
    assert not (tmp_path / "studies" / "s").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["task.model=conv4", "space.image_size={choices: [3, 8]}"], "conv4 needs images of at least 4 pixels"),
        (["task.model=own.odd", "space.size={choices: [7, 10]}"], "gives 7 numbers an image"),
        (
            [
                "task.model=small_cnn",
                "task.regime=frozen_fc",
                "task.weights=none",
                "space.train_head={choices: [true, false]}",
            ],
            "frozen_fc with `train_head`",
        ),
    ],
)
def test_a_searched_value_that_does_not_go_with_the_task_costs_its_trials_alone(
    digits_search: Hpo, tmp_path: Path, words: list[str], told: str
) -> None:
    result = digits_search(*words, more=["--seed", "1"])
    assert result.exit_code == 0, result.output
    history, _ = StudyFolder.reopen(tmp_path / "studies" / "s").history()
    crashes = [trial.crash for trial in history.trials.values() if trial.crash is not None]
    assert 0 < len(crashes) < 4
    assert all(told in crash.error for crash in crashes)


def searched(folder: Path, space: Mapping[str, Any], fixed: Mapping[str, Any], **task: Any) -> History:
    """The history of a search of four trials of two epochs on digits.

    The rules of new spaces are not checked, so that values which break them reach the training.
    """
    content = {
        "task": {"regime": "from_scratch", "model": "softmax_regression", "dataset": "digits", **task},
        "space": dict(space),
        "fixed": dict(fixed),
        "fidelity": {"high": 2},
    }
    settings = Settings(backend="grid", runner="inline", devices="cpu")
    begin(folder, spacefile.parse(content, name="s", is_new=False), settings, Budget(trials=4))
    return StudyFolder.reopen(folder).history()[0]


@pytest.mark.parametrize(
    ("fixed", "task", "message"),
    [
        ({"clip_norm": 0}, {}, "`clip_norm` must be above 0, but is 0"),
        ({"schedule": "step"}, {}, "`schedule` is 'step', which needs `step_size`"),
        ({"image_size": 0}, {}, "`image_size` must be a whole number of at least 1, but is 0"),
        (
            {"samples_per_class": 5000},
            {"regime": "pretrain_then_head", "model": "small_cnn", "weights": "none"},
            r"class '\d' has \d+ of 1150 samples: for `samples_per_class` = 5000",
        ),
    ],
)
def test_a_wrong_value_that_all_trials_share_is_a_mistake_and_leaves_nothing_behind(
    tmp_path: Path, fixed: dict[str, Any], task: dict[str, Any], message: str
) -> None:
    with pytest.raises(TaskError, match=rf"the first 3 trials cannot be trained; trial 0: {message}"):
        searched(tmp_path / "s", {"lr": {"choices": [0.1, 0.01, 0.001, 0.0001]}}, fixed, **task)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("space", "fixed"),
    [
        ({"optimizer": {"choices": ["nag", "sgd"]}}, {"momentum": 0.0}),
        ({"clip_norm": {"choices": [-1.0, 1.0]}}, {}),
        ({"lr": {"choices": [1e-4, 1e-2]}}, {"schedule": "cosine", "period": 3, "lr_min": 1e-3}),
    ],
)
def test_a_wrong_value_of_some_trials_costs_these_alone(
    tmp_path: Path, space: dict[str, Any], fixed: dict[str, Any]
) -> None:
    history = searched(tmp_path / "s", space, fixed)
    assert [trial.state for trial in history.trials.values()] == [State.CRASHED, State.COMPLETE]
    crash = history.trials[0].crash
    assert crash is not None
    assert crash.kind == errors.WrongValue.__name__


def test_a_task_that_fits_no_value_that_is_searched_is_one_line_and_leaves_nothing_behind(tmp_path: Path) -> None:
    space = {"image_size": {"choices": [1, 2, 3, 4]}}
    with pytest.raises(TaskError, match=r"the first 3 trials cannot be trained; trial 0: .*`image_size`") as caught:
        searched(tmp_path / "s", space, {}, model="squeezenet", weights="none")
    assert "Traceback" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []
