"""The content of `model.json`: all that is needed to use the weights of a model folder, and where they come from."""

from __future__ import annotations

import hashlib
import json
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from trainables.data import decoding
from trainables.data.decoding import DecodingOptions
from trainables.errors import SetupError, reason

FORMAT = 1
"""The version of the format of a model folder."""
DESCRIPTION_FILE = "model.json"
RESIZES = ("crop", "squash")


@dataclass(frozen=True)
class ImageInput:
    """How an image file becomes the input of the network."""

    channels: int
    """3 for red, green and blue, or 1 for grey."""
    height: int
    """In pixels."""
    width: int
    """In pixels."""
    resize: str
    """crop or squash, as in `trainables.data.images.ImageFormat`. Only squash if the sides differ."""
    mean: tuple[float, ...]
    """For each channel, the value that is subtracted from pixels in 0..1."""
    std: tuple[float, ...]
    """For each channel, the value by which the difference is divided."""
    decoding: DecodingOptions = decoding.DEFAULT
    """How files become pixels."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """(channels, height, width)."""
        return self.channels, self.height, self.width


@dataclass(frozen=True)
class NetworkSource:
    """How the network is built."""

    model: str | None
    """The name of the model, such as resnet18. None if it is a program of torch.export."""
    configuration: Mapping[str, Any]
    """The hyperparameters of its training, with which the model is built."""
    code: str
    """Lines of Python that build the network without hpo. Nothing runs them, they are for the reader."""


@dataclass(frozen=True)
class ModelDescription:
    """The content of `model.json`."""

    classes: tuple[str, ...]
    """The names of the classes, in the order of the network's outputs."""
    image: ImageInput
    network: NetworkSource
    temperature: float
    """The logits are divided by it before the softmax. 1 changes nothing."""
    weights_hash: str
    """The SHA-256 of the file that holds the weights, as hexadecimal digits."""
    about: Mapping[str, Any]
    """Where the model comes from: its study, training, results and package versions. Plain values, by names."""

    def to_json(self) -> str:
        """Return the text of `model.json`. Numbers that are not finite become null: JSON has no NaN."""
        image = asdict(self.image)
        options = image.pop("decoding")
        content = {
            "format": FORMAT,
            "classes": list(self.classes),
            "classes_sha256": _hash_of(self.classes),
            "image": {**image, **options},
            "temperature": self.temperature,
            "network": {
                "model": self.network.model,
                "configuration": dict(self.network.configuration),
                "code": self.network.code.splitlines(),
            },
            "weights_sha256": self.weights_hash,
            **self.about,
        }
        return json.dumps(_finite(content), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def read(folder: Path) -> ModelDescription:
    """Read the `model.json` of a model folder.

    Raises SetupError if the folder is not a model folder, if the file was written by another version, or if a value in
    it is missing or not allowed. The error names the file and the key.
    """
    path, content = folder / DESCRIPTION_FILE, _content(folder)
    entries = _Entries(path, content)
    version = entries.get("format", lambda value: isinstance(value, int), "a whole number")
    if version != FORMAT:
        raise SetupError(
            f"{path}: `format` is {version}, but this version of hpo reads {FORMAT}: write the model again by "
            "`hpo model`, or use the version of hpo that wrote it"
        )
    image = _image(_Entries(path, entries.get("image", _is_mapping, "an object"), "image."))
    network = _Entries(path, entries.get("network", _is_mapping, "an object"), "network.")
    code = network.get("code", lambda value: _is_list(value, str), "a list of lines")
    classes = tuple(entries.get("classes", _are_classes, "a list of two or more different names"))
    # A file of an earlier version has no such value.
    if content.get("classes_sha256") not in (None, _hash_of(classes)):
        raise SetupError(
            f"{path}: `classes` was changed after the model was written (its SHA-256 is not `classes_sha256`), so the "
            "outputs may get wrong names: copy the file again, or remove `classes_sha256` to rename classes on purpose"
        )
    return ModelDescription(
        classes=classes,
        image=image,
        network=NetworkSource(
            network.get("model", lambda value: value is None or isinstance(value, str), "a name or null"),
            network.get("configuration", _is_mapping, "an object"),
            "".join(f"{line}\n" for line in code),
        ),
        temperature=float(entries.get("temperature", _is_positive, "a number above 0")),
        weights_hash=entries.get("weights_sha256", lambda value: isinstance(value, str), "a text"),
        about={key: value for key, value in entries.content.items() if key not in _OWN_KEYS},
    )


def _content(folder: Path) -> Any:
    """The values in the `model.json` of a folder. Raises SetupError if there is none, or if it is no JSON."""
    path = folder / DESCRIPTION_FILE
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        if not folder.exists():
            raise SetupError(f"{folder}: does not exist: a model folder is needed, `hpo model` writes one") from None
        raise SetupError(
            f"{folder}: is not a model folder, it has no {DESCRIPTION_FILE}: `hpo model` writes one"
        ) from None
    except (OSError, ValueError) as error:
        raise SetupError(f"{path}: cannot be read: {reason(error)}") from error
    except RecursionError:
        raise SetupError(f"{path}: cannot be read: its values are nested too deeply") from None


_OWN_KEYS = ("format", "classes", "classes_sha256", "image", "temperature", "network", "weights_sha256")


@dataclass(frozen=True)
class _Entries:
    """An object of the file, whose values are checked as they are read."""

    path: Path
    content: Any
    prefix: str = ""
    """What stands before a key in an error: the keys around it."""

    def get(self, key: str, is_allowed: Callable[[Any], bool], allowed: str) -> Any:
        """Return the value at `key`. Raises SetupError if it is missing, or not allowed; `allowed` says what is."""
        if not isinstance(self.content, dict) or key not in self.content:
            raise SetupError(f"{self.path}: `{self.prefix}{key}` is missing; it must be {allowed}")
        value = self.content[key]
        if not is_allowed(value):
            shown = value if len(repr(value)) <= 80 else f"{repr(value)[:77]}..."
            raise SetupError(f"{self.path}: `{self.prefix}{key}` must be {allowed}, but is {shown!r}")
        return value


def _image(entries: _Entries) -> ImageInput:
    channels = entries.get("channels", lambda value: _is_int(value) and value in (1, 3), "1 or 3")
    height, width = (entries.get(key, _is_count, "a whole number of at least 1") for key in ("height", "width"))
    resizes = RESIZES if height == width else ("squash",)
    n_numbers = f"a list of {channels} numbers"
    return ImageInput(
        channels=channels,
        height=height,
        width=width,
        resize=entries.get("resize", lambda value: value in resizes, " or ".join(resizes)),
        mean=_floats(entries.get("mean", lambda value: _is_list(value, float, channels), n_numbers)),
        std=_floats(
            entries.get(
                "std",
                lambda value: _is_list(value, float, channels) and all(map(_is_positive, value)),
                f"{n_numbers} above 0",
            )
        ),
        decoding=DecodingOptions(
            exif_orientation=entries.get("exif_orientation", lambda value: isinstance(value, bool), "true or false"),
            background=entries.get(
                "background",
                lambda value: value is None or value in decoding.BACKGROUNDS,
                f"null, {' or '.join(decoding.BACKGROUNDS)}",
            ),
            tolerate_truncated=entries.get(
                "tolerate_truncated", lambda value: isinstance(value, bool), "true or false"
            ),
            max_pixels=entries.get("max_pixels", _is_count, "a whole number of at least 1"),
            max_text_bytes=entries.get("max_text_bytes", _is_count, "a whole number of at least 1"),
        ),
    )


def _hash_of(classes: Sequence[str]) -> str:
    """The SHA-256 of the names of the classes in their order, as hexadecimal digits."""
    return hashlib.sha256(json.dumps(list(classes)).encode()).hexdigest()


def _floats(values: Sequence[float]) -> tuple[float, ...]:
    return tuple(float(value) for value in values)


def _finite(value: Any) -> Any:
    """Plain values with None for each number that is not finite."""
    if isinstance(value, Mapping):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _is_mapping(value: Any) -> bool:
    return isinstance(value, dict)


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_count(value: Any) -> bool:
    return _is_int(value) and value >= 1


def _is_number(value: Any) -> bool:
    """Whether a value is a finite number that fits into a float."""
    # A comparison, because math.isfinite raises OverflowError for a whole number of 400 digits.
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def _is_positive(value: Any) -> bool:
    return _is_number(value) and value > 0


def _is_list(value: Any, kind: type, length: int | None = None) -> bool:
    """Whether a value is a list of texts or of numbers, and has this length if one is given."""
    is_right = _is_number if kind is float else lambda each: isinstance(each, kind)
    return isinstance(value, list) and length in (None, len(value)) and all(map(is_right, value))


def _are_classes(value: Any) -> bool:
    return _is_list(value, str) and len(value) >= 2 and len(set(value)) == len(value)
