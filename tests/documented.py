"""Execution of the command lines of README and docs/, unchanged but with less work, in a folder with what they name."""

import os
import shlex
import shutil
import signal
import tarfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import click
from PIL import Image
from tests.commands.rows import Row
from tests.snippets import Outcome, run_here, started

from saccade.cli.main import cli
from saccade.runs.run import Run

PLACEHOLDERS = {"NAME": "quick", "N": "2", "COMMAND": "explore"}
"""Values of placeholders; `lay` creates files and folders named DATA, RUN, SOURCE, IMAGE(S)."""


def not_run(words: Sequence[str]) -> str:
    """Return the reason why a command line is parsed but not run; "" if it is run."""
    from saccade.models.networks.backbones import BACKBONES

    if any(word in BACKBONES for word in words) and "--weights" not in words:
        return "Keras downloads the weights of a network of keras.applications"
    if words[0] == "train" and words[1].startswith("-") and not {"--resume", "--extend"} & set(words):
        return "without DATA it is CIFAR-10, a download"
    if any(word.startswith("--ray") for word in words):
        return "a Ray cluster, which `make test-ray` starts"
    return ""


def lay(folder: Path, photos: Run, small: Run, *, runs: Iterable[str]) -> None:
    """Create the data, images, token and runs that the pages name.

    Args:
        folder: empty folder.
        photos: run on a folder of photographs in class folders.
        small: run on a folder of small images in class folders.
        runs: names of the run directories: copies of `photos` where the name has the recipe `photo`, else of `small`.
    """
    of_photos, of_small = Path(photos.data_source), Path(small.data_source)
    shutil.copytree(of_photos, folder / "photos")
    for name in ("DATA", "cifar10-jpeg"):
        shutil.copytree(of_small, folder / name)
    for archive, data in (("cifar10-jpeg.tar.xz", of_small), ("photos.tar", of_photos)):
        with tarfile.open(folder / archive, "w:xz" if archive.endswith("xz") else "w") as opened:
            opened.add(data, "photos")
    shutil.make_archive(str(folder / "photos"), "zip", of_photos.parent, of_photos.name)
    _write_label_files(of_photos, folder)
    image = Image.open(next((of_photos / "test").rglob("*.jpg")))
    for name in ("new.jpg", "IMAGE", "more-images/a.jpg", "new/a.jpg", "new-images/a.jpg", "IMAGES/a.jpg"):
        (folder / name).parent.mkdir(exist_ok=True)
        image.save(folder / name, "JPEG")
    dropped = next((of_photos / "train").rglob("*.jpg")).relative_to(of_photos).as_posix()
    (folder / "fixes.csv").write_text(f"path,split,action,class\n{dropped},train,drop,\n")
    (folder / "token.txt").write_text("a-token-of-the-documentation\n")
    for name in runs:
        shutil.copytree((photos if "-photo-" in name else small).path, folder / name)


def _write_label_files(photos: Path, folder: Path) -> None:
    """Write the label files of the pages, for the images in `photos/` and `DATA/`, and images with labels in names."""
    images = sorted(path.relative_to(photos) for path in photos.rglob("*.jpg"))
    rows = [(path, path.parent.name, path.parts[0], "AB"[number % 2]) for number, path in enumerate(images)]
    lines = ["file_name,label,split,camera"]
    lines += [f"photos/{path},{label},{split},{by}" for path, label, split, by in rows]
    (folder / "photos.csv").write_text("\n".join(lines))
    lines = ["file_name,label,camera"]
    lines += [f"photos/{path},{label},{by}" for path, label, split, by in rows if split == "test"]
    (folder / "photos-new.csv").write_text("\n".join(lines))
    lines = ["photo,species,patient", *(f"{path},{label},{path.stem}" for path, label, *_ in rows)]
    (folder / "photos-table.csv").write_text("\n".join(lines))
    lines = ["file_name,label,patient,camera"]
    for number, path in enumerate(sorted((folder / "DATA").rglob("*.png"))):
        lines.append(f"{path.relative_to(folder)},{path.parent.name},{number // 2},{'AB'[number % 2]}")
    (folder / "labels.csv").write_text("\n".join(lines))
    (folder / "photos-flat").mkdir()
    for path, label, *_ in rows:
        shutil.copy(photos / path, folder / "photos-flat" / f"{label}.{path.stem}.jpg")


def with_placeholders_filled(line: Sequence[str]) -> list[str]:
    """Return the words of a command line with values for the placeholders."""
    return [PLACEHOLDERS.get(word, word) for word in line]


def parse(words: Sequence[str]) -> None:
    """Parse a command line with click, without running it.

    Raises:
        click.UsageError: there is no such command or option.
    """
    command_name, *arguments = with_placeholders_filled(words)
    command = cli.get_command(click.Context(cli), command_name)
    assert command is not None, words
    if "--help" not in arguments:
        command.make_context(command_name, arguments)


def typed(line: Sequence[str], folder: Path) -> Outcome:
    """Run a command line of a page in a folder of `lay`, with less work."""
    words = with_placeholders_filled(line)
    if words[0] == "serve":
        return _served(words, folder)
    if "--page" in words:
        return Row(shlex.join(words), stop_at="Ctrl-C ends the page").type_in(folder)
    if "--resume" in words:
        return _resumed(words, folder)
    if "--extend" in words:
        _give_a_checkpoint(folder / "DATA", folder / words[words.index("--extend") + 1])
    if words[0] == "train" and "--out" in words:
        shutil.rmtree(folder / words[words.index("--out") + 1], ignore_errors=True)
    return run_here(shrunk(words), folder)


def shrunk(words: Sequence[str]) -> list[str]:
    """Return the command line with options appended that reduce its work; the last of equal options counts."""
    reductions: dict[str, list[str]] = {
        "train": _less_training(words),
        "tune": ["--minutes", "0.1"] if "--minutes" in words else ["--trials", "1"],
        "learning-curve": ["--sizes", "8,20,32,44" if _photos(words) else "21,30,50,80", "--repeats", "2"],
        "audit": ["--folds", "0" if "--folds" in words else "2"],
        "benchmark": [] if {"--format", "--machine"} & set(words) else ["--format", "onnx"],
        "predict": ["--abstain", "0.1"] if "--abstain" in words else [],
    }
    epochs = []
    if words[0] in ("tune", "learning-curve") and ("--recipe" in words or _photos(words)):
        epochs = ["--epochs", "1" if "--recipe" in words else "3"]
    small_network = words[0] in ("tune", "learning-curve", "audit") and not (_photos(words) or "--recipe" in words)
    return [*words, *reductions.get(words[0], []), *epochs, *(["--recipe", "folder"] if small_network else [])]


def _photos(words: Sequence[str]) -> bool:
    """Return whether the data is photographs, whose default recipe takes a second for an epoch."""
    return len(words) > 1 and words[1].startswith("photos")


def _less_training(words: Sequence[str]) -> list[str]:
    if "--resume" in words:
        return []
    less = []
    for option, value in (("--seeds", "1"), ("--folds", "2")):
        if option in words:
            less += [option, value]
    if _photos(words) and not {"--recipe", "--from"} & set(words):
        return less if {"--minutes", "--epochs", "--dry-run"} & set(words) else [*less, "--epochs", "3"]
    if "--minutes" in words:  # ends before its time, after a hundred passes
        return ["--recipe", "folder", "--set", "image_size=16", "--minutes", "20"]
    less += ["--epochs", "1"]
    if "--extend" in words or "--from" in words:
        return less
    less += ["--set", "validation_split=0.5"]
    if "--recipe" not in words and len(words) > 2:
        return [*less, "--recipe", "folder"]
    if {"fast", "accurate"} & set(words) or "--recipe" not in words:
        less += ["--set", "final_scale=0.5", "--set", "min_steps_per_epoch=0"]
    return less


def _served(words: Sequence[str], folder: Path) -> Outcome:
    """Start a server at a free port, classify an image, and stop the server."""
    import saccade

    with started([*shrunk(words), "--port", "0", *(["--abstain", "0.1"] if "--abstain" in words else [])], folder) as (
        process,
        first,
    ):
        token = (folder / "token.txt").read_text().strip() if "--token-file" in words else None
        model = Path(words[1]).stem
        (prediction,) = saccade.Client(first.removeprefix("serving at "), model, token=token).predict(
            folder / "new.jpg"
        )
        process.send_signal(signal.SIGTERM)
        _, rest = process.communicate(timeout=300)
        return Outcome(process.returncode, str(prediction.top), f"{first}\n{rest}", folder)


def _resumed(words: Sequence[str], folder: Path) -> Outcome:
    """Run a command line with --resume on a run that Ctrl-C stopped after its first epoch."""
    from saccade.runs.records import EpochRecord
    from saccade.training.progress import Progress
    from saccade.training.train import train

    class CtrlC(Progress):
        def on_epoch_end(self, record: EpochRecord, seconds: float) -> None:
            if record.epoch == 1:
                os.kill(os.getpid(), signal.SIGINT)

    run, aside = folder / words[words.index("--resume") + 1], folder / "aside"
    shutil.move(run, aside)
    train(folder / "DATA", recipe="folder", out=run, epochs=3, progress=CtrlC())
    done = run_here(words, folder)
    shutil.rmtree(run)
    shutil.move(aside, run)
    return done


def _give_a_checkpoint(data: Path, run: Path) -> None:
    """Replace a run without a checkpoint by a run that has its last checkpoint."""
    from saccade.training.train import train

    if not (run / "checkpoints").exists():
        shutil.rmtree(run)
        train(data, recipe="folder", out=run, epochs=1, progress=False)
