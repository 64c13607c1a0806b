"""Hidden files and side files, such as labels.csv and LICENSE, by their names."""

from __future__ import annotations

_SIDE_SUFFIXES = frozenset(
    {"cfg", "csv", "db", "htm", "html", "ini", "json", "jsonl", "lock", "log", "mat", "md", "ndjson"}
    | {"npy", "npz", "parquet", "py", "rst"}
    # Videos, and models.
    | {"avi", "mkv", "mov", "mp4", "webm", "h5", "hdf5", "keras", "onnx", "pt", "pth", "safetensors", "tflite"}
    | {"tsv", "txt", "xml", "yaml", "yml"}
    | {
        "bib",
        "doc",
        "docx",
        "ipynb",
        "odp",
        "ods",
        "odt",
        "pdf",
        "ppt",
        "pptx",
        "rtf",
        "sh",
        "tex",
        "toml",
        "xls",
        "xlsx",
    }
)
_IMAGE_SUFFIXES = frozenset({"avif", "bmp", "gif", "heic", "heif", "jpeg", "jpg", "png", "tif", "tiff", "webp"})
_SIDE_NAMES = frozenset({"authors", "changelog", "copying", "license", "licence", "makefile", "notice", "readme"})
# Of macOS and Windows; and folders of thumbnails and deleted files on network storage and disks.
_HIDDEN_NAMES = frozenset(
    {"__macosx", "desktop.ini", "thumbs.db", "@eadir", "#recycle", "@recycle", "$recycle.bin", "lost+found"}
    | {"system volume information"}
)


def is_hidden(name: str) -> bool:
    """Return whether a name is hidden, or reserved by an operating system."""
    return name.startswith(".") or name.lower() in _HIDDEN_NAMES


def suffix_of(path: str) -> str:
    """Return the suffix of a path in lower case, without the full stop; empty for no suffix."""
    return path.rpartition("/")[2].rpartition(".")[2].lower() if "." in path else ""


def is_image_name(path: str) -> bool:
    """Return whether a path ends in a usual suffix of an image."""
    return suffix_of(path) in _IMAGE_SUFFIXES


def is_side_file(path: str) -> bool:
    """Return whether a file accompanies images without being an image, by its name."""
    return suffix_of(path) in _SIDE_SUFFIXES or path.rpartition("/")[2].partition(".")[0].lower() in _SIDE_NAMES
