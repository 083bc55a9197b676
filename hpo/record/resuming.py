"""How a user goes on with a study: the command, or the call in Python for a study of training code in Python."""

from __future__ import annotations

from hpo import plugins
from hpo.record.files import command
from hpo.record.study_folder import StudyFolder


def how_to_resume(study: StudyFolder, option: str = "") -> str:
    """Return the command that goes on with a study, or the call if it trains by code in Python.

    `option` is an option of `hpo resume`, such as `--retry-crashed` or `--runner processes`.
    """
    if study.trainable_digest is None:
        return f"`{command('resume', study.folder, *filter(None, [option]))}`"
    argument = _argument(study, option) if option else ""
    return f"`open_study({str(study.folder)!r}, trainable=...).resume({argument})` in Python"


def _argument(study: StudyFolder, option: str) -> str:
    """An option of `hpo resume` as an argument of `Study.resume`."""
    flag, _, value = option.partition(" ")
    name = flag.removeprefix("--").replace("-", "_")
    if not value:
        return f"{name}=True"
    declared = plugins.flags(plugins.module_name(plugins.RUNNERS, study.settings.runner))
    options = {each: value for each, of_runner in declared.items() if of_runner == flag}
    return f"runner_options={options}" if options else f"{name}={value!r}"
