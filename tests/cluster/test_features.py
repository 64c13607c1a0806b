"""Features on a cluster, without Ray: images, labels, splits and features are those of the plain command."""

import shutil

import pytest

import saccade
from saccade.cluster.embed import prepare_embedding
from saccade.cluster.listing import list_data
from saccade.cluster.options import ClusterOptions
from saccade.cluster.scoring import BlockScorer
from saccade.data.reading_options import ReadingOptions
from saccade.data.sources.known_classes import KnownClasses
from saccade.errors import DataError

parquet = pytest.importorskip("pyarrow.parquet")

OPTIONS = ClusterOptions("local")


def rows_of_a_worker(data, network=None, reading=None, *, sizes=(1000,), threads=1):
    """Return the rows of a listing in blocks of some sizes, sorted by path, without the ids."""
    work = prepare_embedding(str(data), OPTIONS, network, reading)
    scorer = BlockScorer(work.prepared.factory.open(work.prepared.contents, threads), threads)
    table, rows, start = work.listing.to_table(), [], 0
    for size in sizes:
        rows += scorer(table.slice(start, size)).to_pylist()
        start += size
    scorer.close()
    assert [row.pop("id") for row in rows] == list(range(len(rows)))
    return rows


def rows_of_the_plain_command(data, out, network=None, reading=None):
    saccade.embed(data, network=network, out=out, reading=reading)
    return sorted(parquet.read_table(out).to_pylist(), key=lambda row: row["path"])


@pytest.fixture
def mixed(photographs, tmp_path):
    """Photographs of clothing in class folders, one of them damaged."""
    folder = shutil.copytree(photographs, tmp_path / "mixed")
    (folder / "hat/damaged.jpg").write_bytes(next((folder / "hat").iterdir()).read_bytes()[:500])
    return folder


def test_rows_of_photographs_are_those_of_the_plain_command_to_the_bit(mixed, tmp_path):
    plain = rows_of_the_plain_command(mixed, tmp_path / "plain.parquet")
    assert rows_of_a_worker(mixed, sizes=(1, 30, 7, 23)) == plain
    assert {row["label"] for row in plain} == {"hat", "pants", "shoes", None}
    assert [row["unreadable_reason"] for row in plain if row["path"] == "hat/damaged.jpg"] == ["truncated JPEG"]


def test_features_by_two_threads_agree(photographs):
    one, two = (rows_of_a_worker(photographs / "hat", threads=threads) for threads in (1, 2))
    for row, other in zip(one, two, strict=True):
        assert other["embedding"] == pytest.approx(row["embedding"], rel=1e-6, abs=1e-6)


@pytest.mark.parametrize(("run", "data"), [("tiny_run", "tiny_folder"), ("probe_run", "photo_folder")])
def test_the_network_of_a_run_gives_the_rows_of_the_plain_command_to_the_bit(run, data, request, tmp_path):
    network, folder = request.getfixturevalue(run), request.getfixturevalue(data)
    plain = rows_of_the_plain_command(folder, tmp_path / "plain.parquet", network)
    assert rows_of_a_worker(folder, network) == plain
    assert {row["split"] for row in plain} >= {"train", "test"}


def test_small_images_are_enlarged_as_by_the_plain_command(tiny_folder, tmp_path):
    data = shutil.copytree(tiny_folder / "test/one", tmp_path / "few")
    assert rows_of_a_worker(data) == rows_of_the_plain_command(data, tmp_path / "plain.parquet")


@pytest.fixture
def table(tiny_folder, tmp_path):
    """Label file with unusual columns, a missing image and one label in upper case; and the options to read it."""
    shots = tmp_path / "shots"
    shots.mkdir()
    lines = ["shot;what;part", "gone.png;one;training"]
    for number, path in enumerate(sorted(tiny_folder.rglob("*.png"))):
        shutil.copy(path, shots / f"{number:03}.png")
        label = path.parent.name.upper() if number == 5 else path.parent.name
        lines.append(f"{number:03};{label};{path.parts[-3]}")
    (tmp_path / "table.csv").write_text("\n".join(lines))
    return tmp_path / "table.csv", ReadingOptions(
        image_column="shot", label_column="what", split_column="part", root=str(shots), ignore_case=True
    )


def test_a_label_file_has_the_rows_of_the_plain_command(table, tiny_run, tmp_path):
    data, reading = table
    plain = rows_of_the_plain_command(data, tmp_path / "plain.parquet", tiny_run, reading)
    assert rows_of_a_worker(data, tiny_run, reading) == plain
    assert {row["split"] for row in plain} == {"train", "test", None}
    assert len({row["label"] for row in plain}) == 4


def test_a_label_file_without_labels_lists_images(tiny_folder, tmp_path):
    shutil.copy(tiny_folder / "test/null/40.png", tmp_path / "a.png")
    (tmp_path / "list.csv").write_text("file_name\na.png\n")
    (image,) = list_data(str(tmp_path / "list.csv")).images
    assert (image.path, image.label, image.split) == (str(tmp_path / "a.png"), "", "")


def test_labels_from_names_of_files(tmp_path, tiny_folder):
    for number, path in enumerate(sorted((tiny_folder / "test").rglob("4*.png"))):
        shutil.copy(path, tmp_path / f"{path.parent.name}-{number}.png")
    images = list_data(str(tmp_path), ReadingOptions(label_from_name="^([a-z]+)-")).images
    assert {image.label for image in images} == {"null", "one", "two"}
    assert all(image.name.startswith(image.label) for image in images)


def test_folders_that_are_no_classes_are_read_without_labels_and_with_a_note(photographs):
    listing = list_data(str(photographs / "hat"))
    assert {image.label for image in listing.images} == {""}
    assert listing.notes[0].startswith("read without labels: ")


def test_data_with_a_test_split_is_scored_on_it_and_other_data_as_a_whole(tiny_folder):
    known = KnownClasses(("null", "one", "two"))
    whole = list_data(str(tiny_folder), None, known).images
    assert sum(image.split == "test" for image in whole) == 60 < len(whole)
    assert {image.split for image in list_data(str(tiny_folder / "test"), None, known).images} == {"test"}
    with pytest.raises(DataError, match="classes that the run does not know"):
        list_data(str(tiny_folder), None, KnownClasses(("null", "one")))


@pytest.mark.parametrize("data", ["digits", "cifar10", "archive.zip"])
def test_data_that_is_no_files_is_an_error_with_a_remedy(data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "archive.zip").write_bytes(b"PK")
    with pytest.raises(DataError, match="are no files of their own") as caught:
        list_data(data)
    assert "omit --ray" in str(caught.value)
