"""Malicious files: code in them would create a canary file, which must not appear."""

import json
import os
import pickle
import shutil
import struct
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
from safetensors.numpy import save
from tests.data.images import class_folder, encode, photo

import saccade
from saccade.errors import SaccadeError
from saccade.runs.run import Run


class Touching:
    """An object that creates the canary when it is unpickled."""

    def __init__(self, canary):
        self.canary = canary

    def __reduce__(self):
        return os.system, (f"touch {self.canary}",)


@pytest.fixture
def canary(tmp_path):
    path = tmp_path / "canary"
    yield path
    assert not path.exists(), "code in the file was run"


@pytest.fixture
def run(run_copy):
    return run_copy.path


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    path = tmp_path_factory.mktemp("images") / "cat.png"
    path.write_bytes(encode(photo(32, 32), "PNG"))
    return path


def changed(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def pickled_weights(run, canary):
    (run / "weights.safetensors").write_bytes(pickle.dumps(Touching(canary)))


def zipped_pickle_for_weights(run, canary):
    """A pickle in a ZIP archive, as PyTorch saves weights."""
    with zipfile.ZipFile(run / "weights.safetensors", "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(Touching(canary)))


def an_absurd_header(run, canary):
    (run / "weights.safetensors").write_bytes(struct.pack("<Q", 2**62) + b"{}")


def absurd_shapes(run, canary):
    header = json.dumps({"conv1/kernel": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}}).encode()
    (run / "weights.safetensors").write_bytes(struct.pack("<Q", len(header)) + header)


def weights_of_another_kind(run, canary):
    (run / "weights.safetensors").write_bytes(save({"conv1/kernel": np.zeros(3, np.int64)}))


def weights_that_never_end(run, canary):
    (run / "weights.safetensors").unlink()
    (run / "weights.safetensors").symlink_to("/dev/zero")


def weights_that_nobody_writes(run, canary):
    (run / "weights.safetensors").unlink()
    os.mkfifo(run / "weights.safetensors")


def infinite_weights(run, canary):
    weights = Run.open(run).weights()
    name = next(iter(weights))
    weights[name][...] = np.inf
    (run / "weights.safetensors").write_bytes(save(weights))


def a_sparse_terabyte(run, canary):
    os.truncate(run / "weights.safetensors", 2**40)


def a_network_by_import(run, canary):
    changed(run / "recipe.json", network=f"__import__('os').system('touch {canary}')")


def a_network_beyond_the_machine(run, canary):
    changed(run / "recipe.json", network="classic")
    changed(
        run / "data.json",
        preprocessing=json.loads((run / "data.json").read_text())["preprocessing"] | {"height": 4096, "width": 4096},
    )


def images_beyond_reason(run, canary):
    changed(
        run / "data.json",
        preprocessing=json.loads((run / "data.json").read_text())["preprocessing"] | {"height": 10**9},
    )


def class_names_with_control_characters(run, canary):
    changed(run / "data.json", class_names=["\x1b]0;owned\x07", "\x1b[2J", "c"])


def a_deep_record(run, canary):
    (run / "data.json").write_text('{"name":' + "[" * 100_000 + "]" * 100_000 + "}")


def a_record_that_nobody_writes(run, canary):
    (run / "recipe.json").unlink()
    os.mkfifo(run / "recipe.json")


BAD_RUNS = [
    pickled_weights, zipped_pickle_for_weights, an_absurd_header, absurd_shapes, weights_of_another_kind,
    weights_that_never_end, weights_that_nobody_writes, infinite_weights, a_sparse_terabyte, a_network_by_import,
    a_network_beyond_the_machine, images_beyond_reason, class_names_with_control_characters, a_deep_record,
    a_record_that_nobody_writes,
]  # fmt: skip


@pytest.mark.parametrize("hostile", BAD_RUNS, ids=lambda function: function.__name__)
def test_a_hostile_run_is_an_error(hostile, run, canary, image):
    hostile(run, canary)
    with pytest.raises(SaccadeError):
        saccade.predict(run, [image])


def a_lambda(run, canary):
    import keras

    model = keras.Sequential([keras.Input((32, 32, 3)), keras.layers.Lambda(lambda x: x)])
    model.save(run / "model.keras")


def a_foreign_module(run, canary):
    config = {"module": "os", "class_name": "system", "config": {"command": f"touch {canary}"}, "registered_name": None}
    with zipfile.ZipFile(run / "model.keras", "w") as archive:
        archive.writestr("config.json", json.dumps(config))
        archive.writestr("metadata.json", "{}")


def an_external_link(run, canary):
    """An HDF5 file in place of the model, with a link to a file outside."""
    with h5py.File(run / "model.keras", "w") as file:
        file["outside"] = h5py.ExternalLink("/etc/hostname", "/")


@pytest.mark.parametrize(
    "hostile", [a_lambda, a_foreign_module, an_external_link], ids=lambda function: function.__name__
)
def test_the_keras_model_of_a_run_is_never_opened(hostile, run, canary, image, tiny_run):
    hostile(run, canary)
    assert saccade.predict(run, [image])[0].top == saccade.predict(tiny_run, [image])[0].top


def test_pickled_images_in_a_run_are_reported_as_damage(run, canary):
    np.savez(run / "validation.npz", images=np.array([Touching(canary)], object), labels=np.zeros(1, np.int64))
    with pytest.raises(SaccadeError, match=r"validation.npz' is damaged"):
        saccade.export(run, format="keras", out=run.parent / "model.keras")


def test_a_pickle_in_a_checkpoint_is_reported_as_damage(tiny_folder, tmp_path, canary):
    run = saccade.train(tiny_folder, recipe="folder", epochs=1, out=tmp_path / "run", progress=False)
    (checkpoint,) = (run.path / "checkpoints").iterdir()
    (checkpoint / "optimizer.safetensors").write_bytes(pickle.dumps(Touching(canary)))
    with pytest.raises(SaccadeError, match="its last checkpoint is damaged"):
        saccade.extend(run, 1, out=tmp_path / "more", progress=False)


def slip(name):
    def write(path):
        if path.suffix == ".zip":
            with zipfile.ZipFile(path, "w") as archive:
                archive.writestr(name, b"touched")
        else:
            (path.parent / "touched").write_bytes(b"touched")
            with tarfile.open(path, "w") as archive:
                archive.add(path.parent / "touched", name)

    return write


def slip_by_link(path):
    """Write an archive with a link to the outside, and a file through this link."""
    with tarfile.open(path, "w") as archive:
        link = tarfile.TarInfo("data/way")
        link.type, link.linkname = tarfile.SYMTYPE, ".."
        archive.addfile(link)
        archive.addfile(tarfile.TarInfo("data/way/canary"))


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("data.zip", slip("../canary")),
        ("data.tar", slip("../canary")),
        ("data.zip", slip("..\\canary")),
        ("data.tar", slip_by_link),
    ],
)
def test_an_archive_writes_nothing_outside_its_folder(name, write, canary, tmp_path, monkeypatch):
    monkeypatch.setenv("SACCADE_CACHE", str(tmp_path / "cache"))
    write(tmp_path / name)
    with pytest.raises(SaccadeError):
        saccade.load(tmp_path / name)
    assert not list(tmp_path.rglob("canary"))


def test_control_characters_in_names_are_printed_as_codes(run_copy, tmp_path):
    data = class_folder(tmp_path / "data", classes=("a\x1b[2Jb", "\u202eabc"), count=4)
    hostile = tmp_path / "photo\x1b]0;owned\x07\nerror: all is lost.png"
    hostile.write_bytes(encode(photo(32, 32), "PNG"))
    for command in (["explore", str(data)], ["predict", str(run_copy.path), str(hostile)]):
        shown = subprocess.run(
            [sys.executable, "-m", "saccade", *command], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        output = shown.stdout + shown.stderr
        assert not {letter for letter in output if not letter.isprintable()} - {"\n"}
        assert not [line for line in output.splitlines() if line.startswith("error")]
        assert "\\x1b" in output
    as_json = subprocess.run(
        [sys.executable, "-m", "saccade", "predict", str(run_copy.path), str(hostile), "--json"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert json.loads(as_json.stdout)[0]["name"] == str(hostile)
    assert "\x1b" not in as_json.stdout


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.nightly) for seed in (1, 2))])
def test_unreadable_images_do_not_change_the_weights(tiny_folder, tmp_path, seed):
    """5% of broken files: the weights are equal bit for bit, and unreadable.csv lists each broken file."""
    spoiled = shutil.copytree(tiny_folder, tmp_path / "tiny")
    good = sorted((spoiled / "train").rglob("*.png"))
    for number, path in enumerate(good[::20]):
        contents = path.read_bytes()
        broken = [contents[: len(contents) // 2], b"no image", b"", contents.replace(b"IDAT", b"IDOT")][number % 4]
        (path.parent / f"{path.stem}-broken.png").write_bytes(broken)
    settings = {"batch_size": 12, "seed": seed}
    runs = [
        saccade.train(
            data, recipe="folder", epochs=1, settings=settings, out=tmp_path / f"{name}-{seed}", progress=False
        )
        for name, data in (("good", tiny_folder), ("spoiled", spoiled))
    ]
    for name in ("weights.safetensors", "history.csv"):
        assert (runs[0].path / name).read_bytes() == (runs[1].path / name).read_bytes()
    unreadable = (runs[1].path / "unreadable.csv").read_text().splitlines()
    assert unreadable[0] == "split,path,reason"
    assert len(unreadable) == 1 + 6
    assert all(Path(row.split(",")[1]).stem.endswith("-broken") for row in unreadable[1:])
    with pytest.raises(SaccadeError, match="6 images of 'tiny' can't be read"):
        saccade.evaluate(runs[1], strict=True)
