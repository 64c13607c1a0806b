"""The ONNX graph of a network."""
