"""The wheel of this tree, alone in an environment: train, evaluate, predict and export."""

import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from tests.conftest import REPOSITORY

pytestmark = pytest.mark.nightly

CONVERTER = "tools/convert_efficientnet_lite0.py"  # which NOTICE names

# The CPU build of TensorFlow where there is one, as the Makefile takes it; the wheel itself asks for `tensorflow`.
PINNED = [
    argument
    for option, name in (("--overrides", "overrides"), ("--constraint", "constraints"), ("-r", "tensorflow"))
    for argument in (option, str(REPOSITORY / "requirements" / f"{name}.txt"))
]


def python_of(version):
    """Return an interpreter of a minor version, on PATH or of pyenv; None where there is none."""
    own = ".".join(map(str, sys.version_info[:2]))
    if version == own:
        return sys.executable
    found = [shutil.which(f"python{version}"), *Path.home().glob(f".pyenv/versions/{version}.*/bin/python")]
    for python in [str(path) for path in found if path]:
        ended = subprocess.run(
            [python, "-c", "import sys; print(*sys.version_info[:2], sep='.')"],
            capture_output=True,
            text=True,
            check=False,
        )
        if ended.stdout.strip() == version:
            return python
    return None


def uv(*arguments):
    done = subprocess.run(
        [sys.executable, "-m", "uv", *map(str, arguments)], capture_output=True, text=True, check=False, cwd=REPOSITORY
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Folder with a wheel and a source distribution of this tree."""
    folder = tmp_path_factory.mktemp("dist")
    uv("build", "--quiet", "--out-dir", folder)
    return folder


def test_wheel_and_source_distribution_contain_the_license_and_all_files_of_the_package(built):
    (wheel,), (source,) = built.glob("*.whl"), built.glob("*.tar.gz")
    with zipfile.ZipFile(wheel) as archive:
        packed = set(archive.namelist())
        (metadata,) = (name for name in packed if name.endswith(".dist-info/METADATA"))
        assert "License-Expression: Apache-2.0\n" in archive.read(metadata).decode()
        for name in ("LICENSE", "NOTICE"):
            (path,) = (found for found in packed if found.endswith(f"/licenses/{name}"))
            assert archive.read(path) == (REPOSITORY / name).read_bytes()
    tracked = subprocess.run(
        ["git", "ls-files", "src/saccade"], cwd=REPOSITORY, capture_output=True, text=True, check=True
    ).stdout.split()
    assert tracked
    assert {name.removeprefix("src/") for name in tracked} <= packed
    with tarfile.open(source) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"LICENSE", "NOTICE", "README.md", "pyproject.toml", "Makefile", CONVERTER, *tracked} <= names


def test_the_pretrained_weights_are_read_from_the_wheel(built, tmp_path):
    (wheel,) = built.glob("*.whl")
    uv("pip", "install", "--quiet", "--no-deps", "--target", tmp_path, wheel)
    program = "from saccade.models.pretrained import imagenet as i; print(i.__file__, len(i.imagenet_weights()))"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == [str(tmp_path / "saccade" / "models" / "pretrained" / "imagenet.py"), "247"]


@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13"])
def test_the_wheel_alone_trains_evaluates_predicts_and_exports(built, version, tmp_path):
    """Run in a new environment with the wheel and its requirements, outside the repository, with another home."""
    python = python_of(version)
    if python is None:
        pytest.skip(f"no Python {version} on PATH or of pyenv")
    (wheel,) = built.glob("*.whl")
    environment = tmp_path / "environment"
    uv("venv", "--quiet", "--python", python, environment)
    uv("pip", "install", "--quiet", "--python", environment / "bin" / "python", *PINNED, wheel)
    clean = {
        key: value for key, value in os.environ.items() if not key.startswith(("SACCADE", "PYTHON", "KERAS", "VIRTUAL"))
    }
    clean["HOME"] = str(tmp_path / "home")

    def saccade(*arguments):
        command = [environment / "bin" / "saccade", *map(str, arguments)]
        done = subprocess.run(command, cwd=tmp_path, env=clean, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    run = json.loads(saccade("train", "digits", "--epochs", 2, "--json"))["run"]
    report = json.loads(saccade("evaluate", run, "--json"))
    assert report["n"] > 300
    assert report["accuracy"] > 0.5  # ten classes: chance is 0.1
    (prediction,) = json.loads(saccade("predict", run, "digits:test:0", "--json"))
    assert prediction["top"]
    saccade("report", run)
    saccade("export", run, "--format", "onnx", "--out", "model.onnx")
    assert (tmp_path / "model.onnx").stat().st_size > 100_000
