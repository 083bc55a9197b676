"""The soup of a study: the average of the weights of some of its trials, chosen greedily on the validation part.

M. Wortsman et al., Model soups, ICML 2022, arXiv 2203.05482. The models are sorted by their value on the validation
part. The best is the first ingredient. Each further model becomes one if the average with it is not worse there. Then
the soup and the best single model are evaluated on held-out data, in one look. A soup that was interrupted goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpo import cache
from hpo.devices import main_device
from hpo.errors import StudyError, UserError
from hpo.heldout import soup_record, study_data
from hpo.heldout.evaluation import best_trials, check_held_out
from hpo.heldout.record import TestRecord
from hpo.heldout.retraining import (
    ModelToTest,
    RetrainedEpoch,
    begun_retrainings,
    discard_retrained,
    load_from_search,
    retrain,
    stopping_epoch,
)
from hpo.heldout.soup_candidates import alike
from hpo.heldout.soup_record import Ingredient, Soup
from hpo.record import StudyFolder, Trial, check_devices, lock, versions
from hpo.space.objectives import ERRORS, metric_of
from hpo.space.values import with_lists
from hpo.training import Builder, Job
from hpo.training.own_objective import objective_digest

if TYPE_CHECKING:
    from trainables.data.dataset import Part, SearchData
    from trainables.trainable import TransferModel


DEFAULT_TOP = 10
"""How many of the best trials may become part of a soup if nothing is said."""


def make_soup(
    folder: Path,
    top: int = DEFAULT_TOP,
    *,
    watch_epoch: Callable[[RetrainedEpoch], None] | None = None,
    notify: Callable[[str], None] | None = None,
    skip_changed_files: bool = False,
) -> tuple[Soup, TestRecord]:
    """Make the soup of the `top` best trials of a study that have one architecture and start from the same weights.

    The weights of a trial are those of the best epoch in the search. If the search kept none, the trial is trained
    again up to that epoch. Returns the soup and the content of `test.json`, which counts the look. A soup of the same
    trials, data and packages is neither made nor looked at again. `watch_epoch` is called with each epoch of the
    trainings, `notify` with each note.

    Raises StudyError if the study is still being searched or its data changed, and UserError if its trials cannot be
    averaged or tested, or if `top` is less than 2.
    """
    if top < 2:
        raise UserError(f"a soup is made of at least 2 trials: `top` is {top}")
    StudyFolder.reopen(folder)
    cache.check()
    with lock(folder):
        study = StudyFolder.reopen(folder)
        check_devices(study.settings, folder)
        study.check_objective(objective_digest(study.space))
        say = notify or (lambda note: None)
        trials = alike(study, best_trials(study), say)[:top]
        if len(trials) < 2:
            raise UserError(
                f"study {study.name!r} has one trial alone whose weights could be averaged, trial {trials[0].number}: "
                "a soup needs two trials of the same model and image format"
            )
        job = Job(study.space, study.settings.seed, study.data, regime_defaults=study.regime_defaults)
        data = study_data.check(study, job, skip_changed_files=skip_changed_files)
        check_held_out(study, data.manifest)
        for note in data.notes:
            say(note)
        with _user_errors(study):
            making = _Making(study, replace(job, manifest=data.for_search), trials, say, watch_epoch)
            soup, record = making.chosen(study_data.digest(data.manifest)), TestRecord.read(study)
            return _looked(study, replace(job, manifest=data.manifest), trials, soup, record), record


@contextmanager
def _user_errors(study: StudyFolder) -> Iterator[None]:
    """Turn errors of the training code that the user can mend into a UserError or a StudyError."""
    from trainables.errors import SetupError
    from trainables.training.checkpoints import DamagedCheckpoint

    try:
        yield
    except DamagedCheckpoint as error:
        raise StudyError(f"study {study.name!r}: {error}") from None
    except SetupError as error:
        raise UserError(f"study {study.name!r}: {error}") from error


class _Making:
    """Chooses the ingredients of a soup on the validation part."""

    def __init__(
        self,
        study: StudyFolder,
        job: Job,
        trials: Sequence[Trial],
        say: Callable[[str], None],
        watch: Callable[[RetrainedEpoch], None] | None,
    ) -> None:
        """`job` must not hold the held-out part."""
        self._study = study
        self._job = job
        self._trials = list(trials)
        self._say = say
        self._watch = watch
        self._begun = Soup({})
        """What is on disk until the soup is chosen."""
        self._builder = Builder(job, main_device(study.settings.devices))
        self._fixed = study.space.fixed
        data = self._builder.search_data({**self._fixed, **trials[0].config})[0]
        assert data is not None, "the study has a data set"
        self._data: SearchData = data

    def chosen(self, data_hash: str) -> Soup:
        """Return the soup, with its weights on disk. One that was chosen before from the same models is kept."""
        configs = [{key: with_lists(value) for key, value in trial.config.items()} for trial in self._trials]
        origin = {"trials": [trial.number for trial in self._trials], "configs": configs}
        origin |= {"data": data_hash, "versions": dict(versions())}
        found = soup_record.read(self._study)
        self._begun = Soup(origin, retrained=() if found is None else found.retrained)
        is_known = found is not None and found.origin == origin and found.weights is not None
        if found is not None and is_known and found.weights == soup_record.weights_hash(self._study):
            return self._without_retrained(found)
        soup = self._greedy(origin)
        soup_record.write(self._study, soup)
        return self._without_retrained(soup)

    def _without_retrained(self, soup: Soup) -> Soup:
        """Delete the checkpoints of the retrainings that a finished soup has begun. Those of a test stay."""
        if soup.retrained:
            discard_retrained(self._study, [(number, 0) for number in soup.retrained])
            soup = replace(soup, retrained=())
            soup_record.write(self._study, soup)
        return soup

    def _greedy(self, origin: Mapping[str, Any]) -> Soup:
        """Choose the ingredients, and write the weights of their average."""
        from trainables.inference import soup as averaging

        candidates, states = self._candidates()
        soup_record.write(self._study, self._begun)
        model = self._model(candidates[0])
        chosen, best, validation = [0], self._value(candidates[0].validation), dict(candidates[0].validation)
        state = states[0]
        for i in range(1, len(candidates)):
            mixed = [states[k] for k in (*chosen, i)]
            model.load_state_dict(averaging.average(mixed))
            averaging.compute_statistics(model, self._data.train, averaging.moving_statistics(model, mixed))
            metrics = averaging.metrics(model, self._data.validation, self._data)
            if self._value(metrics) <= best:
                chosen.append(i)
                best, validation, state = self._value(metrics), metrics, averaging.state_of(model)
        numbers = [candidates[i].trial for i in chosen]
        weights = soup_record.write_weights(self._study, state, states[0])
        return Soup(origin, candidates, numbers, validation, weights, retrained=self._begun.retrained)

    def _candidates(self) -> tuple[list[Ingredient], list[Mapping[str, Any]]]:
        """The models that may be chosen, the best on the validation part first, and their weights."""
        from trainables.inference import soup as averaging
        from trainables.training import checkpoints

        found: list[tuple[Ingredient, Mapping[str, Any]]] = []
        for trained in self._trained():
            saved = checkpoints.read(trained.checkpoint)
            if saved is None:
                self._say(f"trial {trained.trial.number} diverged when it was trained again, and is left out")
                continue
            model = self._loaded(trained.trial, trained.build_seed, saved["state"])
            if model is None:
                self._leave_out(trained.trial)
                continue
            state = averaging.state_of(model)
            if found and not averaging.are_alike(state, found[0][1]):
                self._say(f"trial {trained.trial.number} has other layers than trial {found[0][0].trial}: left out")
                continue
            metrics = averaging.metrics(model, self._data.validation, self._data)
            epoch = stopping_epoch(trained.trial)
            number, seeds = trained.trial.number, (trained.seed, trained.protocol, trained.build_seed)
            found.append((Ingredient(number, *seeds, epoch, metrics), state))
        if not found:
            raise UserError(f"study {self._study.name!r}: each of its trials diverged when it was trained again")
        found.sort(key=lambda each: self._value(each[0].validation))
        return [each for each, _ in found], [state for _, state in found]

    def _trained(self) -> Iterator[ModelToTest]:
        """The models of all trials: those that the search kept, then those that are trained again."""
        missing: list[Trial] = []
        for trial in self._trials:
            try:
                yield from load_from_search(self._study, [trial])
            except UserError:  # the search kept no checkpoint of this trial
                missing.append(trial)
        if missing:
            of_test = begun_retrainings(self._study, self._job, missing) - {*self._begun.retrained}
            own = {*self._begun.retrained, *(trial.number for trial in missing if trial.number not in of_test)}
            self._begun = replace(self._begun, retrained=sorted(own))
            soup_record.write(self._study, self._begun)
            yield from retrain(self._study, self._job, missing, 1, watch=self._watch)

    def _model(self, ingredient: Ingredient) -> TransferModel:
        """A model with the architecture of a trained one. Its weights are the first ones."""
        from trainables.inference import soup as averaging

        trial = next(each for each in self._trials if each.number == ingredient.trial)
        return averaging.model_of(self._builder.build({**self._fixed, **trial.config}, ingredient.build_seed))

    def _loaded(self, trial: Trial, build_seed: int, state: Mapping[str, Any]) -> TransferModel | None:
        """The model of a trained trial. None if its training has replaced layers of the model."""
        from trainables.inference import soup as averaging

        trainable = self._builder.build({**self._fixed, **trial.config}, build_seed)
        layers = averaging.layers_of(trainable)
        trainable.load_state_dict(dict(state))
        return averaging.model_of(trainable) if averaging.layers_of(trainable) == layers else None

    def _leave_out(self, trial: Trial) -> None:
        """Say that the training of a trial has replaced layers. Raises UserError if it is the best trial."""
        what = f"the training of trial {trial.number} has replaced layers of the model, so they cannot be averaged"
        if trial.number == self._trials[0].number:
            raise UserError(f"study {self._study.name!r}: {what}, and it is the best trial")
        self._say(f"{what}: left out")

    def _value(self, metrics: Mapping[str, float]) -> float:
        """The objective of the search, which is minimised. A value that is not finite is the worst."""
        objective = self._study.space.objective
        value = metrics[ERRORS.get(objective, metric_of(objective)).removeprefix("val_")]
        value = 1 - value if objective in ERRORS else value
        return value if value == value else float("inf")


def _looked(study: StudyFolder, job: Job, trials: Sequence[Trial], soup: Soup, record: TestRecord) -> Soup:
    """Evaluate a soup and the best single model on held-out data, in one look, unless that was done before.

    `job` holds the held-out part.
    """
    look = {"soup": list(soup.chosen), "best": soup.best.trial, "weights": soup.weights, **soup.origin}
    if not soup.test:
        from trainables.data import heldout
        from trainables.inference import soup as averaging

        trial = next(each for each in trials if each.number == soup.best.trial)
        settings = {**study.space.fixed, **trial.config}
        builder = Builder(job, main_device(study.settings.devices))
        model = averaging.model_of(builder.build(settings, soup.best.build_seed))
        data = builder.search_data(settings)[0]
        assert data is not None, "the study has a data set"
        part: Part = builder.held_out(heldout.held_out, settings)
        states = soup_record.read_weights(study)
        record.begin_look(look)
        found = []
        for state in states:
            model.load_state_dict(state)
            found.append(averaging.metrics(model, part, data))
        soup = replace(soup, test=found[0], best_test=found[1], n_test=len(part))
        soup_record.write(study, soup)
    if look in record.unfinished:
        record.end_look(look)
        record.write()
    return soup
