import os
import signal
import subprocess
import sys
import time
from contextlib import closing, suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from tests.data.images import encode, photo, write

from saccade.data.dataset import Preprocessing
from saccade.data.decoding.decode import decode
from saccade.data.decoding.decode_files import decode_files, read_headers
from saccade.data.decoding.decode_pool import WorkerDiedError, WorkerPool
from saccade.data.decoding.image_files import decode_chunk, read_header_chunk
from saccade.errors import SaccadeError
from saccade.machine import usable_cores

PREPROCESSING = Preprocessing(16, 16)
GREEN = Preprocessing(12, 10, background=(0, 200, 30))


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Return 600 files, enough for several workers; every hundredth file is text, the others are images."""
    folder = tmp_path_factory.mktemp("files")
    images = [encode(photo(20, 24, seed=seed), "JPEG") for seed in range(20)]
    contents = [b"text" if number % 100 == 7 else images[number % 20] for number in range(600)]
    return [write(folder / f"{number}.jpg", content) for number, content in enumerate(contents)]


CRASH = b"""
import os, sys
def hook(event, arguments):
    if event == "open" and str(arguments[0]).endswith("deadly.jpg"):
        os.kill(os.getpid(), 9)
sys.addaudithook(hook)
"""

LOG = """
import os, sys
def hook(event, arguments):
    if event == "open" and str(arguments[0]).endswith(".jpg"):
        log = os.open({log!r}, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(log, b".")
        os.close(log)
sys.addaudithook(hook)
"""

SCRIPT = """
import sys, time
from pathlib import Path
from saccade.data.dataset import Preprocessing
from saccade.data.decoding.decode_files import decode_files, read_headers
chunks = decode_files(sorted(Path(sys.argv[1]).iterdir()), Preprocessing(16, 16), chunk=1)
next(chunks)
print("started", flush=True)
# Short sleeps: a signal just before one long sleep would be handled only after that sleep.
while True:
    time.sleep(0.01)
"""


def worker_pids():
    """Return the process numbers of the running workers of this process."""
    try:
        listed = subprocess.run(
            ["ps", "-A", "-ww", "-o", "pid=,ppid=,args="], capture_output=True, text=True, check=True
        )
    except FileNotFoundError:
        pytest.skip("this system has no ps")
    workers = [line.split(None, 2) for line in listed.stdout.splitlines() if "data.decoding.decode_worker" in line]
    return [int(pid) for pid, parent, _ in workers if int(parent) == os.getpid()]


def import_first(monkeypatch, folder):
    """Make every new Python process import the `sitecustomize.py` of a folder."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]))


def max_workers():
    return min(16, usable_cores())


def check(chunks, files):
    pixels = np.concatenate([chunk.pixels for chunk in chunks])
    reasons = [reason for chunk in chunks for reason in chunk.reasons]
    assert len(pixels) == len(reasons) == len(files)
    for number, path in enumerate(files):
        if number % 100 == 7:
            assert reasons[number] == "not an image: it looks like text"
            assert not pixels[number].any()
        else:
            assert reasons[number] is None
            np.testing.assert_array_equal(pixels[number], decode(path.read_bytes(), PREPROCESSING).pixels)


def test_workers_decode_every_file_once_and_in_order(files):
    check(list(decode_files(files, PREPROCESSING)), files)
    assert not worker_pids()


def test_a_few_files_are_decoded_by_one_worker(files):
    chunks = decode_files(files[:20], PREPROCESSING, chunk=6)
    assert len(next(chunks).reasons) == 6
    assert len(worker_pids()) == 1
    chunks.close()
    check([*decode_files(files[:20], PREPROCESSING)], files[:20])
    assert not worker_pids()


def test_no_files_give_no_chunks():
    assert list(decode_files([], PREPROCESSING)) == []


def test_stopping_early_ends_the_workers(files):
    chunks = decode_files(files, PREPROCESSING, chunk=10)
    next(chunks)
    assert worker_pids()
    chunks.close()
    assert not worker_pids()


def test_closing_before_the_first_chunk_ends_the_workers(files):
    decode_files(files, PREPROCESSING, chunk=10).close()
    assert not worker_pids()


def test_workers_decode_a_limited_number_of_images_ahead(files, tmp_path, monkeypatch):
    log = tmp_path / "opened"
    write(tmp_path / "sitecustomize.py", LOG.format(log=str(log)).encode())
    import_first(monkeypatch, tmp_path)
    chunk_bytes = 15 * 300 * 300 * 3
    ahead = 15 * max(64_000_000 // chunk_bytes, 2 * max_workers())
    with closing(decode_files(files, Preprocessing(300, 300), chunk=15)) as chunks:
        until = time.monotonic() + 60
        while (opened := log.stat().st_size if log.exists() else 0) < ahead and time.monotonic() < until:
            time.sleep(0.05)
        time.sleep(0.2)
        assert opened == log.stat().st_size == ahead
        next(chunks)


def test_pipes_folders_and_broken_links_are_unreadable_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "folder.jpg").mkdir()
    (tmp_path / "link.jpg").symlink_to(tmp_path / "nowhere")
    names = ["pipe.jpg", "folder.jpg", "link.jpg", "absent\0.jpg"]
    chunks = decode_files([f"{tmp_path}/{name}" for name in names], PREPROCESSING)
    assert [reason for chunk in chunks for reason in chunk.reasons] == [
        "not a regular file",
        "not a regular file",
        "the file can't be read: No such file or directory",
        "the file can't be read: there is a null character in its path",
    ]


def test_killed_workers_lose_no_image(files):
    chunks = decode_files(files, PREPROCESSING, chunk=20)
    first = next(chunks)
    for pid in worker_pids():
        os.kill(pid, signal.SIGKILL)
    check([first, *chunks], files)


def test_an_image_that_crashes_its_worker_is_the_only_unreadable_one(files, tmp_path, monkeypatch):
    # Simulates a crash in an image library: every Python process that opens this file is killed.
    write(tmp_path / "sitecustomize.py", CRASH)
    import_first(monkeypatch, tmp_path)
    deadly = write(tmp_path / "deadly.jpg", files[0].read_bytes())
    chunks = list(decode_files([*files[:300], deadly, *files[300:]], PREPROCESSING))
    reasons = [reason for chunk in chunks for reason in chunk.reasons]
    assert reasons.pop(300) == "the decoder crashed"
    assert [reason for reason in reasons if reason] == ["not an image: it looks like text"] * 6
    pixels = np.concatenate([chunk.pixels for chunk in chunks])
    np.testing.assert_array_equal(pixels[301], decode(files[300].read_bytes(), PREPROCESSING).pixels)


SLOW = b"""
import saccade.data.decoding.resource_limits as limits
import saccade.data.decoding.image_files as image_files
limits.MAX_SECONDS = 1
def decode_or_hang(contents, *arguments):
    if contents == b"\\xff\\xd8\\xffstuck":
        while True:
            pass
    return decode(contents, *arguments)
decode, image_files.decode = image_files.decode, decode_or_hang
"""


def test_an_image_that_takes_too_long_is_the_only_unreadable_one(files, tmp_path, monkeypatch):
    write(tmp_path / "sitecustomize.py", SLOW)
    import_first(monkeypatch, tmp_path)
    stuck = write(tmp_path / "stuck.jpg", b"\xff\xd8\xffstuck")
    chunks = list(decode_files([*files[:3], stuck, *files[3:6]], PREPROCESSING))
    reasons = [reason for chunk in chunks for reason in chunk.reasons]
    assert reasons == [None] * 3 + ["it takes more than 10 seconds to decode"] + [None] * 3


def test_an_image_that_takes_too_much_memory_is_the_only_unreadable_one(files, tmp_path):
    # The number of pixels is allowed, but colors, transparency and result together take 630 MB.
    bomb = write(tmp_path / "bomb.png", encode(Image.new("RGBA", (9000, 10000)), "PNG", compress_level=1))
    chunks = list(decode_files([files[0], bomb, files[1]], PREPROCESSING))
    assert [reason for chunk in chunks for reason in chunk.reasons] == [
        None,
        "not enough memory to decode this PNG",
        None,
    ]


def test_headers_are_read_in_a_worker_process(files, tmp_path, monkeypatch):
    assert [(header.height, header.width) for header in read_headers(files[:8])] == [(20, 24)] * 7
    write(tmp_path / "sitecustomize.py", CRASH)
    import_first(monkeypatch, tmp_path)
    deadly = write(tmp_path / "deadly.jpg", files[0].read_bytes())
    assert len(read_headers([deadly, *files[:3]])) == 3
    assert not worker_pids()


def test_workers_that_can_not_start_are_an_error(files, tmp_path, monkeypatch):
    write(tmp_path / "sitecustomize.py", b"raise SystemExit('no such luck')")
    import_first(monkeypatch, tmp_path)
    with pytest.raises(SaccadeError, match="could not be started") as caught:
        list(decode_files(files, PREPROCESSING))
    assert str(caught.value.found).endswith("no such luck")
    assert not worker_pids()


def test_an_invalid_response_of_a_worker_is_an_error(files, tmp_path, monkeypatch):
    write(tmp_path / "sitecustomize.py", b"print('hello')")
    import_first(monkeypatch, tmp_path)
    with pytest.raises(SaccadeError, match="could not be started") as caught:
        list(decode_files(files[:3], PREPROCESSING))
    assert caught.value.found == "invalid response 'hello'"


@pytest.fixture(scope="module")
def green_pool():
    """Return a pool of one worker that composites transparent images over green."""
    with WorkerPool(1, GREEN) as pool:
        yield pool


@pytest.fixture(scope="module")
def any_images(tmp_path_factory):
    """Return images as paths and as contents, valid and damaged, with names that JSON or lines could break."""
    folder = tmp_path_factory.mktemp("any")
    contents = [
        *(encode(Image.fromarray(photo(8, 9)).convert(mode), "PNG") for mode in ("RGB", "RGBA", "LA", "P", "L")),
        encode(Image.new("RGBA", (9, 8), (255, 0, 0, 100)), "PNG"),
        *(b"", b"text\n", b'{"ready": true}\n', b"\x89PNG\r\n\x1a\n"),
    ]
    names = ["plain.png", "line\nbreak.png", 'quo"te\\.png', "näme \U0001f408.png", os.fsdecode(b"no utf-8 \xff.png")]
    paths = [str(folder / name) for name in names]
    for path, content in zip(paths, contents, strict=False):
        with suppress(OSError):  # macOS allows only UTF-8 names; the missing file is then unreadable
            write(Path(path), content)
    return [*contents, *paths, str(folder / "absent.png")]


@settings(deadline=None, derandomize=True, database=None, max_examples=40)
@given(positions=st.lists(st.integers(0, 15), max_size=6))
def test_a_worker_gives_the_results_of_the_decoder_for_any_request(positions, green_pool, any_images):
    sent = [any_images[position] for position in positions]
    (found,) = green_pool.decode(sent)
    expected = decode_chunk(sent, GREEN)
    np.testing.assert_array_equal(found.pixels, expected.pixels)
    assert list(found.hashes) == list(expected.hashes)
    assert list(found.headers) == list(expected.headers)
    assert list(found.reasons) == list(expected.reasons)
    paths = [item for item in sent if isinstance(item, str)]
    assert green_pool.read_headers(paths) == read_header_chunk(paths)


def test_ctrl_c_ends_the_program_and_its_workers(files, tmp_path):
    # The script has no main guard, like most scripts of users.
    script = write(tmp_path / "script.py", SCRIPT.encode())
    program = subprocess.Popen(
        [sys.executable, script, files[0].parent],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    assert program.stdout is not None
    assert program.stdout.readline() == b"started\n"
    os.killpg(program.pid, signal.SIGINT)
    _, stderr = program.communicate(timeout=30)
    assert stderr.decode().strip().endswith("KeyboardInterrupt")
    with pytest.raises(ProcessLookupError):
        os.killpg(program.pid, 0)


def test_a_closed_pool_raises(files):
    with WorkerPool(1, PREPROCESSING) as pool:
        pass
    with pytest.raises(WorkerDiedError):
        pool.decode([str(files[0])])
