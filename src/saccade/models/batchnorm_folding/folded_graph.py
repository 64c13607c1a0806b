"""The folded copy of a network while it is built: tensors, layers and weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np
from keras import layers, ops
from numpy.typing import NDArray


@dataclass
class Source:
    """A convolution or dense layer of the copy with its final weights.

    Attributes:
        layer: layer of the copy.
        kernel: weights of the layer, outputs along the last axis.
        bias: bias of the layer, [outputs].
    """

    layer: keras.Layer
    kernel: NDArray[Any]
    bias: NDArray[Any]


@dataclass(frozen=True)
class Value:
    """Representation of a tensor of the network: scale * tensor + shift, along the last axis.

    Attributes:
        tensor: tensor of the copy.
        scale: float64 [channels], or one number for all channels.
        shift: float64 [channels], or one number for all channels.
        source: layer that computes the tensor; None if other tensors depend on the layer, or if a layer other than
            pooling stands between.
        rectified: whether ReLU follows the source, which then absorbs no shift.
        maximum: whether ReLU or max pooling follows the source, which then absorbs no negative scale.
    """

    tensor: keras.KerasTensor
    scale: Any = 1.0
    shift: Any = 0.0
    source: Source | None = None
    rectified: bool = False
    maximum: bool = False

    @property
    def scaled(self) -> bool:
        """True if the scale of a channel is not 1."""
        return bool(np.any(self.scale != 1))

    @property
    def shifted(self) -> bool:
        """True if the shift of a channel is not 0."""
        return bool(np.any(self.shift != 0))

    @property
    def flipped(self) -> bool:
        """True if the scale of a channel is negative, which exchanges minimum and maximum."""
        return bool(np.any(self.scale < 0))

    def then(self, scale: Any, shift: Any) -> Value:
        """Return the value, scaled and shifted once more."""
        return replace(self, scale=self.scale * scale, shift=self.shift * scale + shift)

    def absorbed(self) -> Value:
        """Return an equal value whose source has absorbed scale and shift into its weights, as far as possible."""
        source = self.source
        if source is None or (self.maximum and self.flipped):
            return self
        # NumPy multiplies float32 weights by float64 scales in float64.
        source.kernel, source.bias = source.kernel * self.scale, source.bias * self.scale
        if self.rectified:
            return replace(self, scale=1.0)
        source.bias = source.bias + self.shift
        return replace(self, scale=1.0, shift=0.0)


class FoldedGraph:
    """Builder of the layers of the copy."""

    def __init__(self) -> None:
        self._names = 0
        self._sources: list[Source] = []
        self._affine: list[tuple[Affine, Value]] = []
        # By the id of the original layer; the original is stored too, so that its id is not reused.
        self._copies: dict[int, tuple[keras.Operation, keras.Operation]] = {}

    def materialize(self, value: Value) -> keras.KerasTensor:
        """Return a tensor of the copy that equals the value; add an affine layer if scale or shift remain."""
        value = value.absorbed()
        if not value.scaled and not value.shifted:
            return value.tensor
        affine = Affine(value.scaled, name=self._name("affine"), dtype="float32", trainable=False)
        self._affine.append((affine, value))
        return affine(value.tensor)

    def materialize_shift(self, value: Value) -> Value:
        """Return an equal value without a shift, in front of zero padding, which is not shifted; a scale may remain.

        The next layer absorbs the scale: scale * tensor + shift = scale * (tensor + shift / scale).
        """
        value = value.absorbed()
        with np.errstate(all="ignore"):
            shift = np.divide(value.shift, value.scale)
            possible = np.isfinite(np.float32(shift)).all()  # False for a scale of 0
        if not possible:
            return Value(self.materialize(value))
        return Value(self.materialize(replace(value, scale=1.0, shift=shift)), value.scale)

    def add_weighted(self, layer: keras.Layer, value: Value, kernel: Any, bias: Any) -> Value:
        """Add a copy of a convolution or dense layer with a new kernel and bias, applied to `value.tensor`."""
        copy = self._copy(layer, use_bias=True)
        tensor = copy(value.tensor)
        source = Source(copy, kernel, bias)
        self._sources.append(source)
        if layer.activation is keras.activations.linear:
            return Value(tensor, source=source)
        if layer.activation is keras.activations.relu:
            return Value(tensor, source=source, rectified=True, maximum=True)
        return Value(tensor)

    def pass_through(self, layer: keras.Layer, value: Value, *, maximum: bool = False) -> Value:
        """Add a copy of a layer without weights that scale and shift pass through; `maximum`: max pooling."""
        return replace(value, tensor=self._copy(layer)(value.tensor), maximum=value.maximum or maximum)

    def add_copy(
        self,
        operation: keras.Operation,
        arguments: Any,
        options: Mapping[str, Any],
        fold: Callable[[keras.Model], keras.Model],
    ) -> list[Value]:
        """Add an unchanged copy of a layer or operation, or a folded copy of a nested model."""
        if id(operation) not in self._copies:
            copy = self._folded(operation, fold) if isinstance(operation, keras.Model) else self._complete(operation)
            self._copies[id(operation)] = operation, copy
        _, copy = self._copies[id(operation)]
        arguments, options = keras.tree.map_structure(
            lambda item: self.materialize(item) if isinstance(item, Value) else item, (arguments, dict(options))
        )
        return [Value(tensor) for tensor in keras.tree.flatten(copy(*arguments, **options))]

    def fill(self) -> None:
        """Set the weights, which are known once all layers are folded."""
        for source in self._sources:
            kernel = np.float32(source.kernel).reshape(source.layer.kernel.shape)
            source.layer.set_weights([kernel, np.float32(source.bias)])
        for affine, value in self._affine:
            affine.fill(value)

    def _folded(self, model: keras.Model, fold: Callable[[keras.Model], keras.Model]) -> keras.Model:
        copy = fold(model)
        if copy is not model:
            copy.name = self._name(model.name)
        return copy

    def _complete(self, operation: keras.Operation) -> keras.Operation:
        """Return a copy with its weights."""
        copy = self._copy(operation)
        if isinstance(operation, keras.Layer) and operation.weights:
            # Built from the configuration, because a layer may have been built for another shape than its inputs have.
            copy.build_from_config(operation.get_build_config())
            copy.set_weights(operation.get_weights())
        return copy

    def _copy(self, operation: keras.Operation, **settings: Any) -> keras.Operation:
        config = operation.get_config() | settings
        if isinstance(operation, keras.Layer):
            # The weights are set later: initializing them costs time and advances the caller's random state.
            config |= {key: "zeros" for key in config if key.endswith("_initializer")}
            config |= {"dtype": "float32", "trainable": False}
        copy = type(operation).from_config(config)
        copy.name = self._name(operation.name)
        return copy

    def _name(self, name: str) -> str:
        """Return a unique name within the copy, equal each time that the same layers are folded."""
        self._names += 1
        return f"{name}_{self._names}"


class Affine(layers.Layer):  # type: ignore[misc]  # Keras has no type hints
    """Affine layer: scale * x + shift along the last axis, or x + shift."""

    def __init__(self, scaled: bool, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.scaled = scaled

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Create scale and shift, [channels]."""
        channels = input_shape[-1]
        self._scale = self.add_weight(shape=(channels,), name="scale") if self.scaled else None
        self._shift = self.add_weight(shape=(channels,), name="shift")

    def fill(self, value: Value) -> None:
        """Set the weights to scale and shift of a value."""
        if self._scale is not None:
            self._scale.assign(np.broadcast_to(np.float32(value.scale), self._scale.shape))
        self._shift.assign(np.broadcast_to(np.float32(value.shift), self._shift.shape))

    def call(self, inputs: Any) -> Any:
        """Return the scaled and shifted inputs."""
        return ops.add(inputs if self._scale is None else inputs * self._scale, self._shift)

    def get_config(self) -> dict[str, Any]:
        """Return the configuration for Keras."""
        return {**super().get_config(), "scaled": self.scaled}
