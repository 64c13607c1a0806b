"""Every rule for the layout of folders, each by the paths of a folder and what is read from them.

A layout is written as paths; `split/class` names what the images below a path must become.
"""

import unicodedata

import pytest
from tests.data.images import tree

from saccade.data.reading_options import ReadingOptions
from saccade.data.sources.image_folder import find_images
from saccade.data.sources.known_classes import KnownClasses
from saccade.errors import DataError


def classes(*folders, names=("cat", "dog")):
    return [f"{folder}/{name}/{number}.png".lstrip("/") for folder in folders for name in names for number in range(2)]


def read(root, **options):
    """Return the number of images by split and class, and the notes."""
    listing = find_images(root, ReadingOptions(**options))
    counts: dict[str, dict[str, int]] = {}
    for image in listing.images:
        of_split = counts.setdefault(image.split, {})
        of_split[listing.class_names[image.label]] = of_split.get(listing.class_names[image.label], 0) + 1
        assert (listing.root / image.path).is_file()
    return counts, listing.notes


def failure(root, **options):
    with pytest.raises(DataError) as caught:
        find_images(root, ReadingOptions(**options))
    assert "remove" not in str(caught.value)
    return caught.value.code, str(caught.value)


BOTH = {"cat": 2, "dog": 2}


@pytest.mark.parametrize(
    ("train", "validation", "test"),
    [
        ("seg_train", "seg_val", "seg_test"),
        ("training_set", "validation_set", "test_set"),
        ("train_data", "valid_data", "test images"),
        ("TrainData", "ValData", "TestData"),
        ("trainset", "valset", "testset"),
        ("train2017", "val2017", "test2017"),
        ("TRAINING", "VALIDATION", "EVALUATION"),
        ("train", "dev", "holdout"),
        ("train", "val", "eval"),
        ("my_train_images", "my_dev_images", "my_test_images"),
        ("01_train", "02_val", "03_test"),
        ("trainval", "dev_set", "test"),
        ("seg_train", "val", "seg_test"),
        ("Train ", " Val", "Test"),
    ],
)
def test_names_of_splits(tmp_path, train, validation, test):
    tree(tmp_path, *classes(train, validation, test))
    counts, notes = read(tmp_path)
    assert counts == {"train": BOTH, "validation": BOTH, "test": BOTH}
    assert notes == ()


@pytest.mark.parametrize("inner", ["{}", "data", "images", "v1/images"])
def test_class_folders_further_down_in_each_split(tmp_path, inner):
    tree(tmp_path, *classes(*(f"{split}/{inner.format(split)}" for split in ("seg_train", "seg_test"))))
    assert read(tmp_path)[0] == {"train": BOTH, "test": BOTH}


@pytest.mark.parametrize(
    "wrapper", ["data", "archive/data/images", "train", "My Photos/2024", "images", "docs", "v1.0"]
)
def test_data_further_down_beside_documents(tmp_path, wrapper):
    documents = [
        "readme.txt",
        "paper/paper.pdf",
        "paper/table.xlsx",
        "notes.docx",
        "LICENSE",
        "code/train.py",
        "a.ipynb",
    ]
    tree(tmp_path, *classes(wrapper), *documents)
    counts, notes = read(tmp_path)
    assert counts == {"train": BOTH}
    assert f"left out: the folders code, paper without images, beside {wrapper.partition('/')[0]}" in notes


@pytest.mark.parametrize("wrapper", ["data", "archive/data/images", "train"])
def test_figures_of_the_documentation_are_left_out(tmp_path, wrapper):
    tree(tmp_path, *classes(wrapper), "docs/figure 1.png")
    counts, notes = read(tmp_path)
    assert any(note.startswith("left out: the folder docs beside") for note in notes)
    assert counts == {"train": BOTH}


@pytest.mark.parametrize("wrapper", ["data", "archive/data"])
def test_splits_further_down(tmp_path, wrapper):
    tree(tmp_path, *classes(f"{wrapper}/seg_train", f"{wrapper}/seg_test"), "readme.txt", "documents/a.txt")
    assert read(tmp_path)[0] == {"train": BOTH, "test": BOTH}


def test_splits_in_a_folder_named_like_a_split(tmp_path):
    tree(tmp_path, *classes("train/train", "train/test"))
    assert read(tmp_path)[0] == {"train": BOTH, "test": BOTH}


@pytest.mark.parametrize("inner", [[""], ["front", "back"], ["1"]])
@pytest.mark.parametrize("others", [["cat"], [], ["bus", "car"]])
def test_test_tube_and_train_station_are_classes(tmp_path, inner, others):
    names = ["test_tube", "train_station", *others]
    tree(tmp_path, *(f"{name}/{folder}/1.png".replace("//", "/") for name in names for folder in inner))
    counts, notes = read(tmp_path)
    assert counts == {"train": dict.fromkeys(sorted(names), len(inner))}
    assert inner == [""] or "every class folder holds the same folders" in notes[0]


def test_split_words_are_classes_inside_splits(tmp_path):
    names = ["train", "test", "val", "test_tube", "train_station", "bus"]
    tree(tmp_path, *classes("train", "test", names=names))
    assert read(tmp_path)[0] == dict.fromkeys(("train", "test"), dict.fromkeys(sorted(names), 2))


@pytest.mark.parametrize("train", ["train/1.png", "train/2021/1.png", "train/2021/may/1.png"])
def test_a_class_called_train(tmp_path, train):
    tree(tmp_path, train, "bus/1.png", "bus/2.png", "car/1.png")
    assert read(tmp_path)[0] == {"train": {"bus": 2, "car": 1, "train": 1}}


@pytest.mark.parametrize("others", [["bus/1.png", "car/1.png"], ["bus/old/1.png", "bus/new/1.png", "car/old/1.png"]])
def test_a_folder_train_that_may_be_either_is_an_error(tmp_path, others):
    tree(tmp_path, "train/old/1.png", "train/new/1.png", *others)
    code, message = failure(tmp_path)
    assert code == "split-or-class"
    assert "train may be the train split, or a class beside bus, car" in message
    assert "found: the folders bus, car, train in" in message


def test_a_decorated_name_needs_classes_of_the_training_split(tmp_path):
    tree(tmp_path, *classes("train", "test"), "train_station/north/1.png", "train_station/south/1.png")
    counts, notes = read(tmp_path)
    assert counts == {"train": BOTH, "test": BOTH}
    assert notes == ("left out: the folder train_station beside train",)


def test_decorated_names_that_disagree_are_classes(tmp_path):
    tree(tmp_path, *classes("seg_train", "box_test"))
    counts, notes = read(tmp_path)
    assert counts == {"train": {"box_test": 4, "seg_train": 4}}
    assert "every class folder holds the same folders (cat, dog)" in notes[0]


@pytest.mark.parametrize(
    ("folders", "split"),
    [
        (("train", "val", "test", "eval"), "test"),
        (("train", "val", "dev"), "validation"),
        (("train", "training", "test"), "train"),
        (("seg_train", "seg_test", "seg_eval"), "test"),
        (("train", "test", "train_old"), "train"),
        (("train_1", "train_2", "test"), "train"),
        (("train", "Train", "test"), "train"),
    ],
)
def test_two_folders_for_a_split_are_an_error_that_names_all(tmp_path, folders, split):
    tree(tmp_path, *classes(*folders))
    code, message = failure(tmp_path)
    assert code == "split-twice"
    assert f"two folders stand for the {split} split" in message
    assert all(f"{folder} (" in message for folder in folders)


@pytest.mark.parametrize(
    "unlabeled", ["pred", "seg_pred/seg_pred", "test", "test/test", "test/images", "unlabelled", "new", "test/unknown"]
)
def test_unlabeled_folders_beside_splits_are_left_out_by_name(tmp_path, unlabeled):
    tree(tmp_path, *classes("train", "val"), f"{unlabeled}/1.png", f"{unlabeled}/2.png")
    counts, notes = read(tmp_path)
    assert counts == {"train": BOTH, "validation": BOTH}
    name = unlabeled.partition("/")[0]
    assert notes == (f"left out: the folder {name} beside train, without class folders: saccade predict takes them",)


def test_a_test_split_of_one_class_with_an_odd_name_is_labeled(tmp_path):
    tree(tmp_path, *classes("train", names=("unknown", "test", "cat")), "test/unknown/1.png", "val/test/1.png")
    counts, notes = read(tmp_path)
    assert counts["validation"] == {"test": 1}
    assert counts["test"] == {"unknown": 1}
    assert "the test split has no images of the classes cat, test" in notes


def test_a_test_split_of_one_class_with_folders_inside(tmp_path):
    tree(tmp_path, *classes("train"), "test/dog/2021/1.png", "test/dog/2022/1.png")
    assert read(tmp_path)[0]["test"] == {"dog": 2}


@pytest.mark.parametrize(("train", "test"), [("train", "test"), ("Train", "EVAL"), ("train_set", "test_set")])
def test_class_first_and_splits_inside(tmp_path, train, test):
    tree(tmp_path, *(f"{name}/{split}/1.png" for name in ("cat", "dog", "test_tube") for split in (train, test)))
    counts, notes = read(tmp_path)
    assert counts == {split: {"cat": 1, "dog": 1, "test_tube": 1} for split in ("train", "test")}
    assert find_images(tmp_path).layout == "CLASS/SPLIT/image"
    assert notes == ()


def test_class_first_may_lack_images_of_a_class_for_the_test_but_not_for_training(tmp_path):
    tree(tmp_path, "cat/train/1.png", "cat/test/1.png", "dog/train/1.png")
    assert read(tmp_path)[0] == {"train": {"cat": 1, "dog": 1}, "test": {"cat": 1}}
    tree(tmp_path, "bird/test/1.png")
    code, message = failure(tmp_path)
    assert code == "class-missing"
    assert "add training images of bird to train, or move bird/test out of the data" in message


def test_class_first_with_a_split_twice_and_with_an_empty_class(tmp_path):
    tree(tmp_path, "cat/train/1.png", "cat/test/1.png", "dog/train/1.png", "bird/")
    assert failure(tmp_path)[0] == "class-empty"
    assert read(tmp_path, drop_empty_classes=True)[0] == {"train": {"cat": 1, "dog": 1}, "test": {"cat": 1}}
    tree(tmp_path, "cat/eval/1.png")
    code, message = failure(tmp_path, drop_empty_classes=True)
    assert code == "split-twice"
    assert "eval (test), test (test), train (train) in" in message


def test_stations_inside_classes_are_no_splits(tmp_path):
    tree(tmp_path, *(f"{name}/{inner}/1.png" for name in ("day", "night") for inner in ("train_station", "test_tube")))
    assert read(tmp_path)[0] == {"train": {"day": 2, "night": 2}}


def test_folders_inside_class_folders_give_a_note(tmp_path):
    tree(tmp_path, "cat/persian/1.png", "cat/2.png", "dog/1.png")
    counts, (note,) = read(tmp_path)
    assert counts == {"train": {"cat": 2, "dog": 1}}
    assert note == "1 folder inside class folders, such as cat/persian: the images are labeled with the class folder"


def test_hidden_folders_and_side_files(tmp_path):
    hidden = [
        "__MACOSX/cat/._0.png",
        "@eaDir/cat/0.png",
        ".ipynb_checkpoints/0.png",
        "$RECYCLE.BIN/a/0.png",
        ".git/x.png",
    ]
    inside = ["cat/.DS_Store", "cat/Thumbs.db", "cat/@eaDir/0.png", "dog/.ipynb_checkpoints/0-checkpoint.png"]
    tree(tmp_path, *classes(""), *hidden, *inside, "README.roboflow.txt", "README.dataset.txt")
    counts, notes = read(tmp_path)
    assert counts == {"train": BOTH}
    assert notes == ()


@pytest.mark.parametrize("target", ["..", "../..", "."])
def test_links_that_lead_above_their_class(tmp_path, target):
    root = tree(tmp_path / "a" / "data", *classes(""))
    (root / "cat" / "up").symlink_to(target, target_is_directory=True)
    counts, notes = read(root)
    assert counts == {"train": BOTH}
    assert notes == ("left out: cat/up, 1 link to a folder above",)


def test_one_class_in_two_forms_of_unicode(tmp_path):
    decomposed = unicodedata.normalize("NFD", "café")
    tree(tmp_path, "train/café/1.png", "train/dog/1.png", f"test/{decomposed}/1.png", f"train/{decomposed}/2.png")
    counts, notes = read(tmp_path)
    assert counts == {"train": {"café": 2, "dog": 1}, "test": {"café": 1}}
    assert notes == ("the test split has no images of the class dog",)


def test_numeric_classes_are_in_the_order_of_numbers(tmp_path):
    tree(tmp_path, *(f"{number}/1.png" for number in range(12)))
    assert find_images(tmp_path).class_names == tuple(map(str, range(12)))


@pytest.mark.parametrize(
    ("first", "second"),
    [("Cat/1.png", "cat/1.png"), ("train/Cat/1.png", "test/cat/1.png"), ("straße/1.png", "STRASSE/1.png")],
)
def test_classes_that_differ_in_case(tmp_path, first, second):
    beside = "train/dog/1.png" if "train" in first else "dog/1.png"
    tree(tmp_path, first, second, beside)
    code, message = failure(tmp_path)
    assert code == "class-case"
    assert "add --ignore-case" in message
    counts, _ = read(tmp_path, ignore_case=True)
    assert sum(sum(of_split.values()) for of_split in counts.values()) == 3
    assert all(len(of_split) <= 2 for of_split in counts.values())


@pytest.mark.parametrize("split", ["", "train/", "seg_train/"])
def test_an_empty_class(tmp_path, split):
    test = ["seg_test/cat/1.png"] if split else []
    tree(tmp_path, *classes(split.rstrip("/")), f"{split}bird/notes.txt", f"{split}ant/", *test)
    code, message = failure(tmp_path)
    assert code == "class-empty"
    assert "the class 'ant' has no images" in message
    assert f"found: no files in {split}ant" in message
    assert "--drop-empty-classes" in message
    (tmp_path / split / "ant").rmdir()
    assert f"found: 1 file, no images by name, such as {split}bird/notes.txt" in failure(tmp_path)[1]
    counts, notes = read(tmp_path, drop_empty_classes=True)
    assert counts["train"] == BOTH
    assert "left out: classes without images: bird" in notes


def test_a_test_split_with_unknown_classes_is_an_error_that_names_them(tmp_path):
    tree(tmp_path, *classes("train"), "test/Cat/1.png", "test/owl/1.png", "test/cow/1.png")
    assert failure(tmp_path)[0] == "class-case"
    code, message = failure(tmp_path, ignore_case=True)
    assert code == "class-missing"
    assert "found: cow, owl in test" in message
    assert "move test/cow out of the data" in message


@pytest.mark.parametrize(
    ("paths", "code", "text"),
    [
        ([], "empty-folder", "is empty"),
        (["cat/1.png"], "one-class", "there is only one class"),
        (["train/cat/1.png"], "one-class", "there is only one class"),
        (["1.png", "2.png"], "no-classes", "sort the images into one folder for each class"),
        ([f"{number:04}.png" for number in range(30)], "no-classes", "found: 30 files and no folder"),
        (["train/1.png", "test/2.png"], "no-classes", "2 images in test, train, without class folders"),
        (["train_images/1.png", "test_images/2.png"], "no-classes", "without class folders"),
        (["test/cat/1.png", "test/dog/1.png"], "no-training-split", "only test in"),
        (["val/cat/1.png", "test/dog/1.png"], "no-training-split", "only test, val in"),
        (["train/cat/", "test/cat/1.png", "test/dog/1.png"], "no-training-split", "expected: images in train"),
        (["images.zip"], "no-classes", "if the images are in the archive images.zip, give its path"),
        (["cat/", "dog/"], "class-empty", "the class 'cat' has no images"),
    ],
)
def test_folders_without_classes(tmp_path, paths, code, text):
    found, message = failure(tree(tmp_path, *paths))
    assert found == code
    assert text in message


@pytest.mark.parametrize("beside", [[], ["test1/1.jpg", "test1/2.jpg"]])
def test_names_that_give_the_class(tmp_path, beside):
    tree(tmp_path, *(f"train/{name}.{number}.jpg" for name in ("cat", "dog") for number in range(3)), *beside)
    code, message = failure(tmp_path)
    assert code == "no-classes"
    pattern = message.partition("--label-from-name '")[2].rpartition("'")[0]
    assert read(tmp_path, label_from_name=pattern)[0] == {"train": {"cat": 3, "dog": 3}}


def test_numbers_are_no_names_that_give_the_class(tmp_path):
    assert "--label-from-name" not in failure(tree(tmp_path, *(f"{number:04}.png" for number in range(2000))))[1]


KNOWN = KnownClasses(("blue", "green", "red"))


@pytest.mark.parametrize("top", ["", "test/", "holdout/", "new/", "test images/", "val/"])
def test_data_to_score_needs_no_training_split(tmp_path, top):
    tree(tmp_path, f"{top}red/1.png", f"{top}blue/1.png", f"{top}blue/2.png")
    listing = find_images(tmp_path, known=KNOWN)
    assert listing.class_names == KNOWN.names
    assert sorted((image.split, image.label) for image in listing.images) == [("test", 0), ("test", 0), ("test", 2)]


def test_data_to_score_keeps_its_test_split(tmp_path):
    tree(tmp_path, *classes("train", "test", names=KNOWN.names))
    assert [image.split for image in find_images(tmp_path, known=KNOWN).images] == ["train"] * 6 + ["test"] * 6


@pytest.mark.parametrize(
    ("name", "remedy"), [("Blue", "if Blue is blue, add --ignore-case"), ("mauve", "leave these images out")]
)
def test_data_to_score_with_an_unknown_class(tmp_path, name, remedy):
    tree(tmp_path, f"{name}/1.png", "red/1.png")
    with pytest.raises(DataError, match="classes that the run does not know") as caught:
        find_images(tmp_path, known=KNOWN)
    assert caught.value.code == "unknown-class"
    assert remedy in str(caught.value)
    if name == "Blue":
        known = KnownClasses(KNOWN.names, ignore_case=True)
        assert {image.label for image in find_images(tmp_path, known=known).images} == {0, 2}
