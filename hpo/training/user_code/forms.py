"""Own training code in each form that a user may give it: a class, a function that builds one, or a generator function.

    class Net:  def __init__(self, config); step(); state_dict(); load_state_dict(state)
    lambda config, model, data, device: Net(config)
    def train(config):  ...  yield {"val_loss": loss}        # once an epoch

All may take `config` alone, or `config, model, data, device`.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from hpo.errors import TaskError
from hpo.training.metrics import EXAMPLE, short
from hpo.training.user_code.generator import GeneratorTrainable
from hpo.trial import Config

if TYPE_CHECKING:
    from trainables.data.dataset import SearchData
    from trainables.trainable import Trainable, TransferModel

Build = Callable[..., Any]
"""A regime's `build(config, model, data, device)`, or own training code in one of the forms above."""

METHODS = ("step", "state_dict", "load_state_dict")


def build(
    code: Build,
    config: Config,
    model: TransferModel | None,
    data: SearchData | None,
    device: str,
    *,
    allow_generator: bool = True,
) -> Trainable:
    """Return the trainable of one trial.

    Raises a TaskError if the code has none of the forms, or if it is a generator function and none is allowed.
    """
    code = uncached(code)
    made = code(config, model, data, device) if _takes_four(code) else code(config)
    if isinstance(made, type):
        name = made.__qualname__
        raise TaskError(f"the trainable {name_of(code)} returned the class {name}: call it, as {name}(config)")
    missing = [name for name in METHODS if not callable(getattr(made, name, None))]
    if not missing:
        return made  # type: ignore[no-any-return]
    if len(missing) < len(METHODS):
        raise TaskError(f"the trainable {name_of(code)} has no method `{missing[0]}`; it needs {', '.join(METHODS)}")
    if isinstance(made, Iterator):
        if not allow_generator:
            raise TaskError(
                f"the trainable {name_of(code)} returned a generator, which freeze_thaw would run again from its "
                'beginning after each pause: search it with backend="optuna", which never pauses a trial, or name '
                'backend="freeze_thaw" yourself'
            )
        return GeneratorTrainable(made)  # type: ignore[return-value]  # it cannot be tested
    raise TaskError(
        f"the trainable {name_of(code)} returned {short(made)}: it must be a class with the methods "
        f"{', '.join(METHODS)}, or a generator function that yields its metrics once an epoch, {EXAMPLE}"
    )


def is_generator_function(code: Build) -> bool:
    """Whether code is a generator function, as far as this shows before it is called.

    It is also one as a method, as the `__call__` of an object, and in a `functools.partial`. A lambda or a decorator
    that calls a generator function is not recognised: it may return something else.
    """
    code = uncached(code)
    if isinstance(code, functools.partial):
        return is_generator_function(code.func)
    if not isinstance(code, type) and not inspect.isroutine(code):
        code = type(code).__call__
    return inspect.isgeneratorfunction(code)


def uncached(code: Callable[..., Any]) -> Callable[..., Any]:
    """The function inside `functools.cache` or `functools.lru_cache`; any other code as it is.

    A configuration is a dictionary, which these decorators do not take. A trainable must not be shared either.
    """
    while isinstance(code, functools._lru_cache_wrapper):
        code = code.__wrapped__
    return code


def name_of(code: Build) -> str:
    """What the code is called."""
    return str(getattr(code, "__qualname__", None) or type(code).__qualname__)


def _takes_four(code: Build) -> bool:
    """Whether the code takes `config, model, data, device`. If not, it takes `config` alone.

    If it can take either, it takes four if its second parameter has the name `model`, or if it has `*args`. Raises a
    TaskError if it can take neither.
    """
    try:
        signature = inspect.signature(code)
    except (TypeError, ValueError):
        return True
    one, four = _binds(signature, 1), _binds(signature, 4)
    if not one and not four:
        plain = [each.replace(annotation=each.empty) for each in signature.parameters.values()]
        takes = " ".join(str(signature.replace(parameters=plain, return_annotation=signature.empty)).split())
        allowed = "config, or config, model, data, device"
        raise TaskError(f"the trainable {name_of(code)} takes {takes}; it must take {allowed}")
    if not (one and four):
        return four
    parameters = list(signature.parameters.values())
    named_model = [each.name for each in parameters[1:2]] == ["model"]
    return named_model or any(each.kind is each.VAR_POSITIONAL for each in parameters)


def _binds(signature: inspect.Signature, n: int) -> bool:
    """Whether a function with this signature can be called with `n` positional arguments."""
    try:
        signature.bind(*range(n))
    except TypeError:
        return False
    return True
