"""The steps of a fit, in order: look over the images, rank models, search twice, test the winner, write the results."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from hpo import report
from hpo.final_model import ModelOptions, write_model
from hpo.fit import data_summary, ranking, spaces, time_plan
from hpo.fit.data_summary import DataSummary
from hpo.fit.folder import FitFolder
from hpo.fit.ranking import RankedModel
from hpo.fit.result import FitResult
from hpo.fit.spaces import FINE_TUNE, PROBE
from hpo.heldout import Plan, evaluate
from hpo.loop import Watch, begin, resume
from hpo.record import STUDY_FILE, Budget, Settings, StudyFolder, Trial, write_text
from hpo.report.command import space_text
from hpo.space import SearchSpace

N_STEPS = 5
N_PROBED = 2
"""The number of models that the search of probes takes from the ranking."""
MAX_PROBES = 64
"""More trials than the space of probes has configurations."""
BACKENDS = {PROBE: "grid", FINE_TUNE: "freeze_thaw"}
"""The backend of each search. The space of probes has a few configurations, and all of them are tried."""


class Display(Protocol):
    """Shows a fit to its user."""

    def step(self, number: int, words: str, seconds_left: float) -> None:
        """A step begins. `seconds_left` is what is left of the time of the fit."""
        ...

    def note(self, line: str) -> None:
        """Show a line."""
        ...

    def search(self, study: Path, budget: Budget) -> AbstractContextManager[Watch | None]:
        """Show the progress of a search inside the context, by the function that it yields."""
        ...


def fit(folder: FitFolder, display: Display) -> FitResult:
    """Run the steps that are not finished yet, and return the result.

    Interrupted at any moment, it goes on where it was when it is called again. Raises a UserError if the images or the
    weights cannot be used, and the errors of a search.
    """
    steps = _Steps(folder, display)
    images = steps.look_over()
    ranked = steps.rank()
    steps.search_probes(ranked)
    steps.search_fine_tuned(ranked, images)
    return steps.finish()


@dataclass(frozen=True)
class _Steps:
    """The steps of a fit. Each returns what is on record if it is finished."""

    folder: FitFolder
    display: Display

    def look_over(self) -> DataSummary:
        self._show(1, "looking over the images")
        if (found := self.folder.step("images")) is None:
            began = time.monotonic()
            space = spaces.probe_space(self.folder.request, ranking.candidates(self.folder.request)[:1])
            summary = data_summary.summarise(space, self.folder.request)
            self.folder.end_step("images", time.monotonic() - began, **summary.to_dict())
        else:
            summary = DataSummary.from_dict(found)
        for line in data_summary.lines(summary, self.folder.request.metric):
            self.display.note(line)
        return summary

    def rank(self) -> list[RankedModel]:
        self._show(2, "ranking pretrained models")
        if (found := self.folder.step("ranking")) is None:
            began = time.monotonic()
            space = spaces.probe_space(self.folder.request, ranking.candidates(self.folder.request))
            seconds = self._left * time_plan.RANK_SHARE
            ranked = ranking.rank(space, self.folder.request, seconds, self.display.note)
            models = [model.to_dict() for model in ranked]
            self.folder.end_step("ranking", time.monotonic() - began, models=models)
        else:
            ranked = [RankedModel(**model) for model in found["models"]]
        for line in ranking.lines(ranked):
            self.display.note(line)
        return ranked

    def search_probes(self, ranked: Sequence[RankedModel]) -> None:
        self._show(3, "searching classifiers on frozen features")
        if self.folder.step(PROBE) is None:
            space = spaces.probe_space(self.folder.request, [model.name for model in ranked[:N_PROBED]])
            self._search(space, Budget(trials=MAX_PROBES))
        self._show_best(PROBE)

    def search_fine_tuned(self, ranked: Sequence[RankedModel], images: DataSummary) -> None:
        self._show(4, "searching fine-tuned models")
        if self.folder.step(FINE_TUNE) is None:
            seconds = self._left - self._seconds_to_finish
            chosen = self._affordable(ranked, images, seconds)
            if chosen is None and not self._is_begun(FINE_TUNE):
                self.display.note("the time is too short to fine-tune a model: the best probe is taken")
                self.folder.end_step(FINE_TUNE, 0.0, searched=False)
                return
            model, plan = chosen or (ranked[0], time_plan.FineTuning(ranked[0].image_size, time_plan.MIN_EPOCHS))
            space = spaces.fine_tune_space(self.folder.request, model.name, plan)
            self._search(space, Budget(seconds=time_plan.without_retraining(seconds)))
        self._show_best(FINE_TUNE)

    def finish(self) -> FitResult:
        self._show(5, "testing the best, writing the model and the report")
        if (found := self.folder.step("result")) is None:
            began = time.monotonic()
            result = self._test_and_write()
            self.folder.end_step("result", time.monotonic() - began, **result.to_dict())
            return result
        return FitResult.from_dict(found)

    def _test_and_write(self) -> FitResult:
        """Train the best trial of all searches again, test it once, and write the model, the space and the report."""
        studies = [self._study(name) for name in (PROBE, FINE_TUNE) if self._is_begun(name)]
        winner = min(studies, key=lambda study: _best(study).rank)
        test = evaluate(winner.folder, Plan(1, 1, "retrain"), notify=self._note)
        options = ModelOptions(test.trials[0].trial, overwrite=True)
        written = write_model(winner.folder, self.folder.model, options, notify=self._note)
        write_text(self.folder.space, space_text(winner))
        report.write([study.folder for study in studies], self.folder.report)
        return FitResult(winner.name, test.trials[0].trial, written.lines)

    def _search(self, space: SearchSpace, budget: Budget) -> None:
        """Begin the search of a space with a budget, or go on with it, and record that it is finished."""
        path, request = self.folder.studies / space.name, self.folder.request
        if self._is_begun(space.name):
            with self.display.search(path, self._study(space.name).budget) as watch:
                resume(path, watch=watch, notify=self._note)
        else:
            backend = BACKENDS[space.name]
            settings = Settings(backend, seed=request.seed, runner="auto", devices=request.devices, data=request.data)
            with self.display.search(path, budget) as watch:
                begin(path, space, settings, budget, watch=watch, notify=self._note)
        with contextlib.closing(self._study(space.name).ledger(write=False)) as ledger:
            self.folder.end_step(space.name, ledger.recorded, searched=True)

    def _affordable(
        self, ranked: Sequence[RankedModel], images: DataSummary, seconds: float
    ) -> tuple[RankedModel, time_plan.FineTuning] | None:
        """The best model that can be fine-tuned in `seconds`, and how. None if there is none."""
        for model in ranked:
            plan = time_plan.fine_tuning(seconds, model.seconds_per_image, images.train, model.image_size)
            if plan is not None:
                return model, plan
        return None

    def _note(self, line: str) -> None:
        """Show a note of a search or test, unless it was shown when the images were looked over."""
        if line not in (self.folder.step("images") or {}).get("notes", ()):
            self.display.note(line)

    def _show(self, number: int, words: str) -> None:
        self.display.step(number, words, self._left)

    def _show_best(self, name: str) -> None:
        if self._is_begun(name):
            study = self._study(name)
            self.display.note(f"best so far: {study.space.metric} {_best(study).loss:.4f}")

    @property
    def _left(self) -> float:
        """The seconds that are left of the time of the fit."""
        return max(0.0, self.folder.request.seconds - self.folder.seconds_spent)

    @property
    def _seconds_to_finish(self) -> float:
        return time_plan.END_SHARE * self.folder.request.seconds

    def _is_begun(self, name: str) -> bool:
        return (self.folder.studies / name / STUDY_FILE).exists()

    def _study(self, name: str) -> StudyFolder:
        return StudyFolder.reopen(self.folder.studies / name)


def _best(study: StudyFolder) -> Trial:
    return study.history()[0].ranked()[0]
