"""Columns, splits, one-hot labels, and label files in folders."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.data.images import write
from tests.data.sources.label_files.reading import failure, labels, listing_of, notes, splits

from saccade.data.reading_options import ReadingOptions
from saccade.data.sources.image_folder import find_images
from saccade.data.sources.known_classes import KnownClasses
from saccade.data.sources.label_files.label_file import list_label_file
from saccade.errors import DataError


def label_file(folder, *rows, name="labels.csv"):
    return write(folder / name, "\n".join([*rows, ""]).encode())


@pytest.mark.parametrize("image", ["file_name", "image", "filename", "path", "id", "Image ID", "IMAGE-PATH", "img"])
@pytest.mark.parametrize("label", ["label", "class", "target", "category", "Label", "class_name", "breed"])
def test_usual_names_of_columns(images, image, label):
    assert labels(label_file(images, f"note,{label},{image}", "x,cat,1.png", "y,dog,2.png")) == {
        "1.png": "cat",
        "2.png": "dog",
    }


def test_options_name_columns(images):
    rows = ["pic,kind,part,who,label", "1.png,cat,train,a,x", "2.png,dog,train,b,y", "3.png,dog,holdout,c,z"]
    path = label_file(images, *rows)
    options = {"image_column": "pic", "label_column": "kind", "split_column": "part", "group_column": "who"}
    assert splits(path, **options) == {"1.png": "train/cat", "2.png": "train/dog", "3.png": "test/dog"}
    assert splits(images, **options) == splits(path, **options)
    assert [image.group for image in listing_of(path, **options).images] == ["a", "b", "c"]


@pytest.mark.parametrize("option", ["image_column", "label_column", "split_column", "group_column"])
def test_an_option_with_an_unknown_column(images, option):
    path = label_file(images, "file_name,label", "1.png,cat", "2.png,dog")
    for place in (path, images):
        message = failure(place, **{option: "nope"})
        assert f"a column 'nope', by --{option.replace('_', '-')}" in message
        assert "the columns 'file_name', 'label'" in message


def test_an_option_that_names_a_column_without_a_label_file(tmp_path):
    write(tmp_path / "cat" / "1.png", b"1")
    write(tmp_path / "dog" / "2.png", b"2")
    assert "leave out --label-column" in failure(tmp_path, label_column="kind")


@pytest.mark.parametrize(
    "names",
    [
        ("train", "val", "test"),
        ("Training", "VALID", "Eval"),
        ("train_set", "dev", "holdout"),
        ("trainval", "val2", "test images"),
    ],
)
@pytest.mark.parametrize("column", ["split", "fold", "Subset", "set"])
def test_names_of_splits(images, names, column):
    values = (names[0], names[0], names[1], names[2])
    rows = [
        f"{number}.png,{label},{split}" for number, label, split in zip("1234", ("cat", "dog") * 2, values, strict=True)
    ]
    assert splits(label_file(images, f"file_name,label,{column}", *rows)) == {
        "1.png": "train/cat", "2.png": "train/dog", "3.png": "validation/cat", "4.png": "test/dog"
    }  # fmt: skip


@pytest.mark.parametrize(("value", "line"), [("other", 3), ("", 3), ("train_test", 3)])
def test_unknown_names_of_splits_are_refused_with_the_line(images, value, line):
    path = label_file(images, "file_name,label,split", "1.png,cat,train", f"2.png,dog,{value}")
    assert f"found: '{value}' in line {line}" in failure(path)


def test_numbers_of_folds_are_no_splits(images):
    path = label_file(images, "file_name,label,fold", "1.png,cat,0", "2.png,dog,1", "3.png,cat,", "4.png,dog,2.0")
    assert set(splits(path).values()) == {"train/cat", "train/dog"}
    assert notes(path) == ("the column fold holds no names of splits and is not used",)


def test_an_image_in_two_splits(images):
    path = label_file(
        images, "file_name,label,split", "1.png,cat,test", "2.png,dog,train", "3.png,cat,train", "1.png,cat,train"
    )
    assert splits(path)["1.png"] == "test/cat"
    assert "1 image in rows of several splits, of which the first counts: 1.png" in notes(path)


def test_no_training_images_and_unknown_classes(images):
    path = label_file(images, "file_name,label,split", "1.png,cat,test", "2.png,dog,test")
    with pytest.raises(DataError, match="no images to train with") as caught:
        listing_of(path)
    assert "only rows of test" in str(caught.value)
    listing = list_label_file(path, ReadingOptions(), KnownClasses(("bird", "cat", "dog")))
    assert [(image.split, image.label) for image in listing.images] == [("test", 1), ("test", 2)]
    label_file(images, "file_name,label,split", "1.png,cat,train", "2.png,dog,train", "3.png,owl,test")
    with pytest.raises(DataError, match="found: owl in test"):
        listing_of(path)


def test_numeric_labels_are_in_the_order_of_numbers(images):
    path = label_file(images, "file_name,label", "1.png,10", "2.png,9", "3.png,2", "4.png,9")
    assert listing_of(path).class_names == ("2", "9", "10")
    label_file(images, "file_name,label", "1.png,10.0", "2.png,9.0", "3.png,2.0", "4.png,")
    assert listing_of(path).class_names == ("2", "9", "10")
    label_file(images, "file_name,label", "1.png,1.0", "2.png,1.5", "3.png,2.0", "4.png,a")
    assert listing_of(path).class_names == ("1.0", "1.5", "2.0", "a")


def test_case_and_drop_options(images):
    path = label_file(images, "file_name,label", "1.png,Cat", "2.png,cat", "3.png,dog")
    with pytest.raises(DataError, match="add --ignore-case"):
        listing_of(path)
    assert labels(path, ignore_case=True) == {"1.png": "Cat", "2.png": "Cat", "3.png": "dog"}


def test_one_hot_columns_of_roboflow(images):
    path = label_file(images, "filename, cat, dog", "1.png, 1, 0", "2.png, 0, 1", "3.png, 0, 0", name="_classes.csv")
    assert labels(path) == labels(images) == {"1.png": "cat", "2.png": "dog"}
    assert "left out: rows of _classes.csv without a label: line 4" in notes(path)
    label_file(images, "filename,cat,dog", "1.png,1,1", "2.png,0,1", "4.png,1,1", name="_classes.csv")
    for place in (path, images):
        assert "several labels in lines 2, 4" in failure(place)
    label_file(images, "filename,cat,dog", "1.png,2,0", "2.png,0,1", name="_classes.csv")
    assert "name the column with --label-column" in failure(path)


def test_the_folders_of_roboflow(tmp_path):
    for split, number in (("train", 1), ("train", 2), ("valid", 3), ("test", 4)):
        write(tmp_path / split / f"{number}.png", b"x")
    write(tmp_path / "README.roboflow.txt", b"x")
    label_file(tmp_path / "train", "filename, cat, dog", "1.png, 1, 0", "2.png, 0, 1", name="_classes.csv")
    label_file(tmp_path / "valid", "filename, cat, dog", "3.png, 1, 0", name="_classes.csv")
    label_file(tmp_path / "test", "filename, cat, dog", "4.png, 0, 1", name="_classes.csv")
    assert splits(tmp_path) == {
        "train/1.png": "train/cat",
        "train/2.png": "train/dog",
        "valid/3.png": "validation/cat",
        "test/4.png": "test/dog",
    }


@pytest.mark.parametrize("name", ["metadata.csv", "metadata.jsonl"])
def test_metadata_in_the_folder_of_each_split(tmp_path, name):
    for split in ("train", "test"):
        for number in (1, 2):
            write(tmp_path / split / f"{number}.png", b"x")
        csv = "file_name,label\n1.png,cat\n2.png,dog\n"
        lines = '{"file_name": "1.png", "label": "cat"}\n{"file_name": "2.png", "label": "dog"}\n'
        write(tmp_path / split / name, (csv if name.endswith("csv") else lines).encode())
    assert splits(tmp_path) == {
        "train/1.png": "train/cat", "train/2.png": "train/dog", "test/1.png": "test/cat", "test/2.png": "test/dog"
    }  # fmt: skip


def test_a_file_for_each_split(images):
    label_file(images, "file_name,label", "1.png,cat", "2.png,dog", name="train.csv")
    label_file(images, "file_name,label", "3.png,cat", name="val.csv")
    label_file(images, "file_name,label", "4.png,cat", name="sample_submission.csv")
    assert splits(images) == {"1.png": "train/cat", "2.png": "train/dog", "3.png": "validation/cat"}
    assert "left out: 1 image without a row in train.csv, val.csv: 4.png" in notes(images)
    label_file(images, "file_name,label", "4.png,cat", name="all.csv")
    assert splits(images) == {"1.png": "train/cat", "2.png": "train/dog", "3.png": "validation/cat"}
    assert any(note.startswith("left out: all.csv, which may hold labels too") for note in notes(images))


def test_several_label_files(images):
    for name in ("a.csv", "b.csv"):
        label_file(images, "file_name,label", "1.png,cat", "2.png,dog", name=name)
    message = failure(images)
    assert "found: a.csv, b.csv" in message
    assert "give the path of the label file" in message
    assert len(labels(images / "a.csv")) == 2
    label_file(images, "file_name,label", "3.png,cat", "4.png,dog", name="labels.csv")
    assert labels(images) == {"3.png": "cat", "4.png": "dog"}
    assert any(note.startswith("left out: a.csv, b.csv, which may hold labels too") for note in notes(images))


def test_submissions_are_no_label_files(images):
    label_file(images, "id,label", "1,cat", "2,dog", name="gender_submission.csv")
    with pytest.raises(DataError, match="there are no classes"):
        find_images(images)


def test_a_label_file_beside_class_folders(tmp_path):
    for path in ("cat/1.png", "cat/2.png", "dog/3.png"):
        write(tmp_path / path, path.encode())
    folders = {"cat/1.png": "cat", "cat/2.png": "cat", "dog/3.png": "dog"}
    label_file(tmp_path, "file_name,label", "cat/1.png,cat", "dog/3.png,dog")
    assert labels(tmp_path) == folders  # all images, also those without a row
    label_file(tmp_path, "file_name,label", "cat/1.png,tabby", "cat/2.png,siamese", "dog/3.png,tabby")
    assert labels(tmp_path) == {"cat/1.png": "tabby", "cat/2.png": "siamese", "dog/3.png": "tabby"}
    label_file(tmp_path, "file_name,label", "gone/1.png,tabby", "gone/2.png,siamese")
    assert labels(tmp_path) == folders
    label_file(tmp_path, "file_name,caption", "cat/1.png,a cat")
    assert labels(tmp_path) == folders


def test_a_label_file_with_other_names_of_the_class_folders_adds_nothing(tmp_path):
    for path in ("cat/1.jpg", "cat/2.jpg", "dog/1.jpg"):
        write(tmp_path / path, path.encode())
    numbers = ["cat/1.jpg,0", "cat/2.jpg,0", "dog/1.jpg,1"]
    label_file(tmp_path, "path,label", *numbers)
    assert find_images(tmp_path).class_names == ("cat", "dog")
    label_file(tmp_path, "path,label", *numbers[:2], "dog/1.jpg,0")  # the classes are not those of the folders
    with pytest.raises(DataError, match="there is only one class"):
        find_images(tmp_path)
    label_file(tmp_path, "path,label,patient", *(f"{row},{number}" for number, row in enumerate(numbers)))
    listing = find_images(tmp_path)
    assert listing.class_names == ("0", "1")  # a file with groups says more than the folders
    assert [image.group for image in listing.images] == ["0", "1", "2"]


def test_label_files_in_an_inner_folder(tmp_path):
    write(tmp_path / "archive" / "data" / "images" / "1.png", b"1")
    write(tmp_path / "archive" / "data" / "images" / "2.png", b"2")
    label_file(tmp_path / "archive" / "data", "file_name,label", "1.png,cat", "images/2.png,dog")
    assert labels(tmp_path) == {"images/1.png": "cat", "images/2.png": "dog"}


def test_labels_from_names_come_before_a_label_file(images):
    label_file(images, "file_name,label", "1.png,cat", "2.png,dog")
    assert set(labels(images, label_from_name="^([0-9])").values()) == {"1", "2", "3", "4"}


def test_groups_in_several_splits_of_the_data_give_a_note(images):
    path = label_file(
        images, "file_name,label,split,patient", "1.png,cat,train,7", "2.png,dog,train,8", "3.png,cat,test,7"
    )
    assert "1 group in more than one split of the data: 7" in notes(path)
    assert {image.path: image.group for image in listing_of(path).images} == {"1.png": "7", "2.png": "8", "3.png": "7"}


def test_missing_values_as_other_programs_write_them_are_no_classes(images):
    rows = ["1.png,1.0", "2.png,2.0", "3.png,nan", "4.png,NaN", "5.png,"]
    listing = listing_of(label_file(images, "image,label", *rows))
    assert listing.class_names == ("1", "2")
    assert "left out: rows of labels.csv without a label: lines 4, 5, 6" in listing.notes


def test_names_in_another_case_are_found_if_only_one_file_fits(tmp_path):
    for name in ("a.JPG", "b.JPG", "C.jpg", "c.jpg"):
        write(tmp_path / name, name.encode())
    label_file(tmp_path, "image,label", "A.jpg,x", "b.jpg,y", "c.JPG,x")
    found = {image.path: image.size > 0 for image in find_images(tmp_path).images}
    assert found == {"a.JPG": True, "b.JPG": True, "c.JPG": False}  # c.JPG may be C.jpg or c.jpg


@pytest.mark.parametrize("path", ["C:\\Users\\Anna\\1.png", "c:/images/1.png", "/kaggle/input/images/1.png"])
def test_paths_of_another_machine_are_to_be_made_relative(images, path):
    message = failure(label_file(images, "image,label", f"{path},cat", "2.png,dog"))
    assert "what to do: make the paths relative to the folder of the images" in message


def test_images_without_a_group_give_a_note(images):
    listing = listing_of(label_file(images, "image,label,patient", "1.png,a,p", "2.png,b,q", "3.png,a,", "4.png,b,"))
    assert "without a group, so that they may be in any split: 2 images" in listing.notes
    assert listing.layout == "labels from labels.csv, groups from the column patient"


def test_a_label_file_that_is_not_used_is_named(tmp_path):
    for path in ("cat/1.jpg", "dog/1.jpg"):
        write(tmp_path / path, path.encode())
    label_file(tmp_path, "path,label", "cat/1.jpg,0", "dog/1.jpg,1")
    note = (
        "the labels in labels.csv are not used: they are those of the class folders; to use them, give the path of the "
        "file"
    )
    assert note in find_images(tmp_path).notes


@pytest.mark.parametrize(("yes", "no"), [("1", "0"), ("1.0", "0.0"), ("TRUE", "FALSE"), ("True", "False")])
def test_one_hot_columns_in_any_spelling(images, yes, no):
    path = label_file(images, "image,cat,dog", f"1.png,{yes},{no}", f"2.png,{no},{yes}", f"3.png,{no},{yes}")
    assert labels(path) == {"1.png": "cat", "2.png": "dog", "3.png": "dog"}


def test_one_hot_columns_among_others(images):
    rows = ["image,cat,dog,age,flash", "1.png,1,0,3,1", "2.png,0,1,7,0", "3.png,1,0,2,0", "4.png,0,1,9,1"]
    assert labels(label_file(images, *rows)) == {"1.png": "cat", "2.png": "dog", "3.png": "cat", "4.png": "dog"}
    unclear = label_file(images, "image,cat,dog,flash", "1.png,1,0,1", "2.png,1,1,0", name="unclear.csv")
    assert "by the columns cat, dog, flash" in failure(unclear)
    two = label_file(images, "image,cat,dog,age", "1.png,1,1,3", "2.png,1,0,7", name="two.csv")
    assert "of which 'cat', 'dog' are 0 or 1" in failure(two)


def test_a_table_of_many_numbers_is_not_searched_in_all_parts(images):
    """Two thousand columns of 0 and 1 have two million parts, of which none is searched."""
    wide = ",".join(f"x{number}" for number in range(2000))
    rows = [f"{number}.png," + ",".join(str((number + column) % 2) for column in range(2000)) for number in (1, 2)]
    table = label_file(images, f"image,{wide},note", *(f"{row},sharp" for row in rows))
    assert "of which 'x0', 'x1'" in failure(table)


def test_the_column_of_the_images_is_found_for_an_advice(images):
    other = label_file(images, "id,photo,label", "a,1.png,cat", "b,2.png,dog")
    assert "the column 'photo' names images: --image-column photo" in failure(other)
    for number in (1, 2):
        (images / f"{number}.png").rename(images / f"000{number}.png")
    zeros = label_file(images, "id,label", "1,cat", "2,dog", name="zeros.csv")
    assert "the names of the files begin with zeros" in failure(zeros)
    case = label_file(images, "id,label", "0001.PNG,cat", "0002.PNG,dog", name="case.csv")
    assert labels(case) == {"0001.png": "cat", "0002.png": "dog"}


def test_rows_without_a_label_are_no_missing_rows(images):
    assert notes(label_file(images, "file_name,label", "1.png,cat", "2.png,dog", "3.png,")) == (
        "left out: rows of labels.csv without a label: line 4",
        "left out: 1 image without a row in labels.csv: 4.png",
    )


def test_a_near_name_of_a_column_is_proposed(images):
    path = label_file(images, "file_name,breed", "1.png,cat", "2.png,dog")
    assert "did you mean 'breed'?" in failure(path, label_column="Breed")


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("labels.parquet", "if labels.parquet holds the labels, give its path: "),
        ("labels.json", "if labels.json holds the labels, save them as a CSV file"),
    ],
)
def test_a_file_that_may_hold_the_labels_is_named(tmp_path, name, advice):
    for number in range(3):
        write(tmp_path / f"found/images/{number}.png", b"x")
    if name.endswith("parquet"):
        table = pa.table({"file_name": ["0.png", "1.png", "2.png"], "label": ["cat", "dog", "cat"]})
        pq.write_table(table, tmp_path / "found" / name)
    else:
        write(tmp_path / "found" / name, b"{}")
    with pytest.raises(DataError) as caught:
        find_images(tmp_path / "found")
    assert advice in str(caught.value.remedy)
