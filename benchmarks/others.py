"""The other sides of the comparison: what a user would have without us.

Optuna by itself (ask, nine reports, tell), Ray Tune running the trials, and the arithmetic of
HpBandSter without its server. None of them writes a checkpoint, and Optuna keeps one number a report.
"""

from __future__ import annotations

import logging
import os
import tempfile
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import free
from benchmarks.ours import Clock, Cost

if TYPE_CHECKING:
    from optuna.storages import BaseStorage


def optuna(sampler: str, storage: str, trials: int) -> Cost:
    """Optuna's own loop over a storage: memory, journal, sqlite, or the URL of a PostgreSQL server."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    samplers = {
        "random": optuna.samplers.RandomSampler(seed=0),
        "tpe": optuna.samplers.TPESampler(seed=0, n_startup_trials=10, multivariate=False, constant_liar=True),
    }
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        study = optuna.create_study(
            storage=_storage(storage, folder), sampler=samplers[sampler], pruner=optuna.pruners.NopPruner()
        )
        for _ in range(trials):
            clock.start()
            trial = study.ask()
            kind, x = trial.suggest_categorical("kind", ("a", "b")), trial.suggest_float("x", 0, 1)
            if kind == "a":
                trial.suggest_float("y", 1e-3, 1, log=True)
            for epoch in range(1, free.EPOCHS + 1):
                trial.report(free.loss_at(x, epoch), epoch)
            study.tell(trial, free.loss_at(x, free.EPOCHS))
            clock.tick()
    return clock.cost()


def _storage(name: str, folder: str) -> BaseStorage | None:
    from optuna.storages import JournalStorage, RDBStorage
    from optuna.storages.journal import JournalFileBackend

    match name:
        case "journal":
            return JournalStorage(JournalFileBackend(f"{folder}/journal.log"))
        case "sqlite":
            return RDBStorage(f"sqlite:///{folder}/study.db")
        case "memory":
            return None
    return RDBStorage(name)


def hpbandster(trials: int) -> Cost:
    """HpBandSter's model of good configurations and its brackets, of one trial each, driven directly."""
    import numpy as np
    from ConfigSpace import CategoricalHyperparameter, ConfigurationSpace, EqualsCondition, UniformFloatHyperparameter
    from hpbandster.core.dispatcher import Job
    from hpbandster.optimizers.config_generators.bohb import BOHB
    from hpbandster.optimizers.iterations import SuccessiveHalving

    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    np.random.seed(0)
    space = ConfigurationSpace(seed=0)
    kind, x = CategoricalHyperparameter("kind", ["a", "b"]), UniformFloatHyperparameter("x", 0, 1)
    y = UniformFloatHyperparameter("y", 1e-3, 1, log=True)
    space.add(kind, x, y)
    space.add(EqualsCondition(y, kind, "a"))
    generator = BOHB(configspace=space)
    clock = Clock()
    for index in range(trials):
        clock.start()
        bracket = SuccessiveHalving(index, [1], [free.EPOCHS], config_sampler=generator.get_config)
        key, config, budget = bracket.get_next_run()
        job = Job(key, config=config, budget=budget)
        job.result = {"loss": free.loss_at(config["x"], free.EPOCHS)}
        bracket.register_result(job)
        generator.new_result(job)
        bracket.process_results()
        clock.tick()
    return clock.cost()


def ray_tune(kind: str, trials: int) -> Cost:
    """Ray Tune on two cores: a function, or a class whose actors are used again. The start of Ray is left out."""
    root = str(Path(__file__).parents[1])
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AIR_NEW_OUTPUT": "0", "PYTHONPATH": root}
    os.environ |= {"TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1", "RAY_DEDUP_LOGS": "0"}
    warnings.simplefilter("ignore")
    import ray
    from ray import tune

    with tempfile.TemporaryDirectory(dir="/tmp", prefix="r") as folder:
        ray.init(num_cpus=2, include_dashboard=False, _temp_dir=folder, logging_level="ERROR", log_to_driver=False)
        try:
            tuner = tune.Tuner(
                _function if kind == "function" else _class(),
                param_space={"x": tune.uniform(0, 1)},
                tune_config=tune.TuneConfig(
                    num_samples=trials, metric="loss", mode="min", reuse_actors=kind == "class", max_concurrent_trials=2
                ),
                run_config=tune.RunConfig(
                    storage_path=f"{folder}/results", verbose=0, stop={"training_iteration": free.EPOCHS}
                ),
            )
            started, cpu = time.perf_counter(), time.process_time()
            results = tuner.fit()
            wall, cpu = time.perf_counter() - started, time.process_time() - cpu
            assert not results.errors
            assert all(result.metrics["training_iteration"] == free.EPOCHS for result in results)
        finally:
            ray.shutdown()
    return Cost(trials, 1000 * wall / trials, 1000 * cpu / trials)


def _function(config: dict[str, float]) -> None:
    from ray import tune

    for epoch in range(1, free.EPOCHS + 1):
        tune.report({"loss": free.loss_at(config["x"], epoch)})


def _class() -> type:
    from ray import tune

    class Curve(tune.Trainable):  # type: ignore[misc]
        """The free training as a class."""

        def setup(self, config: dict[str, float]) -> None:
            self.x = config["x"]

        def step(self) -> dict[str, float]:
            return {"loss": free.loss_at(self.x, self.iteration + 1)}

        def save_checkpoint(self, checkpoint_dir: str) -> None:
            """Write nothing: Ray calls this at the end of a trial, and a trial without it fails."""

        def reset_config(self, new_config: dict[str, float]) -> bool:
            self.x = new_config["x"]
            return True

    return Curve
