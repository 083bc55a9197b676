"""Own training code in each form that a user may give it: a class, a function that builds one, or a generator function.

    class Net:  def __init__(self, config); step(); state_dict(); load_state_dict(state)
    lambda config, model, data, device: Net(config)
    def train(config):  ...  yield {"val_loss": loss}        # once an epoch

All may take `config` alone, or `config, model, data, device`.
"""

from __future__ import annotations

import inspect
import math
import random
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from hpo.errors import HpoError, TaskError
from hpo.trial import Config

if TYPE_CHECKING:
    from trainables.data.dataset import SearchData
    from trainables.trainable import Trainable, TransferModel

Build = Callable[..., Any]
"""A regime's `build(config, model, data, device)`, or own training code in one of the forms above."""

METHODS = ("step", "state_dict", "load_state_dict")
EXAMPLE = "as {'val_loss': 0.5}"


def build(code: Build, config: Config, model: TransferModel | None, data: SearchData | None, device: str) -> Trainable:
    """The trainable of one trial; a TaskError where the code has none of the forms."""
    arguments = (config, model, data, device) if _takes_four(code) else (config,)
    start = partial(code, *arguments)
    made = start()
    if isinstance(made, Iterator):
        return GeneratorTrainable(made, start)  # type: ignore[return-value]  # it cannot be tested
    missing = [name for name in METHODS if not callable(getattr(made, name, None))]
    if len(missing) == len(METHODS):
        raise TaskError(
            f"the trainable {name_of(code)} returned {_short(made)}: it must be a class with the methods "
            f"{', '.join(METHODS)}, or a generator function that yields its metrics once an epoch, {EXAMPLE}"
        )
    if missing:
        raise TaskError(f"the trainable {name_of(code)} has no method `{missing[0]}`; it needs {', '.join(METHODS)}")
    return made  # type: ignore[no-any-return]


def name_of(code: Build) -> str:
    """What the code is called."""
    return str(getattr(code, "__qualname__", None) or type(code).__qualname__)


class GeneratorTrainable:
    """A generator function as a trainable: each value that it yields is an epoch.

    Its state cannot be saved. So a trial that goes on after a pause runs from its beginning to where it was, and each
    of its epochs must give the same metrics again. The random states of Python, NumPy and torch are its own: they are
    put back before each epoch to where its last one left them.
    """

    def __init__(
        self, epochs: Iterator[Mapping[str, float]], start: Callable[[], Iterator[Mapping[str, float]]]
    ) -> None:
        """`epochs` is a run that has not begun; `start` begins another."""
        self._epochs = epochs
        self._start = start
        self._first_state = self._state = _RandomState()
        self._metrics: list[dict[str, float]] = []
        self._n_run = 0
        """Epochs of this run so far."""

    def step(self) -> Mapping[str, float]:
        while self._n_run < len(self._metrics):
            self._repeat(self._metrics[self._n_run])
        self._metrics.append(self._next())
        return dict(self._metrics[-1])

    def state_dict(self) -> dict[str, Any]:
        return {"metrics": self._metrics}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._metrics = [dict(each) for each in state["metrics"]]
        self._epochs, self._state, self._n_run = self._start(), self._first_state, 0

    def _repeat(self, before: Mapping[str, float]) -> None:
        """Run an epoch again; an HpoError where it gives other metrics than before."""
        again = self._next()
        for key in {**before, **again}:
            if not _equal(before.get(key), again.get(key)):
                values = f"{key} = {before.get(key)} at first, and {again.get(key)} when it ran again"
                remedy = "a generator function must give the same in each run; the class form saves its state instead"
                raise HpoError(f"epoch {self._n_run} gave {values}: {remedy}")

    def _next(self) -> dict[str, float]:
        with self._state:
            try:
                metrics = next(self._epochs)
            except StopIteration:
                raise TaskError(
                    f"the generator function ended after epoch {self._n_run}, but the search goes further: let it "
                    f"yield for as long as it is asked, or search with a `fidelity` of high = {self._n_run}"
                ) from None
        self._state = _RandomState()
        self._n_run += 1
        if not isinstance(metrics, Mapping):
            raise TaskError(f"the generator function yielded {_short(metrics)}; it must yield metrics, {EXAMPLE}")
        return {str(key): float(value) for key, value in metrics.items()}


class _RandomState:
    """The random states of Python, NumPy and torch as they are now. `with` puts them back, then leaves them be."""

    def __init__(self) -> None:
        import numpy as np

        from trainables import seeding

        self._python, self._numpy, self._torch = random.getstate(), np.random.get_state(), seeding.all_random_states()

    def __enter__(self) -> None:
        import numpy as np

        from trainables import seeding

        random.setstate(self._python)
        np.random.set_state(self._numpy)
        seeding.set_all_random_states(self._torch)

    def __exit__(self, *raised: object) -> None:
        return None


def _takes_four(code: Build) -> bool:
    """Whether code takes `config, model, data, device`, and not `config` alone."""
    try:
        parameters = list(inspect.signature(code).parameters.values())
    except (TypeError, ValueError):
        return True
    if any(each.kind is each.VAR_POSITIONAL for each in parameters):
        return True
    positional = [each for each in parameters if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)]
    required = [each for each in positional if each.default is each.empty]
    if len(required) in (2, 3) or len(required) > 4 or not positional:
        names = ", ".join(each.name for each in parameters)
        allowed = "config, or config, model, data, device"
        raise TaskError(f"the trainable {name_of(code)} takes ({names}); it must take {allowed}")
    return len(required) == 4 or (len(positional) >= 4 and positional[1].name == "model")


def _equal(one: float | None, other: float | None) -> bool:
    if one is None or other is None:
        return one is other
    return math.isclose(one, other, rel_tol=1e-6) or (math.isnan(one) and math.isnan(other))


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
