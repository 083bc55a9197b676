"""Hyperparameters by the names that PyTorch, Keras, timm and others give them."""

from __future__ import annotations

FOREIGN = {
    "lr": ("learning_rate", "learningrate", "base_lr", "initial_lr"),
    "batch_size": ("batchsize", "batch", "bs", "train_batch_size", "per_device_train_batch_size"),
    "weight_decay": ("wd", "decay", "weightdecay", "l2_penalty"),
    "optimizer": ("opt", "optim", "optimiser", "solver"),
    "schedule": ("scheduler", "sched", "lr_scheduler", "lr_schedule", "lr_scheduler_type"),
    "momentum": ("beta1", "nesterov", "rho"),
    "warmup": ("warmup_epochs", "warmup_t"),
    "warmup_steps": ("num_warmup_steps", "warmup_iters"),
    "warmup_share": ("warmup_ratio", "pct_start"),
    "schedule_interval": ("sched_on_updates", "step_on_epochs", "interval"),
    "lr_min": ("eta_min", "min_lr", "lr_end"),
    "period": ("t_max", "decay_epochs", "first_decay_steps"),
    "gamma": ("lr_decay", "decay_rate", "lr_gamma"),
    "label_smoothing": ("smoothing", "ls"),
    "clip_norm": ("clip", "clip_grad", "clipnorm", "max_grad_norm", "gradient_clip_val"),
    "image_size": ("img_size", "input_size", "resolution", "imgsz"),
    "mixing": ("mixup", "cutmix", "mixup_prob"),
    "augmentation": ("aug", "aa", "augment", "data_augmentation", "auto_augment"),
    "num_ops": ("ra_n", "randaug_n", "n_ops"),
    "magnitude": ("ra_magnitude", "randaug_m"),
    "crop_scale": ("scale", "rrc_scale", "min_scale"),
    "crop_ratio": ("ratio", "rrc_ratio"),
    "random_erasing": ("reprob", "re_prob", "random_erase", "erasing_prob", "cutout"),
    "erasing_mode": ("remode", "re_mode"),
    "patience": ("early_stopping", "early_stopping_patience", "n_iter_no_change"),
    "loss_function": ("loss", "criterion", "loss_fn"),
    "precision": ("amp", "dtype", "mixed_precision", "fp16", "bf16"),
    "micro_batches": ("gradient_accumulation_steps", "accumulate_grad_batches", "grad_accum_steps"),
}
"""The names of others, by the names of hpo, in lower case."""
_OWN = {foreign: own for own, names in FOREIGN.items() for foreign in names}
EPOCHS = ("epoch", "epochs", "n_epochs", "num_epochs", "max_epochs", "num_train_epochs")
"""Names of the number of epochs, which is no hyperparameter here but the fidelity of the space."""

ELSEWHERE = {
    "model": "it stands under `task.model`",
    "regime": "it stands under `task.regime`",
    "weights": "it stands under `task.weights`",
    "pretrained": "`task.weights: imagenet` trains from pretrained weights",
    "dataset": "it stands under `task.dataset`",
    "validation": "it stands under `task.validation`",
    "objective": "it stands at the top of the file",
    "metric": "`objective` at the top of the file says what is minimised",
    "seed": "`hpo search --seed` seeds the search, and `task.validation.seed` the split",
    "device": "`hpo search --devices` says where trials train",
    "devices": "`hpo search --devices` says where trials train",
    "trials": "`hpo search --trials` says how many",
    "n_trials": "`hpo search --trials` says how many",
    "folds": "it stands under `task.validation`",
    "num_classes": "the data set says how many classes there are",
    "n_classes": "the data set says how many classes there are",
}
"""What is no hyperparameter, and where it belongs."""


def elsewhere(name: str) -> str | None:
    """Return where something belongs that is no hyperparameter. None if that is not known."""
    if name in EPOCHS:
        return "a trial trains for at most `fidelity: {high: N}` epochs"
    return ELSEWHERE.get(name)


def foreign_names() -> list[str]:
    """Return the names of others that `own_name` knows."""
    return list(_OWN)


def own_name(name: str) -> str:
    """The name that hpo has for a hyperparameter. The name itself if it is no foreign one."""
    return _OWN.get(name.lower().replace("-", "_"), name)
