"""The Assembly of a task: it prepares the data set once, and builds a model and a regime for each configuration."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from trainables import seeding
from trainables.assembly import compatibility
from trainables.assembly.concatenation import concatenate
from trainables.assembly.dataset_building import build_dataset
from trainables.assembly.task import DatasetSpec, Task
from trainables.data import images, preprocessing
from trainables.data.dataset import DataSet, Part, SearchData, Source
from trainables.data.images import ImageFormat
from trainables.data.input_spec import InputSpec
from trainables.data.manifest import Manifest, ManifestDataSet, RecordedImages, RecordedPretraining
from trainables.data.preprocessing import Preprocessor, PretrainingSet, Validation
from trainables.errors import SetupError
from trainables.hyperparameters import Config, Scalar
from trainables.models import _weights
from trainables.own_metric import OwnMetric
from trainables.trainable import Trainable, TransferModel
from trainables.training.cross_validation import CrossValidation

LoadPlugin = Callable[[str, str], Any]
"""Takes a package, such as `trainables.models`, and the name or file of a plug-in. Returns the plug-in's module."""

BuildRegime = Callable[[Config, TransferModel | None, SearchData | None, str], Trainable]
"""The `build(config, model, data, device)` of a regime."""


class Assembly:
    """Builds the trainables of one task on one device. It prepares the data set once for all of them.

    Its methods raise SetupError if a part of the task is missing or does not fit. The error names the hyperparameters
    that it depends on.
    """

    def __init__(
        self,
        task: Task,
        load: LoadPlugin,
        root: Path,
        device: str,
        *,
        code: BuildRegime | None = None,
        own_metric: OwnMetric | None = None,
        manifest: Mapping[str, Any] | None = None,
        defaults: Config | None = None,
        refits: bool = False,
    ) -> None:
        """`root` is the folder of the data sets and of the folder `weights`.

        `code`, if given, replaces the task's regime. `own_metric` is a metric of the user, which each validation also
        reports. `manifest` is the `Manifest` of a study as plain values. If it is given, the parts of the data set are
        taken from it, and the data set is not split again. `defaults` are hyperparameters that a regime reads where a
        configuration has none of its own, such as `schedule_epochs`. `code` does not get them. With `refits`,
        trainables are trained on the training and the validation part together.
        """
        self.task = task
        self.root = root.absolute()
        self._load = load
        self._device = device
        self._code = code
        self._own_metric = own_metric
        self._defaults = dict(defaults or {})
        self._refits = refits
        self._joined_part: tuple[Part, Part] | None = None
        """The training part that `_joined` joined last, and the joined one."""
        self._manifest = None if manifest is None else Manifest.from_plain(manifest)
        self._preprocessor: Preprocessor | None = None
        self._compatible: set[tuple[object, ...]] = set()
        """The keys of the models that were checked and fit the data set. See `_check`."""

    def build(self, config: Config, seed: int) -> Trainable:
        """Build a new trainable. All its random numbers follow from `seed`.

        If the task asks for folds, the trainable holds one training for each fold.
        """
        seeding.seed_everything(seed)
        return self._build_on(self.search_data(config), config)

    def build_on_all(
        self, config: Config, seed: int, get_held_out: Callable[[DataSet], Source | None]
    ) -> tuple[Trainable, SearchData]:
        """Build a trainable that trains on the images of all parts, and return its data.

        `get_held_out` returns the held-out part. The validation part stays what it is, although its images are trained
        on. If the task asks for folds, it is that of the first fold.
        """
        seeding.seed_everything(seed)
        data = self.search_data(config)[0]
        assert data is not None, "only a task with a data set has parts"
        held_out = self.held_out(get_held_out, config).to(data.train.labels.device)
        data = replace(data, train=concatenate([data.train, data.validation, held_out]))
        return self._build_on([data], config), data

    def _build_on(self, folds: Sequence[SearchData | None], config: Config) -> Trainable:
        """Build a trainable on these data, one for each fold."""
        regime, model = config.get("regime", self.task.regime), config.get("model", self.task.model)
        try:
            trainables = [self._build_on_fold(regime, model, config, fold) for fold in folds]
        except SetupError as error:
            prefix = ", ".join(
                f"{key} {name}" for key, name in (("regime", regime), ("model", model)) if name is not None
            )
            raise SetupError(f"{prefix}: {error}" if prefix else str(error), keys=error.keys) from error
        return trainables[0] if len(trainables) == 1 else CrossValidation(trainables)

    def search_data(self, config: Config) -> Sequence[SearchData | None]:
        """Return the data that the regime receives for each fold: one entry, unless the task asks for folds.

        The only entry is None if the task names no data set. An assembly that refits has one entry, with the images of
        both parts to train on. Its validation part stays what it is; with folds, it is that of the first fold.
        """
        preprocessor = self._prepared_dataset()
        if preprocessor is None:
            return (None,)
        folds = preprocessor.folds(self._image_format(config))
        if self._refits:
            folds = (self._joined(folds[0]),)
        return folds if self._own_metric is None else [replace(fold, own_metric=self._own_metric) for fold in folds]

    def _joined(self, data: SearchData) -> SearchData:
        """The data with both parts to train on. They are joined once, until another image format is requested."""
        if self._joined_part is None or self._joined_part[0] is not data.train:
            self._joined_part = None  # frees the memory
            self._joined_part = data.train, concatenate([data.train, data.validation])
        return replace(data, train=self._joined_part[1])

    def held_out(self, get_held_out: Callable[[DataSet], Source | None], config: Config) -> Part:
        """Return the part that `get_held_out` returns, in the image format that the model of `config` expects.

        Raises SetupError if the data set has no held-out part.
        """
        preprocessor = self._prepared_dataset()
        assert preprocessor is not None, "only a task with a data set is tested"
        if self._manifest is not None and not isinstance(self._manifest.held_out_part, RecordedImages):
            dataset: DataSet = self._recorded_dataset(self._manifest)
        else:
            dataset = self.load_dataset(self.task.dataset)
        found = get_held_out(dataset)
        if found is None:
            raise SetupError(f"data set {dataset.name!r} has no held-out part")
        return images.load(preprocessor.with_merged_classes(found), self._image_format(config))

    def _build_on_fold(self, regime: Scalar, model: Scalar, config: Config, data: SearchData | None) -> Trainable:
        """The trainable of one fold. `regime` and `model` are names."""
        plugin = None if self._code is not None else self._load("trainables.regimes", str(regime))
        built = None
        if model is not None:
            if data is None:
                raise SetupError(f"the model {model!r} needs a data set: `task.dataset` names none")
            built = self._build_model(str(model), config, data, pretrained=getattr(plugin, "PRETRAINED", True))
        if plugin is None:
            assert self._code is not None, "it replaces the plug-in"
            return self._code(config, built, data, self._device)
        return _build_regime(plugin.build, str(regime), {**self._defaults, **config}, built, data, self._device)

    def _build_model(self, name: str, config: Config, data: SearchData, *, pretrained: bool) -> TransferModel:
        """A new model that fits the data set and normalises its images. Its weights are random unless `pretrained`."""
        family = self._load("trainables.models", name)
        weights = self._find_weights(name, family) if pretrained else "none"
        model: TransferModel = family.build(
            config, shape=data.train.shape, n_classes=len(data.classes), weights=weights
        )
        if weights != "none":
            model.mark_pretrained()
        preprocessing.normalize(model, config, self._input_spec(config), data.train)
        self._check(name, model, data, config, keys=("image_size", *getattr(family, "HYPERPARAMETERS", ())))
        return model

    def build_model(self, config: Config, data: SearchData) -> TransferModel:
        """Return a new model with the weights of the task, for data that `search_data` returned.

        Raises SetupError if the model or its weights are missing, or do not fit the data set.
        """
        return self._build_model(str(config.get("model", self.task.model)), config, data, pretrained=True)

    def _check(
        self, name: str, model: TransferModel, data: SearchData, config: Config, *, keys: tuple[str, ...]
    ) -> None:
        """Check that a model fits the data set. `keys` are the hyperparameters of the model.

        A model is not checked again if one with the same values in `config` fitted before. Real numbers that belong to
        other keys, such as a learning rate, may differ. Models with lazy modules, which create their weights from the
        first image, are checked in every trial.
        """
        relevant = sorted(item for item in config.items() if item[0] in keys or not isinstance(item[1], float))
        key = (name, data.train.shape, len(data.classes), *relevant)
        if key not in self._compatible and compatibility.check(name, model, data, keys=keys):
            self._compatible.add(key)

    def _find_weights(self, name: str, family: Any) -> str:
        """The value of `weights` for the `build` of a model: none, or the path of a state dict."""
        if self.task.weights != "imagenet":
            return self.task.weights
        if not hasattr(family, "WEIGHTS"):
            raise SetupError(f"`task.weights`: there are no ImageNet weights of the model {name!r}")
        return str(_weights.find(family.WEIGHTS, self.root / "weights", name))

    def weights_file(self, model: str) -> Path | None:
        """Return the file of the pretrained weights of a model. None if there is none, or if it is missing."""
        if self.task.weights == "none":
            return None
        try:
            path = Path(self._find_weights(model, self._load("trainables.models", model)))
        except SetupError:
            return None
        return path if path.is_file() else None

    def _image_format(self, config: Config) -> ImageFormat:
        return preprocessing.image_format(config, self._input_spec(config))

    def _input_spec(self, config: Config) -> InputSpec:
        """The images that the model of `config` expects."""
        name = config.get("model", self.task.model)
        if name is None:
            return InputSpec()
        spec: InputSpec = getattr(self._load("trainables.models", str(name)), "INPUT", InputSpec())
        return spec

    def _prepared_dataset(self) -> Preprocessor | None:
        """The data set of the task, which is split at the first call. None if the task names no data set."""
        if self._preprocessor is None and self.task.dataset is not None:
            self._preprocessor = self.split_dataset(*self.load_datasets())
        return self._preprocessor

    def load_datasets(self) -> tuple[DataSet, PretrainingSet | None]:
        """Return the data set of the task, and the one to pretrain on: from the manifest, or from their folders."""
        task, manifest = self.task, self._manifest
        assert task.dataset is not None, "only a task with a data set is split"
        dataset = self.load_dataset(task.dataset) if manifest is None else self._recorded_dataset(manifest)
        # If both are the same data set, regimes pretrain on the training part.
        if task.pretraining is None or task.pretraining == task.dataset:
            return dataset, None
        recorded = None if manifest is None else manifest.pretraining
        other = self.load_dataset(task.pretraining) if recorded is None else self._recorded_dataset(recorded)
        return dataset, PretrainingSet(other, task.pretraining.merged_classes)

    def split_dataset(self, dataset: DataSet, pretraining: PretrainingSet | None) -> Preprocessor:
        """Split what `load_datasets` returned, as the manifest says if there is one."""
        validation, manifest = self.task.validation, self._manifest
        return Preprocessor(
            dataset,
            Validation(validation.fraction, validation.folds, validation.seed, is_given=validation.is_given),
            merged=self.task.dataset.merged_classes if manifest is None else manifest.merged_classes,
            pretraining=pretraining,
            device=self._device,
            assignment=None if manifest is None else manifest.assignment,
        )

    def _recorded_dataset(self, recorded: Manifest | RecordedPretraining) -> ManifestDataSet:
        spec = self.task.dataset if isinstance(recorded, Manifest) else self.task.pretraining
        return ManifestDataSet(recorded, self.root, lambda: self.load_dataset(spec))

    def load_dataset(self, spec: DatasetSpec) -> DataSet:
        """Build the data set that `spec` names. Its parts may differ from those of the manifest.

        The data set of the task gets the `group` of `task.validation`.
        """
        plugin = self._load("trainables.datasets", spec.plugin)
        group = self.task.validation.group if spec is self.task.dataset else None
        options = {**spec.options, **spec.paths}
        return build_dataset(plugin, self.root, options, group=group, looked_in=spec.looked_in)


def _build_regime(
    build: BuildRegime, name: str, config: Config, model: TransferModel | None, data: SearchData | None, device: str
) -> Trainable:
    """Build the trainable of a regime. Raises a SetupError if its module breaks the rules of a regime."""
    try:
        inspect.signature(build).bind(config, model, data, device)
    except TypeError as error:
        raise SetupError(f"the regime {name!r}: `build` must take (config, model, data, device): {error}") from None
    trainable = build(config, model, data, device)
    for method in ("step", "state_dict", "load_state_dict"):
        if not callable(getattr(trainable, method, None)):
            raise SetupError(f"the regime {name!r}: what its `build` returned has no method `{method}`")
    return trainable
