"""What was searched and what was found, in sentences and key figures."""

from __future__ import annotations

from hpo.heldout import image_results, randomness
from hpo.heldout.protocols import RETRAIN
from hpo.heldout.trial_result import TrialResult, spoken
from hpo.quantities import duration, with_plural
from hpo.record import State, configuration, shown_state
from hpo.report import soup
from hpo.report.content import Content
from hpo.results.confidence_text import table_lines
from hpo.results.held_out_confidence import difference_lines, interval_line, n_groups_and_images
from hpo.results.image_groups import group_lines, held_out_group_lines
from hpo.space import SearchSpace
from hpo.space.objectives import searched_metric
from hpo.trial import PEAKS

N_NAMED = 20
"""The largest number of trials that are named in a sentence."""


def searched(content: Content) -> str:
    """What was searched, in one sentence."""
    study, history = content.study, content.history
    n, names = len(history.trials), list(study.space.domains)
    verb = "simulated a search of" if content.is_simulated else "searched"
    hyperparameters = f"{len(names)} hyperparameter{'s' * (len(names) != 1)} of {_subject(content)}"
    top = study.space.fidelity.high
    return (
        f"{study.settings.backend} {verb} {hyperparameters} for the lowest {study.space.metric}: "
        f"{with_plural(n, 'configuration')}, trained for up to {with_plural(top, 'epoch')} each."
    )


def _subject(content: Content) -> str:
    """What the hyperparameters belong to: the regime, the model and the data set."""
    space = content.study.space
    if content.study.trainable_digest is not None:
        return "training code of its own"
    task = space.task
    regime, model = (_task_words(space, key, getattr(task, key)) for key in ("regime", "model"))
    words = " of ".join(word for word in (regime, model) if word)
    return f"{words or space.name}{f' on {task.dataset.name}' if task.dataset else ''}"


def _task_words(space: SearchSpace, key: str, name: str | None) -> str | None:
    """The name of the regime or the model, or those that are searched."""
    if name is None and key in space.domains:
        return " or ".join(map(str, getattr(space.domains[key], "choices", ())))
    return name


def found(content: Content) -> str:
    """What was found, in one sentence."""
    best, tested = content.history.incumbent, content.tested
    if best is None:
        return "No trial has a finite value yet." if content.history.trials else "No trial has begun yet."
    accuracy = best.best.metrics.get("val_accuracy") if best.best else None
    words = f"The best, trial {best.number} ({configuration(best.config)}), reached {content.study.space.metric} "
    words += f"{best.loss:.4f}" + (f" and a validation accuracy of {accuracy:.4f}" if accuracy is not None else "")
    if tested is None and content.soup is not None and content.soup.test:
        return f"{words}; on held-out data {soup.reached(content.soup)}."
    if tested is None:
        return f"{words}; it was never tested on held-out data."
    which = "it" if tested.trial == best.number else f"trial {tested.trial}"
    return f"{words}; on held-out data {which} reached {test_words(content, tested)}."


def certainty(content: Content) -> list[str]:
    """How sure the result of the search is, in sentences."""
    sure = content.confidence
    if sure is None:
        reason = content.unsure_because
        return [f"How sure this is, is not known: {reason}."] if content.history.incumbent is not None else []
    text = table_lines(sure) + group_lines(content.study, sure.n_groups, sure.n_images)
    if n := len(sure.as_good):
        named = ", ".join(map(str, sure.as_good[:N_NAMED])) + ", ..." * (n > N_NAMED)
        text.append(f"Trials that cannot be told apart from it: {named} ({n} of {len(sure.compared) - 1}).")
    elif len(sure.compared) > 1 and sure.best in sure.intervals:
        text.append(f"It can be told apart from each of the {len(sure.compared) - 1} others.")
    return text


def of_test(content: Content) -> list[str]:
    """How sure the results on held-out data are, in sentences: intervals, or why they are not known."""
    images = image_results.read(content.study)
    metric = searched_metric(content.study.space.objective)
    text = []
    for tested in content.test.ranked():
        if tested.test_accuracy.is_finite:
            is_random = randomness.is_random(content.study, tested.config)
            line = interval_line(tested, images, metric, is_random=is_random)
            text.append(f"Trial {tested.trial}: {line.strip()}.")
    grouped = held_out_group_lines(content.study, *n_groups_and_images(images)) if images else []
    return text + difference_lines(content.test, images) + grouped


def test_words(content: Content, tested: TrialResult) -> str:
    """The result of a tested trial on held-out data: the metric that was searched for, and the accuracy."""
    metric = searched_metric(content.study.space.objective)
    spread = tested.metrics.get(f"test_{metric}")
    first = f"{spoken(str(metric))} {spread.text} and " if spread is not None else ""
    n = len(tested.seeds)
    is_random = n > 1 or randomness.is_random(content.study, tested.config)
    protocol = "" if tested.protocol == RETRAIN else f", {tested.protocol}"
    seeds = f" ({with_plural(n, 'seed') if is_random else 'nothing is random in its training'}{protocol})"
    return f"{first}an accuracy of {tested.test_accuracy.text}{seeds}"


def phase(content: Content) -> str | None:
    """That the search has not ended, if so."""
    if content.searching:
        return "This study is being searched or tested now: the page shows what was on record when it was written."
    if content.finished is None:
        return "The search was cut short and can go on: the page shows what is on record."
    return None


def key_figures(content: Content) -> list[tuple[str, str]]:
    """The figures at the top of the page, each with its label."""
    history, tested = content.history, content.tested
    best = history.incumbent
    figures = []
    if tested is not None:
        accuracy = tested.test_accuracy
        # Spaces that do not break keep a number and its sign on one line.
        n = len(tested.seeds)
        spread = (
            f" ±\N{NO-BREAK SPACE}{accuracy.std:.4f} ({n}\N{NO-BREAK SPACE}seeds)" if accuracy.std is not None else ""
        )
        figures.append((f"{accuracy.mean:.4f}" if accuracy.is_finite else "not finite", f"test accuracy{spread}"))
    if best is not None:
        figures.append((f"{best.loss:.4f}", f"best {content.study.space.metric}"))
    figures += [(f"{len(history.trials):,}", "trials"), (f"{history.n_epochs:,}", "epochs trained")]
    figures.append((duration(content.seconds), "simulated time" if content.is_simulated else "time of search"))
    figures.append((f"{n_saved(content):,}", "epochs saved by stopping"))
    return figures


def n_saved(content: Content) -> int:
    """The number of epochs that stopping saved."""
    return content.history.n_saved(closed=content.finished is not None)


def cost(content: Content) -> list[tuple[str, str]]:
    """What the search cost and what was saved, as rows of a table."""
    history = content.history
    closed = content.finished is not None
    shown = [shown_state(trial, closed=closed, searching=content.searching) for trial in history.trials.values()]
    states = ", ".join(f"{shown.count(each)} {each.value}" for each in State if each in shown) or "none"
    saved = n_saved(content)
    whole = history.n_epochs + saved
    trained = sum(report.seconds for trial in history.trials.values() for report in trial.reports)
    rows = [("trials", f"{len(history.trials):,}: {states}"), ("epochs trained", f"{history.n_epochs:,}")]
    if saved:
        share = f" ({saved / whole:.0%} of the {whole:,} that all of these trials would have taken to the end)"
        rows.append(("epochs saved by stopping", f"{saved:,}{share}"))
    rows.append(("time of search", duration(content.seconds) + " (simulated)" * content.is_simulated))
    rows.append(("time of training, over all trials", duration(trained) + " (simulated)" * content.is_simulated))
    peaks = [max((trial.peaks.get(name, 0.0) for trial in history.trials.values()), default=0.0) for name in PEAKS]
    for peak, where in zip(peaks, ("main memory", "GPU memory"), strict=True):
        if peak:
            rows.append((f"{where} of a trial", f"up to {peak:.2f} GiB"))
    return rows
