"""Images and results in object storage: moto's server of S3, with authentication switched on."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from tests.cluster.ray_cluster import RayCluster

pytest.importorskip("ray", reason="the extra ray is not installed")
pyarrow_fs = pytest.importorskip("pyarrow.fs")
pytestmark = pytest.mark.ray

# A user with keys who may do everything in S3, and nobody else.
_SETUP = """
import boto3, json, sys
url = sys.argv[1]
make = lambda service: boto3.client(service, endpoint_url=url, region_name="us-east-1",
                                    aws_access_key_id="setup", aws_secret_access_key="setup")
iam, s3 = make("iam"), make("s3")
iam.create_user(UserName="saccade")
key = iam.create_access_key(UserName="saccade")["AccessKey"]
policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}
iam.put_user_policy(UserName="saccade", PolicyName="s3", PolicyDocument=json.dumps(policy))
s3.create_bucket(Bucket="photos")
print(json.dumps([key["AccessKeyId"], key["SecretAccessKey"]]))
"""


@pytest.fixture(scope="module")
def storage():
    """Environment with the address of a server of S3 and the keys of its only user."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    settings = {**os.environ, "INITIAL_NO_AUTH_ACTION_COUNT": "1000"}
    server = subprocess.Popen(
        [Path(sys.executable).with_name("moto_server"), "-H", "127.0.0.1", "-p", str(port)], env=settings,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        end = time.monotonic() + 120
        while True:
            try:
                urllib.request.urlopen(f"{url}/moto-api/", timeout=5).close()
                break
            except OSError:
                assert time.monotonic() < end
                time.sleep(0.2)
        shown = subprocess.run([sys.executable, "-c", _SETUP, url], capture_output=True, text=True, check=True).stdout
        access, secret = json.loads(shown)
        headers = {"Content-Type": "text/plain"}
        request = urllib.request.Request(f"{url}/moto-api/reset-auth", b"0", headers, method="POST")
        urllib.request.urlopen(request, timeout=30).close()
        yield {
            "AWS_ACCESS_KEY_ID": access,
            "AWS_SECRET_ACCESS_KEY": secret,
            "AWS_ENDPOINT_URL": url,
            "AWS_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
    finally:
        server.terminate()
        server.wait()


def _file_system(storage):
    return pyarrow_fs.S3FileSystem(
        access_key=storage["AWS_ACCESS_KEY_ID"], secret_key=storage["AWS_SECRET_ACCESS_KEY"],
        endpoint_override=storage["AWS_ENDPOINT_URL"], region="us-east-1",
    )  # fmt: skip


@pytest.fixture(scope="module")
def uploaded(storage, tiny_folder):
    """The 60 test images of `tiny_folder` in the bucket, an unreadable one, and a label file."""
    system = _file_system(storage)
    lines = ["file_name,label"]
    for path in sorted((tiny_folder / "test").rglob("*.png")):
        with system.open_output_stream(f"photos/new/{path.parent.name}/{path.name}") as stream:
            stream.write(path.read_bytes())
        lines.append(f"new/{path.parent.name}/{path.name},{path.parent.name}")
    with system.open_output_stream("photos/new/null/cut.png") as stream:
        stream.write(b"not an image")
    with system.open_output_stream("photos/labels.csv") as stream:
        stream.write("\n".join([*lines, "new/missing.png,one\n"]).encode())
    return "s3://photos"


@pytest.fixture(scope="module")
def cluster(storage):
    """Cluster of one node, which has the keys in its environment."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in storage.items():
            patch.setenv(name, value)
        started = RayCluster(nodes=1)
        yield started
    started.close()


def _predict(storage, cluster, run, source, out, *options):
    words = ["predict", str(run.path), source, "--ray", cluster.address, "--out", out, "--json", *options]
    return subprocess.run(
        [sys.executable, "-m", "saccade", *words],
        env={**os.environ, **storage}, check=False, capture_output=True, text=True, timeout=600,
    )  # fmt: skip


def test_images_and_results_in_object_storage_equal_those_of_files(storage, cluster, uploaded, tiny_run, tiny_folder):
    import saccade

    done = _predict(storage, cluster, tiny_run, f"{uploaded}/labels.csv", f"{uploaded}/out.parquet")
    assert done.returncode == 1, done.stderr  # an image is missing
    assert json.loads(done.stdout)["num_unreadable"] == 1

    import pyarrow.dataset

    table = pyarrow.dataset.dataset("photos/out.parquet", filesystem=_file_system(storage)).to_table()
    rows = sorted(table.to_pylist(), key=lambda row: row["id"])
    assert rows[-1]["unreadable_reason"] == "the file can't be read: No such file or directory"
    predictions = saccade.predict(tiny_run, sorted((tiny_folder / "test").rglob("*.png")))
    for row, one in zip(rows[:-1], predictions, strict=True):
        assert row["name"] == f"s3://photos/new/{row['true_class']}/{Path(one.name).name}"
        assert [(each["class_name"], each["probability"]) for each in row["top"]] == [
            (each.class_name, each.probability) for each in one.top
        ]
    _assert_no_secret(storage, table, tiny_run, done, Path(cluster.folder))


def _assert_no_secret(storage, table, run, done, logs):
    secret = storage["AWS_SECRET_ACCESS_KEY"]
    assert secret not in done.stdout + done.stderr
    assert secret.encode() not in b"".join(table.schema.metadata or {})
    for folder in (run.path, logs):
        for path in folder.rglob("*"):  # logs of Ray, apart from sockets
            assert not path.is_file() or secret.encode() not in path.read_bytes()
    system = _file_system(storage)
    for info in system.get_file_info(pyarrow_fs.FileSelector("photos/out.parquet", recursive=True)):
        if info.type == pyarrow_fs.FileType.File:
            with system.open_input_stream(info.path) as stream:
                assert secret.encode() not in stream.read()


def test_a_folder_in_object_storage_is_listed(storage, cluster, uploaded, tiny_run, tmp_path):
    shown = _predict(storage, cluster, tiny_run, f"{uploaded}/new", str(tmp_path / "out"), "--workers", "1")
    assert json.loads(shown.stdout)["num_images"] == 61


@pytest.mark.parametrize("data", ["new", "labels.csv"])
def test_features_of_images_in_object_storage_equal_those_of_files(
    storage, cluster, uploaded, tiny_run, tiny_folder, data
):
    import saccade

    out = f"{uploaded}/features-of-{data}"
    line = ["embed", f"{uploaded}/{data}", "--run", str(tiny_run.path), "--ray", cluster.address, "--out", out]
    done = subprocess.run(
        [sys.executable, "-m", "saccade", *line, "--json"],
        env={**os.environ, **storage}, check=False, capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    import pyarrow.dataset

    place = out.removeprefix("s3://")
    rows = pyarrow.dataset.dataset(place, filesystem=_file_system(storage)).to_table().to_pylist()
    plain = saccade.embed(tiny_folder / "test", network=tiny_run)
    features = dict(zip(plain.paths, plain.features.tolist(), strict=True))
    prefix = "" if data == "new" else f"{uploaded}/new/"
    read = [row for row in rows if row["unreadable_reason"] is None]
    assert {row["path"]: row["embedding"] for row in read} == {prefix + path: value for path, value in features.items()}
    assert {row["path"]: row["label"] for row in read} == {prefix + path: path.partition("/")[0] for path in features}
    assert [row["path"] for row in rows if row["unreadable_reason"]] == [
        "null/cut.png" if data == "new" else f"{uploaded}/new/missing.png"
    ]


@pytest.mark.parametrize("wrong", [{"AWS_SECRET_ACCESS_KEY": "wrong"}, {"AWS_ACCESS_KEY_ID": "AKIAWRONG"}])
def test_wrong_keys_are_an_error_that_names_the_address(storage, cluster, uploaded, tiny_run, tmp_path, wrong):
    failed = _predict({**storage, **wrong}, cluster, tiny_run, f"{uploaded}/new", str(tmp_path / "out"))
    assert failed.returncode == 1
    assert f"'{uploaded}/new' can't be used: access denied" in failed.stderr
    assert "Traceback" not in failed.stderr


def test_an_image_whose_key_has_an_empty_part_is_unreadable(
    storage, cluster, uploaded, tiny_run, tiny_folder, tmp_path
):
    import pyarrow.dataset

    boto3: Any = import_module("boto3")  # it has no types
    client = boto3.client(
        "s3", endpoint_url=storage["AWS_ENDPOINT_URL"], region_name="us-east-1",
        aws_access_key_id=storage["AWS_ACCESS_KEY_ID"], aws_secret_access_key=storage["AWS_SECRET_ACCESS_KEY"],
    )  # fmt: skip
    image = next((tiny_folder / "test").rglob("*.png")).read_bytes()
    for key in ("odd//double.png", "odd/fine.png"):
        client.put_object(Bucket="photos", Key=key, Body=image)
    done = _predict(storage, cluster, tiny_run, f"{uploaded}/odd", str(tmp_path / "out"))
    assert done.returncode == 1
    assert "does not respond" not in done.stderr
    rows = pyarrow.dataset.dataset(tmp_path / "out").to_table().to_pylist()
    reasons = {row["name"].rpartition("/")[2]: row["unreadable_reason"] for row in rows}
    assert reasons["fine.png"] is None
    assert reasons["double.png"].startswith("the file can't be read: its key has an empty part (//)")


def test_results_in_a_missing_bucket_are_an_error_that_names_it(storage, cluster, uploaded, tiny_run):
    failed = _predict(storage, cluster, tiny_run, f"{uploaded}/new", "s3://nowhere/out.parquet")
    assert failed.returncode == 1
    assert "'s3://nowhere/out.parquet' can't be used: there is no such bucket" in failed.stderr
    assert "credentials" not in failed.stderr
