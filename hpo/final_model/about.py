"""What `model.json` says about where a model comes from, and the same in words."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from hpo.final_model.weights import Weights
from hpo.heldout import TestRecord
from hpo.heldout.trial_result import spoken
from hpo.record import Trial, versions
from hpo.space.objectives import searched_metric

if TYPE_CHECKING:
    from trainables.inference import Calibration


def describe(
    record: TestRecord, trial: Trial, weights: Weights, training: Mapping[str, Any], calibration: Calibration
) -> dict[str, Any]:
    """Return the entries of `model.json` about the study, the training, the results and the package versions.

    `training` says what the written weights were trained on. The results are those of `weights`, which may have been
    trained on fewer parts. The validation results and the calibration are always those of the training part alone.
    """
    from trainables.inference import trained

    study, result = record.study, weights.result
    errors: dict[str, Any] = asdict(calibration)
    if weights.held_out and result is not None:
        errors |= trained.held_out_errors(calibration, **weights.held_out)
    return {
        "study": {
            "name": study.name,
            "space": study.space.name,
            "objective": study.space.objective,
            "trial": trial.number,
            "searched_loss": trial.loss,
        },
        "training": dict(training),
        "results": {
            "of_trained_on": {"validation": "train", "test": weights.trained_on},
            "validation": _finite(weights.validation),
            "test": None if result is None else {**_finite(result.held_out), "looks": record.n_looks},
        },
        "calibration": errors,
        "versions": versions(),
    }


def _finite(metrics: Mapping[str, float]) -> dict[str, float | None]:
    """Metrics as JSON has them: null for a value that is not finite."""
    return {name: value if math.isfinite(value) else None for name, value in metrics.items()}


def _shown(accuracy: float | None) -> str:
    """An accuracy in words. None is one that is not finite, or that the training code does not report."""
    return "not known" if accuracy is None else f"{accuracy:.4f}"


def _metric_words(part: str, metric: str | None, value: float | None) -> str:
    """The metric that was searched for, in words. Empty if its value is not known."""
    return "" if metric is None or value is None else f"{part} {spoken(metric)} {value:.4f}, "


def _shown_temperature(temperature: float) -> str:
    """A temperature in words, which say so if it is at one of its bounds."""
    from trainables.inference import calibration

    for bound, word in ((calibration.LOWEST, "lowest"), (calibration.HIGHEST, "highest")):
        if math.isclose(temperature, bound, rel_tol=1e-6):
            return f"{temperature:.3f} (the {word} that is allowed)"
    return f"{temperature:.3f}"


def _origin_of_results(trained_on: str, tested_on: str) -> Iterator[str]:
    """Say of which models the results are, if they are not all of the written one. Both are names of parts."""
    of_search = "the validation results and the temperature are those of the model trained on train"
    if trained_on == tested_on:
        if tested_on != "train":
            yield f"{of_search.capitalize()}:"
    elif tested_on == "train":
        yield "These weights are not tested. The results and the temperature are those of the model trained on train:"
    else:
        yield "These weights are not tested."
        yield f"The test result is that of the model trained on {tested_on}, {of_search}:"


def lines(about: Mapping[str, Any]) -> Iterator[str]:
    """Say what a written model was trained on, and give its validation and test results."""
    training, results, errors = about["training"], about["results"], about["calibration"]
    n_epochs, n_images = training["epochs"], training["images"]
    trained = f"{n_epochs} epoch{'s' * (n_epochs != 1)} on {n_images} images"
    if (before := training.get("images_in_training_part")) is not None:
        trained += f", {n_images / before:.2f} times as many steps as on the {before} of the training part"
    if "soup" in training:
        numbers = ", ".join(map(str, training["soup"]))
        yield f"soup: the average of the weights of trials {numbers}, trained on {training['images']} images"
    else:
        model = f"trial {about['study']['trial']}, seed {training['seed']}"
        yield f"{model}: trained on {training['trained_on']}, {trained}"
    yield from _origin_of_results(training["trained_on"], results["of_trained_on"]["test"])
    metric = searched_metric(about["study"]["objective"])
    validation = _metric_words("validation", metric, results["validation"].get(f"val_{metric}"))
    yield f"{validation}validation accuracy {_shown(results['validation'].get('val_accuracy'))}"
    if results["test"] is None:
        yield f"not tested: `hpo test {about['study']['name']}` tests the best trial on held-out data"
    else:
        n_looks = results["test"]["looks"]
        looks = f"held-out data looked at {n_looks} time{'s' * (n_looks != 1)}"
        test = _metric_words("test", metric, results["test"].get(str(metric)))
        yield f"{test}test accuracy {_shown(results['test'].get('accuracy'))} ({looks})"
    where = f"{errors['n_samples']} validation images"
    changes = f"{errors['error_before']:.4f} before, {errors['error_after']:.4f} after"
    yield f"temperature {_shown_temperature(errors['temperature'])}: expected calibration error {changes}, on {where}"
    if len(training.get("soup", ())) > 1:
        yield "the soup was chosen on the validation images, so its results there are too good"
    if "held_out_error_before" in errors:
        changes = f"{errors['held_out_error_before']:.4f} before, {errors['held_out_error_after']:.4f} after"
        yield f"on the held-out images: {changes}"
