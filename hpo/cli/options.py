"""Options and values that several commands share."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click

from hpo.cli import completion
from hpo.errors import UnknownName, UserError, shortened

F = TypeVar("F", bound=Callable[..., Any])

DATA_HELP = "The folder of the data sets and weights; $HPO_DATA or ~/.cache/hpo by default."
DEVICES_PER_TRIAL_HELP = "GPUs (on the CPU: processes) that train each trial together; 1 by default."
AUTO = "auto"
"""The name that stands for the runner that is chosen by itself, which has no flags."""
MAX_CRASHES_HELP = "Crashes in a row that end the search; 5 by default, and 3 before the first epoch."


SLOTS_HELP = "Trials to run at once on each device; auto measures how many fit into memory."


class Slots(click.ParamType[int | str]):
    """A whole number of at least 1, or auto."""

    name = "n|auto"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | str:
        text = str(value).strip()
        if text != "auto" and not (text.isdecimal() and int(text) >= 1):
            self.fail(f"{text!r} is neither a whole number of at least 1 nor auto", param, ctx)
        return text if text == "auto" else int(text)


class Duration(click.ParamType[float]):
    """A time such as 90s, 30m, 2h, 1.5h or 1h30m, in seconds. Each number needs its unit; 0 needs none."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        text, number = str(value).strip(), r"\d+(?:\.\d+)?"
        if re.fullmatch(r"0+(?:\.0*)?", text):
            return 0.0
        if re.fullmatch(number, text):
            self.fail(f"{text!r} has no unit; write {text}s, {text}m or {text}h", param, ctx)
        match = re.fullmatch(f"(?:({number})h)?(?:({number})m)?(?:({number})s)?", text)
        if match is None or not text:
            self.fail(f"{value!r} is no time; write 90s, 30m, 2h or 1h30m", param, ctx)
        hours, minutes, seconds = (float(part or 0) for part in match.groups())
        return hours * 3600 + minutes * 60 + seconds


def budget_options(verb: F) -> F:
    """--trials, --epochs and --time."""
    time = click.option("--time", "seconds", type=Duration(), help="Wall time of the study in all: 30m, 2h.")
    epochs = click.option("--epochs", type=click.IntRange(0), help="Epochs to train, over all trials.")
    trials = click.option("--trials", type=click.IntRange(0), help="Trials to begin in all; 64 if nothing is said.")
    return trials(epochs(time(verb)))


def studies_option(verb: F) -> F:
    """--studies DIR."""
    return click.option(
        "--studies",
        type=click.Path(path_type=Path, file_okay=False),
        default="studies",
        show_default=True,
        help="The folder of the studies.",
        callback=_absolute_path,
        is_eager=True,
    )(verb)


def study_argument(verb: F) -> F:
    """NAME of a study, and --studies DIR, the folder that it is in."""
    return click.argument("name", callback=_study_name, shell_complete=completion.studies)(studies_option(verb))


def out_option(help: str, *, required: bool = False) -> Callable[[F], F]:
    """--out PATH, a file or folder to write."""
    return click.option("--out", type=click.Path(path_type=Path), required=required, help=help)


def _absolute_path(ctx: click.Context, param: click.Parameter, path: Path) -> Path:
    """The absolute path, because training code may change the working directory."""
    return path.absolute()


def _study_name(ctx: click.Context, param: click.Parameter, name: str) -> str:
    """The name of a study, which is not empty. `--studies` is eager, so its value is known here."""
    from hpo.record import check_not_empty

    check_not_empty(name, ctx.params["studies"])
    return name


def data_option(verb: F) -> F:
    """--data DIR."""
    return click.option("--data", "folder", help=DATA_HELP)(verb)


WITH_FLAGS = "ray"
"""The bundled runner whose options have flags."""
FLAGS = {
    "--ray-sync": "With --runner ray: folders to send to nodes that lack them, such as /data/flowers.",
    "--ray-address": "With --runner ray: the cluster auto, HOST:PORT or ray://HOST:PORT; local starts Ray here.",
    "--resources": "With --runner ray: what each slot takes, such as gpu=0.5,cpu=2.",
    "--checkpoints": "With --runner ray: the URL for the checkpoints of workers, such as s3://bucket.",
}
"""The flags of runners for their options, and their help. The runner declares which option has which flag."""


def runner_options(verb: F) -> F:
    """--runner-option K=V, and the flags for options of runners. They are handed on as `runner_options`."""

    @functools.wraps(verb)
    def with_runner_options(*args: Any, runner_option: tuple[str, ...], **given: Any) -> Any:
        options = named_values(runner_option, "--runner-option")
        values = {flag: given.pop(_parameter(flag)) for flag in FLAGS}
        if typed := {flag: value for flag, value in values.items() if value is not None}:
            names = _option_names(typed, given["runner"] or _recorded_runner(given))
            for flag, value in typed.items():
                if names[flag] in options:
                    raise UserError(f"{flag} and --runner-option {names[flag]}: they are the same, so give only one")
                options[names[flag]] = value
        return verb(*args, runner_options=options, **given)

    decorated: Any = with_runner_options
    for flag, help in reversed(FLAGS.items()):
        decorated = click.option(flag, help=help)(decorated)
    text = "An option of the runner: address=auto."
    return click.option("--runner-option", multiple=True, metavar="K=V", help=text)(decorated)  # type: ignore[no-any-return]


def _option_names(flags: Iterable[str], runner: str) -> dict[str, str]:
    """The options of a runner by their flags. Raises a UserError if it does not declare one of `flags`."""
    from hpo import plugins

    declared = {} if runner == AUTO else plugins.flags(plugins.module_name(plugins.RUNNERS, runner, also=[AUTO]))
    names = {flag: name for name, flag in declared.items()}
    if missing := [flag for flag in flags if flag not in names]:
        them = "it" if len(missing) == 1 else "them"
        raise UserError(
            f"{' and '.join(missing)}: only the runner {WITH_FLAGS} has {them}, but the runner is {runner}; add "
            f"--runner {WITH_FLAGS}, or leave {them} out"
        )
    return names


def _recorded_runner(given: Mapping[str, Any]) -> str:
    """The runner of the study that the arguments of `hpo resume` name."""
    from hpo.record import StudyFolder

    return StudyFolder.reopen(given["studies"] / given["name"]).settings.runner


def _parameter(flag: str) -> str:
    return flag.removeprefix("--").replace("-", "_")


report_timeout_option = click.option(
    "--report-timeout",
    type=Duration(),
    metavar="TIME",
    help="The longest time without a report, such as 10m. A trial that takes longer has hung, and crashes.",
)


curves_option = click.option(
    "--curves",
    metavar="SOURCE",
    help="Simulate: take learning curves from a CSV file or a function, as module:function, and train nothing.",
)


def predictions_option(*, default: bool | None) -> Callable[[F], F]:
    """--predictions/--no-predictions. None says that the study keeps its setting."""
    text = "Whether to keep the validation logits of each trial's best epoch; they are kept by default."
    return click.option("--predictions/--no-predictions", default=default, help=text)


track_option = click.option(
    "--track",
    multiple=True,
    shell_complete=completion.plug_ins("tracker", "none"),
    metavar="TRACKER",
    help="Send the trials to tensorboard, mlflow or wandb while they train; also tensorboard=FOLDER, mlflow=URL. none "
    "stops that.",
)


def new_settings_options(verb: F) -> F:
    """The settings that a study may change when it goes on."""
    options = {
        "--runner": {
            "help": "Continue with another runner: auto, fused, processes, inline, ray, or your own.",
            "shell_complete": completion.plug_ins("runner", "auto"),
        },
        "--devices": {"help": "Continue on other devices: auto, cpu, or a list such as cuda:0,cuda:1."},
        "--slots": {"help": SLOTS_HELP, "type": Slots(), "metavar": "N|auto"},
        "--devices-per-trial": {"help": DEVICES_PER_TRIAL_HELP, "type": click.IntRange(1), "metavar": "N"},
        "--storage": {"help": "The URL of the storage, if it was moved or needs a password."},
        "--data": {"help": "The folder of the data sets and weights, if it was moved."},
        "--curves": {"help": "The learning curves of a simulated study, if they were moved.", "metavar": "SOURCE"},
        "--max-crashes": {"help": MAX_CRASHES_HELP, "type": click.IntRange(1)},
    }
    verb = predictions_option(default=None)(runner_options(report_timeout_option(track_option(verb))))
    for name, arguments in reversed(options.items()):
        verb = click.option(name, **arguments)(verb)  # type: ignore[arg-type]
    return verb


def dataset_option(verb: F) -> F:
    """--option K=V, for a data set."""
    text = "An option of the data set: domain=cartoon."
    return click.option("--option", "options", multiple=True, metavar="K=V", help=text)(verb)


skip_changed_files_option = click.option(
    "--skip-changed-files",
    is_flag=True,
    help="Go on without the files of the data set that changed since the study was begun.",
)

quiet_option = click.option("-q", "--quiet", is_flag=True, help="Print only the result and what failed.")


def named_values(texts: tuple[str, ...], option: str = "--option") -> dict[str, Any]:
    """The values of an option that may be given several times, each written as name=value."""
    from hpo.spacefile import yaml_text

    options = {}
    for text in texts:
        key, equals, value = text.partition("=")
        parsed = yaml_text.parse_value(value)
        if not equals or not key.isidentifier() or parsed.mistakes or isinstance(parsed.value, list | dict):
            raise UserError(f"{option} {shortened(text)}: write it as name=value")
        options[key] = parsed.value
    return options


def trial_numbers(text: str) -> list[int]:
    """The value of --trials, where it names trials."""
    numbers = text.split(",")
    if not all(number.strip().isdecimal() for number in numbers):
        raise UserError(f"--trials {text}: write the numbers of trials, as 3,7")
    return [int(number) for number in numbers]


def check_format(format: str, known: tuple[str, ...]) -> None:
    """Raise UnknownName if `format` is not one of `known`."""
    if format not in known:
        raise UnknownName("format", format, known)
