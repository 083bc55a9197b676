"""Writing the model of a user's own training code."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

import hpo
from hpo.errors import UserError
from hpo.final_model import write_model
from hpo.heldout import evaluate
from tests.final_model.own_code import Own, WithOtherImages, WithoutModule, with_given_model
from tests.final_model.studies import accuracy, described, searched_with


def test_own_training_code_with_a_module_is_written_as_a_program(root: Path, tmp_path: Path) -> None:
    study = searched_with(tmp_path / "s", root, Own)
    result = evaluate(study, trainable=Own).trials[0]
    notes: list[str] = []
    write_model(study, tmp_path / "m", trainable=Own, notify=notes.append)
    assert notes == ["no plain code builds the network, so model.pt2 holds it as a program of torch.export"]
    assert accuracy(tmp_path / "m", study) == pytest.approx(result.test_accuracy.values[0])


def test_own_training_code_on_the_model_of_the_task_is_written_like_a_regime(root: Path, tmp_path: Path) -> None:
    study = searched_with(tmp_path / "s", root, with_given_model)
    model = hpo.open_study(study, trainable=with_given_model).model(tmp_path / "m", quiet=True)
    assert described(tmp_path / "m")["network"]["model"] == "small_cnn"
    assert model.classes == ("cat", "dog")


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (WithoutModule, "has no attribute `model` that is a torch.nn.Module"),
        (WithOtherImages, r"its `model` alone has the validation accuracy .* a module must take images of 0..1"),
    ],
)
def test_own_training_code_without_a_usable_module_is_an_error(
    root: Path, tmp_path: Path, code: Any, words: str
) -> None:
    study = searched_with(tmp_path / "s", root, code)
    with pytest.raises(UserError, match=words):
        write_model(study, tmp_path / "m", trainable=code)
    assert not (tmp_path / "m").exists()


class WithoutTestAccuracy(Own):
    """Its accuracy on held-out images is not finite."""

    def evaluate(self, part: Any) -> dict[str, float]:
        found = super().evaluate(part)
        return found if part is self.data.validation else {**found, "accuracy": math.nan}


def test_a_test_accuracy_that_is_not_finite_is_not_known(root: Path, tmp_path: Path) -> None:
    study = searched_with(tmp_path / "s", root, WithoutTestAccuracy)
    evaluate(study, trainable=WithoutTestAccuracy)
    written = write_model(study, tmp_path / "m", trainable=WithoutTestAccuracy)
    assert "test accuracy not known (held-out data looked at 1 time)" in written.lines
    assert described(tmp_path / "m")["results"]["test"]["accuracy"] is None
