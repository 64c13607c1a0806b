"""Working directory of the table of command lines, with a few small photographs and scans."""

import shutil
import tarfile
import zipfile
from pathlib import Path

import pytest
from tests.commands.rows import Desk
from tests.commands.table import ROWS

_FIRST, _ADDED = 24, 30
TOKEN = "a-token-of-the-table-of-commands"


@pytest.fixture(scope="session")
def desk(shared_data, field_cases, tiny_folder, tmp_path_factory):
    """Return the rows of the table in a working directory with their data and a separate cache.

    hands/ has 24 photographs, named .JPG, of each of three signs; more/ has six more of each; broken/ has a damaged
    photograph. tiny/ is `tiny_folder`; holed/ is the same with a damaged test image. In leaky/ a training image is also
    a test image; in rare/ the class "two" has two training images. In wide/ the two classes differ only at the ends of
    images that are four times as wide as high. table.csv labels the images of tiny/, which are in shots/
    too, and one image beside it; named.zip holds scans whose names in the encoding GBK begin with the class.
    """
    folder = tmp_path_factory.mktemp("commands") / "desk"
    shutil.copytree(field_cases / "pixels/wide", folder / "wide")
    _photographs(shared_data / "sign_digits.tar", folder)
    shutil.copytree(tiny_folder, folder / "tiny")
    shutil.copytree(tiny_folder, folder / "leaky")
    shutil.copy(folder / "leaky/train/null/00.png", folder / "leaky/test/null/seen.png")
    shutil.copytree(tiny_folder, folder / "rare")
    for path in sorted((folder / "rare/train/two").iterdir())[2:]:
        path.unlink()
    shutil.copytree(tiny_folder / "test", folder / "new")
    shutil.copytree(folder / "hands", folder / "broken")
    shutil.copytree(tiny_folder, folder / "holed")
    photograph = next((folder / "hands/0").iterdir()).read_bytes()
    for place in ("broken/0", "holed/test/two"):
        (folder / place / "cut off.JPG").write_bytes(photograph[:2000])
    with tarfile.open(folder / "hands.tar", "w") as archive:
        archive.add(folder / "hands", "hands")
    lines = ["path,split,action,class", "train/null/00.png,train,drop,", "train/null/01.png,train,relabel,two"]
    (folder / "fixes.csv").write_text("\n".join([*lines, "test/one/40.png,test,drop,\n"]))
    _table(tiny_folder, folder)
    _archive_of_names(tiny_folder, folder / "named.zip")
    (folder / "token.txt").write_text(f"{TOKEN}\n")
    patch = pytest.MonkeyPatch()
    patch.setenv("SACCADE_CACHE", str(folder.parent / "cache"))
    patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder / 'mlflow.db'}")
    yield Desk(folder, ROWS)
    patch.undo()


def _table(tiny_folder: Path, folder: Path) -> None:
    """Write images without class folders, and a table with their labels, splits and groups.

    One image lies outside their folder, one is missing and of a class of its own, and one label is in upper case.
    """
    (folder / "shots").mkdir()
    rows = ["shot;what;part;who", "../outside.png;one;training;p0", "gone.png;ghost;training;p1"]
    for position, path in enumerate(sorted(tiny_folder.rglob("*.png"))):
        split, name = path.parts[-3], path.parts[-2]
        shutil.copy(path, folder / "shots" / f"{position:03}.png")
        label = name.upper() if position % 7 == 0 else name
        rows.append(f"{position:03};{label};{'training' if split == 'train' else 'Test'};p{position // 4}")
    shutil.copy(tiny_folder / "train/one/00.png", folder / "outside.png")
    (folder / "table.csv").write_text("\n".join(rows))


def _archive_of_names(tiny_folder: Path, path: Path) -> None:
    """Write a zip archive of scans without folders, with names in GBK, such as 狗-07.png."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, label in (("one", "狗"), ("two", "猫")):
            for image in sorted((tiny_folder / "train" / name).iterdir()):
                archive.writestr(_NamedInGbk(f"{label}-{image.name}"), image.read_bytes())


class _NamedInGbk(zipfile.ZipInfo):
    def _encodeFilenameFlags(self):  # noqa: N802 - the name of the library
        return self.filename.encode("gbk"), self.flag_bits


def _photographs(archive: Path, folder: Path) -> None:
    """Extract the first photographs of three classes from the archive."""
    with tarfile.open(archive) as opened:
        for label in "012":
            members = sorted(
                (member for member in opened.getmembers() if f"/{label}/" in f"/{member.name}" and member.isfile()),
                key=lambda member: member.name,
            )
            for position, member in enumerate(members[:_ADDED]):
                content = opened.extractfile(member)
                assert content is not None
                for name in ("hands", "more") if position < _FIRST else ("more",):
                    place = folder / name / label / Path(member.name).name
                    place.parent.mkdir(parents=True, exist_ok=True)
                    content.seek(0)
                    place.write_bytes(content.read())
