"""Choice of TensorFlow's kernels, in processes of their own: TensorFlow reads it once."""

import os
import subprocess
import sys

import pytest

from saccade import tensorflow_kernels
from saccade.tensorflow_kernels import VARIABLE, kernels_in_use, prefer_onednn

# The profile of a graph names its kernels: those of oneDNN begin with _Mkl.
_PROGRAM = """
{first}
import saccade.models
import tensorflow as tf
from saccade.tensorflow_kernels import kernels_in_use

f = tf.function(lambda x, w: tf.nn.conv2d(x, w, 1, "SAME") + 1.0)
x, w = tf.ones((8, 16, 16, 32)), tf.ones((3, 3, 32, 32))
f(x, w)
tf.profiler.experimental.start("profile")
f(x, w)
tf.profiler.experimental.stop()
import pathlib
contents = b"".join(path.read_bytes() for path in pathlib.Path("profile").rglob("*.xplane.pb"))
print(kernels_in_use(), b"_Mkl" in contents)
"""


def run_program(tmp_path, first="", **environment):
    inherited = {name: value for name, value in os.environ.items() if name != VARIABLE}
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM.format(first=first)],
        cwd=tmp_path, env=inherited | environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout.splitlines()[-1].split(), done.stderr


@pytest.mark.skipif("avx2" not in tensorflow_kernels.instruction_sets(), reason="a processor without AVX2")
def test_a_processor_with_avx2_computes_with_onednn(tmp_path):
    assert run_program(tmp_path)[0] == ["oneDNN", "True"]


def test_the_choice_of_the_user_counts(tmp_path):
    assert run_program(tmp_path, **{VARIABLE: "0"})[0] == ["Eigen", "False"]


def test_a_program_that_has_imported_tensorflow_keeps_its_kernels(tmp_path):
    (named, is_onednn), _ = run_program(tmp_path, first="import tensorflow")
    assert (named == "oneDNN") == (is_onednn == "True")


@pytest.mark.parametrize(
    ("flags", "chosen", "kernels"),
    [
        ("fpu sse2 avx", None, "Eigen"),
        ("fpu sse2 avx avx2 fma", "1", "oneDNN"),
        ("fpu avx2 avx512f avx512_vnni", "1", "oneDNN"),
    ],
)
def test_the_instructions_of_the_processor_decide(tmp_path, monkeypatch, flags, chosen, kernels):
    cpu = tmp_path / "cpuinfo"
    cpu.write_text(f"processor\t: 0\nmodel name\t: a processor\nflags\t\t: {flags}\n\nprocessor\t: 1\n")
    monkeypatch.setattr(tensorflow_kernels, "_CPU_INFO", cpu)
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    prefer_onednn()
    assert os.environ.get(VARIABLE) == chosen
    assert kernels_in_use() == kernels
    monkeypatch.delenv(VARIABLE, raising=False)


def test_a_system_without_a_list_of_instructions_keeps_tensorflows_choice(tmp_path, monkeypatch):
    monkeypatch.setattr(tensorflow_kernels, "_CPU_INFO", tmp_path / "none")
    monkeypatch.delenv(VARIABLE, raising=False)
    prefer_onednn()
    assert VARIABLE not in os.environ
    assert kernels_in_use() == "Eigen"
