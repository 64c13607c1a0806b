"""Muon for convolution kernels, Nesterov SGD for all other variables: the optimizer of the recipe `fast`."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

# Coefficients of the quintic polynomial of Jordan et al. (2024): steep at 0, and near 1 on most of (0, 1].
_A, _B, _C = 3.4445, -4.7750, 2.0315
_STEPS = 3
_SMALLEST_NORM = 1e-7


class Muon(keras.optimizers.Optimizer):  # type: ignore[misc]
    """Orthogonalized momentum for 4-D kernels and for biases, SGD with Nesterov momentum for all other variables.

    A convolution kernel [height, width, in, out] is treated as a matrix of height * width * in rows. Each step first
    scales the kernel to the Frobenius norm sqrt(out), as airbench does; the convolution must be followed by batch
    normalization, which makes the output independent of this scale. Then the step subtracts the Nesterov momentum of
    the gradient, with all singular values brought near 1, times the learning rate.

    A bias, a 1-D variable of that name, is treated as a matrix of one row, whose only singular value is its norm: the
    norm of each update equals the learning rate of biases. Unlike the scale of an offset after batch normalization, the
    scale of a bias before it is not limited by the gradient: with plain SGD, small batches drove biases to millions.

    Sources: Keller Jordan et al., "Muon: An optimizer for hidden layers in neural networks" (2024,
    kellerjordan.github.io/posts/muon); Keller Jordan, airbench (2024, github.com/KellerJordan/cifar10-airbench).

    Args:
        learning_rate: learning rate of the convolution kernels, greater than 0. A schedule sets the attribute of this
            name; the other rates and the weight decay change in proportion.
        bias_learning_rate: norm of an update of a bias.
        head_learning_rate: learning rate of 2-D kernels.
        offset_learning_rate: learning rate of all other variables.
        weight_decay: fraction that a step subtracts from each variable that SGD updates. The decay is added to the
            gradient before the momentum, so its effect over many steps is 1 / (1 - other_momentum) times as large.
        momentum: momentum of the convolution kernels.
        other_momentum: momentum of all other variables, including biases.
    """

    def __init__(
        self,
        learning_rate: float,
        *,
        bias_learning_rate: float,
        head_learning_rate: float,
        offset_learning_rate: float,
        weight_decay: float = 0.0,
        momentum: float = 0.6,
        other_momentum: float = 0.85,
        **kwargs: Any,
    ) -> None:
        # Keras's own weight decay would apply to the convolution kernels as well.
        super().__init__(learning_rate=learning_rate, **kwargs)
        self._settings: dict[str, Any] = {
            "learning_rate": learning_rate,
            "bias_learning_rate": bias_learning_rate,
            "head_learning_rate": head_learning_rate,
            "offset_learning_rate": offset_learning_rate,
            "weight_decay": weight_decay,
            "momentum": momentum,
            "other_momentum": other_momentum,
        }

    def build(self, variables: list[keras.Variable]) -> None:
        """Create one momentum for each variable, of the same shape, float32, initialized to 0."""
        if self.built:
            return
        super().build(variables)
        self._momentums = self.add_optimizer_variables(variables, "momentum")
        # Collected here, because `update_step` gets the backend's variables, whose names differ.
        self._biases = {
            self._get_variable_index(variable)
            for variable in variables
            if variable.name == "bias" and len(variable.shape) == 1
        }

    def update_step(self, gradient: Any, variable: keras.Variable, learning_rate: Any) -> None:
        """Update a variable and its momentum by one step."""
        gradient = ops.cast(gradient, variable.dtype)
        learning_rate = ops.cast(learning_rate, variable.dtype)
        index = self._get_variable_index(variable)
        momentum = self._momentums[index]
        factor = learning_rate / self._settings["learning_rate"]
        if len(variable.shape) == 4:
            self._update_kernel(gradient, variable, momentum, learning_rate)
        elif index in self._biases:
            self._update_bias(gradient, variable, momentum, factor)
        else:
            self._update_other(gradient, variable, momentum, factor)

    def _update_kernel(
        self, gradient: Any, kernel: keras.Variable, momentum: keras.Variable, learning_rate: Any
    ) -> None:
        direction = self._nesterov(gradient, momentum, "momentum")
        matrix = ops.reshape(direction, (-1, kernel.shape[-1]))
        update = ops.reshape(orthogonalize(matrix, steps=_STEPS), kernel.shape)
        scale = math.sqrt(kernel.shape[-1]) / (_norm(kernel) + _SMALLEST_NORM)
        self.assign(kernel, scale * kernel - learning_rate * update)

    def _update_bias(self, gradient: Any, bias: keras.Variable, momentum: keras.Variable, factor: Any) -> None:
        direction = self._nesterov(gradient, momentum, "other_momentum")
        length = factor * self._settings["bias_learning_rate"]
        self.assign_sub(bias, direction * (length / (_norm(direction) + _SMALLEST_NORM)))

    def _update_other(self, gradient: Any, variable: keras.Variable, momentum: keras.Variable, factor: Any) -> None:
        kind = "head_learning_rate" if len(variable.shape) == 2 else "offset_learning_rate"
        # The momentum accumulates gradient times rate, so that the decay is not divided by a rate that may be 0.
        change = self._settings[kind] * gradient + self._settings["weight_decay"] * variable
        self.assign_sub(variable, factor * self._nesterov(change, momentum, "other_momentum"))

    def _nesterov(self, change: Any, momentum: keras.Variable, kind: str) -> Any:
        """Add a change to a momentum, and return the Nesterov direction."""
        self.assign(momentum, self._settings[kind] * momentum + change)
        return change + self._settings[kind] * momentum

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"name": self.name, **self._settings}


def orthogonalize(matrix: Any, *, steps: int) -> Any:
    """Orthogonalize a matrix approximately: bring its singular values near 1 and keep its singular vectors.

    The quintic Newton-Schulz iteration of Jordan et al. (2024), after Bernstein & Newhouse, "Old Optimizer, New Norm:
    An Anthology" (2024). Each step multiplies X by a polynomial P of the Gram matrix S = X'X (or XX', if smaller) and
    replaces S by PSP. All P depend on S alone, so X itself enters two products in total, instead of two per step.

    Args:
        matrix: matrix, float32 [rows, columns]; a zero matrix stays zero.
        steps: number of iterations; each multiplies small singular values by 3.4.

    Returns:
        Matrix, float32 [rows, columns], with singular values from 0.68 to 1.21 after enough steps.
    """
    rows, columns = matrix.shape
    matrix = matrix / (_norm(matrix) + _SMALLEST_NORM)
    transposed = ops.transpose(matrix)
    gram = ops.matmul(matrix, transposed) if rows < columns else ops.matmul(transposed, matrix)
    product = identity = ops.eye(min(rows, columns), dtype=matrix.dtype)
    for step in range(steps):
        polynomial = _A * identity + _B * gram + _C * ops.matmul(gram, gram)
        product = ops.matmul(product, polynomial) if step else polynomial
        if step < steps - 1:
            gram = ops.matmul(ops.matmul(polynomial, gram), polynomial)
    return ops.matmul(product, matrix) if rows < columns else ops.matmul(matrix, product)


def _norm(array: Any) -> Any:
    """Return the Frobenius norm."""
    return ops.sqrt(ops.sum(ops.square(array)))
