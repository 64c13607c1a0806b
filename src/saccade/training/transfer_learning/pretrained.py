"""Pretrained models and weights: of a run, of a weights file, or of keras.applications."""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from saccade.data.dataset import FULL_BITS, Preprocessing, SplitName
from saccade.data.image_size import square_preprocessing
from saccade.errors import TrainingError
from saccade.machine import memory_bytes
from saccade.models.pretrained.imagenet import NETWORK, imagenet_weights
from saccade.named_paths import named_path
from saccade.recipes import BackboneName, NetworkName
from saccade.runs.records import SourceRecord, WeightsNote
from saccade.runs.run import WEIGHTS_NOTE, Run
from saccade.runs.safe_loading import read_weights_with_notes

if TYPE_CHECKING:
    import keras

_NAMES = (NETWORK, *get_args(BackboneName))
_EXPECTED = f"a run, the weights.safetensors of one, or one of {', '.join(_NAMES)}"

# Side of the images that EfficientNet-Lite0 was trained on, in pixels.
_IMAGENET_SIZE = 224

Weights = Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True)
class PretrainedModel:
    """Pretrained network, whose weights are loaded on demand.

    Attributes:
        name: name for messages.
        network: name of the network.
        preprocessing: preprocessing of the images.
        settings: recipe keys that belong to the network.
        load: function that returns the weights by `layer/variable`, including those of the head.
        split: content hash -> split, of the images that the network was trained with, as far as they are known.
    """

    name: str
    network: NetworkName
    preprocessing: Preprocessing
    settings: Mapping[str, Any]
    load: Callable[[], Weights]
    split: Mapping[str, SplitName] = field(default_factory=dict)

    @classmethod
    def of(cls, source: Run | str | Path, weights: str | Path | None = None) -> PretrainedModel:
        """Find a pretrained model; its weights are read or downloaded later, by `load`.

        Args:
            source: a run or its directory; the weights.safetensors of a run; or a name in keras.applications.
            weights: for a name in keras.applications, an HDF5 file of Keras with the weights, without the head.

        Raises:
            TrainingError: the source is unknown.
            RunError: the run or the weights file is damaged.
        """
        if not isinstance(source, Run):
            named_path(source, TrainingError, what="the source of a transfer", expected=_EXPECTED)
        name = str(source)
        known = next((known for known in _NAMES if known.lower() == name.lower()), None)
        if known is not None and not Path(name).exists():
            if known != NETWORK:
                return _of_backbone(known, None if weights is None else Path(weights))
            if weights is None:
                return imagenet_model()
        if weights is not None:
            raise TrainingError(
                "a file of weights goes with a network of keras.applications only",
                found=f"the source '{name}'",
                remedy="omit --weights, or name the network with --from",
            )
        if not isinstance(source, Run) and Path(source).is_file():
            return _of_file(Path(source))
        if isinstance(source, Run) or Path(source).is_dir():
            return _of_run(Run.open(source))
        raise _not_found(name)


@dataclass(frozen=True)
class PretrainedWeights:
    """Pretrained weights of a network.

    Attributes:
        weights: weights by `layer/variable`, including those of the head.
        record: record of their source, for the run.
    """

    weights: Weights
    record: SourceRecord

    @classmethod
    def from_model(cls, source: PretrainedModel) -> PretrainedWeights:
        """Read or download the weights of a pretrained model."""
        weights = source.load()
        return cls(weights, SourceRecord(name=source.name, fingerprint=weights_fingerprint(source.network, weights)))

    def body_of(self, network: keras.Model) -> Weights:
        """Return the weights for a network, except its head.

        Raises:
            TrainingError: the weights don't fit the network.
        """
        from saccade.models.head import body_weights
        from saccade.models.weights import named_weights

        body, expected = body_weights(network, self.weights), body_weights(network, named_weights(network))
        misfits = sorted(
            name
            for name in body.keys() | expected.keys()
            if name not in body or name not in expected or body[name].shape != expected[name].shape
        )
        if misfits:
            raise TrainingError(
                f"the weights of '{self.record.name}' don't fit a network for this data",
                found=f"{len(misfits)} arrays are missing, unknown or of another shape: {', '.join(misfits[:5])}",
                remedy="a network with a dense layer over all pixels needs images of the size that it was trained with",
            )
        return body


def imagenet_model() -> PretrainedModel:
    """Return the network whose ImageNet weights are part of this package."""
    return PretrainedModel(
        NETWORK, NETWORK, square_preprocessing(_IMAGENET_SIZE), {"image_size": _IMAGENET_SIZE}, imagenet_weights
    )


def weights_fingerprint(network: str, weights: Weights) -> str:
    """Return the hexadecimal SHA-256 of a network's name and weights."""
    digest = hashlib.sha256(network.encode())
    for name in sorted(weights):
        digest.update(f"{name} {weights[name].shape}".encode())
        digest.update(np.ascontiguousarray(weights[name]).data)
    return digest.hexdigest()


def _of_run(run: Run) -> PretrainedModel:
    recipe = run.recipe
    settings = _settings(run.preprocessing, recipe.final_scale, recipe.tta_views)
    return PretrainedModel(run.name, recipe.network, run.preprocessing, settings, run.weights, run.split_of())


def _of_file(path: Path) -> PretrainedModel:
    if path.suffix != ".safetensors":
        raise TrainingError(
            f"'{path}' can't be the source of a transfer",
            expected="a run, the weights.safetensors of one, or the name of a network of keras.applications",
            remedy="a file of weights for such a network goes with --weights FILE",
        )
    weights, notes = read_weights_with_notes(path, memory_bytes() // 2)
    try:
        note = WeightsNote.model_validate_json(notes.get(WEIGHTS_NOTE, ""))
    except ValidationError:
        raise TrainingError(
            f"'{path}' does not name the network of its weights",
            expected="the weights.safetensors of a run of this version of Saccade",
            remedy="name the run instead: --from RUN",
        ) from None
    return PretrainedModel(
        path.name,
        note.network,
        note.preprocessing,
        _settings(note.preprocessing, note.final_scale, note.tta_views),
        lambda: weights,
    )


def _settings(preprocessing: Preprocessing, final_scale: float, tta_views: int) -> dict[str, Any]:
    size = (
        preprocessing.height
        if preprocessing.height == preprocessing.width and 8 <= preprocessing.height <= 1024
        else None
    )
    return {
        "image_size": size,
        "fit": preprocessing.fit,
        "scale": "full" if preprocessing.sample_bits == FULL_BITS else "auto",
        "initial_scale": final_scale,
        "final_scale": final_scale,
        "tta_views": tta_views,
    }


def _of_backbone(name: NetworkName, file: Path | None) -> PretrainedModel:
    from saccade.models.networks.backbones import BACKBONES
    from saccade.models.weights import named_weights

    if file is not None and not file.is_file():
        raise TrainingError(f"there is no file '{file}'", expected=f"the weights of {name}, in Keras's format")
    backbone = BACKBONES[name]

    def load() -> Weights:
        return named_weights(backbone.trained(2) if file is None else backbone.from_file(file, 2))

    return PretrainedModel(name, name, square_preprocessing(backbone.size), {"image_size": backbone.size}, load)


def _not_found(name: str) -> TrainingError:
    near = difflib.get_close_matches(name.lower(), [known.lower() for known in _NAMES], n=3, cutoff=0.5)
    named = [known for known in _NAMES if known.lower() in near]
    return TrainingError(
        f"there is no source '{name}' for a transfer",
        expected=_EXPECTED,
        remedy=f"did you mean {' or '.join(named)}?" if named else None,
    )
