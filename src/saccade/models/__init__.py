"""The networks: one family a file, all of stock Keras layers, normalization inside.

Every package that needs Keras comes through this one, so Keras is loaded here, once.
"""

from saccade.keras_loading import load_keras_quietly

load_keras_quietly()
