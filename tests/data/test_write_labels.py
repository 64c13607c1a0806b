import csv

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.data.images import encode, photo, write
from tests.snippets import run_here

from saccade import load
from saccade.data.reading_options import ReadingOptions
from saccade.data.write_labels import write_labels
from saccade.errors import DataError


def images(root, *paths):
    for number, path in enumerate(paths):
        write(root / path, encode(photo(seed=number), "PNG"))
    return root


def truth(dataset):
    return {
        name: (split_name, dataset.class_names[label])
        for split_name, split in dataset.splits.items()
        for name, label in zip(split.names, split.labels.tolist(), strict=True)
    }


@pytest.mark.parametrize("prefix", ["", "train/"])
def test_what_is_written_is_read_as_the_data_was(tmp_path, prefix):
    paths = [f"{prefix}{name}/{number}.png" for name in ("café, red", "dog") for number in range(8)]
    root = images(tmp_path / "data", *paths, *(["test/dog/9.png"] if prefix else []))
    before = load(root)
    write_labels(before, root / "written.csv")
    after = load(root / "written.csv")
    assert truth(after) == truth(before)
    # A file in a parent folder with images of the same names in another folder.
    images(tmp_path, "dog/0.png", "other/data/dog/0.png")
    assert write_labels(before, tmp_path / "written.csv") == tmp_path
    above = load(tmp_path / "written.csv")
    assert {f"data/{name}": found for name, found in truth(before).items()} == truth(above)
    # A file elsewhere needs the folder of the images.
    (tmp_path / "elsewhere").mkdir()
    folder = write_labels(before, tmp_path / "elsewhere/written.csv")
    assert folder == root
    assert truth(load(tmp_path / "elsewhere/written.csv", reading=ReadingOptions(root=str(folder)))) == truth(before)
    assert after.test_is_made == before.test_is_made


def test_groups_are_written_and_read(tmp_path):
    root = images(tmp_path / "data", *(f"{number}.png" for number in range(12)))
    rows = [(f"{number}.png", "cat" if number % 2 else "dog", f"patient {number // 3}") for number in range(12)]
    (root / "labels.csv").write_text("file_name,label,group\n" + "\n".join(map(",".join, rows)))
    write_labels(load(root), tmp_path / "written.csv")
    with (tmp_path / "written.csv").open() as stream:
        written = list(csv.DictReader(stream))
    groups = {row["file_name"]: row["group"] for row in written}
    assert groups == {f"data/{name}": patient for name, _, patient in rows}


def test_groups_of_a_table_above_class_folders_are_written_and_read(tmp_path):
    names = [f"{'cat' if number % 2 else 'dog'}/{number}.png" for number in range(24)]
    images(tmp_path / "data", *(f"images/{name}" for name in names))
    rows = [f"images/{name},patient {number // 4}" for number, name in enumerate(names)]
    (tmp_path / "data" / "patients.csv").write_text("file_name,patient\n" + "\n".join(rows))
    assert run_here(["explore", "data", "--write-labels", "written.csv"], tmp_path).code == 0
    shown = run_here(["train", "data", "--dry-run"], tmp_path).stderr
    assert "read as: CLASS/image, groups from patients.csv; classes cat, dog; " in shown
    with (tmp_path / "written.csv").open() as stream:
        written = list(csv.DictReader(stream))
    groups = {row["file_name"]: row["group"] for row in written}
    assert groups == {f"data/images/{name}": f"patient {number // 4}" for number, name in enumerate(names)}
    dataset = load(tmp_path / "data")
    splits: dict[str, set[str]] = {
        groups[f"data/images/{name}"]: set() for split in dataset.splits.values() for name in split.names
    }
    for name, split in dataset.splits.items():
        for image in split.names:
            splits[groups[f"data/images/{image}"]].add(name)
    assert all(len(found) == 1 for found in splits.values())
    assert truth(load(tmp_path / "written.csv")) == {f"data/images/{name}": it for name, it in truth(dataset).items()}


def test_nothing_is_overwritten_and_arrays_have_no_files(tmp_path):
    root = images(tmp_path / "data", *(f"{name}/{number}.png" for name in ("a", "b") for number in range(4)))
    (tmp_path / "mine.csv").write_text("mine")
    with pytest.raises(DataError, match="nothing is overwritten"):
        write_labels(load(root), tmp_path / "mine.csv")
    with pytest.raises(DataError, match="the images of 'digits' are not files"):
        write_labels(load("digits"), tmp_path / "digits.csv")
    assert (tmp_path / "mine.csv").read_text() == "mine"
    assert not (tmp_path / "digits.csv").exists()


def test_embedded_images_other_suffixes_and_changed_names(tmp_path):
    root = images(tmp_path / "data", *(f"{name}/{number}.png" for name in (" red", "dog") for number in range(4)))
    rows = [{"image": {"bytes": path.read_bytes(), "path": path.name}, "label": path.parent.name}
            for path in sorted(root.rglob("*.png"))]  # fmt: skip
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "images.parquet")
    with pytest.raises(DataError, match="are inside a Parquet file"):
        write_labels(load(tmp_path / "images.parquet"), tmp_path / "written.csv")
    done = run_here(["explore", "data", "--write-labels", "written.jsonl"], tmp_path)
    assert done.code == 1
    assert "a name that ends in .csv or .tsv" in done.stderr
    done = run_here(["explore", "data", "--write-labels", "written.csv"], tmp_path)
    assert "without spaces at their ends: [' red']" in done.stderr
    assert load(tmp_path / "written.csv", reading=ReadingOptions(root=str(tmp_path))).class_names == ("dog", "red")
