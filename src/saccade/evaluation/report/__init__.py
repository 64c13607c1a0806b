"""Report page and model card of a run."""

import saccade.models  # noqa: F401 - loads Keras without its notices, before the modules that import Keras by name
