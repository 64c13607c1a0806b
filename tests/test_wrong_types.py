"""Arguments of a wrong type: every public function raises one plain error that prints none of the contents."""

import inspect
import shutil

import keras
import numpy as np
import pytest
from PIL import Image

import saccade
from saccade.errors import DataError, RecipeError, SaccadeError

SECRET = "CONTENTS"
PNG = b"\x89PNG\r\n\x1a\n" + SECRET.encode() * 1000
ANYTHING = [PNG, 3.5, object(), np.full((8, 8, 3), 77, np.uint8), Image.new("RGB", (8, 8)), {1: SECRET}, [PNG]]

# Function -> arguments that are tried with wrong values; the other arguments have valid values.
ARGUMENTS = {
    "audit": ["data"],
    "benchmark": ["run"],
    "compare": ["runs", "data"],
    "cross_validate": ["data", "recipe", "source", "reuse_split"],
    "embed": ["data", "network"],
    "estimate": ["run", "data"],
    "evaluate": ["run", "data", "fixes"],
    "explore": ["data", "fit"],
    "export": ["run"],
    "extend": ["run", "data"],
    "find_similar": ["query", "data", "network"],
    "get_recipe": ["name"],
    "label": ["data", "labels", "network"],
    "learning_curve": ["data", "recipe", "source"],
    "load": ["data", "fit", "fixes"],
    "predict": ["run", "images"],
    "report": ["run"],
    "resume": ["run", "data"],
    "serve": ["runs"],
    "train": ["data", "recipe", "reuse_split"],
    "train_within": ["data", "recipe", "reuse_split"],
    "transfer": ["data", "source"],
    "tune": ["data", "recipe"],
}
SUFFIXES = {"embed": ".npz", "estimate": ".csv", "find_similar": ".html", "label": ".csv"}
"""Suffix of the file `out` of a function, where it is no folder."""

ALWAYS = ("out", "progress", "port", "trials")
CASES = [(function, argument) for function, arguments in ARGUMENTS.items() for argument in arguments]


def test_the_table_names_every_public_function():
    functions = {name for name in saccade.__all__ if inspect.isfunction(getattr(saccade, name))}
    assert functions == set(ARGUMENTS)


@pytest.fixture(scope="module")
def second_run(tiny_run, tmp_path_factory):
    return saccade.Run.open(shutil.copytree(tiny_run.path, tmp_path_factory.mktemp("second") / "run"))


@pytest.fixture
def valid_values(tiny_run, tiny_folder, second_run, tmp_path):
    """Valid values, by the names of the arguments."""
    return {
        "data": tiny_folder, "recipe": None, "run": tiny_run, "runs": [tiny_run, second_run], "images": [],
        "source": tiny_run, "epochs": 1, "minutes": 1, "trials": 1, "name": "quick", "progress": False,
        "out": tmp_path / "out", "port": 0, "query": next(tiny_folder.rglob("*.png")),
    }  # fmt: skip


def needed_arguments(function, valid_values):
    """Return valid values of the required arguments, and of the arguments in `ALWAYS`."""
    given = valid_values | {"out": valid_values["out"].with_suffix(SUFFIXES.get(function, ""))}
    return {
        name: given[name]
        for name, parameter in inspect.signature(getattr(saccade, function)).parameters.items()
        if name in given and (parameter.default is inspect.Parameter.empty or name in ALWAYS)
    }


@pytest.mark.parametrize(("function", "argument"), CASES)
def test_a_wrong_type_is_one_plain_error(function, argument, valid_values, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    call, arguments = getattr(saccade, function), needed_arguments(function, valid_values)
    # Bytes, arrays and images of Pillow are images, and bytes that can't be read have a prediction with the reason.
    for wrong in [3.5, object(), {1: SECRET}] if argument in ("images", "query") else ANYTHING:
        with pytest.raises(SaccadeError) as caught:
            call(**arguments | {argument: wrong})
        assert len(str(caught.value)) < 1000, (function, argument, type(wrong))
        assert SECRET not in str(caught.value)


def test_empty_paths_and_too_long_paths_are_errors(valid_values, monkeypatch, tmp_path):
    """Empty text, as of a shell variable that is not set, would be the current folder as a path."""
    monkeypatch.chdir(tmp_path)
    for function in ARGUMENTS:
        paths = {"run", "runs", "source", "reuse_split", "fixes", "out"}
        if function not in ("extend", "resume"):  # this run can't be resumed or extended with any data
            paths.add("data")
        call, arguments = getattr(saccade, function), needed_arguments(function, valid_values)
        for argument in paths & set(inspect.signature(call).parameters):
            for wrong, message in (("", "has no name"), ("n" * 300, "is longer than this system allows")):
                several = [valid_values["run"], wrong] if argument == "runs" else wrong
                with pytest.raises(SaccadeError, match=message):
                    call(**arguments | {argument: several})
    assert not list(tmp_path.iterdir())


def test_an_image_with_a_too_long_path_is_unreadable(tiny_run, tiny_folder):
    there = str(next((tiny_folder / "test/one").iterdir()))
    too_long, found = saccade.predict(tiny_run, ["n" * 300, there])
    assert "too long" in str(too_long.unreadable_reason)
    assert found.unreadable_reason is None


def test_the_error_for_a_dataset_or_a_network_in_the_wrong_place_names_the_type(dataset):
    with pytest.raises(DataError, match="data must be given by") as caught:
        saccade.load(dataset)
    assert caught.value.found == "a value of the type saccade.data.dataset.Dataset"
    network = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    with pytest.raises(RecipeError, match="a recipe is") as error:
        saccade.train(dataset, recipe=network)
    assert "Sequential" in str(error.value.found)


def test_a_single_run_is_no_comparison(tiny_run):
    for single in (tiny_run, tiny_run.path, str(tiny_run.path)):
        with pytest.raises(SaccadeError, match="at least two runs"):
            saccade.compare(single)


@pytest.mark.parametrize("top", ["3", 1.5, 0, -1, True, None], ids=repr)
def test_the_number_of_classes_is_a_whole_number(tiny_run, top):
    with pytest.raises(SaccadeError, match="the number of classes is out of range"):
        saccade.predict(tiny_run, [], top=top)


@pytest.mark.parametrize("abstain", [2, 0, 1.0, True, "0.9", float("nan")], ids=repr)
def test_a_target_accuracy_is_a_fraction(tiny_run, abstain):
    with pytest.raises(SaccadeError, match="greater than 0 and less than 1"):
        saccade.predict(tiny_run, [], abstain=abstain)


@pytest.mark.parametrize(
    "wrong",
    [
        {"epochs": "3"}, {"epochs": True}, {"epochs": 1.5}, {"epochs": float("nan")}, {"settings": 3}, {"settings": ""},
        {"settings": {3: 1}}, {"settings": {"tta_views": True}}, {"settings": {"keep": [SECRET]}},
        {"settings": [("tta_views", 1)]}, {"progress": "x"}, {"progress": None}, {"out": 3},
    ],
    ids=repr,
)  # fmt: skip
def test_invalid_arguments_of_a_training_are_errors_before_any_file_is_written(
    wrong, tiny_folder, tiny_run, monkeypatch, tmp_path
):
    monkeypatch.chdir(tmp_path)
    for train, arguments in (
        (saccade.train, {"data": tiny_folder, "recipe": "folder"}),
        (saccade.transfer, {"data": tiny_folder, "source": tiny_run}),
    ):
        with pytest.raises(SaccadeError) as caught:
            train(**arguments | wrong)
        assert SECRET not in str(caught.value)
    assert not list(tmp_path.iterdir())
