"""The command track."""

from __future__ import annotations

from pathlib import Path

import click

from hpo.cli import completion
from hpo.cli.options import study_argument
from hpo.errors import HpoError
from hpo.quantities import with_plural


@click.command()
@click.option(
    "--to",
    "targets",
    multiple=True,
    required=True,
    metavar="TRACKER",
    shell_complete=completion.plug_ins("tracker"),
    help="tensorboard, mlflow, wandb or your own; also tensorboard=FOLDER, mlflow=URL, wandb=ENTITY/PROJECT.",
)
@study_argument
def track(name: str, targets: tuple[str, ...], studies: Path) -> None:
    """Send the trials of a study to TensorBoard, MLflow or Weights & Biases.

    Each trial is a run with its hyperparameters, the metrics of every epoch and its state. What is there already is not
    sent again.
    """
    from hpo.record import StudyFolder
    from hpo.trackers import check, send_all

    study = StudyFolder.reopen(studies / name)
    status = 0
    for target in [check(target) for target in targets]:
        try:
            sent = send_all(study, target)
        except HpoError as error:
            click.echo(f"hpo: {error}", err=True)
            status = error.exit_status
            continue
        has = "is" if sent.n_trials == 1 else "are"
        where = "" if sent.place is None else f" in {sent.place}"
        click.echo(f"{target.kind}: {with_plural(sent.n_trials, 'trial')} {has} up to date{where}", err=True)
    if status:
        click.get_current_context().exit(status)
