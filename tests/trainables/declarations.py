"""What a module declares about the configuration it reads, as hpo reads it: from the file, without importing it."""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from trainables.hyperparameters import Config, Scalar

ROOT = Path(__file__).parents[2]
NAMES = ("HYPERPARAMETERS", "READS_ALSO", "OPTIONS", "RANGES", "WHEN")


def literals(path: Path) -> dict[str, Any]:
    """Those of the literals in NAMES that a file has. OPTIONS are those of a data set."""
    found = {}
    for statement in ast.parse(path.read_text()).body:
        targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
        for target in targets:
            if isinstance(target, ast.Name) and target.id in NAMES:
                assert isinstance(statement, ast.Assign | ast.AnnAssign)
                assert statement.value is not None
                found[target.id] = ast.literal_eval(statement.value)
    return found


def source(module: str) -> Path:
    """The file of a module or of a package."""
    path = ROOT / module.replace(".", "/")
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def declared(module: str) -> dict[str, str | list[Scalar]]:
    """Each key that a module or one that it hands its configuration on to may read."""
    own = literals(source(module))
    keys: dict[str, str | list[Scalar]] = dict(own["HYPERPARAMETERS"])
    for other in own.get("READS_ALSO", ()):
        keys |= declared(other)
    return keys


class Recording(Mapping[str, Scalar]):
    """A configuration that remembers which of its keys were asked for."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self.read: set[str] = set()

    def __getitem__(self, key: str) -> Scalar:
        self.read.add(key)
        return self._config[key]

    def __iter__(self) -> Iterator[str]:
        raise AssertionError("whoever goes through a whole configuration reads keys that nobody declared")

    def __len__(self) -> int:
        raise AssertionError("whoever counts the keys of a configuration reads keys that nobody declared")
