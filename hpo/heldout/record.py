"""The content of `test.json`: the result of each tested trial, and the number of looks at held-out data."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from hpo.errors import StudyError
from hpo.heldout.trial_result import ModelResult, TrialResult
from hpo.record import TEST_FILE, StudyFolder, Trial, changed_versions, write_text

TRAINED_ON = "trained_on_held_out"
"""The key of `test.json` that lists the trials that were also trained on the held-out part."""
UNFINISHED = "unfinished_looks"
"""The key of `test.json` that lists the looks that were interrupted before their results were written."""
Look = Mapping[str, Any]
"""All that the result of a look depends on, as plain values: the trained weights, the packages and the images."""


class TestRecord:
    """All tests of a study so far: the content of its `test.json`."""

    def __init__(
        self,
        study: StudyFolder,
        n_looks: int = 0,
        trials: Sequence[TrialResult] = (),
        trained_on_held_out: Sequence[int] = (),
        unfinished: Sequence[Look] = (),
    ) -> None:
        self.study = study
        """The tested study."""
        self.n_looks = n_looks
        """The number of looks at held-out data."""
        self.trials = list(trials)
        """The tested trials, in the order in which they were tested."""
        self.trained_on_held_out = list(trained_on_held_out)
        """The trials that were also trained on the held-out part, by `hpo model --train-on all`."""
        self.unfinished = list(unfinished)
        """The looks that have no result, because the test was interrupted. `n_looks` includes them."""
        self.kept: list[ModelResult] = []
        """The results of earlier tests that the latest test did not repeat."""

    @classmethod
    def read(cls, study: StudyFolder) -> TestRecord:
        """Read `test.json`. If there is no such file, the result is empty. Raises StudyError if it is damaged."""
        path = study.folder / TEST_FILE
        if not path.exists():
            return cls(study)
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            if not isinstance(content["looks"], int) or not isinstance(content["results"], list):
                raise TypeError("looks or results")
            results = [TrialResult.from_json(each) for each in content["results"]]
            trained_on = [int(each) for each in content.get(TRAINED_ON, [])]
            unfinished = [dict(each) for each in content.get(UNFINISHED, [])]
            return cls(study, content["looks"], results, trained_on, unfinished)
        except (ValueError, KeyError, TypeError) as error:
            raise StudyError(f"{path}: is damaged, or was written by another version: {error}") from None

    def begin_look(self, look: Look) -> None:
        """Count a look at held-out data, and write the count to disk. Call this before the look.

        A look that an interrupted test began with the same weights is not counted again: it gives the same result.
        """
        if not any(_is_same(look, each) for each in self.unfinished):
            self.n_looks += 1
            self.unfinished.append(dict(look))
        self.write()

    def end_look(self, look: Look) -> None:
        """Note that the result of a look is known. It is not written to disk."""
        self.unfinished = [each for each in self.unfinished if not _is_same(look, each)]

    def note_training(self, trial: int) -> None:
        """Note that a trial is also trained on the held-out part, and write that to disk. Call this before."""
        self.trained_on_held_out = sorted({*self.trained_on_held_out, trial})
        self.write()

    def keep(self, trials: Sequence[Trial], protocol: str) -> None:
        """Fill `kept` with the results of `trials` that a test by this protocol need not repeat.

        These have the same protocol, configuration and stopping epoch, and were trained and tested on all files by the
        packages that are installed now. So they can be combined with results for other seeds.
        """
        self.kept = []
        for trial in trials:
            assert trial.best is not None, "only trials with a finite loss are tested"
            now = (trial.number, protocol, dict(trial.config), trial.best.fidelity)
            for tested in self.trials:
                of_test = (tested.trial, tested.protocol, tested.config, tested.stopping_epoch)
                if of_test == now and not tested.left_out and not changed_versions(tested.versions):
                    self.kept += tested.models()

    def replace(self, tested: TrialResult) -> None:
        """Add the result of a trial, and remove the earlier result of the same trial. It is not written to disk."""
        self.trials = [*(old for old in self.trials if old.trial != tested.trial), tested]

    def to_json(self) -> dict[str, Any]:
        """Return the content of `test.json`."""
        trained_on = {TRAINED_ON: self.trained_on_held_out} if self.trained_on_held_out else {}
        unfinished = {UNFINISHED: self.unfinished} if self.unfinished else {}
        results = [each.to_json() for each in self.trials]
        return {"study": self.study.name, "looks": self.n_looks, **trained_on, **unfinished, "results": results}

    def write(self) -> None:
        """Write `test.json` into the study's folder."""
        write_text(self.study.folder / TEST_FILE, json.dumps(self.to_json(), indent=2) + "\n")

    def ranked(self) -> list[TrialResult]:
        """Return the tested trials in the order in which the search ranks them."""
        return sorted(self.trials, key=lambda each: (each.rank, each.trial))

    def finite(self) -> list[TrialResult]:
        """Return the tested trials with a finite test accuracy, in the order in which the search ranks them.

        Raises StudyError if nothing was tested (the message says what to type), or if no accuracy is finite.
        """
        name = self.study.name
        if not self.trials:
            raise StudyError(f"nothing of study {name!r} was tested: run `hpo test {name} --top N` first")
        finite = [each for each in self.ranked() if each.test_accuracy.is_finite]
        if not finite:
            raise StudyError(f"no tested trial of study {name!r} has a finite test accuracy: there is nothing to draw")
        return finite


def _is_same(look: Look, earlier: Look) -> bool:
    """Whether a look of now gives the result of an earlier one. A package that was not recorded then does not count."""
    recorded = earlier.get("versions")
    return {**look, "versions": recorded} == {**earlier, "versions": recorded} and (
        look.get("versions") == recorded or not changed_versions(recorded or {})
    )
