"""The command line: one file a group of verbs.

Nothing imports it. Each verb imports what it needs when it runs, so `hpo --help` is fast.
"""

from __future__ import annotations

from hpo.cli.app import app

__all__ = ["app"]
