"""The tracker `mlflow`: an experiment a study and a run a trial, on any tracking server or database of MLflow.

`_mlflow_runs.py` sends the runs.
"""

from __future__ import annotations

import logging
import os
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from hpo.errors import UnknownName, UserError
from hpo.trackers._places import absolute_folder
from hpo.trackers._tracker import TrackedStudy

if TYPE_CHECKING:
    from hpo.trackers._mlflow_runs import MLflow

REQUIRES = "mlflow"
WHERE = {
    "URL": "the tracking URI, such as http://127.0.0.1:5000 or sqlite:///runs.db; default $MLFLOW_TRACKING_URI, or "
    "`mlflow.db` in the folder of the study"
}
ADDRESS = "MLFLOW_TRACKING_URI"
FILE = "mlflow.db"
"""The file in the folder of the study, if no address is given."""
ALLOW_FOLDERS = "MLFLOW_ALLOW_FILE_STORE"
SQLITE = "sqlite:///"
DATABASES = ("mssql", "mysql", "postgresql", "sqlite")
SCHEMES = ("databricks", "databricks-uc", "file", "http", "https", "uc", *DATABASES)
IMPATIENT = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "30"}
"""Settings of MLflow, unless the environment has its own. By default it tries for minutes before it gives up."""
LOGGERS = ("mlflow", "alembic")
"""The loggers that tell how tables of a new database are made, and more that nobody asked for."""


def check(where: str | None) -> str | None:
    """The tracking URI with an absolute path. Raises a UserError if it is none, or if its folder cannot be written."""
    if where is None or where.partition(":")[0] in ("databricks", "databricks-uc", "uc"):
        return where
    scheme, _, rest = where.partition(":")
    if where.startswith(SQLITE):
        return f"{SQLITE}{_absolute_file(where.removeprefix(SQLITE))}"
    if scheme == "file" or "://" not in where:
        folder = absolute_folder("mlflow", rest.removeprefix("//") if scheme == "file" else where)
        if os.environ.get(ALLOW_FOLDERS, "").lower() not in ("1", "true"):
            raise UserError(
                f"tracker mlflow={where}: MLflow keeps no runs in folders, unless ${ALLOW_FOLDERS} is true; write "
                f"mlflow={SQLITE}{folder / FILE}, or the address of a server"
            )
        return str(folder)
    known = [*SCHEMES, *(point.name for point in entry_points(group="mlflow.tracking_store"))]
    if scheme.partition("+")[0] not in known:
        raise UnknownName("scheme of the address of MLflow:", scheme, known)
    if scheme in ("http", "https") and not urlsplit(where).hostname:
        raise UserError(f"tracker mlflow: {where} names no host")
    return where


def place(study: TrackedStudy, where: str | None) -> str:
    """The tracking URI without a password."""
    address = _address(study, where)
    head, slashes, rest = address.partition("://")
    return f"{head}{slashes}{rest.rpartition('@')[2]}" if slashes and not head.startswith("sqlite") else address


def build(study: TrackedStudy, where: str | None) -> MLflow:
    """Build the tracker. `where` is the tracking URI; $MLFLOW_TRACKING_URI by default, or a file of the study."""
    for name, value in IMPATIENT.items():
        os.environ.setdefault(name, value)
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "ERROR")
    for name in LOGGERS:
        logging.getLogger(name).setLevel(logging.ERROR)
    from mlflow.tracking import MlflowClient

    from hpo.trackers._mlflow_runs import MLflow

    return MLflow(MlflowClient(tracking_uri=_address(study, where)), study)


def _address(study: TrackedStudy, where: str | None) -> str:
    return where or os.environ.get(ADDRESS) or f"{SQLITE}{study.folder / FILE}"


def _absolute_file(text: str) -> Path:
    """The absolute path of a SQLite file. Raises a UserError if its folder cannot be written."""
    path = Path(text)
    return absolute_folder("mlflow", str(path.parent)) / path.name
