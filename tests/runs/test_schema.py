"""Runs, studies, experiments and exported models of another schema version: one plain error."""

import json
import subprocess
import sys

import pytest

from saccade.errors import RunError
from saccade.experiments.manifest import Plan, write_or_check_plan
from saccade.inference.model_file import read_model_record
from saccade.recipes import get_recipe
from saccade.recipes.search_space import search_space
from saccade.runs.run import Run
from saccade.runs.schema import SCHEMA_VERSION, require_schema
from saccade.tuning.study_manifest import TuningRecord, enter_folder

OTHERS = [None, SCHEMA_VERSION - 1, SCHEMA_VERSION + 1]


def of_version(record, version):
    """Return a record with another schema version; None: without a number, as in the first version."""
    if version is None:
        return {key: value for key, value in record.items() if key != "schema_version"}
    return record | {"schema_version": version}


@pytest.fixture
def tuning_record(dataset):
    recipe = get_recipe("folder")
    return TuningRecord.of(recipe, search_space(recipe, {}), dataset, dataset.splits["test"])


def check(error, version, remedy="train again, or use the version of Saccade that made it"):
    assert "was made by another version of Saccade" in error.problem
    assert error.expected == f"schema version {SCHEMA_VERSION}, which this version of Saccade reads"
    assert error.found == f"schema version {version or 1}"
    assert error.remedy == remedy


@pytest.mark.parametrize("version", OTHERS)
def test_a_run_of_another_version_is_an_error_before_any_other_error(run_copy, version):
    data, recipe = run_copy.path / "data.json", run_copy.path / "recipe.json"
    data.write_text(json.dumps(of_version(json.loads(data.read_text()), version) | {"an_old_key": 1}))
    recipe.write_text(json.dumps({"a key of": "then"}))
    with pytest.raises(RunError) as caught:
        Run.open(run_copy.path)
    check(caught.value, version)
    assert str(run_copy.path) in caught.value.problem


def test_a_command_reports_another_version_in_a_few_lines(run_copy):
    data = run_copy.path / "data.json"
    data.write_text(json.dumps(of_version(json.loads(data.read_text()), 1)))
    command = [sys.executable, "-m", "saccade", "evaluate", str(run_copy.path)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert "was made by another version of Saccade" in ended.stderr
    assert "train again, or use the version of Saccade that made it" in ended.stderr
    assert len(ended.stderr.splitlines()) <= 6


def test_a_run_records_the_schema_version(tiny_run):
    assert json.loads((tiny_run.path / "data.json").read_text())["schema_version"] == SCHEMA_VERSION


@pytest.mark.parametrize("version", OTHERS)
def test_an_experiment_of_another_version_is_an_error(tmp_path, version):
    plan = Plan(purpose="test", data="data", fingerprint="f", images="p", recipe=get_recipe("folder"))
    write_or_check_plan(plan, tmp_path)
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(of_version(json.loads(path.read_text()), version)))
    with pytest.raises(RunError) as caught:
        write_or_check_plan(plan, tmp_path)
    check(caught.value, version)


@pytest.mark.parametrize("version", OTHERS)
def test_a_study_of_another_version_is_an_error_and_stays_unchanged(tmp_path, version, tuning_record):
    folder = enter_folder(tmp_path / "study", tuning_record)
    assert enter_folder(folder, tuning_record) == folder
    path = folder / "tuning.json"
    path.write_text(text := json.dumps(of_version(json.loads(path.read_text()), version)))
    with pytest.raises(RunError) as caught:
        enter_folder(folder, tuning_record)
    check(caught.value, version)
    assert path.read_text() == text


@pytest.mark.parametrize("version", OTHERS)
def test_an_exported_model_of_another_version_is_an_error(tiny_run, version):
    record = of_version(tiny_run.model_record().model_dump(), version)
    with pytest.raises(RunError) as caught:
        read_model_record(json.dumps(record), "model.onnx")
    remedy = "export it again, from a run of this version, or use the version of Saccade that made it"
    check(caught.value, version, remedy)


@pytest.mark.parametrize("text", ["", "[]", "null", "{", '{"schema_version": "2"}', '{"schema_version": 2, "more": 1}'])
def test_text_that_is_no_versioned_record_passes_the_version_check(text):
    require_schema(text, "'it'")
