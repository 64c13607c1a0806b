"""Private attributes of Keras that `keras_graph` reads: these tests fail if a version of Keras changes them."""

import keras

from saccade.models.keras_graph import calls_in_order, is_functional


def branched():
    pixels = keras.Input((8, 8, 3))
    left = keras.layers.Conv2D(4, 3, padding="same", name="left")(pixels)
    right = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(4, 1)], name="right")(pixels)
    total = keras.layers.Add(name="total")([left, right])
    return pixels, total, keras.Model(pixels, keras.ops.add(keras.layers.Dropout(0.1)(total, training=False), 3.0))


def test_calls_come_in_topological_order_with_their_tensors():
    pixels, total, model = branched()
    calls = {call.operation.name: call for call in calls_in_order(model)}
    names = list(calls)
    assert len(names) == 5
    assert set(names[:2]) == {"left", "right"}
    assert names[2] == "total"
    assert calls["left"].input_tensors == [pixels]
    assert [tensor.name for tensor in calls["total"].input_tensors] == [
        calls[name].outputs[0].name for name in ("left", "right")
    ]
    assert calls["total"].outputs[0] is total
    assert calls[names[-1]].outputs[0] is model.outputs[0]


def test_arguments_of_a_call_are_filled_in_by_the_ids_of_tensors():
    _, total, model = branched()
    *_, dropout, addition = calls_in_order(model)
    assert dropout.arguments.fill_in({id(total): "value"}) == (("value",), {"training": False})
    assert [value for value in keras.tree.flatten(addition.arguments.args) if isinstance(value, float)] == [3.0]


def test_a_subclassed_model_is_not_functional():
    class Subclassed(keras.Model):  # type: ignore[misc]
        def call(self, inputs):
            return inputs

    assert is_functional(branched()[2])
    assert not is_functional(Subclassed())
