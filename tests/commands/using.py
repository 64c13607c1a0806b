"""Rows of the commands on a run: evaluate, report, compare, predict, export and benchmark."""

import csv
import io
import shutil
from pathlib import Path
from typing import Any

from tests.commands.rows import Row
from tests.snippets import Outcome

from saccade.deploy.formats import FORMATS


def _scored(split: str, name: str):
    def look(outcome: Outcome) -> None:
        report = outcome.json
        assert report["split"] == split
        assert report["n"] == report["total"] > 100
        assert report["accuracy"] > 0.7  # 95%, of ten classes
        assert report == outcome.read(f"runs/digits/{name}")

    return look


def _fell(outcome: Outcome) -> None:
    shown = outcome.json
    assert len(shown["corruptions"]) == 7
    assert all(len(found["accuracies"]) == 5 for found in shown["corruptions"].values())
    noise = next(found for name, found in shown["corruptions"].items() if "noise" in name)
    assert noise["accuracies"][-1] <= shown["accuracy"]


def _beats_chance(outcome: Outcome) -> None:
    assert outcome.json["n"] == outcome.json["total"] >= 8
    assert outcome.json["accuracy"] > 0.7  # 100%; with fit=crop the classes are the same


def _predicts_the_ends(outcome: Outcome) -> None:
    predictions = outcome.json
    assert len(predictions) == 60
    assert sum(one["top"][0]["class_name"] in one["name"].split("/") for one in predictions) > 45


def _is_a_card(outcome: Outcome) -> None:
    assert (outcome.folder / outcome.json["page"]).read_text(encoding="utf-8").startswith("<!doctype html>")
    assert (outcome.folder / outcome.json["card"]).read_text(encoding="utf-8").startswith("---\n")


def _move_tiny(folder: Path) -> None:
    shutil.copytree(folder / "tiny", folder / "moved/tiny")


def _compared(split: str):
    def look(outcome: Outcome) -> None:
        shown = outcome.json
        assert shown == outcome.read(f"compared/{split}/comparison.json")
        assert shown["split"] == split
        assert {group["name"] for group in shown["groups"]} == {"strict", "more"}

    return look


def _predicted_on_a_cluster(outcome: Outcome) -> None:
    import pyarrow.dataset

    assert (outcome.json["num_images"], outcome.json["num_unreadable"], outcome.json["workers"]) == (60, 0, 1)
    rows = pyarrow.dataset.dataset(outcome.folder / "new.parquet").to_table().to_pylist()
    assert {row["name"] for row in rows} == {str(path) for path in _named("new", outcome.folder)}
    assert all(len(row["top"]) == 3 for row in rows)


def _predicted_the_table_on_a_cluster(outcome: Outcome) -> None:
    import pyarrow.dataset

    assert (outcome.json["num_images"], outcome.json["num_unreadable"]) == (182, 1)
    rows = pyarrow.dataset.dataset(outcome.folder / "listed.parquet").to_table().to_pylist()
    assert {row["true_class"].lower() for row in rows} == {"null", "one", "two", "ghost"}
    assert [Path(row["name"]).name for row in rows if row["unreadable_reason"]] == ["gone.png"]


def _named(folder: str, root: Path) -> list[Path]:
    return [path.relative_to(root) for path in (root / folder).rglob("*.png")]


def _evaluated_on_a_cluster(outcome: Outcome) -> None:
    assert outcome.json["n"] == outcome.json["predictions"]["num_images"] == 60


def _predictions_as_json(outcome: Outcome) -> None:
    predictions = outcome.json
    assert "note: --ood can't mark" not in outcome.stderr  # 282 validation images
    assert len(predictions) == 60
    assert all(
        len(one["top"]) == 2 and 0 <= one["ood_p_value"] <= 1 and not one["unreadable_reason"] for one in predictions
    )
    ones = [one for one in predictions if "/one/" in one["name"]]
    correct = sum(one["top"][0]["class_name"] == "1" for one in ones if not one["abstained"])
    assert correct > 0.6 * len(ones)  # all of 20, by a network that was trained on ten digits


def _predictions_as_csv(outcome: Outcome) -> None:
    rows = list(csv.DictReader(io.StringIO(outcome.stdout)))
    assert len(rows) == 21
    assert {row["class_1"] for row in rows} <= set("0123456789") | {""}
    assert [bool(row["unreadable_reason"]) for row in rows] == [*[False] * 20, True]


def _exported(form: str) -> Any:
    """Return a check of the files of an export and of its agreement with the run."""

    def look(outcome: Outcome) -> None:
        shown = outcome.json
        assert shown["format"] == form
        assert all(Path(path).exists() for path in shown["files"])
        assert shown["same_class"] > 0.9
        tolerance = FORMATS[form].tolerance
        assert tolerance is None or shown["max_abs_error"] <= tolerance

    return look


def _list_the_run(folder: Path) -> None:
    (folder / "before.txt").write_text("\n".join(sorted(path.name for path in (folder / "runs/digits").iterdir())))


def _two_formats(outcome: Outcome) -> None:
    """Check that both formats were measured and no export was kept."""
    assert outcome.json["failed"] == {}
    onnx, keras = outcome.json["formats"]
    assert (onnx["format"], keras["format"]) == ("onnx", "keras")
    for found in (onnx, keras):
        assert found["num_images"] == 282
        assert found["num_correct"] > 0.7 * 282
        assert found["latency_ms"] > 0
    assert onnx["memory_mb"] < keras["memory_mb"]
    left = sorted(path.name for path in (outcome.folder / "runs/digits").iterdir())
    assert left == (outcome.folder / "before.txt").read_text().split("\n")


def _measured_machine(outcome: Outcome) -> None:
    """Check that each work was measured with each number of threads."""
    found = outcome.json
    threads = {1, found["environment"]["cores"]}
    rates: dict[tuple[str, str], dict[int, float]] = {(row["work"], row["library"]): {} for row in found["rows"]}
    for row in found["rows"]:
        rates[row["work"], row["library"]][row["threads"]] = row["rate"]
    assert {library for _, library in rates} == {"oneDNN", "Eigen", "ONNX Runtime"}
    assert all(measured.keys() == threads for measured in rates.values())
    may_lack = {work for work, _ in rates if "bfloat16" in work}
    assert all(rate > 0 for (work, _), measured in rates.items() if work not in may_lack for rate in measured.values())
    assert found["kernels"] in ("oneDNN", "Eigen")


USING = [
    Row(
        "evaluate runs/digits",
        [r"^digits, test split: 374 images scored, each once$", r"^accuracy +\d\d\.\d\d%  \(95% interval ",
         r"^\(macro average\) ", r"^calibration error ", r"^  \S*runs/digits/report\.json$"],
        made=["runs/digits/confusion_matrix.png", "runs/digits/predictions.png", "runs/digits/predictions.safetensors"],
        alone=True,
    ),
    Row("evaluate runs/digits --split test --strict --json", look=_scored("test", "report.json")),
    Row("evaluate runs/digits --split validation --json", look=_scored("validation", "report-validation.json")),
    Row("evaluate runs/digits --split train --json", look=_scored("train", "report-train.json"), long=True),
    Row(
        "evaluate runs/from-run --data holed",
        ["60 of 61 images scored", r"n = 60 of 61\)", r"^  test/two/cut off\.JPG: "],
    ),
    Row("evaluate runs/from-run --data holed --strict", [r"^error: ", r"cut off\.JPG"], code=1),
    Row("evaluate runs/from-run --fixes fixes.csv", [r"^tiny, test split: 59 images scored, each once$"]),
    Row(
        "evaluate runs/from-weights --corruptions --json",
        look=_fell, made=["runs/from-weights/robustness.png"], long=True,
    ),
    Row("evaluate runs/pad --json", look=_beats_chance, long=True),
    Row("evaluate runs/squash --json", look=_beats_chance, long=True),
    Row(
        "predict runs/squash wide/left wide/right --json",
        look=_predicts_the_ends, long=True,
    ),
    Row("evaluate digits.onnx --data digits", [r"^accuracy +\d\d\.\d\d%  \(95% interval .* n = 374\)"]),
    Row("report runs/digits", ["^written: .*/report.html$", "^written: .*/README.md$"]),
    Row("report runs/hands-folder-1 --json", look=_is_a_card),
    Row("report runs/from-run --data moved/tiny", ["^written: .*/report.html$"], before=_move_tiny),
    Row(
        "report runs/from-run --data new",
        [r"^error: .* this is other data$", "evaluate .*runs/from-run --data new$"], code=1,
    ),
    Row(
        "compare runs/strict runs/seeds/seed-5 runs/seeds/seed-6",
        [r"^ +runs +accuracy", "test split: .* images predicted by all runs$",
         r"^  \S*comparisons/1/differences.png$"], alone=True, long=True,
    ),
    *(
        Row(
            f"compare runs/strict runs/more --data hands --split {split} --out compared/{split} --json",
            look=_compared(split), long=split != "test",
        )
        for split in ("test", "validation", "train")
    ),
    Row(
        "predict runs/digits new/one digits:test:0",
        [r"^new/one/40.png: \d \d+\.\d%, \d ", "true class: "], alone=True,
    ),
    Row(
        "predict runs/digits new --top 2 --abstain 0.5 --ood --json",
        ["^abstained below "], look=_predictions_as_json,
    ),
    Row("predict runs/digits new/one 'broken/0/cut off.JPG' --csv", code=1, look=_predictions_as_csv),
    Row("predict runs/digits 'new/one/4*.png' --csv --top 1", [r"^image,true_class,class_1,probability_1,abstained,"]),
    Row("predict runs/digits new --out new.parquet", ["--out needs --ray"], code=2),
    Row("predict runs/digits new --workers 2", ["--workers needs --ray"], code=2),
    Row("predict runs/digits new --ray --out new.parquet --ood", ["--ood and --ray cannot be combined"], code=2),
    Row("evaluate runs/digits --ray --out new.parquet", ["--ray needs --data DATA"], code=2),
    Row(
        "predict runs/digits new --ray --workers 1 --threads 1 --max-unreadable 1% --out new.parquet --json",
        look=_predicted_on_a_cluster, alone=True, long=True, needs="ray",
    ),
    Row("predict runs/digits new --image-column shot", ["--image-column needs --ray"], code=2),
    Row(
        "predict runs/digits table.csv --image-column shot --label-column what --root shots --allow-outside "
        "--threads 2 --max-unreadable 1 --out listed.parquet --ray --json",
        code=1, look=_predicted_the_table_on_a_cluster, alone=True, long=True, needs="ray",
    ),
    Row("predict runs/digits new --dry-run --ray", ["^60 images by "], alone=True, long=True, needs="ray"),
    Row(
        "evaluate runs/fixed --data new --workers 1 --threads 1 --max-unreadable 0 --out scored.parquet --ray --json",
        look=_evaluated_on_a_cluster, alone=True, long=True, needs="ray",
    ),
    Row(
        "evaluate runs/fixed --data new --dry-run --ray", ["^60 images by "], alone=True, long=True, needs="ray",
    ),
    Row("export runs/digits --format onnx --out digits.onnx", [r"^written: \S*digits\.onnx$", "^size: "]),
    *(
        Row(f"export runs/digits --format {form} --json", look=_exported(form), alone=form == "keras", long=True)
        for form in FORMATS if form != "onnx"
    ),
    Row("benchmark runs/digits --format onnx", [r"^format +MB +accuracy", r"^onnx +\d"], alone=True),
    Row("benchmark --machine --json", look=_measured_machine, alone=True, long=True),
    Row("benchmark runs/digits --machine", ["--machine measures no run"], code=2),
    Row("benchmark", ["Missing argument 'RUN', or --machine"], code=2),
    Row(
        "benchmark runs/digits --format onnx --format keras --json", look=_two_formats, before=_list_the_run, long=True,
    ),
]  # fmt: skip
