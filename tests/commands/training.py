"""Rows of the commands that train: train, tune and learning-curve."""

import csv
import shutil
import warnings
from pathlib import Path

import h5py
import numpy as np
from tests.commands.rows import Row
from tests.snippets import Outcome

_SMALL = "--recipe folder --epochs 1 --set image_size=32"


def _run(outcome: Outcome, path: str):
    from saccade.runs.run import Run

    return Run.open(outcome.folder / path)


def _splits(outcome: Outcome, path: str) -> dict[str, str]:
    with (outcome.folder / path / "split.csv").open(encoding="utf-8") as file:
        return {row["path"]: row["split"] for row in csv.DictReader(file)}


def _classifies_digits(outcome: Outcome) -> None:
    run = _run(outcome, "runs/digits")
    recipe = run.recipe
    assert (recipe.epochs, recipe.batch_size, recipe.seed, recipe.image_size) == (4, 32, 3, 16)
    assert (recipe.validation_split, recipe.checkpoint_seconds) == (0.2, 20)
    accuracy = run.history()[-1].validation_accuracy
    assert accuracy is not None
    assert accuracy > 0.7  # 96%, of ten classes
    assert f"validation accuracy {accuracy:.2%}" in outcome.stdout


def _logged_to_tensorboard(outcome: Outcome) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.util.tensor_util import make_ndarray

    run = _run(outcome, outcome.json["run"])
    (record,) = run.history()
    assert outcome.json["validation_accuracy"] == record.validation_accuracy
    for split, accuracy in (("train", record.accuracy), ("validation", record.validation_accuracy)):
        (event,) = EventAccumulator(str(run.path / "tensorboard" / split)).Reload().Tensors("epoch_accuracy")
        assert abs(float(make_ndarray(event.tensor_proto)) - accuracy) < 1e-6


def _logged_to_mlflow(outcome: Outcome) -> None:
    from mlflow import MlflowClient

    run = _run(outcome, outcome.json["run"])
    (record,) = run.history()
    with warnings.catch_warnings(action="ignore"):  # of its own libraries
        client = MlflowClient(f"sqlite:///{outcome.folder / 'mlflow.db'}")
        (logged,) = client.search_runs([experiment.experiment_id for experiment in client.search_experiments()])
    assert (logged.info.run_name, logged.info.status) == ("logged", "FINISHED")
    assert logged.data.params["image_size"] == "32"
    assert logged.data.metrics["validation_accuracy"] == record.validation_accuracy


def _keeps_the_split(outcome: Outcome) -> None:
    before, after = _splits(outcome, "runs/hands-folder-1"), _splits(outcome, "runs/more")
    assert before.items() <= after.items()
    assert len(after) == 90


def _applies_fixes(outcome: Outcome) -> None:
    run = _run(outcome, "runs/fixed")
    assert (run.data.num_images["test"], sum(run.data.num_images.values())) == (59, 178)  # of 60 and 180
    assert {"train/null/00.png", "test/one/40.png"}.isdisjoint(_splits(outcome, "runs/fixed"))
    assert (run.path / "fixes.csv").read_bytes() == (outcome.folder / "fixes.csv").read_bytes()


def _is_augmented(outcome: Outcome) -> None:
    run = _run(outcome, "runs/augmented")
    recipe = run.recipe
    assert (recipe.crop_scale, recipe.color_jitter, recipe.random_erasing) == (0.5, 0.4, 0.25)
    assert (recipe.vertical_flip, recipe.trivial_augment, recipe.sampling) == (True, True, "balanced")
    assert (recipe.mixup, recipe.cutmix) == (0.2, 1)
    plain, augmented = run.history()[3], run.history()[5]
    assert (plain.phase, augmented.phase) == ("plain", "augmented")
    # Mixed images are harder, since they show two classes: 48% to 66%, after 94% to 98%, with five seeds.
    assert augmented.accuracy < plain.accuracy - 0.1
    assert augmented.validation_accuracy is not None
    assert augmented.validation_accuracy > 0.5  # of three classes


def _left_one_out(outcome: Outcome) -> None:
    lines = (outcome.folder / "runs/broken/unreadable.csv").read_text(encoding="utf-8")
    assert "0/cut off.JPG" in lines
    assert sum(outcome.read("runs/broken/data.json")["num_images"].values()) == 72


def _has_fit(path: str, fit: str):
    def look(outcome: Outcome) -> None:
        run = _run(outcome, path)
        assert (run.recipe.fit, run.preprocessing.fit) == (fit, fit)
        assert ("of their area" in outcome.stderr) == (fit == "crop")

    return look


def _has_fit_and_chose_no_epoch(outcome: Outcome) -> None:
    _has_fit("runs/from-pad", "pad")(outcome)
    assert "weights of epoch 1 of 1 kept" in outcome.stdout
    assert "chose the weights" not in outcome.stdout


def _went_on_from(path: str, name: str):
    """Return a check of the recorded source and the accuracy of a transfer."""

    def look(outcome: Outcome) -> None:
        run = _run(outcome, path)
        source = run.source()
        assert source is not None
        assert source.name == name
        kept = run.history()[run.status().kept_epoch - 1].validation_accuracy
        assert kept is not None
        assert kept > 0.5  # 100% of 24 scanned digits, of three classes, by a network that was trained on digits

    return look


def _took_the_weights_of_the_file(outcome: Outcome) -> None:
    run = _run(outcome, "runs/from-name")
    source = run.source()
    assert source is not None
    assert (source.name, run.recipe.network) == ("MobileNetV3Small", "MobileNetV3Small")
    with h5py.File(outcome.folder / "mobile.weights.h5") as file:
        np.testing.assert_array_equal(run.weights()["conv/kernel"], file["layers/conv2d/vars/0"])


def _two_seeds(outcome: Outcome) -> None:
    shown = outcome.json
    assert [Path(run["run"]).name for run in shown["runs"]] == ["seed-5", "seed-6"]
    assert [run["seed"] for run in shown["runs"]] == [5, 6]
    assert (shown["n"], shown["failed"]) == (2, [])
    accuracies = [run["validation_accuracy"] for run in shown["runs"]]
    assert abs(shown["validation_accuracy"] - sum(accuracies) / 2) < 1e-9


def _extended(path: str, schedule: str):
    def look(outcome: Outcome) -> None:
        recipe = outcome.read(f"{path}/recipe.json")
        assert (recipe["extends"], recipe["plain_epochs"], recipe["extended_schedule"]) == (1, 2, schedule)
        assert Path(outcome.read(f"{path}/parent.json")["path"]).name == "hands-folder-1"

    return look


def _finished(path: str):
    def look(outcome: Outcome) -> None:
        run = _run(outcome, path)
        assert run.status().state == "finished"
        assert [record.epoch for record in run.history()] == list(range(1, 13))

    return look


def _put_the_stopped_run_elsewhere(folder: Path) -> None:
    shutil.copytree(folder / "runs/stopped", folder / "runs/elsewhere")


def _make_weights(folder: Path) -> None:
    """Write a weights file as `save_weights()` of Keras does, of an untrained network without a head."""
    from saccade.models.networks.backbones import BACKBONES

    BACKBONES["MobileNetV3Small"]._from_keras(32, 32, None).save_weights(folder / "mobile.weights.h5")


def _is_a_curve(outcome: Outcome) -> None:
    shown = outcome.json
    assert shown == outcome.read("curves/tiny/learning_curve.json")
    assert [point["num_images"] for point in shown["points"]] == [21, 30, 50, 80]
    assert [len(point["accuracies"]) for point in shown["points"]] == [2, 2, 2, 2]
    assert shown["recipe"]["seed"] == 4
    assert shown["verdict"] in ("would help", "would hardly help", "can't be told")


def _is_a_study(outcome: Outcome) -> None:
    shown = outcome.json
    assert (shown["recipe"], shown["state"], Path(shown["folder"]).name) == ("folder", "finished", "study")
    assert set(shown["space"]) == {"learning_rate", "batch_size"}
    assert [trial["state"] for trial in shown["trials"]] == ["complete"] * 2
    assert shown["trials"][1]["settings"]["learning_rate"] in (0.003, 0.01)
    assert outcome.read("tunings/study/trials/0/recipe.json")["label_smoothing"] == 0.1


TRAINING = [
    Row(
        "train digits --recipe folder --epochs 4 --batch-size 32 --seed 3 --set image_size=16 "
        "--set validation_split=0.2"
        " --checkpoint-every 20s --out runs/digits --summary",
        ["^data: digits, 10 classes, .* 16x16 pixels$", r"conv1 \(Conv2D\)", r"^epoch 4/4: loss \d", r"n = 282\)",
         r"^run: runs/digits \(folder, .* weights, seed 3, (float32|bfloat16) by (oneDNN|Eigen)\)$",
         r"^time left: about \d+ (seconds?|minutes) on this machine",
         "^trained on digits: weights of epoch 4 of 4 kept$", "^run: runs/digits$",
         "^next: saccade evaluate runs/digits$"],
        made=["runs/digits/model.keras", "runs/digits/model.onnx", "runs/digits/weights.safetensors"],
        look=_classifies_digits, alone=True,
    ),
    Row(
        f"train hands {_SMALL} --tensorboard --json",
        ["^data: hands, 3 classes"], look=_logged_to_tensorboard, leaves="runs/hands-folder-1",
    ),
    # Alone: MLflow warns in its own imports, and changes the logging of the process.
    Row(
        f"train hands {_SMALL} --tensorboard --mlflow --out runs/logged --json",
        look=_logged_to_mlflow, made=["runs/logged/tensorboard"], alone=True, long=True,
    ),
    Row(f"train more {_SMALL} --reuse-split runs/hands-folder-1 --out runs/more", look=_keeps_the_split),
    Row(f"train tiny {_SMALL} --fixes fixes.csv --out runs/fixed", look=_applies_fixes),
    Row(
        "train tiny --recipe folder --batch-size 16 --set plain_epochs=4 --set augmented_epochs=2 --set crop_scale=0.5"
        " --set vertical_flip=true --set color_jitter=0.4 --set trivial_augment=true --set random_erasing=0.25"
        " --set mixup=0.2 --set cutmix=1 --set sampling=balanced --out runs/augmented",
        [r"^epoch 4/6: ", r"^epoch 6/6 \(augmented\): "], look=_is_augmented, long=True,
    ),
    Row(
        f"train tiny {_SMALL} --set trivial_augment=true --set cutmix=1 --dry-run",
        ["^note: trivial_augment, cutmix: no effect, since this training has no augmented epochs: "],
    ),
    Row(
        f"train tiny {_SMALL} --set sampling=balanced --set class_weights=true --out runs/refused",
        ["^error: sampling=balanced and class_weights=true both make rare classes count more: take one of them$"],
        code=1, look=lambda outcome: _is_absent(outcome, "runs/refused"),
    ),
    Row(f"train hands {_SMALL} --strict --out runs/strict", ["^run: runs/strict$"]),
    Row(
        f"train broken {_SMALL} --strict --out runs/refused",
        [r"^error: ", r"cut off\.JPG"], code=1, look=lambda outcome: _is_absent(outcome, "runs/refused"),
    ),
    Row(
        f"train broken {_SMALL} --out runs/broken",
        ["1 image can't be read and is left out", r"^  0/cut off\.JPG: "], look=_left_one_out,
    ),
    Row(
        f"train rare {_SMALL} --dry-run",
        ["^note: 1 class has at most two training images: 'two' \\(2\\); .* or remove the class$"],
    ),
    Row(
        "train tiny --from runs/digits --epochs 2 --set validation_split=0.2 --out runs/from-run",
        [r"^run: runs/from-run \(transfer, "], look=_went_on_from("runs/from-run", "digits"),
    ),
    Row(
        "train tiny --from runs/digits/weights.safetensors --epochs 2 --set validation_split=0.2 "
        "--out runs/from-weights",
        look=_went_on_from("runs/from-weights", "weights.safetensors"), long=True,
    ),
    Row(
        "train tiny --from MobileNetV3Small --weights mobile.weights.h5 --epochs 1 --set image_size=32"
        " --out runs/from-name",
        ["^trained on tiny: weights of epoch 1 of 1 kept$"], before=_make_weights,
        look=_took_the_weights_of_the_file, long=True,
    ),
    Row(
        f"train wide {_SMALL} --dry-run",
        ["^note: 60 of 60 images lose more than a fifth of their area, .* --set fit=pad .* --set fit=squash "],
    ),
    Row(
        "train wide --recipe folder --epochs 20 --set image_size=96 --set fit=pad --out runs/pad",
        ["^data: wide, 2 classes, .* 96x96 pixels, fit=pad$"], look=_has_fit("runs/pad", "pad"), alone=True, long=True,
    ),
    Row(
        "train wide --recipe folder --epochs 20 --set image_size=48 --set fit=squash --out runs/squash",
        look=_has_fit("runs/squash", "squash"), long=True,
    ),
    Row("train wide --from runs/pad --epochs 1 --out runs/from-pad", look=_has_fit_and_chose_no_epoch, long=True),
    Row(
        "train wide --from runs/pad/weights.safetensors --epochs 1 --set fit=crop --out runs/from-pad-cropped",
        look=_has_fit("runs/from-pad-cropped", "crop"), long=True,
    ),
    Row(f"train wide {_SMALL} --set fit=stretch", ["^error: the recipe's key 'fit' can't be 'stretch'"], code=1),
    Row(f"train hands {_SMALL} --out runs/more", ["nothing is overwritten"], code=1, look=_keeps_the_split),
    Row("train tiny --from runs/nowhere", ["there is no source 'runs/nowhere'"], code=1),
    Row(f"train hands {_SMALL} --seed 5 --seeds 2 --out runs/seeds --json", look=_two_seeds),
    Row(
        f"train hands {_SMALL} --folds 2 --out runs/folds",
        [r"^run: \S*runs/folds$", "out-of-fold accuracy"], made=["runs/folds/folds.json"], long=True,
    ),
    Row("train hands --ray", ["--ray requires --out DIR"], code=2),
    Row("train hands --from runs/digits --out runs/parallel --ray", ["--from and --ray cannot be combined"], code=2),
    Row("train --extend runs/digits --epochs 2 --ray", ["--ray cannot be combined with --extend"], code=2),
    Row("train hands --seeds 2 --ray", ["--ray requires --out DIR"], code=2),
    Row("train hands --seeds 2 --threads 2", ["--threads needs --ray"], code=2),
    Row("train hands --seeds 2 --workers 2", ["--workers needs --ray"], code=2),
    Row("train hands --seeds 2 --out cluster --mlflow --ray", ["--mlflow and --ray cannot be combined"], code=2),
    Row("train hands --folds 2 --only-fold 3", ["--only-fold requires --folds K, and is at most K"], code=2),
    Row(
        f"train hands {_SMALL} --folds 2 --only-fold 1 --out runs/one-fold",
        made=["runs/one-fold-folds/1.safetensors"], long=True,
    ),
    Row(
        f"train hands {_SMALL} --seed 5 --seeds 2 --workers 1 --threads 1 --out cluster --ray --json",
        look=_two_seeds, alone=True, long=True, needs="ray",
    ),
    Row(
        f"train hands {_SMALL} --folds 2 --out cluster-folds --dry-run --ray",
        [r"^  python \d.*, tensorflow", "^3 trainings, "], alone=True, long=True, needs="ray",
    ),
    Row(
        f"train hands {_SMALL} --workers 2 --out runs/parallel --dry-run --ray",
        [r"^  python \d.*, tensorflow", "^workers: 2 on 1 node"], alone=True, long=True, needs="ray",
    ),
    Row(
        f"train hands {_SMALL} --workers 2 --threads 1 --out runs/parallel --ray",
        ["^workers: 2 on 1 node", "^epoch 1/1: "], look=_finished("runs/parallel"), alone=True, long=True, needs="ray",
    ),
    Row(
        "train hands --recipe folder --minutes 20 --set image_size=16 --out runs/minutes",
        ["^plan: recipe folder, 100 passes", "^time: 20 minutes, until ", "the training ends early"],
        made=["runs/minutes/plan.json"], long=True,
    ),
    Row(
        "train hands --recipe photo --minutes 60 --set image_size=64 --set augmented_versions=1 --out runs/hour",
        [
            "^plan: recipe photo, .* at 64x64 pixels, 1 augmented version of each; .* 40 passes of fine-tuning$",
            "more than 40 passes of fine-tuning are useless: the training ends early$",
        ],
        made=["runs/hour/plan.json"], long=True,
    ),
    Row(
        "train hands --recipe linear-probe --minutes 60 --set horizontal_flip=false --out runs/probed",
        [
            "^plan: recipe linear-probe, .* at 160x160 pixels, without their mirror images$",
            "this recipe needs no more time: the training ends early, after ",
        ],
        made=["runs/probed/plan.json"], long=True,
    ),
    *(
        Row(
            f"train --extend runs/hands-folder-1 --epochs +1 --schedule {schedule} --out runs/{schedule}",
            ["weights of epoch 2 of 2 kept"], look=_extended(f"runs/{schedule}", schedule), long=schedule != "hold",
        )
        for schedule in ("hold", "restart", "anneal")
    ),
    Row(
        "train hands --recipe folder --epochs 12 --batch-size 4 --set image_size=32 --out runs/stopped",
        ["^to resume: saccade train --resume runs/stopped$"], code=130, stop_at="epoch 1/12",
    ),
    Row(
        "train more --resume runs/elsewhere",
        ["^error: ", "--force"], code=1, before=_put_the_stopped_run_elsewhere, leaves="runs/elsewhere",
    ),
    Row("train more --resume runs/elsewhere --force", look=_finished("runs/elsewhere")),
    Row("train --resume runs/stopped", ["^resuming from the checkpoint of "], look=_finished("runs/stopped")),
    Row(
        "tune tiny --trials 2 --recipe folder --epochs 1 --seed 1 --set label_smoothing=0.1"
        " --search learning_rate=0.003,0.01 --out tunings/study --json",
        made=["tunings/study/tuning.html"], look=_is_a_study, alone=True, long=True,
    ),
    Row("tune tiny --trials 2 --ray", ["--ray needs --out DIR"], code=2),
    Row("tune tiny --trials 2 --threads 2", ["--threads needs --ray"], code=2),
    Row(
        f"tune tiny --trials 2 {_SMALL} --workers 1 --threads 1 --out tunings/cluster --json --ray",
        made=["tunings/cluster/tuning.html"], look=_is_a_study, alone=True, long=True, needs="ray",
    ),
    Row(
        f"tune tiny --minutes 0.1 {_SMALL}",
        [r"^\d+ trials? of folder on tiny, \d+ of them pruned$", r"^written: \S*tunings/tiny-folder-1/tuning.html$"],
        long=True,
    ),
    Row(
        "learning-curve tiny --from runs/digits --recipe transfer --epochs 1 --set validation_split=0.2 "
        "--fixes fixes.csv"
        " --seed 4 --sizes 21,30,50,80 --repeats 2 --out curves/tiny --json",
        made=["curves/tiny/learning_curve.png"], look=_is_a_curve, alone=True, long=True,
    ),
    Row(
        "learning-curve tiny --from MobileNetV3Small --weights mobile.weights.h5 --epochs 1 --set image_size=32"
        " --sizes 21,30,50,80 --repeats 2 --out curves/weights",
        [r"^test of the power law: "], made=["curves/weights/learning_curve.json"], before=_make_weights, long=True,
    ),
]  # fmt: skip


def _is_absent(outcome: Outcome, path: str) -> None:
    assert not (outcome.folder / path).exists()
