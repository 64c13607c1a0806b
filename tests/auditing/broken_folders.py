"""Folders of images with one problem each, made from a valid folder."""

import io
import shutil

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter
from tests.data.images import encode, photo, write

CLASSES = ("cat", "dog")


def image(label, number):
    """Return a random photo-like image whose brightness does not depend on the class."""
    rng = np.random.default_rng(1000 * label + number)
    coarse = Image.fromarray(np.uint8(rng.integers(0, 256, (6, 6, 3)))).resize((32, 32), Image.Resampling.BICUBIC)
    fine = rng.normal(0, 12, (32, 32, 1))
    return Image.fromarray(np.uint8(np.clip(np.asarray(coarse, np.float64) * 0.8 + 20 + fine, 0, 255)))


def sound(root, train=30, test=10):
    """Create a folder without problems."""
    for label, name in enumerate(CLASSES):
        for number in range(train + test):
            split = "train" if number < train else "test"
            write(root / split / name / f"{number:03}.png", encode(image(label, number), "PNG"))
    return root


def jpeg(image, quality=70):
    return encode(image, "JPEG", quality=quality)


def save(root, path, image):
    write(root / path, encode(image, "PNG"))


def replace_files(root, function, pattern="train/cat/0*.png"):
    for path in sorted(root.glob(pattern)):
        path.write_bytes(function(Image.open(io.BytesIO(path.read_bytes()))))


def copied(root, source, target):
    shutil.copy(root / source, root / target)


def exact_leak(root):
    copied(root, "train/cat/000.png", "test/cat/copy.png")


def near_leak(root):
    write(root / "test/dog/near.jpg", jpeg(ImageEnhance.Brightness(image(1, 3)).enhance(1.15)))


def exact_duplicate(root):
    copied(root, "train/cat/000.png", "train/cat/copy.png")


def mirrored_duplicate(root):
    write(root / "train/cat/near.jpg", jpeg(image(0, 3).transpose(Image.Transpose.FLIP_LEFT_RIGHT)))


def two_labels(root):
    copied(root, "train/cat/000.png", "train/dog/copy.png")


def black(root):
    save(root, "train/cat/black.png", image(0, 500).point(lambda value: 22 * (value > 128)))


def white(root):
    save(root, "train/cat/white.png", image(0, 500).point(lambda value: 234 + 20 * (value > 128)))


def blurred(root):
    save(root, "train/cat/blurred.png", image(0, 500).filter(ImageFilter.GaussianBlur(6)))


def one_color(root):
    save(root, "train/cat/plain.png", Image.new("RGB", (32, 32), (90, 140, 200)))


def long_image(root):
    save(root, "train/cat/long.png", Image.fromarray(photo(32, 200)))


def tiny_image(root):
    save(root, "train/cat/tiny.png", Image.fromarray(photo(8, 8)))


def few_images(root):
    for path in sorted((root / "train/dog").iterdir())[5:]:
        path.unlink()


def many_more(root):
    for number in range(2000, 2300):
        save(root, f"train/cat/{number}.png", image(0, number))
    for path in sorted((root / "train/dog").iterdir())[25:]:
        path.unlink()


def informative_sizes(root):
    replace_files(root, lambda image: encode(image.resize((40, 40)), "PNG"), "train/cat/*.png")


def informative_formats(root):
    replace_files(root, lambda image: jpeg(image, 95), "train/cat/*.png")


def informative_modes(root):
    replace_files(root, lambda image: encode(image.convert("L"), "PNG"), "t*/cat/*.png")


def informative_brightness(root):
    replace_files(root, lambda image: encode(image.point(lambda value: value // 3), "PNG"), "t*/cat/*.png")


def broken_file(root):
    write(root / "train/cat/broken.jpg", b"\xff\xd8 this is no image")


def inner_folder(root):
    (root / "train/cat/persian").mkdir()
    (root / "train/cat/000.png").rename(root / "train/cat/persian/000.png")


def names_alike(root, name="cat_"):
    for split, numbers in (("train", range(600, 630)), ("test", range(630, 640))):
        for number in numbers:
            save(root, f"{split}/{name}/{number}.png", image(0, number))


def names_differ_in_case(root):
    names_alike(root, "Cat")


def no_test_images(root):
    for path in (root / "test/dog").iterdir():
        path.unlink()


def class_not_in_test(root):
    shutil.rmtree(root / "test/dog")


def other_spelling_in_test(root):
    (root / "test/dog").rename(root / "test/Dog ")


def empty_class(root):
    (root / "train/bird").mkdir()
    (root / "test/bird").mkdir()


def one_class(root):
    shutil.rmtree(root / "train/dog")
    shutil.rmtree(root / "test/dog")


def no_classes(root):
    for path in [*root.rglob("*.png")]:
        path.rename(root / f"{path.parent.parent.name} {path.parent.name} {path.name}")
    for name in ("train", "test"):
        shutil.rmtree(root / name)


def empty(root):
    shutil.rmtree(root)
    root.mkdir()


def splits_inside(root):
    for name in CLASSES:
        for split in ("train", "test"):
            (root / name).mkdir(exist_ok=True)
            (root / split / name).rename(root / name / split)
    for split in ("train", "test"):
        (root / split).rmdir()
    save(root, "cat/ok.png", image(0, 700))


def two_test_folders(root):
    (root / "train").rename(root / "training")
    (root / "test").rename(root / "train")


def no_training(root):
    (root / "train").rename(root / "validation")


def all_unreadable(root):
    for path in (root / "train/dog").iterdir():
        path.write_bytes(b"nothing")


def strays(root):
    save(root, "train/cat/ok.png", image(0, 700))
    for number in range(3):
        save(root, f"more/{number}.png", image(0, 800 + number))


# Function -> kind of the finding, severity, substring of the summary, substring of the fix.
BROKEN = {
    exact_leak: ("leak", "error", "1 group of identical files in more than one split", "--fixes fixes.csv"),
    near_leak: ("near-leak", "warning", "1 group of near-duplicates in more than one split", "--fixes fixes.csv"),
    exact_duplicate: ("duplicates", "warning", "identical files within a split, 2 files", "--fixes fixes.csv"),
    mirrored_duplicate: ("near-duplicates", "warning", "within a split, 2 images", "--fixes fixes.csv"),
    two_labels: ("conflicting-duplicates", "warning", "duplicates with different labels", "--fixes fixes.csv"),
    black: ("dark", "warning", "1 image is almost black", "drop"),
    white: ("bright", "warning", "1 image is almost white", "drop"),
    blurred: ("blurry", "warning", "1 image is far blurrier", "drop"),
    one_color: ("low-information", "warning", "1 image is of a single color", "drop"),
    long_image: ("odd-shape", "warning", "1 image is of an unusual aspect ratio", "drop"),
    tiny_image: ("odd-size", "warning", "1 image is at most a quarter of the median size", "drop"),
    few_images: ("tiny-class", "warning", "'dog' (5)", "add images"),
    many_more: ("imbalance", "warning", "'cat', has 330 training images", "class_weights"),
    informative_sizes: ("shortcut-size", "warning", "the size alone predicts the class", "resize"),
    informative_formats: ("shortcut-format", "warning", "the format alone predicts the class", "convert"),
    informative_modes: ("shortcut-mode", "warning", "with a mean recall of 100%", "convert"),
    informative_brightness: ("shortcut-brightness", "warning", "the brightness alone predicts the class", "same light"),
    broken_file: ("unreadable", "warning", "1 file can't be read, such as train/cat/broken.jpg", "repair or remove"),
    inner_folder: ("nested-folders", "warning", "1 image in folders inside class folders", "move them up"),
    names_alike: ("class-names-alike", "warning", "'cat' and 'cat_'", "move the images of 'cat_' into 'cat'"),
    names_differ_in_case: ("class-case", "error", "Cat and cat differ only in upper", "add --ignore-case"),
    no_test_images: ("class-missing", "warning", "'dog' in test", "add images"),
    class_not_in_test: ("class-missing", "warning", "'dog' in test", "add images of the class to the split"),
    other_spelling_in_test: ("class-missing", "error", "has not: Dog  in test", "rename test/Dog  to dog"),
    empty_class: ("class-empty", "error", "the class 'bird' has no images", "add images to it, or leave out"),
    one_class: ("one-class", "error", "only one class", "add a folder"),
    no_classes: ("no-classes", "error", "there are no classes", "sort the images into one folder for each class"),
    empty: ("empty-folder", "error", "is empty", "CLASS/image"),
    splits_inside: ("splits-inside-classes", "error", "cat/test, cat/train, dog/test", "train/CLASS/image"),
    two_test_folders: ("split-twice", "error", "two folders stand for the train split", "move one of them out"),
    no_training: ("no-training-split", "error", "no images to train with", "rename"),
    all_unreadable: ("class-unreadable", "error", "no training image of the class 'dog'", "repair or replace"),
    strays: ("left-out", "warning", "the folder more beside train", "move them into class folders"),
}  # fmt: skip
