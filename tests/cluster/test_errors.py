"""Command lines whose images, results or address can't be: plain errors before Ray is started, so without Ray, too."""

import pytest
from tests.snippets import run_here

pytest.importorskip("pyarrow")

_SECRET = "S3CRET"


@pytest.fixture
def typed(tiny_run, tmp_path):
    """Return a function that types `predict RUN` with the words after it, and returns the outcome of an error."""
    (tmp_path / "here").mkdir()

    def run(*words):
        done = run_here(["predict", str(tiny_run.path), *map(str, words)], tmp_path / "here")
        assert done.code == 1
        assert "Traceback" not in done.shown
        assert _SECRET not in done.shown
        assert not list((tmp_path / "here").iterdir())
        return done.stderr

    return run


@pytest.mark.parametrize(
    ("address", "words"),
    [
        (f"s3://ada:{_SECRET}@photos/new", "an address holds a user, a password or a signature"),
        (f"s3://photos/a.jpg?X-Amz-Signature={_SECRET}", "an address holds a user, a password or a signature"),
        (f"http://ada:{_SECRET}@host/a.jpg", "found: http://***@host/a.jpg"),
        ("s3:///new", "s3://BUCKET/KEY"),
        ("s3://photos//new", "found: s3://photos//new"),
        ("s3://photos:80/new", "found: s3://photos:80/new"),
        ("missing", "there is nothing at 'missing'"),
    ],
)
def test_images_that_can_not_be_read_are_an_error(typed, address, words):
    assert words in typed(address, "--out", "out", "--ray")


def test_a_label_file_with_passwords_is_an_error_that_does_not_print_them(typed, tmp_path):
    table = tmp_path / "labels.csv"
    table.write_text(f"image,label\ns3://ada:{_SECRET}@photos/a.jpg,cat\n")
    assert "an address holds a user, a password or a signature" in typed(table, "--out", "out", "--ray")


@pytest.mark.parametrize("address", ["10.0.0.1", "10.0.0.1:port", "10.0.0.1:99999", ":6379"])
def test_an_address_without_host_and_port_is_an_error(typed, tiny_folder, address):
    shown = typed(tiny_folder, "--out", "out", f"--ray={address}")
    assert f"'{address}' is no address of a Ray cluster" in shown
    assert "HOST:PORT of the head node" in shown


def test_the_client_protocol_of_ray_is_an_error_without_its_password(typed, tiny_folder):
    shown = typed(tiny_folder, "--out", "out", f"--ray=ray://ada:{_SECRET}@10.0.0.1:10001")
    assert "Ray's client protocol is not supported" in shown


@pytest.mark.parametrize("options", [(), ("--dry-run",)], ids=["work", "dry run"])
def test_results_that_exist_are_an_error_also_of_a_dry_run(typed, tiny_folder, tmp_path, options):
    file, folder = tmp_path / "file", tmp_path / "folder"
    folder.mkdir()
    for out, kept in ((file, file), (folder, folder / "kept")):
        kept.write_text("kept")
        assert "exists already; nothing is overwritten" in typed(tiny_folder, "--out", out, *options, "--ray")
        assert kept.read_text() == "kept"
