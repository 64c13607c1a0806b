"""Rows of the options for reading data, of each command that reads data."""

import csv
from pathlib import Path

import numpy as np
from tests.commands.rows import Row
from tests.snippets import Outcome

TABLE = (
    "table.csv --image-column shot --label-column what --split-column part --group-column who --root shots"
    " --allow-outside --ignore-case --drop-empty-classes"
)
NAMED = "named.zip --archive-encoding gbk --label-from-name ^(.)- --stream"
_TINY = "--recipe folder --epochs 1 --set image_size=16"


def _is_as_in_the_table(outcome: Outcome) -> None:
    shown = outcome.json
    assert shown["class_names"] == ["NULL", "ONE", "TWO"]  # the spelling that is first in sorted order
    assert {split: sum(counts.values()) for split, counts in shown["counts"].items()} == {"train": 121, "test": 60}
    assert "left out: classes without a readable training image: ghost" in shown["notes"]


def _wrote_the_table(outcome: Outcome) -> None:
    _is_as_in_the_table(outcome)
    with (outcome.folder / "written.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 181
    assert {row["label"] for row in rows} == {"NULL", "ONE", "TWO"}
    assert {row["split"] for row in rows} == {"train", "test"}
    assert {row["file_name"] for row in rows} >= {"../outside.png", "000.png", "179.png"}
    groups: dict[str, set[str]] = {}
    for row in rows:
        if row["file_name"] != "../outside.png":
            groups.setdefault(row["group"], set()).add(row["file_name"])
    assert {"000.png", "001.png", "002.png", "003.png"} <= next(
        group for group in groups.values() if "000.png" in group
    )


def _has_classes_from_names(outcome: Outcome) -> None:
    assert outcome.json["class_names"] == ["狗", "猫"]
    assert sum(sum(counts.values()) for counts in outcome.json["counts"].values()) == 80


def _records_how_it_was_read(outcome: Outcome) -> None:
    reading = outcome.read("runs/table/data.json")["reading"]
    assert (reading["image_column"], reading["group_column"]) == ("shot", "who")
    assert reading["root"] == str(outcome.folder / "shots")
    with (outcome.folder / "runs/table/split.csv").open(encoding="utf-8") as file:
        splits = {row["path"]: row["split"] for row in csv.DictReader(file)}
    patients: dict[int, set[str]] = {}
    for path, split in splits.items():
        if Path(path).stem.isdecimal() and split != "test":
            patients.setdefault(int(Path(path).stem) // 4, set()).add(split)
    assert {len(found) for found in patients.values()} == {1}


def _scored_its_test_split(outcome: Outcome) -> None:
    assert (outcome.json["n"], outcome.json["left_out"]) == (60, {})


def _scored_by_group(outcome: Outcome) -> None:
    values = outcome.json["by"]["values"]
    assert sum(value["n"] for value in values) == outcome.json["n"] == 60
    assert all(0 <= value["accuracy_interval"][0] <= value["accuracy"] for value in values)


def _separates_at_the_threshold(outcome: Outcome) -> None:
    shown = outcome.json
    scores = shown["at_threshold"]
    counts = [scores[name] for name in ("true_positives", "false_positives", "true_negatives", "false_negatives")]
    assert sum(counts) == shown["n"]
    assert (scores["negative"], scores["positive"], scores["threshold"]) == ("狗", "猫", 0.25)


def _found_the_table(outcome: Outcome) -> None:
    assert outcome.json["class_names"] == ["NULL", "ONE", "TWO"]


def _copied_all(outcome: Outcome) -> None:
    found = sorted(path.name for path in (outcome.folder / "sorted").rglob("*.png"))
    assert found == sorted(path.name for path in (outcome.folder / "new/one").iterdir())


def _embedded_the_table(outcome: Outcome) -> None:
    shown = outcome.json
    assert (shown["num_images"], shown["num_labels"], shown["image_size"]) == (181, 3, [96, 96])
    with np.load(outcome.folder / "table.npz", allow_pickle=False) as arrays:
        assert {*arrays["labels"].tolist()} == {"NULL", "ONE", "TWO"}
        assert sorted(arrays["splits"].tolist()).count("test") == 60


def _has_images(outcome: Outcome, count: int) -> None:
    assert len(outcome.json["images"]) == count


def _are_of_the_class(outcome: Outcome) -> None:
    shown = outcome.json
    assert (shown["query"], shown["num_query_images"], len(shown["images"])) == ("the class 狗", 40, 20)
    assert {image["label"] for image in shown["images"]} == {"猫"}  # the images of the class itself are left out


def _embedded_the_table_on_a_cluster(outcome: Outcome) -> None:
    import pyarrow.dataset

    shown = outcome.json
    assert (shown["num_unreadable"], shown["num_features"], shown["image_size"]) == (1, 1280, [96, 96])
    rows = pyarrow.dataset.dataset(outcome.folder / "table.parquet").to_table().to_pylist()
    read = [row for row in rows if row["unreadable_reason"] is None]
    assert (len(read), {row["label"] for row in read}) == (181, {"NULL", "ONE", "TWO"})
    assert [row["split"] for row in read].count("test") == 60
    assert {row["path"] for row in read} >= {"../outside.png", "000.png", "179.png"}
    assert [row["path"] for row in rows if row["unreadable_reason"]] == ["gone.png"]


def _scored_its_test_split_on_a_cluster(outcome: Outcome) -> None:
    assert outcome.json["n"] == outcome.json["predictions"]["num_images"] == 60
    assert outcome.json["class_names"] == ["NULL", "ONE", "TWO"]


READING = [
    Row(f"embed {TABLE} --out table.npz --json", look=_embedded_the_table),
    Row(
        f"embed {TABLE} --workers 1 --threads 2 --max-unreadable 1 --out table.parquet --ray --json",
        look=_embedded_the_table_on_a_cluster, alone=True, long=True, needs="ray",
    ),
    Row(f"embed {NAMED} --ray=local --out named.parquet", ["--stream and --ray cannot be combined"], code=2),
    Row("embed named.zip --ray=local --out named.parquet", ["are no files of their own", "unpack an archive"], code=1),
    Row(f"embed {NAMED} --out named.npz", ["^1,280 features of 80 images by EfficientNetLite0"]),
    Row(f"similar ONE {TABLE} --top 3 --json", look=lambda outcome: _has_images(outcome, 3)),
    Row(f"similar 狗 {NAMED} --json", look=_are_of_the_class),
    Row(f"explore {TABLE} --write-labels written.csv --out looks/table --json", look=_wrote_the_table),
    Row("explore hands --write-labels table.csv", ["'table.csv' exists already; nothing is overwritten"], code=1),
    Row(f"explore {NAMED} --out looks/named --json", look=_has_classes_from_names),
    Row(
        f"train {TABLE} --dry-run",
        ["^read as: labels from table.csv, column what, groups from the column who; classes NULL, ONE, TWO; "],
    ),
    Row(f"train {NAMED} --dry-run --json", look=_has_classes_from_names),
    Row("train --dry-run --resume runs/table", ["--resume cannot be combined with --dry-run"], code=2),
    Row("train tiny --dry-run --schedule anneal", ["--schedule requires --extend"], code=2),
    Row("train tiny --dry-run --minutes 5 --epochs 3", ["--epochs cannot be combined with --minutes"], code=2),
    Row("train tiny --dry-run --folds 2 --seeds 3", ["--folds cannot be combined with --seeds"], code=2),
    Row("train tiny --dry-run --weights x.h5", ["--weights requires --from NAME"], code=2),
    Row("train tiny --dry-run --out tiny", ["'tiny' exists already"], code=1),
    Row("train table.csv --label-from-name ^(.) --dry-run", ["from the names of files or from a label file"], code=1),
    Row("train tiny --archive-encoding gbk --dry-run", ["--archive-encoding is for archives"], code=1),
    Row(f"train {TABLE} {_TINY} --out runs/table", look=_records_how_it_was_read),
    Row(f"train {NAMED} {_TINY} --out runs/named"),
    Row("evaluate runs/table --json", look=_scored_its_test_split),
    Row(f"evaluate runs/table --data {TABLE} --by who --json", look=_scored_by_group),
    Row(
        f"evaluate runs/table --data {TABLE} --max-unreadable 0 --threads 2 --out scored-table.parquet --ray --json",
        look=_scored_its_test_split_on_a_cluster, alone=True, long=True, needs="ray",
    ),
    Row(f"evaluate runs/named --data {NAMED} --ray=local --out scored", ["--stream and --ray cannot be com"], code=2),
    Row("evaluate runs/table --by who", [r"^who +images +accuracy +95% interval$", "beyond chance"]),
    Row(f"evaluate runs/named --data {NAMED} --threshold 0.25 --json", look=_separates_at_the_threshold),
    Row("evaluate runs/named --threshold 0.25", ["^猫 predicted from a probability of 0.25 on:$", "^sensitivity "]),
    Row(f"audit {TABLE} --folds 0 --out audits/table --json", look=_found_the_table),
    Row(f"audit {NAMED} --folds 0 --out audits/named", ["^named "]),
    Row(f"tune {TABLE} --trials 1 --recipe folder --epochs 1 --out tunings/table", ["^1 trial of folder"], long=True),
    Row(f"tune {NAMED} --trials 1 --recipe folder --epochs 1 --out tunings/named", ["^1 trial of folder"], long=True),
    Row(
        f"learning-curve {TABLE} {_TINY} --sizes 21,30,50,80 --repeats 2 --out curves/table",
        ["^test of the power law: "], long=True,
    ),
    Row(
        f"learning-curve {NAMED} {_TINY} --sizes 16,24,32,48 --repeats 2 --out curves/named",
        ["^test of the power law: "], long=True,
    ),
    Row(
        "predict runs/digits new/one --copy-to sorted --abstain 0.9",
        ["^copied to sorted: "], look=_copied_all, leaves="sorted",
    ),
]  # fmt: skip
