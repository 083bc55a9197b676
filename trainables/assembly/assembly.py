"""One task, assembled: its data set, split and preprocessed; and for each configuration a model and a regime on it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from trainables import seeding
from trainables.assembly import compatibility
from trainables.data import images, preprocessing
from trainables.data.dataset import DataSet, Part, SearchData, Source
from trainables.data.images import ImageFormat
from trainables.data.input_spec import InputSpec
from trainables.data.preprocessing import Preprocessor, PretrainingSet, Validation
from trainables.errors import SetupError
from trainables.hyperparameters import Config, Scalar
from trainables.models import _weights
from trainables.trainable import Trainable, TransferModel
from trainables.training.folds import Folds

Load = Callable[[str, str], Any]
"""From a package, such as `trainables.models`, and a name to the plug-in's module."""

Code = Callable[[Config, TransferModel | None, SearchData | None, str], Trainable]
"""A regime's `build(config, model, data, device)`."""


class Named(Protocol):
    """A data set by name, with the options of its file, and the groups that its classes are joined into."""

    @property
    def name(self) -> str: ...
    @property
    def options(self) -> Mapping[str, Scalar]: ...
    @property
    def groups(self) -> Mapping[str, Sequence[str]]: ...


class Task(Protocol):
    """What is trained, by names. None: the configuration names it, or there is none."""

    @property
    def regime(self) -> str | None: ...
    @property
    def model(self) -> str | None: ...
    @property
    def weights(self) -> str:
        """none, imagenet, or the path of a state dict."""
        ...

    @property
    def dataset(self) -> Any:
        """A `Named` data set, or None."""
        ...

    @property
    def pretraining(self) -> Any:
        """A `Named` data set to train on first, or None."""
        ...

    @property
    def validation(self) -> Any:
        """Has `fraction`, `folds` and `seed`."""
        ...


class Assembly:
    """Builds the trainables of one task on one device. The data set is read once for all of them.

    A SetupError says what of the task is missing or does not fit, and which hyperparameters it hangs on.
    """

    def __init__(self, task: Task, load: Load, root: Path, device: str, *, code: Code | None = None) -> None:
        """`root` is the folder of the data sets and of `weights`; `code` trains in place of the task's regime."""
        self._task = task
        self._load = load
        self._root = root
        self._device = device
        self._code = code
        self._preprocessor: Preprocessor | None = None
        self._compatible: set[tuple[object, ...]] = set()
        """The models that are known to fit the data set, by all that decides it."""

    def build(self, config: Config, seed: int) -> Trainable:
        """A fresh trainable; all that is random in it follows from `seed`. With folds, one that holds them all."""
        seeding.seed_everything(seed)
        folds = self.search_data(config)
        regime, model = config.get("regime", self._task.regime), config.get("model", self._task.model)
        try:
            trainables = [self._on_fold(regime, model, config, fold) for fold in folds]
        except SetupError as error:
            named = ", ".join(
                f"{key} {name}" for key, name in (("regime", regime), ("model", model)) if name is not None
            )
            raise SetupError(f"{named}: {error}" if named else str(error), keys=error.keys) from error
        return trainables[0] if len(trainables) == 1 else Folds(trainables)

    def search_data(self, config: Config) -> Sequence[SearchData | None]:
        """What the regime receives, once a fold; None where the task names no data set."""
        preprocessor = self._preprocess()
        return (None,) if preprocessor is None else preprocessor.folds(self._image_format(config))

    def held_out(self, ask: Callable[[DataSet], Source], config: Config) -> Part:
        """The part of the data set that `ask` gets, in the format that the model of `config` expects."""
        preprocessor = self._preprocess()
        assert preprocessor is not None, "only a task with a data set is tested"
        source = preprocessor.grouped(ask(self._dataset(self._task.dataset)))
        return images.load(source, self._image_format(config))

    def _on_fold(self, regime: Scalar, model: Scalar, config: Config, data: SearchData | None) -> Trainable:
        plugin = None if self._code is not None else self._load("trainables.regimes", str(regime))
        made = None
        if model is not None:
            if data is None:
                raise SetupError(f"the model {model!r} needs a data set: `task.dataset` names none")
            made = self._model(str(model), config, data, pretrained=getattr(plugin, "PRETRAINED", True))
        build: Code = self._code if plugin is None else plugin.build  # type: ignore[assignment]
        return build(config, made, data, self._device)

    def _model(self, name: str, config: Config, data: SearchData, *, pretrained: bool) -> TransferModel:
        """A fresh model that fits the data set, with its normalisation; random weights unless `pretrained`."""
        family = self._load("trainables.models", name)
        weights = self._weights(name, family) if pretrained else "none"
        model: TransferModel = family.build(
            config, shape=data.train.shape, n_classes=len(data.classes), weights=weights
        )
        if weights != "none":
            model.mark_pretrained()
        preprocessing.normalize(model, config, self._input_spec(config), data.train)
        self._check(name, model, data, config, keys=("image_size", *getattr(family, "HYPERPARAMETERS", ())))
        return model

    def _check(
        self, name: str, model: TransferModel, data: SearchData, config: Config, *, keys: tuple[str, ...]
    ) -> None:
        """Check a model against the data set, unless one like it was checked before; `keys` are its hyperparameters.

        Models are alike where all values are, real numbers of other keys left out. Modules that make their weights
        when they see the first image are checked in every trial.
        """
        decisive = sorted(item for item in config.items() if item[0] in keys or not isinstance(item[1], float))
        key = (name, data.train.shape, len(data.classes), *decisive)
        if key not in self._compatible and compatibility.check(name, model, data, keys=keys):
            self._compatible.add(key)

    def _weights(self, name: str, family: Any) -> str:
        """none, or the path of a state dict."""
        if self._task.weights != "imagenet":
            return self._task.weights
        if not hasattr(family, "WEIGHTS"):
            raise SetupError(f"`task.weights`: there are no ImageNet weights of the model {name!r}")
        return str(_weights.find(family.WEIGHTS, self._root / "weights", name))

    def _image_format(self, config: Config) -> ImageFormat:
        return preprocessing.image_format(config, self._input_spec(config))

    def _input_spec(self, config: Config) -> InputSpec:
        """What the model of `config` expects of its images."""
        name = config.get("model", self._task.model)
        if name is None:
            return InputSpec()
        spec: InputSpec = getattr(self._load("trainables.models", str(name)), "INPUT", InputSpec())
        return spec

    def _preprocess(self) -> Preprocessor | None:
        """The data set of the task, split once; None where there is none."""
        task = self._task
        if self._preprocessor is None and task.dataset is not None:
            first = None
            if task.pretraining is not None and task.pretraining != task.dataset:  # else it is the training part
                first = PretrainingSet(self._dataset(task.pretraining), task.pretraining.groups)
            validation = task.validation
            self._preprocessor = Preprocessor(
                self._dataset(task.dataset),
                Validation(validation.fraction, validation.folds, validation.seed),
                groups=task.dataset.groups,
                first=first,
                device=self._device,
            )
        return self._preprocessor

    def _dataset(self, named: Named) -> DataSet:
        dataset: DataSet = self._load("trainables.datasets", named.name).build(self._root, **named.options)
        return dataset
