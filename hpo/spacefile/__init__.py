"""Space files: a YAML file becomes a SearchSpace, and each mistake in it an error with its line.

It asks `hpo.plugins` which names exist. `hpo.record` and the rooms above may import it.
"""

from __future__ import annotations

from hpo.spacefile.reader import bundled, describe, find, parse, read

__all__ = ["bundled", "describe", "find", "parse", "read"]
