"""Heaps of unlabeled photographs for the tests of labeling, and the answers of a person who knows the true classes."""

import csv
import tarfile
from pathlib import Path

COUNT = 240


def make_heap(shared_data, root):
    """Write 240 photographs of four signs into one folder under other names; return it, and the true class of each."""
    (root / "heap").mkdir()
    truth = {}
    with tarfile.open(shared_data / "sign_digits.tar") as archive:
        members = [member for member in archive.getmembers() if member.isfile() and member.name.endswith(".JPG")]
        chosen = sorted((m for m in members if Path(m.name).parent.name in "0259"), key=lambda m: Path(m.name).name)
        for number, member in enumerate(chosen[:COUNT]):
            content = archive.extractfile(member)
            assert content is not None
            name = f"IMG_{number:04}.jpg"
            (root / "heap" / name).write_bytes(content.read())
            truth[name] = f"sign {Path(member.name).parent.name}"
    return root / "heap", truth


def write_answers(path, truth, names=None):
    """Write the true classes of images, by default of all, as a table."""
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["file_name", "label"])
        writer.writerows([name, truth[name]] for name in (truth if names is None else names))
    return path


def rows_of(path):
    """Return the rows of a table."""
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))
