import numpy as np
import pytest

from saccade.errors import RunError
from saccade.models.build import build_network
from saccade.models.weights import assign, named_weights
from saccade.recipes import get_recipe


def test_weights_are_validated_before_assignment():
    model = build_network(get_recipe("folder"), height=32, width=32, classes=4)
    good = named_weights(model)
    with pytest.raises(RunError, match="don't belong"):
        assign(model, {key: value for key, value in good.items() if key != "logits/bias"})
    with pytest.raises(RunError, match="'logits/bias' don't fit"):
        assign(model, good | {"logits/bias": np.zeros(5, np.float32)})
    with pytest.raises(RunError, match="'logits/bias' don't fit"):
        assign(model, good | {"logits/bias": np.zeros(4, np.float64)})
    with pytest.raises(RunError, match="not finite"):
        assign(model, good | {"logits/bias": np.full(4, np.nan, np.float32)})
