"""Random folder layouts, each read as drawn or refused by a stated rule.

A truth is drawn first: the class and the split of every image. Files are then laid out in one of the three layouts,
with names of classes that resemble names of splits, numbers, decomposed letters, emoji and names of side files.
"""

import tempfile
import unicodedata
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.data.images import write

from saccade.data.sources.folder_names import is_document_name, split_folder_name
from saccade.data.sources.image_folder import find_images
from saccade.errors import DataError
from saccade.sanitize import printable

SPLIT_WORDS = (
    *("train", "training", "val", "valid", "validation", "dev", "test", "testing", "eval", "evaluation", "holdout"),
    *("Train", "TEST", "Val", "Dev"),
)
CLASS_NAMES = (
    *SPLIT_WORDS,
    *("test_tube", "train_station", "dev board", "eval kit", "training_shoe", "valid ticket", "train2", "Test Images"),
    *("0", "1", "2", "10", "007", "3.5", "-1", "٣"),
    *("café", unicodedata.normalize("NFD", "crème"), "Ångström", "猫", "😀", "👩‍🔬", "ß", "İstanbul", "кот"),
    *(
        "cat",
        "Cat",
        "dog",
        "CAT",
        "Dog",
        "DOG",
        "red fox",
        "Red Fox",
        "red_fox",
        " dog",
        "a.b",
        "b.",
        "tab\there",
        "x" * 200,
    ),
    *("images", "labels", "data", "LICENSE", "README", "readme.txt", "labels.csv", "annotations", "runs", "pred"),
    *("unknown", "all", "docs", "unlabeled", "Makefile", "photo.jpg", "archive.zip", "mydata"),
)
SPLIT_FORMS = (
    *("{}", "{}", "{}_set", "seg_{}", "{} images", "{}2017", "my_{}_data", "01_{}", "{}-set-1"),
    "{}set",
)
WORDS = {
    "train": ("train", "training", "Train", "TRAINING"),
    "validation": ("val", "valid", "validation", "dev", "Val"),
    "test": ("test", "testing", "eval", "evaluation", "holdout", "TEST"),
}
WRAPPERS = ("", "", "data", "archive/data/images", "My Photos", "2024/v1.0", "😀", "docs")
SIDE_FILES = ("README.md", "LICENSE", "notes.txt", "paper.pdf", ".DS_Store", "__MACOSX/cat/._1.png", "class_map.json")
BESIDE_SPLITS = ("pred/1.png", "unlabeled/u/1.png", "docs/fig.png", "docs/a.txt", "images/1.png", "empty/readme.txt")
BESIDE_TRAIN = ("new/1.png", "old/1.png")


@dataclass(frozen=True)
class Drawn:
    """A layout: path, split and class of each image, and the files beside the images."""

    kind: str
    images: dict[str, tuple[str, str]]
    others: tuple[str, ...]
    class_names: tuple[str, ...]
    empty: str | None


def composed(name):
    return unicodedata.normalize("NFC", name)


def like_splits(name):
    return split_folder_name(name) is not None


@st.composite
def class_names(draw, kind):
    names = draw(st.lists(st.sampled_from(CLASS_NAMES), min_size=2, max_size=5, unique_by=composed))
    if kind == "class first":  # else train/test/1.png would be either
        names = [name for name in names if not like_splits(name)] or ["cat"]
        names += [name for name in ("dog", "owl") if name not in names][: max(0, 2 - len(names))]
    return names


@st.composite
def files_beside(draw, kind, splits):
    beside = draw(st.sets(st.sampled_from(SIDE_FILES)))
    if kind == "splits" and len(splits) > 1:
        beside |= draw(st.sets(st.sampled_from(BESIDE_SPLITS)))
    elif kind == "splits":
        beside |= draw(st.sampled_from([frozenset(), frozenset(), frozenset(BESIDE_TRAIN)]))
    return sorted(beside)


@st.composite
def layouts(draw):
    kind = draw(st.sampled_from(["classes", "classes", "splits", "splits", "class first"]))
    names = draw(class_names(kind))
    form = draw(st.sampled_from(SPLIT_FORMS))
    splits = ["train"] if kind == "classes" else ["train", *draw(st.sets(st.sampled_from(["validation", "test"])))]
    if kind == "class first":
        form = draw(st.sampled_from(["{}", "{}", "{}_set"]))
    if len(splits) == 1:
        form = "{}"
    folders = {split: form.format(draw(st.sampled_from(WORDS[split]))) for split in splits}
    inner = draw(st.sampled_from(["", "", "", "2021", "part 1/raw"]))
    if "docs" in names and not names[2:]:
        inner = ""  # else the figures of a documentation, beside the folder of one class
    wrapper = draw(st.sampled_from(WRAPPERS))
    images = {}
    for split in splits:
        members = names if split == "train" else draw(st.lists(st.sampled_from(names), min_size=1, unique=True))
        for name in members:
            spelled = unicodedata.normalize(draw(st.sampled_from(["NFC", "NFD"])), name)
            below = "" if like_splits(name) or is_document_name(name) else inner
            order = {
                "classes": [spelled],
                "splits": [folders[split], spelled],
                "class first": [spelled, folders[split]],
            }
            for number in range(draw(st.integers(1, 3))):
                path = "/".join([*filter(None, [wrapper]), *order[kind], *filter(None, [below]), f"{number}.png"])
                images[path] = (split, composed(name))
    top = f"{wrapper}/" if wrapper else ""
    others = [top + path for path in draw(files_beside(kind, splits)) if path.partition("/")[0] not in names]
    empty = draw(st.sampled_from([None, None, None, "an empty class"]))
    if empty is not None:
        below_split = f"{folders['train']}/" if kind == "splits" else ""
        others.append(f"{top}{below_split}{empty}/")
    return Drawn(kind, images, tuple(sorted(others)), tuple(map(composed, names)), empty)


def case_collision(drawn):
    return len({name.casefold() for name in drawn.class_names}) < len(drawn.class_names)


def all_like_splits(drawn):
    return drawn.kind == "classes" and all(map(like_splits, drawn.class_names))


def may_be_class_of_trains(drawn):
    return drawn.kind == "splits" and all(any(path.endswith(other) for path in drawn.others) for other in BESIDE_TRAIN)


REASONS = {
    # Names that differ only in case are one class or two: the user says which.
    "class-case": case_collision,
    # A class without an image is not left out silently.
    "class-empty": lambda drawn: drawn.empty is not None,
    # Folders that are all named like splits, and agree, and hold only images, have no labels.
    "no-classes": all_like_splits,
    # A folder "train" beside folders of images may be a split or a class.
    "split-or-class": may_be_class_of_trains,
}
"""Rules by which a layout is refused, by the code of the error, each with the condition under which it holds."""


def read(root):
    """Return the error, or the split and class of each image and the listing."""
    try:
        listing = find_images(root)
    except DataError as error:
        return error, {}, None
    images = {
        (listing.root / image.path).relative_to(root).as_posix(): (image.split, listing.class_names[image.label])
        for image in listing.images
    }
    return None, images, listing


def check(drawn, outcomes):
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for path in (*drawn.images, *drawn.others):
            if path.endswith("/"):
                (root / path).mkdir(parents=True, exist_ok=True)
            else:
                write(root / path, b"")
        error, images, listing = read(root)
    if error is not None:
        assert REASONS.get(error.code, lambda _: False)(drawn), error
        assert "remove" not in str(error)
        outcomes[error.code] += 1
        return
    outcomes[drawn.kind] += 1
    assert images == {path: (split, printable(name)) for path, (split, name) in drawn.images.items()}, listing
    assert set(listing.class_names) == set(map(printable, drawn.class_names))


def test_each_random_layout_is_read_as_drawn_or_refused_by_a_rule():
    outcomes: Counter[str] = Counter()

    @settings(
        max_examples=300, derandomize=True, database=None, deadline=None, suppress_health_check=[HealthCheck.too_slow]
    )
    @given(layouts())
    def run(drawn):
        check(drawn, outcomes)

    run()
    assert all(outcomes[kind] >= 20 for kind in ("classes", "splits", "class first")), outcomes
    assert all(outcomes[code] >= 1 for code in REASONS), outcomes
    assert sum(outcomes.values()) >= 300
