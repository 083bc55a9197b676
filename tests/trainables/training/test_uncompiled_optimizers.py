import subprocess
import sys

import pytest
import torch
from torch import nn, optim
from torch.optim import Optimizer

from trainables.training import uncompiled_optimizers


def trained(kind: type[Optimizer], options: dict[str, float]) -> list[torch.Tensor]:
    """A network after some steps, of which the optimizer of the last ones goes on from the state of the first."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 3))
    optimizer = kind(network.parameters(), **options)  # type: ignore[arg-type]
    for step in range(6):
        if step == 3:
            state = optimizer.state_dict()
            optimizer = kind(network.parameters(), **options)  # type: ignore[arg-type]
            optimizer.load_state_dict(state)
        optimizer.zero_grad()
        network(torch.randn(4, 5)).square().sum().backward()
        optimizer.step()
    return [parameter.detach() for parameter in network.parameters()]


@pytest.mark.parametrize(
    ("own", "theirs", "options"),
    [
        (uncompiled_optimizers.SGD, optim.SGD, {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.01, "nesterov": True}),
        (uncompiled_optimizers.Adam, optim.Adam, {"lr": 0.1, "weight_decay": 0.01}),
        (uncompiled_optimizers.AdamW, optim.AdamW, {"lr": 0.1}),
    ],
)
def test_steps_are_those_of_pytorch_bit_for_bit(
    own: type[Optimizer], theirs: type[Optimizer], options: dict[str, float]
) -> None:
    assert issubclass(own, theirs)
    for ours, expected in zip(trained(own, options), trained(theirs, options), strict=True):
        assert torch.equal(ours, expected)


def test_what_a_closure_gives_is_returned_and_no_step_is_part_of_the_graph() -> None:
    weight = nn.Parameter(torch.ones(2))
    optimizer = uncompiled_optimizers.SGD([weight], lr=0.1)

    def closure() -> torch.Tensor:
        with torch.enable_grad():
            loss = weight.sum()
            loss.backward()  # type: ignore[no-untyped-call]
        return loss

    assert optimizer.step(closure) == 2
    assert weight.grad_fn is None
    assert torch.is_grad_enabled()


def test_a_model_trains_without_the_compiler_being_imported() -> None:
    script = """
import sys, torch
from trainables.training import optimizers, schedules
for name in ("sgd", "nag", "adam", "adamw"):
    weight = torch.nn.Parameter(torch.ones(2))
    optimizer = optimizers.build([weight], {"optimizer": name})
    schedule = schedules.build(optimizer, {"schedule": "cosine", "period": 3})
    weight.sum().backward()
    optimizer.step()
    schedule.set_factor(schedule.factors(3)[0])
    schedule.end_epoch()
    optimizer.zero_grad()
    optimizer.load_state_dict(optimizer.state_dict())
print("torch._dynamo" in sys.modules)
"""
    assert subprocess.check_output([sys.executable, "-c", script], text=True) == "False\n"
