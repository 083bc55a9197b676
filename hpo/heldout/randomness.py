"""Whether the training of a configuration is random: only then do several seeds say anything."""

from __future__ import annotations

from collections.abc import Iterable

from hpo import plugins
from hpo.errors import UserError
from hpo.heldout.confusion import ModelKey
from hpo.heldout.plan import Plan
from hpo.heldout.protocols import CHECKPOINT
from hpo.heldout.retraining import MAX_SEEDS
from hpo.plugins.traits import has_head_alone, is_deterministic
from hpo.record import StudyFolder, Trial
from hpo.trial import Config


def is_random(study: StudyFolder, config: Config) -> bool:
    """Whether the training of a configuration depends on its seed, as far as is known.

    It does not if its regime declares `DETERMINISTIC = True`, unless the model has frozen random weights. Training code
    of the user counts as random, and so does a regime or a model that is not installed any more.
    """
    if study.trainable_digest is not None:
        return True
    settings, task = {**study.space.fixed, **config}, study.space.task
    try:
        regime, model = (
            plugins.module_name(package, str(settings.get(key, getattr(task, key))))
            for key, package in plugins.TASK_PACKAGES.items()
        )
        if not is_deterministic(regime, plugins.find):
            return True
        return task.weights == "none" and not has_head_alone(model, plugins.find)
    except UserError:
        return True


def repeated(study: StudyFolder, trials: Iterable[Trial], plan: Plan) -> frozenset[ModelKey]:
    """The models that would repeat another one: further seeds of a trial in whose training nothing is random."""
    if plan.protocol == CHECKPOINT:
        return frozenset()
    same = [trial for trial in trials if not is_random(study, trial.config)]
    return frozenset((trial.number, seed) for trial in same for seed in range(1, MAX_SEEDS))


def note(study: StudyFolder, trials: Iterable[Trial], plan: Plan) -> str | None:
    """Say which trials are trained once, although the plan has several seeds. None if there are none."""
    numbers = [str(trial.number) for trial in trials if plan.seeds > 1 and not is_random(study, trial.config)]
    if not numbers:
        return None
    is_one = len(numbers) == 1
    return (
        f"nothing is random in the training of {'trial' if is_one else 'trials'} {', '.join(numbers)}, so "
        f"{plan.seeds} seeds would give the same model: {'it is' if is_one else 'each is'} trained once"
    )
