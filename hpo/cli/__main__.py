"""`python -m hpo.cli` is the command `hpo`."""

from hpo.cli.app import app

app()
