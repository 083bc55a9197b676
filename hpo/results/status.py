"""The status of a study in a few lines: its progress, its failures, its test results."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from hpo import plugins
from hpo.errors import UserError
from hpo.heldout import confusion, image_results, per_class, randomness, soup_record
from hpo.heldout.confusion import ConfusionMatrix
from hpo.heldout.plan import tested_protocol
from hpo.heldout.protocols import REFIT, RETRAIN
from hpo.heldout.record import TestRecord
from hpo.heldout.study_data import left_out_words
from hpo.heldout.trial_result import TrialResult, spoken
from hpo.quantities import duration, with_plural
from hpo.record import REFITTED, RETRAINED, History, State, StudyFolder, command, configuration, is_locked, shown_state
from hpo.record.resuming import how_to_resume
from hpo.results import confidence_text, held_out_confidence
from hpo.results.confidence_cache import cached_confidence
from hpo.results.image_groups import group_lines, held_out_group_lines
from hpo.space.objectives import searched_metric
from hpo.training import notices, slots_file
from hpo.trial import PEAKS, Crash, Report, Suggestion

LABEL_WIDTH = 9
"""The number of characters of the label of a line, such as `study` or `as good`, with the spaces behind it."""
NAME_WIDTH = 40
"""The largest number of characters of the name of a class in a line."""


def lines(folder: Path) -> list[str]:
    """Describe the progress of the study in `folder`: its phase, trials by state, epochs, time, and best trial.

    Lines about crashed and diverged trials and the notices of the training code follow, if there are any.
    """
    study = StudyFolder.reopen(folder)
    ledger = study.ledger(write=False)
    try:
        history, finished, elapsed = ledger.history, ledger.finished, ledger.recorded
    finally:
        ledger.close()
    searching = is_locked(folder)
    closed = finished is not None
    states = Counter(shown_state(trial, closed=closed, searching=searching).value for trial in history.trials.values())
    counts = ", ".join(f"{count} {state}" for state, count in sorted(states.items())) or "none yet"
    simulated = ", simulated: nothing was trained" if study.settings.curves is not None else ""
    n_devices = study.settings.devices_per_trial
    together = f", {n_devices} devices train each trial" if n_devices > 1 else ""
    text = [
        f"study    {study.name}: {_phase(study, finished, searching=searching)}",
        f"search   {study.space.name} by {study.settings.backend}, seed {study.settings.seed}{together}",
        f"trials   {len(history.trials)}: {counts}",
        f"epochs   {history.n_epochs} trained, {history.n_saved(closed=closed)} saved by stopping",
        f"time     {duration(elapsed)} of search{simulated}",
    ]
    best = history.incumbent
    if best is not None:
        text.append(f"best     {study.space.metric} {best.loss:.4f}, trial {best.number}: {configuration(best.config)}")
        text += _confidence_lines(study, history)
    if peaks := _peaks(history):
        text.append(f"memory   {peaks}")
    text += _slot_lines(study) if searching else []
    if (belief := _belief(study, history)) is not None:
        text.append(f"belief   {belief}")
    tested = _test_status(study, searching=searching)
    return text + tested + data_lines(study) + failures(study, history)


def _confidence_lines(study: StudyFolder, history: History) -> list[str]:
    """Lines on how sure the best trial is, or one that says why this is not known."""
    known, unknown_because = cached_confidence(study, history)
    if known is not None:
        grouped = group_lines(study, known.n_groups, known.n_images)
        return confidence_text.status_lines(known) + [f"groups   {line}" for line in grouped]
    return [f"expect   no interval: {unknown_because}"]


def _peaks(history: History) -> str:
    """The most memory that an epoch took, each with its trial, such as "up to 1.21 GiB of the host (trial 3)"."""
    text = []
    for name, where in zip(PEAKS, ("of the host", "of the GPU"), strict=True):
        peaks = {number: trial.peaks[name] for number, trial in history.trials.items() if name in trial.peaks}
        if peaks:
            number = max(peaks, key=lambda each: peaks[each])
            text.append(f"up to {peaks[number]:.2f} GiB {where} (trial {number})")
    return ", ".join(text)


def _slot_lines(study: StudyFolder) -> list[str]:
    """A line with the slots on each machine. Empty if the runner works on one machine."""
    counts = slots_file.read(study.checkpoints)
    each = [f"{host} {count.training} of {count.slots}" for host, count in sorted(counts.items())]
    return [f"slots    in use: {', '.join(each)}"] if each else []


def _belief(study: StudyFolder, history: History) -> str | None:
    """What the backend says of the search, see `status` in `hpo/backends/_backend.py`. None if it says nothing."""
    try:
        describe = getattr(plugins.load(plugins.BACKENDS, study.settings.backend), "status", None)
    except (UserError, ImportError):  # the backend, or a package that it needs, is not here
        return None
    events = [event for event in history.events if isinstance(event, Suggestion | Report | Crash)]
    return str(describe(study.space, events)) if describe and events else None


def _test_status(study: StudyFolder, *, searching: bool) -> list[str]:
    """Lines about the tests of a study: the tested trials, and whether a test was interrupted. Empty without a test."""
    record = TestRecord.read(study)
    trials = [
        f"trial {each.trial} accuracy {each.test_accuracy.text} with {with_plural(len(each.seeds), 'seed')}"
        f"{'' if each.protocol == RETRAIN else f' ({each.protocol})'}"
        for each in record.ranked()
    ]
    text = []
    if record.n_looks:
        looks = f"{with_plural(record.n_looks, 'look')} at held-out data"
        soup = soup_record.read(study)
        if soup is None or not soup.test:
            text.append(f"tested   {', '.join(trials) or 'no trial yet'}; {looks}")
        else:
            which = f"trial {soup.best.trial} alone" if len(soup.chosen) == 1 else f"{len(soup.chosen)} trials"
            averaged = f"soup of {which} accuracy {soup.test['accuracy']:.4f}"
            by = "hpo test and hpo soup" if trials else "hpo soup"
            text.append(f"tested   {', '.join([*trials, averaged])}; {looks} ({by})")
    if not searching and soup_record.is_unfinished(study):
        text.append(f"soup     interrupted: the same `{command('soup', study.folder)}` as before goes on")
    elif not searching and (record.unfinished or any((study.folder / each).exists() for each in (RETRAINED, REFITTED))):
        n = len(record.unfinished)
        without = f", {with_plural(n, 'look')} without a result" if n else ""
        text.append(f"test     interrupted{without}: the same `{_interrupted_test(study)}` as before goes on")
    return text


def _interrupted_test(study: StudyFolder) -> str:
    """The command of an interrupted test, without the numbers of trials and seeds, which are not on record."""
    is_refit = (study.folder / REFITTED).exists() and not (study.folder / RETRAINED).exists()
    protocol = REFIT if is_refit else RETRAIN
    return command("test", study.folder, *([] if protocol == tested_protocol(study) else ["--protocol", protocol]))


def data_lines(study: StudyFolder) -> list[str]:
    """Return lines about the files of a study, if there is anything to say.

    They say which files the last search left out, because they had changed, and give the notices of the training code,
    such as how a weights file was read.
    """
    left_out = [f"data     {left_out_words(study.left_out)}"] if study.left_out else []
    return left_out + notices.read(study.checkpoints)


def failures(study: StudyFolder, history: History) -> list[str]:
    """Describe the trials that failed: lines on crashed trials, with the first error, and one on diverged trials.

    Others are about trials that did not fit into memory, or only with their batches in parts.

    The command that tries crashed trials again follows, unless this was done. A trial has diverged if none of its
    losses was finite. No line is returned for a kind of failure that did not occur.
    """
    text = []
    retried = [history.trials[number].state for number in history.retried]
    for state, words in ((State.CRASHED, _crashed), (State.INFEASIBLE, _did_not_fit)):
        if n := retried.count(state):
            text.append(f"{words(n)}, and {'was' if n == 1 else 'were'} tried again")
    if crashes := [trial.crash for trial in history.crashed if trial.crash is not None]:
        first, n = crashes[0], len(crashes)
        text.append(f"{_crashed(n)}, the first (trial {first.trial}) with {first.summary}")
        again = how_to_resume(study, "--retry-crashed")
        text.append(f"{again} tries {'it' if n == 1 else 'them'} again")
    if infeasible := [trial.crash for trial in history.infeasible if trial.crash is not None]:
        first, n = infeasible[0], len(infeasible)
        text.append(f"{_did_not_fit(n)}, the first (trial {first.trial}): {first.summary}")
    in_parts = [each for each in history.trials.values() if each.reports and each.reports[-1].micro_batches]
    if in_parts:
        first_trial, n = in_parts[0], len(in_parts)
        text.append(
            f"{n} trial{'s' * (n > 1)} computed {'their' if n > 1 else 'its'} batches in parts to fit into memory, the "
            f"first (trial {first_trial.number}) in {first_trial.reports[-1].micro_batches}"
        )
    diverged = [trial.number for trial in history.trials.values() if trial.reports and trial.loss == float("inf")]
    if diverged:
        n = len(diverged)
        text.append(f"{n} trial{'s' * (n > 1)} diverged: no loss was finite, first of trial {diverged[0]}")
    return text


def _crashed(n: int) -> str:
    return f"{n} trial{'s' * (n > 1)} crashed"


def _did_not_fit(n: int) -> str:
    return f"{n} trial{'s' * (n > 1)} did not fit into memory"


def _phase(study: StudyFolder, finished: str | None, *, searching: bool) -> str:
    if searching:
        return "being searched or tested now"
    return f"finished, {finished}" if finished else f"cut short; {how_to_resume(study)} goes on"


def test_lines(record: TestRecord) -> list[str]:
    """Describe the results of `hpo test`: a line for each tested trial, then the number of looks at held-out data.

    A trial's line gives its test and validation accuracy, after the metric that was searched for: the mean and the
    standard deviation over seeds. Its interval and a line about its worst classes follow. Lines say which trials
    differ, and at the end, one about the results that the latest test kept may follow.
    """
    text = []
    metric = searched_metric(record.study.space.objective)
    matrices, images = confusion.read(record.study), image_results.read(record.study)
    for tested in record.trials:
        n_seeds, n_epochs = len(tested.seeds), tested.stopping_epoch
        trained = f"{n_epochs} epoch{'s' * (n_epochs > 1)}"
        seeds = f"{n_seeds} seed{'s' * (n_seeds > 1)}"
        is_random = randomness.is_random(record.study, tested.config)
        if n_seeds == 1 and not is_random:
            seeds = "nothing is random"
        details = f"{seeds}, {tested.protocol}, {trained}"
        if tested.left_out:
            details += f"; {left_out_words(tested.left_out)}"
        text.append(
            f"trial {tested.trial}: {_metric_words(tested, metric)}test accuracy "
            f"{tested.test_accuracy.text}, "
            f"validation accuracy {tested.val_accuracy.text} ({details})"
        )
        if tested.test_accuracy.is_finite:
            text.append(held_out_confidence.interval_line(tested, images, metric, is_random=is_random))
        text += class_lines(tested, per_class.of_trial(matrices, tested.trial))
    if any("±" in line for line in text):
        text.append("± is the standard deviation over seeds.")
    if any(tested.protocol == REFIT for tested in record.trials):
        text.append("refit: trained on the validation images too; the validation results are those of the search.")
    text += held_out_confidence.difference_lines(record, images)
    if any("95 % interval on " in line for line in text):
        text += held_out_group_lines(record.study, *held_out_confidence.n_groups_and_images(images))
    return text + look_lines(record)


def _metric_words(tested: TrialResult, metric: str | None) -> str:
    """The metric that was searched for on held-out and on validation data. Empty if the result does not have it."""
    parts = [("test", tested.metrics.get(f"test_{metric}")), ("validation", tested.metrics.get(f"val_{metric}"))]
    return "".join(f"{part} {spoken(str(metric))} {spread.text}, " for part, spread in parts if spread is not None)


def class_lines(tested: TrialResult, matrices: Sequence[ConfusionMatrix]) -> list[str]:
    """Name the classes of a tested trial with the lowest recall. `matrices` are its confusion matrices.

    If some or all of the tested models have no matrix, a line says so. A model that diverged counts as one of these.
    """
    n_seeds, n = len(tested.seeds), len(matrices)
    if not n:
        reason = "its training code has no `predict(part)`, or an earlier version of hpo tested it"
        return [f"  no results per class: {reason}"] if tested.test_accuracy.is_finite else []
    worst = ", ".join(
        f"{_short_name(each.name)} {each.recall.text} ({each.support} image{'s' * (each.support != 1)})"
        for each in per_class.worst(per_class.results(matrices))
    )
    return [f"  lowest recall{f' (over {n} of {n_seeds} seeds)' * (n < n_seeds)}: {worst}"]


def _short_name(name: str) -> str:
    """The name of a class in one line. A long name is cut."""
    return name if len(name) <= NAME_WIDTH else f"{name[: NAME_WIDTH - 3]}..."


def look_lines(record: TestRecord) -> list[str]:
    """Say which results the latest test kept, if any, and how often the held-out data has been looked at."""
    text = []
    if record.kept:
        kept = ", ".join(f"trial {each.trial} seed {each.seed}" for each in record.kept)
        text.append(f"Kept from an earlier test, neither trained nor looked at again: {kept}.")
    if record.trained_on_held_out:
        numbers = ", ".join(map(str, record.trained_on_held_out))
        text.append(f"A model was also trained on the held-out data, which cannot judge it any more: trial {numbers}.")
    if n := len(record.unfinished):
        text.append(
            f"{n} look{'s' * (n > 1)} had no result: the test was interrupted. "
            "A test with the same model and packages finishes it."
        )
    n_looks = record.n_looks
    return [*text, f"The held-out data of this study has been looked at {n_looks} time{'s' * (n_looks != 1)}."]
