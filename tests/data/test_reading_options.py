"""The options for reading data, typed as a user types them, and compared with what went in."""

import json
import zipfile

import pytest
from tests.data.images import class_folder, encode, photo, write
from tests.snippets import run_here

NUM = 6  # images of each class


@pytest.fixture
def files(tmp_path, own_cache):
    """A folder `data` with `images/cat-0.png` and so on, and `labels.csv` with columns of unusual names."""
    rows = ["pic,kind,part,who,label"]
    for label, name in enumerate(("cat", "dog")):
        for number in range(NUM):
            path = f"images/{name}-{number}.png"
            write(tmp_path / "data" / path, encode(photo(32, 32, seed=100 * label + number), "PNG"))
            rows.append(f"{path},{name},{'holdout' if number == 0 else 'Training'},{name}{number // 3},{number % 2}")
    write(tmp_path / "data" / "labels.csv", "\n".join(rows).encode())
    return tmp_path


def dry_run(files, *words):
    """Return the result of `saccade train DATA --dry-run --json` with more words, run in the folder."""
    before = sorted(files.glob("data/**/*"))
    done = run_here(["train", *words, "--dry-run", "--json"], files)
    assert "Traceback" not in done.shown
    assert sorted(files.glob("data/**/*")) == before
    assert not (files / "runs").exists()
    return done


def counts(done):
    assert done.code == 0, done.stderr
    return done.json["counts"]


def total(done):
    """Return the number of images by class, over all splits."""
    found: dict[str, int] = {}
    for of_split in counts(done).values():
        for name, number in of_split.items():
            found[name] = found.get(name, 0) + number
    return found


COLUMNS = ("--image-column", "pic", "--label-column", "kind")


@pytest.mark.parametrize("data", ["data/labels.csv", "data"])
def test_image_column_and_label_column(files, data):
    assert total(dry_run(files, data, *COLUMNS)) == {"cat": NUM, "dog": NUM}
    done = dry_run(files, data, "--image-column", "pic")
    assert total(done) == {"0": NUM, "1": NUM}  # the column "label" has a usual name
    done = dry_run(files, data, *COLUMNS[2:])
    assert done.code == 1
    assert "name the column with --image-column" in done.stderr
    done = dry_run(files, data, "--label-column", "sort", *COLUMNS[:2])
    assert done.code == 1
    assert "expected: a column 'sort', by --label-column" in done.stderr


def test_split_column(files):
    done = dry_run(files, "data/labels.csv", *COLUMNS, "--split-column", "part")
    assert counts(done) == {"train": {"cat": NUM - 1, "dog": NUM - 1}, "test": {"cat": 1, "dog": 1}}
    done = dry_run(files, "data/labels.csv", *COLUMNS, "--split-column", "who")
    assert done.code == 1
    assert "found: 'cat0' in line 2" in done.stderr


def test_group_column(files):
    done = dry_run(files, "data/labels.csv", *COLUMNS, "--group-column", "who")
    assert counts(done) == {"train": {"cat": 3, "dog": 3}, "test": {"cat": 3, "dog": 3}}  # two groups of each class


def test_one_group_for_each_class_can_not_be_split(files):
    done = dry_run(files, "data/labels.csv", *COLUMNS, "--group-column", "kind")
    assert done.code == 1
    assert "there are too few groups for a test split" in done.stderr
    assert "--group-column" in done.stderr


def test_root(files):
    (files / "tables").mkdir()
    (files / "data/labels.csv").rename(files / "tables/labels.csv")
    done = dry_run(files, "tables/labels.csv", *COLUMNS)
    assert done.code == 1
    assert "--root" in done.stderr
    assert total(dry_run(files, "tables/labels.csv", *COLUMNS, "--root", "data")) == {"cat": NUM, "dog": NUM}
    assert total(dry_run(files, "tables", *COLUMNS, "--root", "data")) == {"cat": NUM, "dog": NUM}
    done = dry_run(files, "tables/labels.csv", *COLUMNS, "--root", "nothing")
    assert done.code == 1
    assert "nothing" in done.stderr


def test_allow_outside(files):
    write(files / "outside.png", encode(photo(32, 32, seed=999), "PNG"))
    with (files / "data/labels.csv").open("a") as file:
        file.write("\n../outside.png,cat,Training,x,0\n")
    done = dry_run(files, "data/labels.csv", *COLUMNS)
    assert done.code == 1
    assert "'../outside.png' in line 14" in done.stderr
    assert "--allow-outside" in done.stderr
    assert total(dry_run(files, "data/labels.csv", *COLUMNS, "--allow-outside")) == {"cat": NUM + 1, "dog": NUM}


def test_label_from_name(files):
    assert total(dry_run(files, "data", "--label-from-name", "^([a-z]+)-")) == {"cat": NUM, "dog": NUM}
    assert total(dry_run(files, "data/images", "--label-from-name", "^(ca|do)")) == {"ca": NUM, "do": NUM}
    done = dry_run(files, "data/images", "--label-from-name", "^cat")
    assert done.code == 1
    assert "must have one group" in done.stderr
    done = dry_run(files, "data/images", "--label-from-name", "([")
    assert done.code == 1
    assert "not valid" in done.stderr


def test_missing_images_are_counted_as_unreadable_with_a_reason(files):
    with (files / "data/labels.csv").open("a") as file:
        file.write("\nimages/gone.png,cat,Training,x,0\n")
    done = dry_run(files, "data/labels.csv", *COLUMNS)
    assert total(done) == {"cat": NUM, "dog": NUM}
    (missing,) = done.json["unreadable"]
    assert missing["path"] == "images/gone.png"
    assert missing["reason"]


def test_drop_empty_classes(tmp_path, own_cache):
    class_folder(tmp_path / "data", ("cat", "dog"))
    write(tmp_path / "data/bird/notes.txt", b"no images yet")
    write(tmp_path / "data/owl/1.png", b"damaged")
    done = dry_run(tmp_path, "data")
    assert done.code == 1
    assert "--drop-empty-classes" in done.stderr
    done = dry_run(tmp_path, "data", "--drop-empty-classes")
    assert total(done) == {"cat": 10, "dog": 10}
    assert "bird" in done.stderr
    assert "owl" in done.stderr


def test_drop_empty_classes_of_a_label_file(files):
    with (files / "data/labels.csv").open("a") as file:
        file.write("\nimages/gone.png,owl,Training,x,0\n")
    done = dry_run(files, "data/labels.csv", *COLUMNS)
    assert done.code == 1
    assert "no training image of the class 'owl' can be read" in done.stderr
    assert total(dry_run(files, "data/labels.csv", *COLUMNS, "--drop-empty-classes")) == {"cat": NUM, "dog": NUM}


def test_ignore_case(tmp_path, own_cache):
    class_folder(tmp_path / "data", ("Cat", "dog"))
    class_folder(tmp_path / "data", ("cat", "x"), start=20)
    done = dry_run(tmp_path, "data")
    assert done.code == 1
    assert "--ignore-case" in done.stderr
    assert total(dry_run(tmp_path, "data", "--ignore-case")) == {"Cat": 20, "dog": 10, "x": 10}


def test_archive_encoding(tmp_path, own_cache):
    with zipfile.ZipFile(tmp_path / "data.zip", "w") as archive:
        for label, name in enumerate(("aaaa", "bbbb")):
            for number in range(6):
                archive.writestr(f"{name}/{number}.png", encode(photo(32, 32, seed=100 * label + number), "PNG"))
    path = tmp_path / "data.zip"
    contents = path.read_bytes().replace(b"aaaa", "猫猫".encode("gbk")).replace(b"bbbb", "狗狗".encode("gbk"))
    path.write_bytes(contents)
    assert set(total(dry_run(tmp_path, "data.zip", "--archive-encoding", "gbk"))) == {"猫猫", "狗狗"}
    done = dry_run(tmp_path, "data.zip")
    assert len(total(done)) == 2
    assert "--archive-encoding" in done.stderr
    done = dry_run(tmp_path, "data.zip", "--archive-encoding", "klingon")
    assert done.code == 1
    assert "the encoding of the names in the archive is unknown" in done.stderr


def test_the_line_on_how_data_was_read(files):
    done = dry_run(files, "data/labels.csv", *COLUMNS, "--split-column", "part")
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("read as: ")]
    assert "labels from labels.csv" in line
    assert "cat, dog" in line
    assert json.loads(done.stdout)["counts"]["test"] == {"cat": 1, "dog": 1}
