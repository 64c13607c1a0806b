"""Networks, training models, folding, test-time augmentation, and converters to ONNX and LiteRT.

Every package that needs Keras imports this package, so Keras is loaded here, once.
"""

from saccade.keras_loading import load_keras_quietly

load_keras_quietly()
