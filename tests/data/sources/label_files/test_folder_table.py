"""Tables without labels beside class folders: their splits and groups count, the folders are the classes."""

import pytest
from tests.data.images import write
from tests.data.sources.label_files.reading import failure, listing_of, notes, splits

PATHS = ("cat/1.png", "cat/2.png", "dog/3.png", "dog/4.png")


@pytest.fixture
def folders(tmp_path):
    for path in PATHS:
        write(tmp_path / "data" / path, path.encode())
    return tmp_path / "data"


def table(folder, *lines, name="metadata.csv"):
    write(folder / name, "\n".join(lines).encode())


def groups(path, **options):
    return {image.path: image.group for image in listing_of(path, **options).images}


@pytest.mark.parametrize("rows", [PATHS, [path.rpartition("/")[2] for path in PATHS], ["1", "2", "3", "4"]])
def test_groups_by_path_name_or_id(folders, rows):
    table(folders, "id,patient", *(f"{row},p{number // 2}" for number, row in enumerate(rows, start=1)))
    assert groups(folders) == {"cat/1.png": "p0", "cat/2.png": "p1", "dog/3.png": "p1", "dog/4.png": "p2"}
    assert listing_of(folders).layout == "CLASS/image, groups from metadata.csv"
    assert not notes(folders)


def test_a_column_of_groups_by_option(folders):
    table(folders, "file_name,camera", *(f"{path},{path[0]}" for path in PATHS), name="shots.csv")
    assert set(groups(folders).values()) == {""}
    assert set(groups(folders, group_column="camera").values()) == {"c", "d"}
    assert "expected: a column 'lens', by --group-column" in failure(folders, group_column="lens")


def test_splits(folders):
    table(folders, "file_name,split", "cat/1.png,train", "cat/2.png,test", "dog/3.png,train", "dog/4.png,test")
    assert splits(folders) == {
        "cat/1.png": "train/cat", "dog/3.png": "train/dog", "cat/2.png": "test/cat", "dog/4.png": "test/dog",
    }  # fmt: skip
    table(folders, "file_name,split", "cat/2.png,test")
    assert notes(folders) == (
        "3 images without a row in metadata.csv: in the training split",
        "the test split has no images of the class dog",
    )


def test_splits_beside_folders_of_splits_are_not_used(tmp_path):
    for path in PATHS:
        write(tmp_path / "train" / path, path.encode())
        write(tmp_path / "test" / path, path.encode())
    table(tmp_path, "file_name,split,patient", *(f"train/{path},test,{path[0]}" for path in PATHS))
    assert "the splits in metadata.csv are not used: the folders are the splits" in notes(tmp_path)
    assert {image.path: image.split for image in listing_of(tmp_path).images}["train/cat/1.png"] == "train"
    assert groups(tmp_path)["train/dog/3.png"] == "d"
    assert "without a group, so that they may be in any split: 4 images" in notes(tmp_path)


def test_a_table_in_the_folder_of_each_split(tmp_path):
    for split in ("train", "test"):
        for path in PATHS:
            write(tmp_path / split / path, path.encode())
        table(tmp_path / split, "file_name,patient", *(f"{path},{path[-5]}" for path in PATHS))
    assert set(groups(tmp_path).values()) == {"1", "2", "3", "4"}
    assert "4 groups in more than one split of the data: 1, 2, 3, 4" in notes(tmp_path)


def test_folders_of_classes_further_down(tmp_path):
    for path in PATHS:
        write(tmp_path / "archive" / "images" / path, path.encode())
    table(tmp_path / "archive", "file_name,patient", *(f"images/{path},{path[0]}" for path in PATHS))
    assert groups(tmp_path) == {"cat/1.png": "c", "cat/2.png": "c", "dog/3.png": "d", "dog/4.png": "d"}


def test_rows_without_an_image_are_counted(folders):
    table(folders, "file_name,patient", "cat/1.png,p", "gone/9.png,q", "dog/3.png,p")
    assert "left out: 1 row of metadata.csv without an image: gone/9.png" in notes(folders)
    assert "without a group, so that they may be in any split: 2 images" in notes(folders)


def test_tables_about_something_else_change_nothing(folders):
    table(folders, "id,set", "a,1", "b,2", name="stock.csv")
    table(folders, "image,group", "https://example.org/1.png,x", name="links.csv")
    table(folders, "id,caption", "1,a cat", name="captions.csv")
    assert set(groups(folders).values()) == {""}
    assert listing_of(folders).layout == "CLASS/image"
    assert [note for note in notes(folders) if "links" not in note] == []
    assert any(
        note.startswith("left out: links.csv; expected: paths of files on this machine") for note in notes(folders)
    )


def test_a_table_in_doubt_is_left_out_with_a_note_or_refused_if_an_option_names_it(folders):
    write(folders / "dog" / "1.png", b"another image of this name")
    table(folders, "id,camera", "1,x", "2,y")
    expected = "one file of this name, not cat/1.png and dog/1.png"
    assert expected in failure(folders, group_column="camera")
    table(folders, "id,group", "1,x", "2,y")
    assert f"left out: metadata.csv; expected: {expected}; found: '1' in line 2" in notes(folders)
    assert set(groups(folders).values()) == {""}
    table(folders, "id,group", "2,x", "2,y")
    assert any("expected: one split and one group for each image; found:" in note for note in notes(folders))
    table(folders, "id,camera", "9,x", "8,y")
    assert "expected: rows with images of" in failure(folders, group_column="camera")
