"""The `Study` of the Python API: the results of one study, and how to resume and test it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from hpo.api.held_out import soup_frame, tested_frame
from hpo.api.progress import interrupt_note, print_notices, show_progress
from hpo.api.short_traceback import short_traceback
from hpo.errors import HpoError, StudyError
from hpo.final_model import Model, ModelOptions, load_model, write_model
from hpo.heldout import ModelResult, Plan, evaluate, tested_protocol, tested_seeds
from hpo.loop import Session, replay_study, resume
from hpo.record import Budget, StudyFolder
from hpo.results import status, table, tables, write_tables
from hpo.results.progress import epoch_progress, print_note
from hpo.results.rendering import cell
from hpo.results.training_progress import TrainingProgress
from hpo.space import SearchSpace
from hpo.space.objectives import searched_metric
from hpo.space.values import with_lists
from hpo.training import Build
from hpo.training.random_states import unchanged_random_states
from hpo.trial import Scalar

if TYPE_CHECKING:
    from pandas import DataFrame

N_SHOWN = 10
"""The number of rows of the table that a notebook shows."""


@dataclass(frozen=True)
class BestTrial:
    """The best trial of a study."""

    trial: int
    """Its number."""
    config: Mapping[str, Any]
    """Its hyperparameters, as the training code got them."""
    loss: float
    """The objective at its best epoch."""
    epoch: int
    """The best epoch."""
    metrics: Mapping[str, float]
    """All metrics of that epoch."""


def resume_with_progress(folder: Path, budget: Budget, session: Session, *, quiet: bool, **how: Any) -> None:
    """Resume the study in `folder`, and show its progress unless `quiet`. `how` are arguments of `hpo.loop.resume`."""
    study = StudyFolder.reopen(folder)
    shown_budget = study.budget if budget == Budget() else budget
    with show_progress(shown_budget, quiet=quiet) as watch:
        resume(folder, budget, session=replace(session, watch=watch), **how)
    print_notices(study, quiet=quiet)


class Study:
    """One study. It reads its folder anew at each call, so it shows what is on record now."""

    def __init__(self, path: Path, trainable: Build | None = None) -> None:
        """The study in the folder `path`. `trainable` is the user's training code, None if a regime trains."""
        self.path = path.absolute()
        """The folder of the study."""
        self._trainable = trainable

    @property
    def name(self) -> str:
        """The name of the study."""
        return self.path.name

    @property
    @short_traceback
    def space(self) -> SearchSpace:
        """The space that it searches."""
        return self._folder.space

    @short_traceback
    def table(self) -> DataFrame:
        """All trials, sorted by loss; trials without a loss come last.

        Columns: trial, state; the hyperparameters, empty if not active; the metrics at the best epoch; loss,
        stopping_epoch (the best epoch), epochs (trained), bracket, seconds; peak_host_gib and, on a GPU,
        peak_gpu_gib (the most memory that an epoch took); for tested trials test_accuracy, test_accuracy_std,
        test_loss, test_seeds; for crashed and infeasible trials error.
        """
        return table(self._folder)

    @property
    @short_traceback
    def best(self) -> BestTrial:
        """The trial with the lowest loss. Raises StudyError if no trial has a finite loss."""
        history, _ = self._folder.history()
        ranked = history.ranked()
        if not ranked or ranked[0].best is None:
            raise StudyError(f"study {self.name!r} has no trial with a finite loss")
        trial, report = ranked[0], ranked[0].best
        config = {name: with_lists(value) for name, value in trial.config.items()}
        return BestTrial(trial.number, config, report.loss, report.fidelity, dict(report.metrics))

    @short_traceback
    def curves(self) -> DataFrame:
        """One row for each epoch of each trial: trial, epoch, and each metric, NaN if a trial lacks it."""
        import pandas as pd

        history, _ = self._folder.history()
        rows = [
            {"trial": trial.number, "epoch": report.fidelity, **report.metrics}
            for trial in history.trials.values()
            for report in trial.reports
        ]
        return pd.DataFrame(rows, columns=None if rows else ["trial", "epoch"])

    @short_traceback
    def resume(
        self,
        *,
        trials: int | None = None,
        epochs: int | None = None,
        time: float | None = None,
        quiet: bool = False,
        skip_changed_files: bool = False,
        retry_crashed: bool = False,
        **settings: object,
    ) -> Study:
        """Resume the study. A given budget replaces the old one, and counts from the start of the study.

        `time` is in seconds; 0 ends the study now. Raises StudyError if the data set or the weights changed since the
        study was begun. With `skip_changed_files`, it goes on without the files of the data set that changed.

        With `retry_crashed`, trials that crashed or did not fit into memory are tried again, as new trials. They count
        once in the budget.

        `settings` are new values of runner, devices, slots, devices_per_trial, storage, data, max_crashes,
        report_timeout, curves, runner_options, predictions or track. The study keeps them.
        """
        with interrupt_note(lambda: self.path, quiet=quiet):
            resume_with_progress(
                self.path,
                Budget(trials, epochs, time),
                Session(self._trainable, notify=None if quiet else print_note),
                quiet=quiet,
                skip_changed_files=skip_changed_files,
                retry=retry_crashed,
                settings=settings,
            )
        return self

    @short_traceback
    def test(
        self,
        *,
        top: int = 1,
        seeds: int | None = None,
        protocol: str | None = None,
        quiet: bool = False,
        skip_changed_files: bool = False,
    ) -> DataFrame:
        """Test the `top` best trials on held-out data, and return one row for each tested trial.

        `retrain` trains each again to its best epoch with each of `seeds` seeds (by default as many as tested before,
        or 1). `refit` does so on the training and the validation images together. `checkpoint` tests the weights of
        the search. The default is the protocol of the latest test, or `retrain`. What was tested before is kept, not
        repeated. Each look at held-out data is counted in the study's `test.json`. If the data set changed since the
        study was begun, StudyError is raised; with `skip_changed_files`, the files that changed are left out.

        Columns: trial; the hyperparameters; protocol, seeds, epochs; the mean and standard deviation (over seeds) of
        val_accuracy and test_accuracy; test_loss; the means of the other metrics, such as val_f1 and test_f1.
        """

        def watch(result: ModelResult) -> None:
            progress.end(result)
            if not quiet:
                print(result.words(searched_metric(self.space.objective)))

        progress = TrainingProgress(Console(stderr=True, quiet=quiet, force_jupyter=False))
        protocol = tested_protocol(self._folder) if protocol is None else protocol
        with interrupt_note(lambda: self.path, quiet=quiet), unchanged_random_states(), progress:
            record = evaluate(
                self.path,
                Plan(top, tested_seeds(self._folder, protocol) if seeds is None else seeds, protocol),
                trainable=self._trainable,
                watch=watch,
                watch_epoch=progress,
                notify=None if quiet else print_note,
                skip_changed_files=skip_changed_files,
            )
        write_tables(self._folder)
        if not quiet:
            print(*status.look_lines(record), sep="\n")
        return tested_frame(record)

    @short_traceback
    def soup(self, *, top: int = 10, quiet: bool = False, skip_changed_files: bool = False) -> DataFrame:
        """Average the weights of some of the `top` best trials, as `hpo soup` does, and test it on held-out data.

        Two rows, the soup and the best single model. Columns: model (soup, best), trials (a list of their numbers), and
        each metric on validation and on held-out data, such as val_loss and test_loss. It counts as one look.
        """
        return soup_frame(self.path, top, quiet=quiet, skip_changed_files=skip_changed_files)

    @short_traceback
    def replay(
        self,
        backend: str,
        *,
        options: Mapping[str, Scalar] | None = None,
        seeds: int = 5,
        slots: int = 1,
        epochs: int | None = None,
    ) -> DataFrame:
        """Search the recorded learning curves of the study with another backend, and return how many epochs it needs.

        Nothing is trained. Each suggestion takes the curve of the nearest recorded configuration that was not taken
        yet, so the replay says nothing about configurations that the study did not try.

        Args:
            backend: the backend, with its `options`.
            seeds: the number of searches, with the seeds 0, 1, ...
            slots: the number of trials that train at once.
            epochs: the epochs of each search. By default it goes on until every recorded trial was played. It ends
                before that when it has found the best value of the study.

        Columns: search ("study" in the first row, which is the study as it was run, else the backend); seed;
        epochs_to_best and epochs_to_5_percent, the epochs over all trials until the best value of the study, and until
        a value within 5 % of it, NA if not reached; best, the best value after `epochs` epochs; trials; epochs;
        cut_trials, the trials that ended because their recorded curve ends before the top rung.

        Crashed trials are left out. Raises StudyError if the study has fewer than two other trials, or no complete one.
        """
        found = replay_study(self.path, backend, options=options, seeds=seeds, slots=slots, epochs=epochs)
        return found.frame()

    # More than six arguments: each is an option of `hpo model`, and a notebook names only those that it needs.
    @short_traceback
    def model(
        self,
        out: str | Path,
        *,
        trial: int | None = None,
        train_on: str | None = None,
        soup: bool = False,
        formats: Sequence[str] = (),
        overwrite: bool = False,
        quiet: bool = False,
        skip_changed_files: bool = False,
    ) -> Model:
        """Write the best trial, or `trial`, as a model folder at `out`, and return its model.

        `train_on` is "train", "train+validation" or "all", which includes the held-out part. The trial is trained once
        more if there is no model of these parts. By default, it is what the tested model was trained on, or "train".
        With `soup`, the average that `Study.soup` made is written instead. `formats` are further formats to write it
        in: "onnx", or "torch" for torch.export. With `overwrite`, a model folder at `out` is replaced. If the data set
        changed since the study was begun, StudyError is raised; with `skip_changed_files`, the files that changed are
        left out.
        """
        options = ModelOptions(trial, train_on, formats, overwrite, skip_changed_files, soup)
        notify = None if quiet else print_note
        with unchanged_random_states(), epoch_progress(quiet=quiet) as watch:
            written = write_model(self.path, Path(out), options, trainable=self._trainable, notify=notify, watch=watch)
        if not quiet:
            print(*written.lines, sep="\n")
        return load_model(written.folder)

    def __repr__(self) -> str:
        try:
            lines = status.lines(self.path)
        except HpoError as error:  # a damaged study must not hide the others of a list
            lines = [str(error)]
        return "\n".join([f"Study({str(self.path)!r})", *lines])

    @short_traceback
    def _repr_html_(self) -> str:
        """What a notebook shows: the progress of the study, and its best trials."""
        try:
            lines = "".join(f"{escape(line)}\n" for line in status.lines(self.path))
        except HpoError:
            return f"<pre>{escape(repr(self))}</pre>"
        frame = self.table().dropna(subset=["loss"]).head(N_SHOWN)
        best = tables.short(frame, self.space.domains, self.space.objective)
        return f"<pre>{lines}</pre>{best.map(cell).to_html(index=False, border=0)}"

    @property
    def _folder(self) -> StudyFolder:
        return StudyFolder.reopen(self.path)
