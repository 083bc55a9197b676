"""The text of a space file that searches a linear probe and fine-tuning of some pretrained models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import yaml

from hpo.space import DatasetSpec
from hpo.trial import Value

SPACE = """space:
  lr:           {low: 1e-5, high: 1e-1, log: true}
  weight_decay: {low: 1e-6, high: 1e-1, log: true}
  augmentation: {choices: [none, flip_jitter], when: {regime: [fine_tune]}}
"""
END = """fidelity: {unit: epoch, low: 1, high: 27, eta: 3}
objective: val_loss
"""


def transfer_space(
    models: Sequence[str],
    dataset: DatasetSpec,
    *,
    weights: str,
    validation: Mapping[str, Value],
    fixed: Mapping[str, Value],
    comment: Sequence[str],
) -> str:
    """Return the text of a space file.

    `validation` is that of the task, or empty if the data set has a validation part of its own. `fixed` are
    hyperparameters of the images. The lines of `comment` stand at the top. Paths in the options of the data set are
    written as absolute ones.
    """
    task: dict[str, object] = {
        "regime": ["linear_probe", "fine_tune"],
        "model": models[0] if len(models) == 1 else list(models),
        "weights": weights,
        "dataset": _dataset(dataset),
    }
    if validation:
        task["validation"] = dict(validation)
    lines = [f"# {line}" if line else "#" for line in comment]
    settings = {"fixed": {"optimizer": "adamw", "batch_size": 32, **fixed}}
    return "\n".join(lines) + "\n" + _yaml({"task": task}) + SPACE + _yaml(settings) + END


def _dataset(dataset: DatasetSpec) -> object:
    content = dataset.to_dict(absolute=True)
    return content if isinstance(content, str) else {**content, **dataset.paths}


def _yaml(content: object) -> str:
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True, default_flow_style=None, width=1000)
