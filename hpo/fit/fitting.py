"""The steps of a fit, in order: look over the images, rank models, search twice, test the winner, write the results."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass

from hpo import report
from hpo.devices import main_device, n_cores
from hpo.errors import HpoError, StudyError, UserError
from hpo.final_model import ModelOptions, write_model
from hpo.fit import data_summary, final_test, ranking, spaces, time_plan
from hpo.fit.data_summary import DataSummary
from hpo.fit.display import Display
from hpo.fit.folder import FitFolder
from hpo.fit.ranking import FitRanking
from hpo.fit.result import FitResult
from hpo.fit.spaces import FINE_TUNE, PROBE
from hpo.loop import Session, begin, resume
from hpo.record import STUDY_FILE, Budget, Settings, StudyFolder, Trial, write_text
from hpo.report.command import space_text
from hpo.space import SearchSpace

N_STEPS = 5
N_PROBED = 2
"""The number of models that the search of probes takes from the ranking."""
MAX_PROBES = 64
"""More trials than the space of probes has configurations."""
MIN_PROBE_SECONDS = 10.0
"""The search of probes gets so much time even if none is left, because a fit needs a model."""
BACKENDS = {PROBE: "grid", FINE_TUNE: "freeze_thaw"}
"""The backend of each search. The space of probes has a few configurations, and all of them are tried."""


def fit(folder: FitFolder, display: Display) -> FitResult:
    """Run the steps that are not finished yet, and return the result.

    Interrupted at any moment, it goes on where it was when it is called again. Raises a UserError if the images or the
    weights cannot be used, or if no training has a result, and the errors of the search of probes.
    """
    if (found := folder.step("result")) is not None:
        display.note("this fit has ended; its result:")
        return FitResult.from_dict(found)
    steps = _Steps(folder, display)
    images = steps.look_over()
    ranking = steps.rank()
    steps.search_probes(ranking)
    steps.search_fine_tuned(ranking, images)
    return steps.finish(images)


@dataclass(frozen=True)
class _Steps:
    """The steps of a fit. Each returns what is on record if it is finished."""

    folder: FitFolder
    display: Display

    def look_over(self) -> DataSummary:
        self._show(1, "looking over the images")
        if self.folder.request.seconds < time_plan.SHORTEST:
            self.display.note("so short a time may not be enough, and the fit may take longer: give it some minutes")
        if (found := self.folder.step("images")) is None:
            began = time.monotonic()
            space = spaces.probe_space(self.folder.request, [ranking.any_candidate(self.folder.request)])
            summary = data_summary.summarise(space, self.folder.request)
            self.folder.end_step("images", time.monotonic() - began, **summary.to_dict())
        else:
            summary = DataSummary.from_dict(found)
        for line in data_summary.lines(summary, self.folder.request.metric):
            self.display.note(line)
        return summary

    def rank(self) -> FitRanking:
        self._show(2, "ranking pretrained models")
        if (found := self.folder.step("ranking")) is None:
            began = time.monotonic() - self.folder.kept_seconds("ranking")
            request = self.folder.request
            space = spaces.probe_space(request, ranking.candidates(request))

            def note(line: str) -> None:
                self.folder.keep_seconds("ranking", time.monotonic() - began)
                self.display.note(line)

            ranked = ranking.rank(space, request, self._left * time_plan.RANK_SHARE, note)
            self.folder.end_step("ranking", time.monotonic() - began, **ranked.to_dict())
        else:
            ranked = FitRanking.from_dict(found)
        for line in ranking.lines(ranked):
            self.display.note(line)
        if self._left < self._seconds_to_finish and self.folder.step(PROBE) is None:
            self.display.note("the ranking has used up the time, so the fit will take longer")
        return ranked

    def search_probes(self, ranked: FitRanking) -> None:
        self._show(3, "searching classifiers on frozen features")
        if self.folder.step(PROBE) is None:
            models = [each.model for each in ranked.models[:N_PROBED]]
            space = spaces.probe_space(self.folder.request, models, ranked.precision)
            seconds = max(MIN_PROBE_SECONDS, self._left - self._seconds_to_finish)
            self._search(space, Budget(trials=MAX_PROBES, seconds=seconds))
        if self._best(PROBE) is None:  # the time was over before the first result, and a fit needs one
            self._go_on(PROBE, Budget(trials=max(1, self._study(PROBE).history()[0].n_trials)))
        self._show_best(PROBE)

    def search_fine_tuned(self, ranked: FitRanking, images: DataSummary) -> None:
        self._show(4, "searching fine-tuned models")
        if self.folder.step(FINE_TUNE) is None:
            began = time.monotonic()
            try:
                if self._is_begun(FINE_TUNE):
                    self._go_on(FINE_TUNE)
                else:
                    self._begin_fine_tuning(ranked, images)
            except StudyError:  # such as a study that another process searches
                raise
            except HpoError as error:
                if self._best(PROBE) is None:
                    raise
                why = str(error).splitlines()[0] if str(error) else type(error).__name__
                self.display.note(f"fine-tuning failed, so the best probe is taken: {why}")
                self.folder.end_step(FINE_TUNE, time.monotonic() - began, searched=False, error=why)
        self._show_best(FINE_TUNE)

    def _begin_fine_tuning(self, ranked: FitRanking, images: DataSummary) -> None:
        """Search fine-tuned trainings of the best model that the time allows, or record that it allows none."""
        seconds = self._left - self._seconds_to_finish
        for model in ranked.models:
            plan = time_plan.fine_tuning(
                seconds, model.seconds_of_last_stages, images.train, min(model.image_size), images.validation
            )
            if plan is not None:
                self.display.note(f"{model.model}: {time_plan.in_words(plan)}")
                space = spaces.fine_tune_space(self.folder.request, model.model, plan, ranked.precision)
                of_search = time_plan.of_search(plan, seconds, images.train, images.validation)
                slots = time_plan.slots(plan, n_cores()) if self._is_on_cpu else None
                self._begin(space, Budget(trials=plan.trials, seconds=of_search), slots)
                return
        self.display.note("the time is too short to fine-tune a model: the best probe is taken")
        self.folder.end_step(FINE_TUNE, 0.0, searched=False)

    def finish(self, images: DataSummary) -> FitResult:
        self._show(5, "testing the best, writing the model and the report")
        began = time.monotonic()
        result = self._test_and_write(images)
        self.folder.end_step("result", time.monotonic() - began, **result.to_dict())
        return result

    def _test_and_write(self, images: DataSummary) -> FitResult:
        """Test the best trial of all searches once, and write the model, the space and the report."""
        found = [(best.rank, name, best) for name in (PROBE, FINE_TUNE) if (best := self._best(name)) is not None]
        if not found:
            raise UserError("no training of this fit has a result: give more time (--time), and another --out")
        _, name, best = min(found, key=lambda each: each[0])
        winner = self._study(name)
        seconds = self._left - self._seconds_to_finish / 2
        protocol = final_test.choose_protocol(self.folder, self.display, best, images, seconds)
        final_test.test(self.folder, self.display, winner, best, protocol, self._note)
        options = ModelOptions(best.number, overwrite=True)
        written = write_model(winner.folder, self.folder.model, options, notify=self._note)
        write_text(self.folder.space, space_text(winner))
        report.write([self._study(name).folder for _, name, _ in found], self.folder.report)
        return FitResult(winner.name, best.number, (*written.lines, final_test.interval(winner, best)))

    def _search(self, space: SearchSpace, budget: Budget) -> None:
        """Begin the search of a space with a budget, or go on with it."""
        if self._is_begun(space.name):
            self._go_on(space.name)
        else:
            self._begin(space, budget)

    def _begin(self, space: SearchSpace, budget: Budget, slots: int | None = None) -> None:
        """Search a space in so many slots, and record that it is finished."""
        path, request = self.folder.studies / space.name, self.folder.request
        backend = BACKENDS[space.name]
        settings = Settings(
            backend, seed=request.seed, runner="auto", devices=request.devices, slots=slots, data=request.data
        )
        with self.display.search(path, budget) as watch:
            begin(path, space, settings, budget, session=Session(watch=watch, notify=self._note))
        self._end(space.name)

    def _go_on(self, name: str, budget: Budget | None = None) -> None:
        """Go on with an interrupted search, with another budget if one is given, and record that it is finished."""
        path = self.folder.studies / name
        with self.display.search(path, budget or self._study(name).budget) as watch:
            resume(path, budget, session=Session(watch=watch, notify=self._note))
        self._end(name)

    def _end(self, name: str) -> None:
        with contextlib.closing(self._study(name).ledger(write=False)) as ledger:
            self.folder.end_step(name, ledger.recorded, searched=True)

    def _note(self, line: str) -> None:
        """Show a note of a search or test, unless it was shown when the images were looked over."""
        if line not in (self.folder.step("images") or {}).get("notes", ()):
            self.display.note(line)

    def _show(self, number: int, words: str) -> None:
        self.display.step(number, words, self._left)

    def _show_best(self, name: str) -> None:
        if (best := self._best(name)) is not None:
            self.display.note(f"best so far: {self._study(name).space.metric} {best.loss:.4f}")
        elif self._searched(name):
            self.display.note("no training of this search has a result")

    @property
    def _is_on_cpu(self) -> bool:
        return main_device(self.folder.request.devices) == "cpu"

    @property
    def _left(self) -> float:
        """The seconds that are left of the time of the fit."""
        return max(0.0, self.folder.request.seconds - self.folder.seconds_spent)

    @property
    def _seconds_to_finish(self) -> float:
        return time_plan.END_SHARE * self.folder.request.seconds

    def _is_begun(self, name: str) -> bool:
        return (self.folder.studies / name / STUDY_FILE).exists()

    def _searched(self, name: str) -> bool:
        """Whether a search has come to its end, without an error."""
        return bool((self.folder.step(name) or {}).get("searched"))

    def _best(self, name: str) -> Trial | None:
        """Return the best trial of a search. None if it was not searched to its end, or if no trial has a result."""
        ranked = self._study(name).history()[0].ranked() if self._searched(name) else []
        return ranked[0] if ranked else None

    def _study(self, name: str) -> StudyFolder:
        return StudyFolder.reopen(self.folder.studies / name)
