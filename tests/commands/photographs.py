"""Rows of the default recipe for photographs, in all commands."""

import csv
from pathlib import Path

from tests.commands.rows import Row
from tests.commands.serving import post_image
from tests.snippets import Outcome

from saccade.deploy.formats import FORMATS

_FILES = {"features.json", "history.png", "source.json", "model.onnx", "ood.safetensors"}


def _is_finetuned(path: str, epochs: int, augmented_versions: int):
    def look(outcome: Outcome) -> None:
        from saccade.runs.run import Run

        run = Run.open(outcome.folder / path)
        assert [record.phase for record in run.history()] == ["head", *["augmented"] * (epochs - 1)]
        assert (run.recipe.name, run.preprocessing.height) == ("photo", 160)
        assert run.recipe.augmented_versions == augmented_versions
        # The head alone is kept, unless the fine-tuned weights are as good on validation images.
        assert run.status().kept_epoch in (1, epochs)
        assert {path.name for path in run.path.iterdir()} >= _FILES

    return look


def _has_a_head(outcome: Outcome) -> None:
    from saccade.runs.run import Run

    run = Run.open(outcome.folder / "runs/probe")
    (record,) = run.history()
    assert (run.recipe.name, run.preprocessing.height, record.phase) == ("linear-probe", 160, "head")
    assert {path.name for path in run.path.iterdir()} >= _FILES


def _is_far_above_chance(outcome: Outcome) -> None:
    assert outcome.json["accuracy"] > 0.6  # 100% of 16 photographs of three signs; by chance 60% in 1 of 100 draws


def _predictions(outcome: Outcome) -> None:
    predictions = outcome.json
    assert len(predictions) == 24
    assert all(0 < one["ood_p_value"] <= 1 and not one["unreadable_reason"] for one in predictions)
    assert sum(one["top"][0]["class_name"] == "0" for one in predictions) > 18  # most of them are training images


def _two_seeds(outcome: Outcome) -> None:
    shown = outcome.json
    assert [(run["recipe"], run["seed"], run["state"]) for run in shown["runs"]] == [
        ("linear-probe", 0, "finished"),
        ("linear-probe", 1, "finished"),
    ]


def _tuned(outcome: Outcome) -> None:
    shown = outcome.json
    assert (shown["recipe"], shown["state"]) == ("linear-probe", "finished")
    assert set(shown["space"]) == {"class_weights", "horizontal_flip"}
    assert [trial["state"] for trial in shown["trials"]] == ["complete"] * 2


def _curve(outcome: Outcome) -> None:
    assert [len(point["accuracies"]) for point in outcome.json["points"]] == [2, 2, 2, 2]


def _exported(form: str):
    def look(outcome: Outcome) -> None:
        shown = outcome.json
        tolerance = FORMATS[form].tolerance
        assert shown["format"] == form
        assert shown["same_class"] == 1 if tolerance is not None else shown["same_class"] > 0.8
        assert tolerance is None or shown["max_abs_error"] <= tolerance

    return look


def _finetuned(path: str, source: str):
    def look(outcome: Outcome) -> None:
        from saccade.runs.run import Run

        run = Run.open(outcome.folder / path)
        record = run.source()
        assert record is not None
        assert (record.name, run.recipe.name, run.recipe.network) == (source, "transfer", "EfficientNetLite0")

    return look


def _has_own_settings(outcome: Outcome) -> None:
    from saccade.runs.run import Run

    run = Run.open(outcome.folder / "runs/own")
    assert [record.phase for record in run.history()] == ["head", "augmented", "augmented"]
    assert (run.recipe.name, run.recipe.augmented_versions, run.recipe.weight_decay) == ("photo", 1, 0.05)


def _is_extended(outcome: Outcome) -> None:
    from saccade.runs.run import Run

    run = Run.open(outcome.folder / "runs/extended")
    assert [record.phase for record in run.history()] == ["head", *["augmented"] * 3]


def _predicts(url: str, folder: Path) -> None:
    found = [post_image(url, "photo", path) for path in sorted((folder / "hands/1").iterdir())[:5]]
    assert [status for status, _ in found] == [200] * 5
    # Most of the images are training images, but not all.
    assert sum(shown["classes"][0]["class_name"] == "1" for _, shown in found) >= 3


def _has_the_rows_of_the_plain_command(outcome: Outcome) -> None:
    import pyarrow.dataset
    import pyarrow.parquet

    import saccade

    found = pyarrow.dataset.dataset(outcome.folder / "broken.parquet").to_table().sort_by("id").drop_columns(["id"])
    plain = outcome.folder / "plain.parquet"
    saccade.embed(outcome.folder / "broken", network=outcome.folder / "runs/probe", out=plain)
    assert found.to_pylist() == sorted(pyarrow.parquet.read_table(plain).to_pylist(), key=lambda row: row["path"])


def _lists_the_damaged_photograph(outcome: Outcome) -> None:
    import pyarrow.parquet

    assert [image["path"] for image in outcome.json["unreadable"]] == ["0/cut off.JPG"]
    table = pyarrow.parquet.read_table(outcome.folder / "tuned.parquet")
    assert (len(table), table["embedding"].null_count) == (73, 1)


def _is_similar(outcome: Outcome) -> None:
    images = outcome.json["images"]
    assert len(images) == 20
    assert all(image["label"] in "01" and -1 <= image["similarity"] <= 1 for image in images)
    assert [image["similarity"] for image in images] == sorted((one["similarity"] for one in images), reverse=True)


def _write_truth(folder: Path) -> None:
    paths = sorted(path.relative_to(folder / "more") for path in (folder / "more").rglob("*.JPG"))
    lines = ["file_name,label", *(f"{path},sign {path.parent.name}" for path in paths)]
    (folder / "truth.csv").write_text("\n".join(lines))


def _write_signs(folder: Path) -> None:
    paths = sorted(path.relative_to(folder / "more") for path in (folder / "more").rglob("*.JPG"))
    lines = ["file_name,label", *(f"{path},{path.parent.name}" for path in paths)]
    (folder / "signs.csv").write_text("\n".join(lines))


def _is_estimated(outcome: Outcome) -> None:
    shown = outcome.json
    assert (shown["phase"], shown["num_images"], shown["num_answered"], shown["confidence"]) == ("done", 90, 60, 0.9)
    assert shown["interval"][0] <= shown["accuracy"] <= shown["interval"][1]
    assert shown["accuracy"] > 0.6  # most of the images are training images
    assert shown["test_accuracy"] is None or " the test accuracy of " in shown["comparison"]
    with (outcome.folder / "estimated.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 60
    assert all(row["label"] == Path(row["file_name"]).parent.name for row in rows)


def _labeled_all(outcome: Outcome) -> None:
    with (outcome.folder / "labels.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 90
    correct = sum(row["label"] == f"sign {Path(row['file_name']).parent.name}" for row in rows)
    folders = sorted(path.name for path in (outcome.folder / "piles").iterdir())
    assert folders == sorted({row["label"] for row in rows})
    links = list((outcome.folder / "piles").rglob("*.JPG"))
    assert len(links) == 90
    assert all(link.is_symlink() and link.exists() for link in links)
    written = (outcome.folder / "labels.md").read_text(encoding="utf-8")
    assert "With a probability of at least 90.0%, at most 18 labels (20.0% of the images) differ" in written
    assert correct >= 54  # at most 20% are wrong in 9 of 10 heaps; twice as many are never seen


def _asks_typical_images(outcome: Outcome) -> None:
    assert (outcome.json["phase"], len(outcome.json["questions"])) == ("learn", 20)
    assert {reason for _, reason in outcome.json["questions"]} == {"typical"}


PHOTOGRAPHS = [
    Row(
        "train hands --epochs 3 --set augmented_versions=1 --out runs/photo",
        ["^data: hands, 3 classes, .* 160x160 pixels, fit=pad$",
         "^recipe: photo, the default for images whose shorter side is above 64 pixels$",
         r"^outputs: (\d+) of \1 images$", r"^features: (\d+) of \1 images$", r"^head: (\d+) of \1 penalties$",
         r"^epoch 3/3 \(augmented\): ", "^the fitted head alone: .*% of the validation images correct; fine-tuned: ",
         "^next: saccade evaluate runs/photo$"],
        look=_is_finetuned("runs/photo", 3, 1),
    ),
    Row(
        "train hands --out runs/photo-default",
        ["^recipe: photo, the default ", r"^epoch 21/21 \(augmented\): "],
        look=_is_finetuned("runs/photo-default", 21, 4), long=True,
    ),
    Row("evaluate runs/photo --json", look=_is_far_above_chance),
    Row("report runs/photo", ["^written: .*/report.html$", "^written: .*/README.md$"], alone=True, long=True),
    Row(
        "predict runs/photo hands/0 --ood --abstain 0.5 --json",
        ["^abstained below ", r"^note: --ood can't mark any image: the run has \d validation images, "],
        look=_predictions,
    ),
    *(
        Row(
            f"export runs/photo --format {form} --json", look=_exported(form),
            long=form != "onnx",
        )
        for form in FORMATS
    ),
    Row("serve runs/photo --port 0", ["^serving at "], ask=_predicts, long=True),
    Row("train --extend runs/photo --epochs +1 --out runs/extended", ["^epoch 4/4 "], look=_is_extended, long=True),
    Row(
        "train hands --recipe linear-probe --out runs/probe",
        [r"^features: (\d+) of \1 images$", r"^head: (\d+) of \1 penalties$", "^next: saccade evaluate runs/probe$"],
        look=_has_a_head,
    ),
    Row("evaluate runs/probe --json", look=_is_far_above_chance, long=True),
    Row(
        "embed hands --out hands.npz",
        ["^1,280 features of 72 images by EfficientNetLite0 at 160x160 pixels$", "^written: hands.npz$"],
        made=["hands.npz"],
    ),
    Row("embed broken --run runs/probe --out tuned.parquet --json", look=_lists_the_damaged_photograph),
    Row(
        "embed hands --run runs/probe --map hands.html --seed 3",
        ["^written: hands.html$"], made=["hands.html"], long=True,
    ),
    Row("embed hands", ["--out FILE or --map FILE is required"], code=2),
    Row("embed hands --out hands.npz --threads 2", ["--threads needs --ray"], code=2),
    Row("embed hands --ray=local", ["--ray needs --out DIR"], code=2),
    Row("embed hands --ray=local --out hands.npz", ["--ray writes a folder of Parquet files"], code=2),
    Row("embed hands --map a.html --out a.parquet --ray", ["--map and --ray cannot be combined"], code=2),
    Row("embed hands --dry-run --ray", ["^72 images by "], alone=True, long=True, needs="ray"),
    Row(
        "embed broken --run runs/probe --workers 1 --threads 1 --max-unreadable 2% --out broken.parquet --ray",
        ["^1,280 features by probe at 160x160 pixels$", "^73 images$", "^1 of 73 images could not be read$"],
        look=_has_the_rows_of_the_plain_command, alone=True, long=True, needs="ray",
    ),
    Row(
        "embed more --from EfficientNetLite0 --out more.npz",
        ["^1,280 features of 90 images by EfficientNetLite0 at 224x224 pixels$"], alone=True, long=True,
    ),
    Row(
        "similar hands/0 more --top 18 --out similar.html",
        [r"^0\.\d+ +0/\S+\.JPG  \(0\)$", "^note: left out: 24 images of the query, or identical to one$",
         "^written: similar.html$"],
        made=["similar.html"],
    ),
    Row("similar 2 hands --run runs/probe --json", look=_is_similar),
    Row("similar 2 hands --from EfficientNetLite0 --top 1", [r"^0\.\d+  "], alone=True, long=True),
    Row("similar 2 hands --run runs/probe --from EfficientNetLite0", ["--run and --from cannot be combined"], code=2),
    Row("similar nothing hands", ["^error: 'nothing' is no query", "or a class: 0, 1, 2$"], code=1),
    Row(
        "label more --out labels.csv --max-error 0.2 --confidence 0.9 --seed 1 --answers truth.csv --ask-to ask.csv"
        " --state labels.state --export-folders piles --report labels.md",
        [r"^90 of 90 images are answered by a person$|^\d+ of 90 images are answered by a person$",
         r"^\d+ labels are by the model$", "^written: labels.csv$", "^written: piles$", "^written: labels.md$"],
        alone=True, before=_write_truth, look=_labeled_all, made=["labels.csv", "labels.state"], long=True,
    ),
    Row(
        "estimate runs/probe more --ask 60 --ask-to ask-estimate.csv --confidence 0.9 --seed 2 --state more.state",
        ["^0 of 60 images to ask are answered by a person$", "^note: the labels of the data are not used$",
         r"^note: \d+ images of these were used in the training, ", "^written: ask-estimate.csv$"],
        alone=True, made=["ask-estimate.csv"], leaves="more.state",
    ),
    Row(
        "estimate runs/probe more --state more.state --answers signs.csv --out estimated.csv --json",
        before=_write_signs, look=_is_estimated, made=["estimated.csv"],
    ),
    Row(
        "estimate runs/probe more --state more.state --seed 3",
        [r"^error: the estimate in 'more.state' has another sample$", "found: ask=60, confidence=0.9, seed=2$"], code=1,
    ),
    Row(
        "label more --out known.csv --labels more --from EfficientNetLite0",
        ["^90 of 90 images are answered by a person$", "^A person labeled all 90 images", "^written: known.csv$"],
    ),
    Row(
        "label more --out paged.csv --page --port 0 --run runs/probe",
        [r"^label at http://127\.0\.0\.1:\d+/#\S+$", "^0 of 90 images are answered by a person$",
         "^the answers are kept; the same command goes on$"],
        stop_at="Ctrl-C ends the page", made=["paged.sqlite"],
    ),
    Row("label more --out other.csv --ask-to ask-first.csv --json", look=_asks_typical_images),
    Row("train hands --recipe linear-probe --seeds 2 --out runs/photos --json", look=_two_seeds, long=True),
    Row(
        "compare runs/photo runs/photos/seed-0 runs/photos/seed-1 runs/strict --data hands --out compared/photo",
        [r"^ +runs +accuracy",
         # The features of all seeds but the first come from the cache.
         "^note: the minutes of 'photo', .* do not count features and outputs of images that were in the cache"],
        long=True,
    ),
    Row(
        "train hands --recipe linear-probe --set learning_rate=0.1 --set horizontal_flip=false --out runs/unmirrored",
        ["^note: learning_rate: no effect, since this training only fits a linear head"], long=True,
    ),
    Row(
        "train hands --recipe linear-probe --epochs 3 --out runs/epochs",
        ["^error: a frozen network has one epoch.*take the recipe photo"], code=1,
    ),
    Row(
        "train --extend runs/probe --epochs +2",
        ["^error: .*a linear head on a frozen network, fitted in one epoch$",
         r"to train the layers of its network too: saccade train \S*hands$"], code=1,
    ),
    Row(
        "train --resume runs/probe",
        ["^error: the training of 'runs/probe' is finished$",
         r"to train it further: saccade train \S*hands$"], code=1,
    ),
    Row(
        "tune hands --recipe linear-probe --trials 2 --search learning_rate=0.01..0.1 --out tunings/rate",
        ["^error: .*'learning_rate' can't be tuned$", "takes no steps$"], code=1,
    ),
    Row("tune hands --recipe linear-probe --trials 2 --out tunings/photo --json", look=_tuned, long=True),
    Row("train hands --recipe linear-probe --folds 3 --out runs/photo-folds", ["out-of-fold accuracy"], long=True),
    Row(
        "learning-curve hands --recipe linear-probe --sizes 12,18,27,40 --repeats 2 --out curves/photo --json",
        look=_curve, long=True,
    ),
    Row(
        "audit hands --folds 2 --out audits/photo", ["^written: audits/photo/audit.json, "],
        made=["audits/photo/audit.html"], long=True,
    ),
    Row(
        "train hands --from runs/photo --epochs 2 --set image_size=64 --out runs/photo-tuned",
        ["^epoch 2/2 "], look=_finetuned("runs/photo-tuned", "photo"), long=True,
    ),
    Row(
        "train hands --recipe photo --epochs 3 --set augmented_versions=1 --set weight_decay=0.05 "
        "--set optimizer=adamw --set schedule=cosine --set rotation=5 --set mixup=0.2 --set sampling=balanced "
        "--set initial_scale=0.6 --set final_scale=0.6 --out runs/own",
        ["^note: rotation: no effect, since this training trains on kept outputs of augmented images",
         r"^epoch 3/3 \(augmented\): "],
        look=_has_own_settings, long=True,
    ),
    Row(
        "train hands --set final_scale=0.6 --out runs/never",
        ["^error: kept outputs of frozen layers have one size: give initial_scale and final_scale the same value$"],
        code=1,
    ),
    Row("evaluate runs/own --json", look=_is_far_above_chance, long=True),
    Row(
        "train hands --minutes 5 --set augmented_versions=0 --out runs/never",
        ["^error: a pretrained network is fine-tuned within a time budget on kept outputs .* only$",
         "--set augmented_versions=2"], code=1,
    ),
    Row(
        "train hands --set trainable_fraction=1 --out runs/never",
        ["^error: there are no outputs of frozen layers to keep$", "--set trainable_fraction=0.33"], code=1,
        long=True,
    ),
    Row(
        "train hands --from EfficientNetLite0 --epochs 1 --set image_size=64 --out runs/lite",
        ["^epoch 1/1: "], look=_finetuned("runs/lite", "EfficientNetLite0"), long=True,
    ),
]  # fmt: skip
