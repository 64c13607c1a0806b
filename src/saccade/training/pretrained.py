"""Where a transferred network comes from: a run, a file of weights, or a network of keras.applications."""

from __future__ import annotations

import difflib
import hashlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from saccade.data.dataset import Preprocessing, SplitName
from saccade.data.image_size import square_preprocessing
from saccade.errors import TrainingError, type_in_words
from saccade.machine import memory_bytes
from saccade.named_paths import named_path
from saccade.recipes import BackboneName, NetworkName
from saccade.runs.records import SourceRecord, WeightsNote
from saccade.runs.run import WEIGHTS_NOTE, Run
from saccade.runs.safe_loading import read_weights_with_notes

if TYPE_CHECKING:
    import keras

_EXPECTED = f"a run, the weights.safetensors of one, or one of {', '.join(get_args(BackboneName))}"

Weights = Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True)
class PretrainedModel:
    """A network that has learned.

    Attributes:
        name: for the user.
        network: its family.
        preprocessing: how images become what it sees.
        settings: the recipe keys that belong to it.
        load: gives its weights by `layer/variable`, those of its head among them.
        split: content hash -> split of the images that the network learned from, as far as they are known.
    """

    name: str
    network: NetworkName
    preprocessing: Preprocessing
    settings: Mapping[str, Any]
    load: Callable[[], Weights]
    split: Mapping[str, SplitName] = field(default_factory=dict)

    @classmethod
    def of(cls, source: Run | str | Path, weights: str | Path | None = None) -> PretrainedModel:
        """Finds a source; its weights are read, or downloaded, when they are asked for.

        Args:
            source: a run or its directory; a weights.safetensors of one; or a name in keras.applications.
            weights: for such a name, a file with weights: Keras's HDF5, without the head.

        Raises:
            TrainingError: there is no such source.
            RunError: the run, or the file, is damaged.
        """
        if not isinstance(source, Run | str | os.PathLike):
            raise TrainingError(
                "the source of a transfer is named by its path or name", expected=_EXPECTED, found=type_in_words(source)
            )
        if not isinstance(source, Run):
            named_path(source, TrainingError, what="the source of a transfer", expected=_EXPECTED)
        name = str(source)
        backbone = next((known for known in get_args(BackboneName) if known.lower() == name.lower()), None)
        if backbone is not None and not Path(name).exists():
            return _of_backbone(backbone, None if weights is None else Path(weights))
        if weights is not None:
            raise TrainingError(
                "a file of weights goes with a network of keras.applications only",
                found=f"the source '{name}'",
                remedy="leave --weights away, or name the network with --from",
            )
        if not isinstance(source, Run) and Path(source).is_file():
            return _of_file(Path(source))
        if isinstance(source, Run) or Path(source).is_dir():
            return _of_run(Run.open(source))
        raise _not_found(name)


@dataclass(frozen=True)
class PretrainedWeights:
    """What a network brings along into a transfer.

    Attributes:
        weights: by `layer/variable`, those of its head among them.
        record: what the run keeps of where they came from.
    """

    weights: Weights
    record: SourceRecord

    @classmethod
    def from_model(cls, source: PretrainedModel) -> PretrainedWeights:
        """Reads, or downloads, the weights of a source."""
        weights = source.load()
        return cls(weights, SourceRecord(name=source.name, fingerprint=weights_fingerprint(source.network, weights)))

    def body_of(self, network: keras.Model) -> Weights:
        """The weights for all of a network but its head.

        Raises:
            TrainingError: they are not those of this network.
        """
        from saccade.models.head import body_weights
        from saccade.models.weights import named_weights

        body, wanted = body_weights(network, self.weights), body_weights(network, named_weights(network))
        odd = sorted(
            name
            for name in body.keys() | wanted.keys()
            if name not in body or name not in wanted or body[name].shape != wanted[name].shape
        )
        if odd:
            raise TrainingError(
                f"the weights of '{self.record.name}' don't fit a network for this data",
                found=f"{len(odd)} arrays are missing, not known or of another shape: {', '.join(odd[:5])}",
                remedy="networks with a dense layer over every pixel take images of the size that they learned on",
            )
        return body


def weights_fingerprint(network: str, weights: Weights) -> str:
    """Hexadecimal SHA-256 of a network's weights by `layer/variable`."""
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
            f"'{path}' is no source of a transfer",
            expected="a run, the weights.safetensors of one, or the name of a network of keras.applications",
            remedy="a file of weights for such a network goes with --weights FILE",
        )
    weights, notes = read_weights_with_notes(path, memory_bytes() // 2)
    try:
        note = WeightsNote.model_validate_json(notes.get(WEIGHTS_NOTE, ""))
    except ValidationError:
        raise TrainingError(
            f"'{path}' does not say of what network its weights are",
            expected="the weights.safetensors of a run of this version of Saccade",
            remedy="name the run itself: --from RUN",
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
    return {"image_size": size, "initial_scale": final_scale, "final_scale": final_scale, "tta_views": tta_views}


def _of_backbone(name: NetworkName, file: Path | None) -> PretrainedModel:
    from saccade.models.networks.backbones import BACKBONES
    from saccade.models.weights import named_weights

    if file is not None and not file.is_file():
        raise TrainingError(f"there is no file '{file}'", expected=f"the weights of {name}, as Keras keeps them")
    backbone = BACKBONES[name]

    def load() -> Weights:
        return named_weights(backbone.trained(2) if file is None else backbone.from_file(file, 2))

    return PretrainedModel(name, name, square_preprocessing(backbone.size), {"image_size": backbone.size}, load)


def _not_found(name: str) -> TrainingError:
    near = difflib.get_close_matches(name.lower(), [known.lower() for known in get_args(BackboneName)], n=3, cutoff=0.5)
    named = [known for known in get_args(BackboneName) if known.lower() in near]
    return TrainingError(
        f"there is no source '{name}' for a transfer",
        expected=_EXPECTED,
        remedy=f"did you mean {' or '.join(named)}?" if named else None,
    )
