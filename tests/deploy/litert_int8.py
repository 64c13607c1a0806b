"""Reference implementation of eight-bit LiteRT models in NumPy integers, by the quantization specification.

https://ai.google.dev/edge/litert/conversion/tensorflow/quantization/quantization_spec: a number is (q - zero point) x
scale; the sums of a convolution or a dense layer are exact in int32, and are rounded once, to the scale of its output.
"""

from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.lib.stride_tricks import sliding_window_view

LOWEST, HIGHEST = -128, 127


class LiteRtInt8:
    """Graph of an eight-bit LiteRT file.

    Attributes:
        values: value of each tensor in the last call, by the index of the tensor.
    """

    def __init__(self, contents: bytes) -> None:
        model = schema.ModelT.InitFromPackedBuf(contents)
        self._graph, self._buffers = model.subgraphs[0], model.buffers
        codes = {value: name for name, value in vars(schema.BuiltinOperator).items() if not name.startswith("_")}
        self._kinds = [codes[max(code.builtinCode, code.deprecatedBuiltinCode)] for code in model.operatorCodes]
        self.values: dict[int, Any] = {}

    def probabilities(self, pixels):
        """Return probabilities, float64 [n, classes], in steps of 1/256, of pixels, float32 [n, height, width, 3]."""
        self.values = {self._graph.inputs[0]: pixels}
        for operation in self._graph.operators:
            kind = self._kinds[operation.opcodeIndex]
            if kind in ("SHAPE", "STRIDED_SLICE", "PACK"):
                continue  # they compute the batch size for the next reshape
            output = operation.outputs[0]
            self.values[output] = getattr(self, f"_{kind.lower()}")(operation, operation.builtinOptions, output)
        return self.values[self._graph.outputs[0]]

    def logits(self):
        """Return the quantized logits of the last call, [n, classes], and the scale of one step."""
        (softmax,) = [one for one in self._graph.operators if self._kinds[one.opcodeIndex] == "SOFTMAX"]
        (scale,), _ = self.scales(softmax.inputs[0])
        return self.values[softmax.inputs[0]], softmax.builtinOptions.beta * scale

    def constant(self, tensor):
        """Return the values of a tensor of weights or biases, int32."""
        of = self._graph.tensors[tensor]
        kind = {schema.TensorType.INT8: np.int8, schema.TensorType.INT32: np.int32}[of.type]
        return np.asarray(self._buffers[of.buffer].data, np.uint8).view(kind).reshape(of.shape).astype(np.int32)

    def scales(self, tensor):
        """Return the scales of a tensor, float64 [channels], or [1] for one common scale, and its zero point."""
        quantization = self._graph.tensors[tensor].quantization
        return np.asarray(quantization.scale, np.float64), int(quantization.zeroPoint[0])

    def layers(self):
        """Return the tensor indices of inputs, kernel and biases of each layer with weights."""
        with_weights = ("CONV_2D", "FULLY_CONNECTED")
        return [one.inputs for one in self._graph.operators if self._kinds[one.opcodeIndex] in with_weights]

    def _quantize(self, operation, _, output):
        (scale,), zero = self.scales(output)
        return np.clip(np.rint(self.values[operation.inputs[0]] / scale) + zero, LOWEST, HIGHEST).astype(np.int32)

    def _dequantize(self, operation, *_):
        (scale,), zero = self.scales(operation.inputs[0])
        return (self.values[operation.inputs[0]] - zero) * scale

    def _conv_2d(self, operation, options, output):
        assert (options.padding, options.strideH, options.strideW) == (schema.Padding.VALID, 1, 1)
        kernel = self.constant(operation.inputs[1])  # [filters, height, width, channels]
        windows = sliding_window_view(self._centered(operation), kernel.shape[1:3], axis=(1, 2))
        return self._rounded(operation, options, output, np.einsum("nijchw,fhwc->nijf", windows, kernel, optimize=True))

    def _fully_connected(self, operation, options, output):
        sums = self._centered(operation) @ self.constant(operation.inputs[1]).T
        return self._rounded(operation, options, output, sums)

    def _max_pool_2d(self, operation, options, _):
        assert (options.padding, options.strideH, options.filterHeight) == (schema.Padding.VALID, 2, 2)
        x = self.values[operation.inputs[0]]
        n, height, width, channels = x.shape
        x = x[:, : height // 2 * 2, : width // 2 * 2]
        return x.reshape(n, height // 2, 2, width // 2, 2, channels).max(axis=(2, 4))

    def _reshape(self, operation, *_):
        x = self.values[operation.inputs[0]]
        return x.reshape(len(x), -1)

    def _softmax(self, operation, options, output):
        (scale,), zero = self.scales(output)
        raised = np.exp(options.beta * self.scales(operation.inputs[0])[0] * self.values[operation.inputs[0]])
        rounded = np.rint(raised / raised.sum(axis=1, keepdims=True) / scale)
        return np.clip(rounded + zero, LOWEST, HIGHEST).astype(np.int32)

    def _centered(self, operation):
        return self.values[operation.inputs[0]] - self.scales(operation.inputs[0])[1]

    def _rounded(self, operation, options, output, sums):
        (scale,), zero = self.scales(output)
        inputs, kernel, bias = operation.inputs
        factors = self.scales(inputs)[0] * self.scales(kernel)[0] / scale
        rounded = np.rint((sums + self.constant(bias)) * factors) + zero
        least = zero if options.fusedActivationFunction == schema.ActivationFunctionType.RELU else LOWEST
        return np.clip(rounded, least, HIGHEST).astype(np.int32)
