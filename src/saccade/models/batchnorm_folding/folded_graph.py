"""The copy of a network that folding makes, while it is being made: its tensors, layers and weights."""

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
    """A convolution or dense layer of the copy, with its weights as they will be, outputs along the last axis."""

    layer: keras.Layer
    kernel: NDArray[Any]
    bias: NDArray[Any]


@dataclass(frozen=True)
class Value:
    """What stands for a tensor of the network: scale * tensor + shift, along the last axis.

    Attributes:
        tensor: of the copy.
        scale: float64 [channels], or a number for all.
        shift: float64 [channels], or a number for all.
        source: the layer that made the tensor, where nothing else depends on it and only a pooling stands between.
        rectified: whether the source ends in a rectifier; it then takes no shift.
        maximum: whether a rectifier or a maximum follows the source; it then takes no negative scale.
    """

    tensor: keras.KerasTensor
    scale: Any = 1.0
    shift: Any = 0.0
    source: Source | None = None
    rectified: bool = False
    maximum: bool = False

    @property
    def scaled(self) -> bool:
        """Whether the scale is not 1 everywhere."""
        return bool(np.any(self.scale != 1))

    @property
    def shifted(self) -> bool:
        """Whether the shift is not 0 everywhere."""
        return bool(np.any(self.shift != 0))

    @property
    def flipped(self) -> bool:
        """Whether a scale is negative, so that the largest is the smallest."""
        return bool(np.any(self.scale < 0))

    def then(self, scale: Any, shift: Any) -> Value:
        """The same value, scaled and shifted once more."""
        return replace(self, scale=self.scale * scale, shift=self.shift * scale + shift)

    def taken_up(self) -> Value:
        """The same value, with as much of scale and shift in the weights of its source as these can take."""
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
    """Makes layers of the copy from layers of the network."""

    def __init__(self) -> None:
        self._names = 0
        self._sources: list[Source] = []
        self._affine: list[tuple[Affine, Value]] = []
        # By the id of the layer that was copied; the layer itself is kept so that its id stays its own.
        self._copies: dict[int, tuple[keras.Operation, keras.Operation]] = {}

    def settled(self, value: Value) -> keras.KerasTensor:
        """A tensor of the copy that is the value."""
        value = value.taken_up()
        if not value.scaled and not value.shifted:
            return value.tensor
        affine = Affine(value.scaled, name=self._name("affine"), dtype="float32", trainable=False)
        self._affine.append((affine, value))
        return affine(value.tensor)

    def weighted(self, layer: keras.Layer, value: Value, kernel: Any, bias: Any) -> Value:
        """The output of a convolution or dense layer that has this kernel and bias and the value's bare tensor."""
        copy = self._copy(layer, use_bias=True)
        tensor = copy(value.tensor)
        source = Source(copy, kernel, bias)
        self._sources.append(source)
        if layer.activation is keras.activations.linear:
            return Value(tensor, source=source)
        if layer.activation is keras.activations.relu:
            return Value(tensor, source=source, rectified=True, maximum=True)
        return Value(tensor)

    def passed(self, layer: keras.Layer, value: Value, *, maximum: bool = False) -> Value:
        """The output of a layer without weights that lets scale and shift pass; `maximum`: if no scale is negative."""
        return replace(value, tensor=self._copy(layer)(value.tensor), maximum=value.maximum or maximum)

    def copied(
        self,
        operation: keras.Operation,
        arguments: Any,
        options: Mapping[str, Any],
        fold: Callable[[keras.Model], keras.Model],
    ) -> list[Value]:
        """The outputs of a layer or operation as it is, or of a model folded by itself."""
        if id(operation) not in self._copies:
            copy = self._folded(operation, fold) if isinstance(operation, keras.Model) else self._complete(operation)
            self._copies[id(operation)] = operation, copy
        _, copy = self._copies[id(operation)]
        arguments, options = keras.tree.map_structure(
            lambda item: self.settled(item) if isinstance(item, Value) else item, (arguments, dict(options))
        )
        return [Value(tensor) for tensor in keras.tree.flatten(copy(*arguments, **options))]

    def fill(self) -> None:
        """Sets the weights that are known only when all is folded."""
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
        """A copy with its weights."""
        copy = self._copy(operation)
        if isinstance(operation, keras.Layer) and operation.weights:
            # Not by calling it: a layer may have been built for a shape that its inputs do not tell.
            copy.build_from_config(operation.get_build_config())
            copy.set_weights(operation.get_weights())
        return copy

    def _copy(self, operation: keras.Operation, **settings: Any) -> keras.Operation:
        config = operation.get_config() | settings
        if isinstance(operation, keras.Layer):
            # The weights come later: drawing them would cost time, and random numbers of the caller's.
            config |= {key: "zeros" for key in config if key.endswith("_initializer")}
            config |= {"dtype": "float32", "trainable": False}
        copy = type(operation).from_config(config)
        copy.name = self._name(operation.name)
        return copy

    def _name(self, name: str) -> str:
        """A name that no other layer of the copy has, and that is the same when the same layers are made again."""
        self._names += 1
        return f"{name}_{self._names}"


class Affine(layers.Layer):  # type: ignore[misc]  # Keras has no type hints
    """scale * x + shift along the last axis, or x + shift."""

    def __init__(self, scaled: bool, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.scaled = scaled

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Makes the weights, one of each for each channel."""
        channels = input_shape[-1]
        self._scale = self.add_weight(shape=(channels,), name="scale") if self.scaled else None
        self._shift = self.add_weight(shape=(channels,), name="shift")

    def fill(self, value: Value) -> None:
        """Takes the value's scale and shift."""
        if self._scale is not None:
            self._scale.assign(np.broadcast_to(np.float32(value.scale), self._scale.shape))
        self._shift.assign(np.broadcast_to(np.float32(value.shift), self._shift.shape))

    def call(self, inputs: Any) -> Any:
        """The inputs, scaled and shifted."""
        return ops.add(inputs if self._scale is None else inputs * self._scale, self._shift)

    def get_config(self) -> dict[str, Any]:
        """As Keras wants it."""
        return {**super().get_config(), "scaled": self.scaled}
