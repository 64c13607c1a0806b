import os

import pytest
from tests.data.images import tree

from saccade.data.reading_options import ReadingOptions
from saccade.data.sources.image_folder import find_images
from saccade.errors import DataError
from saccade.sanitize import printable


def found(root):
    listing = find_images(root)
    return [(image.split, listing.class_names[image.label], image.path) for image in listing.images]


def failure(root):
    with pytest.raises(DataError) as caught:
        find_images(root)
    return str(caught.value)


def test_class_folders(tmp_path):
    tree(tmp_path, "dog/b.jpg", "dog/a.jpg", "cat/2021/may/c.jpg")
    assert found(tmp_path) == [
        ("train", "cat", "cat/2021/may/c.jpg"),
        ("train", "dog", "dog/a.jpg"),
        ("train", "dog", "dog/b.jpg"),
    ]
    nested = "1 folder inside class folders, such as cat/2021: the images are labeled with the class folder"
    assert find_images(tmp_path).notes == (nested,)


@pytest.mark.parametrize(
    ("train", "validation", "test"),
    [("train", "val", "test"), ("Training", "VALID", "Test"), ("TRAIN", "validation", "test")],
)
def test_names_of_split_folders(tmp_path, train, validation, test):
    tree(tmp_path, *(f"{split}/{name}/1.jpg" for split in (train, validation, test) for name in ("a", "b")))
    assert [(split, name) for split, name, _ in found(tmp_path)] == [
        (split, name) for split in ("train", "validation", "test") for name in ("a", "b")
    ]


def test_a_single_enclosing_folder_is_skipped(tmp_path):
    tree(tmp_path, "photos/v2/train/a/1.jpg", "photos/v2/train/b/1.jpg", "photos/README.md", "__MACOSX/photos/._x")
    assert found(tmp_path) == [("train", "a", "train/a/1.jpg"), ("train", "b", "train/b/1.jpg")]


def test_a_class_may_have_the_name_of_a_split(tmp_path):
    tree(tmp_path, "bus/1.jpg", "train/1.jpg", "test/2/1.jpg")
    assert find_images(tmp_path).class_names == ("bus", "test", "train")


def test_hidden_files_and_side_files_are_left_out_with_a_note(tmp_path):
    tree(
        tmp_path, "a/1.jpg", "a/.DS_Store", "a/Thumbs.db", "a/.git/x", "a/labels.csv", "a/LICENSE", "a/1.xml", "b/1.jpg"
    )
    tree(tmp_path, "README.md", ".hidden/1.jpg")
    assert [path for *_, path in found(tmp_path)] == ["a/1.jpg", "b/1.jpg"]
    (note,) = find_images(tmp_path).notes
    assert note == "left out: 3 files, no images by name (.csv, .xml, no suffix)"


def test_files_with_other_suffixes_are_kept(tmp_path):
    tree(tmp_path, "a/1", "a/2.scan", "b/1.jpg")
    assert [path for *_, path in found(tmp_path)] == ["a/1", "a/2.scan", "b/1.jpg"]


def test_files_beside_the_classes_and_folders_beside_the_splits_give_a_note(tmp_path):
    tree(tmp_path / "classes", "a/1.jpg", "b/1.jpg", "stray.jpg")
    assert find_images(tmp_path / "classes").notes == ("left out: 1 file beside the class folders, such as stray.jpg",)
    tree(tmp_path / "splits", "train/a/1.jpg", "train/b/1.jpg", "annotations/1.jpg", "more/a/1.jpg", "empty/")
    assert find_images(tmp_path / "splits").notes == (
        "left out: the folder more beside train",
        "left out: the folder annotations beside train, without class folders: saccade predict takes them",
        "left out: the folder empty without images, beside train",
    )


def test_links_are_followed_but_not_in_a_cycle(tmp_path):
    tree(tmp_path, "data/a/1.jpg", "data/b/1.jpg", "elsewhere/2.jpg", "elsewhere/more/3.jpg")
    (tmp_path / "data/a/link.jpg").symlink_to(tmp_path / "elsewhere/2.jpg")
    (tmp_path / "data/a/folder").symlink_to(tmp_path / "elsewhere/more")
    (tmp_path / "data/b/circle").symlink_to(tmp_path / "data/b")
    (tmp_path / "data/b/gone.jpg").symlink_to(tmp_path / "nowhere")
    assert [path for *_, path in found(tmp_path / "data")] == [
        "a/1.jpg",
        "a/folder/3.jpg",
        "a/link.jpg",
        "b/1.jpg",
        "b/gone.jpg",
    ]


def test_unprintable_names_are_written_as_codes(tmp_path):
    tree(tmp_path, "a\nb/1.jpg", "c/1.jpg")
    assert find_images(tmp_path).class_names == ("a\\nb", "c")
    assert printable(os.fsdecode(b"b\xe4r/1.jpg")) == "b\\udce4r/1.jpg"


def test_the_signature_changes_with_every_change(tmp_path):
    tree(tmp_path, "a/1.jpg", "b/1.jpg")
    before = find_images(tmp_path).signature()
    assert find_images(tmp_path).signature() == before
    os.utime(tmp_path / "a/1.jpg", ns=(1, 1))
    touched = find_images(tmp_path).signature()
    tree(tmp_path, "b/2.jpg")
    assert len({before, touched, find_images(tmp_path).signature()}) == 3


def test_an_empty_folder(tmp_path):
    assert f"the folder {tmp_path} is empty" in failure(tmp_path)
    assert "expected: CLASS/image, or train/CLASS/image" in failure(tmp_path)


def test_images_without_class_folders(tmp_path):
    message = failure(tree(tmp_path, "1.jpg", "2.jpg"))
    assert f"there are no classes in {tmp_path}" in message
    assert "found: 2 files and no folder" in message
    assert "what to do: sort the images into one folder for each class" in message


def test_splits_without_class_folders(tmp_path):
    assert "there are no classes" in failure(tree(tmp_path, "train/1.jpg", "test/1.jpg"))


def test_a_single_class(tmp_path):
    message = failure(tree(tmp_path, "cat/1.jpg", "cat/2.jpg"))
    assert f"there is only one class in {tmp_path}" in message
    assert "found: cat" in message


def test_a_class_without_images(tmp_path):
    tree(tmp_path, "cat/1.jpg", "cow/1.jpg", "dog/notes.txt")
    message = failure(tmp_path)
    assert "the class 'dog' has no images" in message
    assert "found: 1 file, no images by name, such as dog/notes.txt in dog" in message
    assert "what to do: add images to it, or leave out classes without images: --drop-empty-classes" in message
    listing = find_images(tmp_path, ReadingOptions(drop_empty_classes=True))
    assert listing.class_names == ("cat", "cow")
    assert "left out: classes without images: dog" in listing.notes


@pytest.mark.parametrize("split", ["test", "validation"])
def test_a_split_may_lack_classes_but_not_have_other_ones(tmp_path, split):
    tree(tmp_path, "train/cat/1.jpg", "train/dog/1.jpg", f"{split}/dog/1.jpg", f"{split}/cat/")
    assert ("train", "cat", "train/cat/1.jpg") in found(tmp_path)
    assert (split, "dog", f"{split}/dog/1.jpg") in found(tmp_path)
    assert find_images(tmp_path).notes == (f"the {split} split has no images of the class cat",)
    message = failure(tree(tmp_path, f"{split}/cow/1.jpg"))
    assert f"the {split} split has classes that the training split has not" in message
    assert "expected: no other classes than cat, dog" in message
    assert f"found: cow in {split}" in message
    assert f"what to do: add training images of cow to train, or move {split}/cow out of the data" in message


def test_a_class_that_is_spelled_otherwise_in_a_split_is_to_be_renamed(tmp_path):
    message = failure(tree(tmp_path, "train/red fox/1.jpg", "train/dog/1.jpg", "test/red_fox/1.jpg"))
    assert "what to do: rename test/red_fox to red fox, as in train" in message


def test_no_training_split(tmp_path):
    message = failure(tree(tmp_path, "test/cat/1.jpg", "test/dog/1.jpg"))
    assert "there are no images to train with" in message
    assert "found: only test" in message


def test_two_folders_for_one_split(tmp_path):
    message = failure(tree(tmp_path, "train/a/1.jpg", "Training/a/1.jpg"))
    assert "two folders stand for the train split" in message
    assert "found: Training (train), train (train) in" in message


def test_an_unreadable_folder_is_an_error(tmp_path):
    tree(tmp_path, "a/1.jpg", "b/1.jpg")
    (tmp_path / "b").chmod(0)
    try:
        if os.access(tmp_path / "b", os.R_OK):
            pytest.skip("this user may read everything")
        assert f"the folder {tmp_path / 'b'} can't be read" in failure(tmp_path)
    finally:
        (tmp_path / "b").chmod(0o700)


OWN = {
    "runs/photos-fast-1": ("recipe.json", "data.json", "confusion_matrix.png"),
    "trained/seed-0": ("recipe.json", "data.json", "predictions.png"),
    "looked at": (".saccade", "samples.png", "classes.png"),
    "audits/photos-1": ("audit.json", "audit.html"),
    "comparisons/1": ("comparison.json", "comparison.png", "differences.png"),
    "tunings/photos-fast-1": ("tuning.json", "study.lock", "trials/3/x.png"),
    "learning-curves/photos-fast-1": ("plan.json", "learning_curve.json", "learning_curve.png"),
    "model.onnx-info": ("labels.txt", "metadata.json", "example.py"),
    "savedmodel": ("saved_model.pb", "fingerprint.pb", "variables/variables.index", "assets/x.png"),
}


@pytest.mark.parametrize("own", OWN)
def test_folders_made_by_saccade_are_not_classes(tmp_path, own):
    tree(tmp_path, "cat/1.jpg", "dog/1.jpg", *(f"{own}/{name}" for name in OWN[own]))
    assert [path for _, _, path in found(tmp_path)] == ["cat/1.jpg", "dog/1.jpg"]
    assert find_images(tmp_path).notes == (f"left out: the folder {own.partition('/')[0]}, which Saccade made",)


@pytest.mark.parametrize("own", OWN)
def test_folders_made_by_saccade_in_a_class_folder_are_left_out(tmp_path, own):
    tree(tmp_path, "train/cat/1.jpg", "train/dog/1.jpg", *(f"train/cat/{own}/{name}" for name in OWN[own]))
    assert [path for _, _, path in found(tmp_path)] == ["train/cat/1.jpg", "train/dog/1.jpg"]
    folder = own.partition("/")[0]
    assert find_images(tmp_path).notes == (f"left out: the folder train/cat/{folder}, which Saccade made",)


def test_a_class_may_have_the_name_of_a_folder_made_by_saccade(tmp_path):
    paths = ["audits/1.jpg", "explore-cats/samples.png", "runs/2024/1.jpg", "tunings/a/1.jpg"]
    tree(tmp_path, *paths, "runs/2024/data.json", "audits/audit.json")
    assert [path for _, _, path in found(tmp_path)] == paths


def test_images_beside_folders_made_by_saccade_are_kept(tmp_path):
    tree(tmp_path, "cat/1.jpg", "runs/1.jpg", "runs/a/recipe.json", "runs/a/data.json", "runs/a/predictions.png")
    assert [path for _, _, path in found(tmp_path)] == ["cat/1.jpg", "runs/1.jpg"]
    assert find_images(tmp_path).notes == ("left out: the folder runs/a, which Saccade made",)


def test_a_folder_made_by_saccade_does_not_change_the_listing(tmp_path):
    tree(tmp_path, "photos/a/1.jpg", "photos/b/1.jpg")
    before = find_images(tmp_path)
    tree(tmp_path, "runs/x/recipe.json", "runs/x/data.json")
    after = find_images(tmp_path)
    assert (after.root, after.class_names, after.images) == (before.root, before.class_names, before.images)


def test_a_table_without_known_columns_is_named(tmp_path):
    tree(tmp_path, "cat/1.jpg", "dog/1.jpg")
    (tmp_path / "shots.csv").write_text("shot,camera\ncat/1.jpg,a\ndog/1.jpg,b\n")
    note = (
        "left out: shots.csv, a table without a known column for images; its columns are shot, camera; if one names "
        "images, add --image-column, and --group-column or --label-column for the column that is to be used"
    )
    assert find_images(tmp_path).notes == (note,)
    listing = find_images(tmp_path, ReadingOptions(image_column="shot", group_column="camera"))
    assert [image.group for image in listing.images] == ["a", "b"]
    assert not any("left out" in note for note in listing.notes)
