"""Rows of the commands on data: explore and audit."""

from PIL import Image
from tests.commands.rows import Row
from tests.snippets import Outcome


def _has_plots(outcome: Outcome) -> None:
    for name in ("samples.png", "classes.png"):
        with Image.open(outcome.folder / "explore-hands" / name) as plot:
            assert min(plot.size) > 200


def _is_of_16_pixels(outcome: Outcome) -> None:
    shown = outcome.json
    assert shown["image_size"] == [16, 16]
    assert shown["formats"] == {"JPEG": 72}
    assert [set(counts) for counts in shown["counts"].values()] == [{"0", "1", "2"}] * 2
    assert shown["plots"] == ["looks/small/samples.png", "looks/small/classes.png"]


def _has_no_note_on_area(outcome: Outcome) -> None:
    assert "of their area" not in outcome.stdout + outcome.stderr


def _samples_are_whole(outcome: Outcome) -> None:
    """Check that the samples differ from those of the other fits, as far as these ran already."""
    _has_no_note_on_area(outcome)
    assert outcome.json["fit"] == "squash"
    others = [outcome.folder / "looks" / fit / "samples.png" for fit in ("pad", "crop")]
    squashed = (outcome.folder / "looks/squash/samples.png").read_bytes()
    assert squashed not in [path.read_bytes() for path in others if path.exists()]


def _reports_the_leak(outcome: Outcome) -> None:
    shown = outcome.json
    assert shown == outcome.read("audits/leaky/audit.json") | {"files": shown["files"]}
    (leak,) = (finding for finding in shown["findings"] if finding["kind"] == "leak")
    assert {image["path"] for image in leak["groups"][0]} == {"train/null/00.png", "test/null/seen.png"}


LOOKING = [
    Row(
        "explore hands",
        [r"^3 classes; images are resized to 160 x 160 pixels by fit=pad$", r"^formats: JPEG 72$", r"^all +\d+ +\d+$",
         "^note: the data has no test split", "^written: explore-hands/samples.png, explore-hands/classes.png$"],
        look=_has_plots, alone=True,
    ),
    Row("explore hands.tar --image-size 16 --out looks/small --json", look=_is_of_16_pixels),
    Row("explore rare", ["^note: 1 class has at most two training images: 'two' \\(2\\); .* add images, about 12 "]),
    Row("explore broken", ["^unreadable files: 1$", r"^  0/cut off\.JPG: \S"]),
    Row(
        "explore wide",
        ["^note: 60 of 60 images lose more than a fifth of their area, .* --set fit=pad .* --set fit=squash "],
    ),
    Row(
        "explore wide --fit pad --out looks/pad",
        [r"^2 classes; images are resized to 32 x 32 pixels by fit=pad$"], look=_has_no_note_on_area,
    ),
    Row("explore wide --fit squash --out looks/squash --json", look=_samples_are_whole),
    Row(
        "explore wide --fit crop --out looks/crop",
        [r"^2 classes; images are resized to 32 x 32 pixels$",
         "^note: 60 of 60 images lose more than a fifth of their area"],
        made=["looks/crop/samples.png"],
    ),
    Row("explore hands --out hands", ["'hands' exists already; nothing is overwritten"], code=1),
    Row(
        "audit leaky --folds 0",
        ["^error: leak: 1 group of identical files", r"^  fix: \S", "^written: audits/leaky-1/audit.json, "],
        made=["audits/leaky-1/audit.html"], alone=True,
    ),
    Row(
        "audit leaky --folds 2 --recipe folder --out audits/leaky --json",
        made=["audits/leaky/audit.html"], look=_reports_the_leak, long=True,
    ),
]  # fmt: skip
