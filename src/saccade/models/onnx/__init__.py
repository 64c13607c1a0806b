"""Conversion of a network to ONNX."""
