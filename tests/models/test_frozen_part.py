import numpy as np
import pytest

from saccade.models.batchnorm_folding.fold import fold_normalization
from saccade.models.build import build_network, freeze_lower_layers
from saccade.models.frozen_part import cut_layer, lower_part, upper_part
from saccade.models.onnx.to_onnx import to_onnx
from saccade.onnx_session import open_session
from saccade.recipes import get_recipe

PIXELS = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def network():
    return build_network(get_recipe("photo"), height=64, width=64, classes=4)


def frozen(network, fraction):
    freeze_lower_layers(network, get_recipe("photo").with_settings({"trainable_fraction": fraction}))
    return network


@pytest.mark.parametrize(
    ("fraction", "cut"),
    [(0.33, "block11_add"), (0.2, "block13_add"), (0.03, "block16_project_norm"), (1.0, "")],
)
def test_the_cut_is_the_highest_layer_on_which_all_trained_layers_depend(network, fraction, cut):
    """Within a residual block there is no cut, because its input is needed again at its end."""
    assert cut_layer(frozen(network, fraction)) == cut


def test_lower_and_upper_part_together_are_the_network(network):
    cut = cut_layer(frozen(network, 0.33))
    outputs = lower_part(network, cut)(PIXELS, training=False)
    assert outputs.shape == (3, 4, 4, 112)
    composed = upper_part(network, cut)(outputs, training=False)
    np.testing.assert_allclose(composed, network(PIXELS, training=False), rtol=0, atol=1e-5)


def test_onnx_runtime_computes_the_outputs_of_the_lower_part(network):
    lower = fold_normalization(lower_part(network, cut_layer(frozen(network, 0.33))))
    computed = open_session(to_onnx(lower, {}), threads=1).run(None, {"pixels": PIXELS})[0]
    np.testing.assert_allclose(computed, lower(PIXELS, training=False), rtol=0, atol=1e-4)
