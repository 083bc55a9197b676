"""The commands that make a study again."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Mapping

import yaml

from hpo import spacefile
from hpo.errors import UserError
from hpo.heldout.protocols import RETRAIN
from hpo.heldout.soup import DEFAULT_TOP
from hpo.record import StudyFolder
from hpo.report.content import Content
from hpo.space.values import format_value

SPACE_FILE = "space.yaml"
"""The file that the space of a report is to be saved as, if it is no bundled one."""


def commands(content: Content) -> list[str]:
    """The command lines that search the space again, test it again, and make its soup again.

    Empty if it was searched from Python. What `left_out` names is not repeated.
    """
    study, test, soup = content.study, content.test, content.soup
    if study.trainable_digest is not None:
        return []
    lines = [shlex.join(_search_words(study, content.history.n_epochs))]
    for protocol in dict.fromkeys(each.protocol for each in test.trials):
        of_protocol = [each for each in test.trials if each.protocol == protocol]
        n_seeds, top = max(len(each.seeds) for each in of_protocol), _top(content, {each.trial for each in of_protocol})
        test_words = ["hpo", "test", study.name, "--top", str(top), "--seeds", str(n_seeds)]
        is_default = protocol == RETRAIN and len(lines) == 1  # later, it is the protocol of the test before
        lines.append(shlex.join([*test_words, *([] if is_default else ["--protocol", protocol])]))
    if soup is not None and soup.test:
        n_trials = len(soup.origin["trials"])
        is_default = n_trials == min(DEFAULT_TOP, len(content.history.ranked()))
        lines.append(shlex.join(["hpo", "soup", study.name, *([] if is_default else ["--top", str(n_trials)])]))
    return lines


def _top(content: Content, trials: Collection[int]) -> int:
    """How many of the best trials there are down to the last of these."""
    ranked = [trial.number for trial in content.history.ranked()]
    return 1 + max((ranked.index(number) for number in trials if number in ranked), default=len(trials) - 1)


def left_out(study: StudyFolder) -> list[str]:
    """What the search was given and `commands` does not repeat.

    These are places of the machine that searched, and files and studies that may not be there any more.
    """
    settings = study.settings
    given = {
        "--data (the folder of the data sets)": settings.data is not None,
        "--storage (its database)": settings.storage is not None,
        "--track (where its trials were sent)": bool(settings.track),
        "--try (configurations that it tried first)": bool(settings.try_first),
        "--from (an earlier study)": settings.from_study is not None,
    }
    return [words for words, is_given in given.items() if is_given]


def _search_words(study: StudyFolder, n_epochs: int) -> list[str]:
    """The words of the command that searches the space of a study again.

    `n_epochs` is the number of epochs that were trained: the budget of a search that was ended by hand.
    """
    settings, budget = study.settings, study.budget
    words = ["hpo", "search", "--space", _space(study), "--backend", settings.backend]
    words += _repeated("--option", settings.options)
    words += ["--seed", str(settings.seed)]
    words += _given("--trials", budget.trials)
    if budget.seconds == 0:  # the search was ended where it was
        words += ["--epochs", str(n_epochs)]
    else:
        words += _given("--epochs", budget.epochs)
        words += _given("--time", None if budget.seconds is None else f"{budget.seconds:.10g}s")
    words += ["--curves", settings.curves] if settings.curves else ["--runner", settings.runner]
    words += _given("--devices", settings.devices if settings.devices != "auto" else None)
    words += _given("--slots", settings.slots)
    words += _given("--devices-per-trial", settings.devices_per_trial if settings.devices_per_trial > 1 else None)
    words += _repeated("--runner-option", settings.runner_options)
    words += _given("--report-timeout", f"{settings.report_timeout:.10g}s" if settings.report_timeout else None)
    words += _given("--max-crashes", settings.max_crashes)
    words += [] if settings.predictions else ["--no-predictions"]
    return [*words, "--study", study.name]


def _given(option: str, value: object) -> list[str]:
    """The words that give an option. There are none if the value is None."""
    return [] if value is None else [option, str(value)]


def _repeated(option: str, values: Mapping[str, object]) -> list[str]:
    """The words that give an option once for each value."""
    return [word for name, value in values.items() for word in (option, f"{name}={format_value(value)}")]


def space_text(study: StudyFolder) -> str:
    """The space of a study, as a space file."""
    return yaml.safe_dump(study.space.to_dict(), sort_keys=False, allow_unicode=True, default_flow_style=None)


def _space(study: StudyFolder) -> str:
    """The name of the bundled space that the study searched, or SPACE_FILE if it is none of them."""
    path = spacefile.bundled().get(study.space.name)
    try:
        is_bundled = path is not None and spacefile.read(path).digest() == study.space.digest()
    except UserError:  # it names a plug-in that is not installed
        is_bundled = False
    return study.space.name if is_bundled else SPACE_FILE


def is_bundled(study: StudyFolder) -> bool:
    """Whether the study searched a bundled space as it is."""
    return _space(study) != SPACE_FILE
