"""Space files: reads a YAML file into a SearchSpace. Each mistake in the file becomes an error with its line.

It asks `hpo.plugins` which names exist. `hpo.record` and the packages above it may import it.
"""

from __future__ import annotations

from hpo.spacefile.reader import bundled, describe, find, parse, read
from hpo.spacefile.transfer_space import transfer_space

__all__ = ["bundled", "describe", "find", "parse", "read", "transfer_space"]
