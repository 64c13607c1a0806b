import json

from click.testing import CliRunner

from saccade.cli.main import cli
from saccade.recipes import ENTRIES, Recipe


def recipes(*arguments):
    result = CliRunner().invoke(cli, ["recipes", *arguments])
    assert result.exit_code == 0, result.output
    return result.output


def test_the_list_names_every_recipe_with_its_size():
    shown = recipes()
    for name, entry in ENTRIES.items():
        assert name in shown
        assert f"{entry.parameters:,}" in shown
        for text in (entry.purpose, entry.origin, entry.network):
            assert text in shown


def test_a_measured_accuracy_is_shown_with_interval_and_number_of_images():
    for name, entry in ENTRIES.items():
        shown = recipes(name)
        if entry.measured is None:
            assert entry.unmeasured in shown
            continue
        low, high = entry.measured.interval
        assert f"{entry.measured.accuracy:.2%}" in shown
        assert f"{low:.2%} to {high:.2%}, n = {entry.measured.num_images:,}" in shown
        assert low < entry.measured.accuracy < high


def test_every_key_of_a_recipe_is_shown_with_its_description():
    shown = recipes("scheduled")
    assert "123,466" in shown
    for key, field in Recipe.model_fields.items():
        if key != "name":
            assert key in shown
            assert " ".join(str(field.description).split()) in " ".join(shown.split())


def test_json_contains_the_same_recipes():
    listed = json.loads(recipes("--json"))
    assert [one["name"] for one in listed] == list(ENTRIES)
    one = json.loads(recipes("two-phase", "--json"))
    assert (one["parameters"], one["settings"]["plain_epochs"]) == (2_397_226, 10)
