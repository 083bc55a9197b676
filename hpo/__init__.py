"""hpo searches for the best training configuration of an image classifier, and proves it on held-out data.

    study = hpo.search(space, train, trials=20)
    study.table(), study.best, study.curves(), study.test()

The public names below are imported when they are first used, so `import hpo` is light.
"""

from __future__ import annotations

import random
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hpo.api import BestTrial, Study, list_studies, load_model, open_study, read_space, search, test
    from hpo.errors import HpoError
    from hpo.final_model import Model
    from hpo.space import Categorical, Fidelity, Float, Int, SearchSpace, Task

__version__ = "0.1.0"

__all__ = [
    "BestTrial",
    "Categorical",
    "Fidelity",
    "Float",
    "HpoError",
    "Int",
    "Model",
    "SearchSpace",
    "Study",
    "Task",
    "list_studies",
    "load_model",
    "open_study",
    "read_space",
    "search",
    "test",
]

_MODULES = dict.fromkeys(__all__, "hpo.api") | {
    "HpoError": "hpo.errors",
    "Model": "hpo.final_model",
    **dict.fromkeys(("Categorical", "Fidelity", "Float", "Int", "SearchSpace", "Task"), "hpo.space"),
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'hpo' has no attribute {name!r}")
    state = random.getstate()
    value = getattr(import_module(_MODULES[name]), name)
    random.setstate(state)  # rich, which shows the progress, draws a number when it is imported
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
