"""Space files: reads a YAML file into a SearchSpace. Each mistake in the file becomes an error with its line.

It asks `hpo.plugins` which names exist. `hpo.record` and the packages above it may import it.
"""

from __future__ import annotations

from hpo.spacefile.reader import bundled, describe, find, parse, read

__all__ = ["bundled", "describe", "find", "parse", "read"]
