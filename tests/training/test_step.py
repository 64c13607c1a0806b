"""Op determinism of the training step; the step itself is tested by trainings."""

import pytest
import tensorflow as tf

from saccade.training.step import deterministic_operations


def is_deterministic():
    """TensorFlow gives no nondeterministic random state while op determinism is enabled."""
    try:
        tf.random.Generator.from_non_deterministic_state()
    except RuntimeError:
        return True
    return False


@pytest.mark.parametrize("enabled", [True, False])
def test_op_determinism_is_enabled_within_the_context_and_restored_afterward(enabled):
    with deterministic_operations(enabled):
        assert is_deterministic() == enabled
    assert not is_deterministic()


def test_tensorflows_private_switch_and_its_public_function_are_the_same_switch():
    """Fails when a version of TensorFlow changes `_pywrap_determinism`."""
    with deterministic_operations(False):
        tf.config.experimental.enable_op_determinism()
        with deterministic_operations(True):
            pass
        assert is_deterministic()
    assert not is_deterministic()
