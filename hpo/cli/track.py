"""The command track."""

from __future__ import annotations

from pathlib import Path

import click

from hpo.cli import completion
from hpo.cli.options import study_argument


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
    checked = [check(target) for target in targets]
    for target in checked:
        n_trials = send_all(study, target)
        click.echo(f"{target.kind}: {n_trials} trials are up to date", err=True)
