import unicodedata

import pytest

from saccade.data.sources.folder_names import (
    class_name_of_folder,
    is_document_name,
    is_unlabeled_name,
    normalize_class_name,
    sorted_class_names,
    split_folder_name,
    split_of_folder,
)

WORDS = {
    "train": ("train", "training"),
    "validation": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing", "eval", "evaluation", "holdout"),
}
SPLITS = [(word, split) for split, words in WORDS.items() for word in words]


def meaning_of(name):
    meaning = split_folder_name(name)
    assert meaning is not None, name
    return meaning


@pytest.mark.parametrize(("word", "split"), SPLITS)
def test_split_words_in_any_case(word, split):
    for name in (word, word.upper(), word.title(), f" {word} "):
        assert split_of_folder(name) == split
        assert meaning_of(name).is_plain


@pytest.mark.parametrize(("word", "split"), SPLITS)
@pytest.mark.parametrize(
    "form",
    [
        "seg_{}",
        "{}_set",
        "{} images",
        "{}-data",
        "{}.imgs",
        "{}2017",
        "{}_1",
        "{} (1)",
        "01_{}",
        "my_{}_images",
        "{}set",
    ],
)
def test_split_words_with_other_words(word, split, form):
    for name in (form.format(word), form.format(word).upper()):
        meaning = meaning_of(name)
        assert meaning.split == split
        assert not meaning.is_plain
        assert split_of_folder(name) is None


@pytest.mark.parametrize(
    ("name", "split"),
    [("TrainData", "train"), ("TestSet", "test"), ("SegVal", "validation"), ("validImages", "validation")],
)
def test_split_words_in_camel_case(name, split):
    assert meaning_of(name).split == split


@pytest.mark.parametrize("name", ["trainval", "train_val", "TrainVal", "train-validation"])
def test_training_and_validation_images_together_are_for_training(name):
    assert meaning_of(name).split == "train"


@pytest.mark.parametrize(
    "name",
    [
        *("", "cat", "trainer", "strain", "contest", "testament", "devil", "evaluator", "latest", "trains", "tests"),
        *("train_test", "test vs val", "2017", "😀", "_", "protest march", "retrain", "Тест", "Ⓣrain"),
    ],
)
def test_other_words_are_no_splits(name):
    assert split_folder_name(name) is None


@pytest.mark.parametrize(
    ("name", "subject"),
    [
        ("seg_train", ("seg",)), ("test_tube", ("tube",)), ("training_set", ()), ("train2017", ()), ("train_2", ()),
        ("test images", ()), ("cats_and_dogs_train", ("cats", "and", "dogs")),
    ],
)  # fmt: skip
def test_words_with_a_meaning_for_the_contents(name, subject):
    assert meaning_of(name).subject == subject


def test_names_of_folders_without_labels():
    for name in ("pred", "seg_pred", "Unlabelled", "extra unlabeled", "unsup", "images", "all", "unknown", "test"):
        assert is_unlabeled_name(name)
    for name in ("cat", "dog images", "unknown_bird", "predator", "small", "all cats"):
        assert not is_unlabeled_name(name)
    assert is_unlabeled_name("seg_test", {("seg",)})
    assert not is_unlabeled_name("test_tube", {(), ("seg",)})


def test_names_of_documents():
    assert is_document_name("Docs")
    assert not is_document_name("docks")


def test_class_names_are_composed():
    decomposed = unicodedata.normalize("NFD", "café")
    assert decomposed != "café"
    assert class_name_of_folder(decomposed) == "café"
    assert normalize_class_name("Red_Fox ") == normalize_class_name("red-fox") == normalize_class_name("redfox")


def test_whole_numbers_sort_as_numbers_and_other_names_as_text():
    numbers = [str(number) for number in range(12)]
    assert sorted_class_names(sorted(numbers)) == numbers
    assert sorted_class_names(["10", "9", "a"]) == ["10", "9", "a"]
    assert sorted_class_names(["²", "10", "9"]) == ["10", "9", "²"]
    assert sorted_class_names(["007", "10", "7"]) == ["007", "7", "10"]
    assert sorted_class_names([]) == []
