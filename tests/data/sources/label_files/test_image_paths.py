"""Images of a label file: by path, by name and by id; outside the folder, missing, and without a row."""

import unicodedata

import pytest
from tests.data.images import write
from tests.data.sources.label_files.reading import failure, labels, listing_of, notes


def label_file(folder, *rows, name="labels.csv", header="file_name,label"):
    return write(folder / name, "\n".join([header, *rows, ""]).encode())


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("a/1.png", "b/2.png"),
        ("./a/1.png", "a/../b/2.png"),
        ("a\\1.png", ".\\b/2.png"),
        ("1.png", "2.png"),
        ("1", "b/2"),
    ],
)
def test_images_by_path_name_or_id(tmp_path, first, second):
    write(tmp_path / "a" / "1.png", b"1")
    write(tmp_path / "b" / "2.png", b"2")
    path = label_file(tmp_path, f"{first},cat", f"{second},dog")
    assert labels(path) == {"a/1.png": "cat", "b/2.png": "dog"}


def test_absolute_paths_inside_and_outside(images, tmp_path):
    outside = write(tmp_path / "other" / "5.png", b"5")
    path = label_file(images, f"{images / '1.png'},cat", "2.png,dog")
    assert labels(path) == {"1.png": "cat", "2.png": "dog"}
    for row in (f"{outside},cat", "../other/5.png,cat", "..\\other\\5.png,cat", "..,cat"):
        label_file(images, row, "2.png,dog")
        message = failure(path)
        assert repr(row.removesuffix(",cat")[-12:])[1:] in message
        assert "in line 2" in message
        assert "--allow-outside" in message
    label_file(images, f"{outside},cat", "2.png,dog")
    assert labels(path, allow_outside=True) == {"../other/5.png": "cat", "2.png": "dog"}
    assert (images / "../other/5.png").samefile(outside)


def test_names_that_begin_with_dots_are_inside(images):
    write(images / "..a.png", b"a")
    assert labels(label_file(images, "..a.png,cat", "2.png,dog")) == {"..a.png": "cat", "2.png": "dog"}


def test_a_name_with_a_backslash(images):
    write(images / "a\\b.png", b"a")
    assert labels(label_file(images, "a\\b.png,cat", "2.png,dog")) == {"a\\b.png": "cat", "2.png": "dog"}


@pytest.mark.parametrize("url", ["https://example.org/1.png", "ftp://example.org/1.png", "file:///1.png"])
def test_addresses_are_refused(images, url):
    message = failure(label_file(images, f"{url},cat", "2.png,dog"))
    assert "download the images first" in message
    assert "in line 2" in message


def test_images_of_another_folder(images, tmp_path):
    path = label_file(tmp_path / "tables", "1.png,cat", "2,dog")
    assert "name the folder of the images with --root" in failure(path)
    assert labels(path, root=str(images)) == {"1.png": "cat", "2.png": "dog"}
    assert labels(tmp_path / "tables", root=str(images)) == {"1.png": "cat", "2.png": "dog"}


def test_names_that_begin_with_the_folder_of_root(images):
    path = label_file(images.parent, f"{images.name}/1.png,cat", f"{images.name}/2.png,dog")
    assert len(labels(path)) == 2
    message = failure(path, root=str(images))
    assert f"the column names images from the folder above: --root {images.parent}" in message
    long = label_file(images.parent, f"{'x' * 4000}.png,cat")
    assert "name the folder of the images with --root" in failure(long, root=str(images))


def test_a_name_in_several_folders_is_ambiguous_unless_one_is_the_folder_of_the_split(tmp_path):
    for folder in ("train", "test"):
        write(tmp_path / folder / "1.png", folder.encode())
        write(tmp_path / folder / "2.png", folder.encode())
    message = failure(label_file(tmp_path, "1,cat", "2,dog"))
    assert "one file of this name, not test/1.png and train/1.png" in message
    assert "write the whole path" in message
    by_split = label_file(tmp_path, "1,cat,train", "2,dog,train", "1,dog,test", header="id,label,split")
    assert labels(by_split) == {"train/1.png": "cat", "train/2.png": "dog", "test/1.png": "dog"}
    by_split.unlink()
    label_file(tmp_path, "1,cat", "2,dog", name="train.csv", header="id,label")
    assert labels(tmp_path) == {"train/1.png": "cat", "train/2.png": "dog"}
    label_file(tmp_path, "1,dog", name="test.csv", header="id,label")
    assert labels(tmp_path) == {"train/1.png": "cat", "train/2.png": "dog", "test/1.png": "dog"}


def test_names_in_another_form_of_unicode(images):
    write(images / unicodedata.normalize("NFC", "é.png"), b"e")
    path = label_file(images, unicodedata.normalize("NFD", "é.png") + ",cat", "2.png,dog")
    assert labels(path) == {"é.png": "cat", "2.png": "dog"}


def test_missing_images_stay_in_the_list_with_size_0(images):
    path = label_file(images, "1.png,cat", "2.png,dog", "gone.png,dog", "sub/gone.png,cat", "~/x.png,cat")
    sizes = {image.path: image.size for image in listing_of(path).images}
    assert sizes == {"1.png": 1, "2.png": 1, "gone.png": 0, "sub/gone.png": 0, "~/x.png": 0}


def test_only_missing_images(images):
    message = failure(label_file(images, "a.png,cat", "b.png,dog"))
    assert "none of the 2 images in the column 'file_name', such as 'a.png'" in message


def test_images_without_a_row_are_counted_and_named(images):
    path = label_file(images, "1.png,cat", "2.png,dog")
    assert notes(path) == ("left out: 2 images without a row in labels.csv: 3.png, 4.png",)
    for number in range(20):
        write(images / f"more-{number:02}.png", b"x")
    (note,) = notes(path)
    assert note.startswith("left out: 22 images without a row in labels.csv: 3.png, 4.png, more-00.png")
    assert note.endswith("and 12 more")


def test_images_with_two_labels_and_images_in_two_rows(images):
    rows = ["1.png,cat", "2.png,dog", "3.png,cat", "1.png,dog", "./2.png,dog", "4.png,", ",cat", "4.png,dog"]
    path = label_file(images, *rows)
    assert labels(path) == {"2.png": "dog", "3.png": "cat", "4.png": "dog"}
    assert set(notes(path)) == {
        "left out: 1 image with two labels: 1.png (cat in line 2, dog in line 5)",
        "1 image in several rows, with the same label: 2.png",
        "left out: rows of labels.csv without a label: line 7",
        "left out: rows of labels.csv without an image: line 8",
    }
