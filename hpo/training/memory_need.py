"""How much memory a configuration needs, measured by a few steps of its training."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

from hpo.training.builder import Builder, Job, trial_seed
from hpo.trial import Config

N_STEPS = 2
"""The first step of an optimizer creates its state. The second has all in memory."""
N_IMAGES = 256
"""The number of validation images, as many as a batch of validation has."""


@dataclass(frozen=True)
class Need:
    """What a trial needs, in GiB."""

    host: float | None
    """The main memory of its process. None if the system does not tell."""
    gpu: float | None = None
    """The memory on its GPU. None if it trains on the CPU."""
    free_gpu: float | None = None
    """The memory on this GPU that was free before."""


def measure(job: Job, device: str, config: Config) -> Need:
    """Train `N_STEPS` steps of a configuration and validate one batch, in each phase of its regime.

    This process must be new, and do nothing else.

    Training code of your own that uses no optimizer of torch trains a whole epoch. Raises the errors of `Builder.build`
    and of the training, such as those of a shortage.
    """
    from trainables import memory

    on_gpu = device.startswith("cuda")
    free = memory.free_gpu(device) if on_gpu else None
    settings, builder = {**job.space.fixed, **config}, Builder(job, device)
    data = None
    with contextlib.suppress(Exception):  # `build` raises the same error, in its final form
        data = builder.search_data(settings)[0]  # what it takes to prepare images does not count
    memory.reset_peak(device)
    trainable = builder.build(settings, trial_seed(job.seed, 0))
    begin_next_phase = getattr(trainable, "begin_next_phase", lambda: False)
    is_left = True
    while is_left:
        with memory.limited_steps(N_STEPS):
            trainable.step()
        if data is not None and callable(getattr(trainable, "evaluate", None)):
            trainable.evaluate(data.validation.take(range(min(N_IMAGES, len(data.validation)))))
        is_left = begin_next_phase()
    return Need(memory.peak(device).host, memory.need_of_gpu(device) if on_gpu else None, free)


def available_host() -> float | None:
    """Return the main memory that new processes can get, in GiB, see `trainables.memory.available_host`."""
    from trainables import memory

    return memory.available_host()
