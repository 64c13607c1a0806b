import subprocess
import sys
from pathlib import Path

import pytest


def saccade(*arguments, **options):
    return subprocess.run(
        [sys.executable, "-m", "saccade", *arguments], capture_output=True, text=True, check=False, **options
    )


@pytest.mark.parametrize(
    "arguments", [["--help"], ["train", "--help"], ["audit", "--help"], ["recipes"], ["trian"], ["train", "--nonsense"]]
)
def test_commands_without_a_model_do_not_load_tensorflow(arguments):
    script = (
        "import sys\nfrom saccade.cli.main import main\nsys.argv[0] = 'saccade'\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "heavy = {'tensorflow', 'keras', 'sklearn', 'matplotlib', 'scipy'} & set(sys.modules)\n"
        "sys.stderr.write(f'loaded: {sorted(heavy)}')"
    )
    result = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=True)
    assert result.stderr.endswith("loaded: []")


@pytest.mark.long
def test_keras_is_loaded_without_unnecessary_packages_which_can_be_imported_later():
    script = (
        "import sys\nfrom saccade.cli.main import main\nsys.argv = ['saccade', 'evaluate', 'no-run']\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "import saccade.models\nassert 'keras' in sys.modules\n"
        "print(sorted({'pandas', 'matplotlib', 'sklearn', 'IPython'} & set(sys.modules)))\n"
        "import pandas, matplotlib.pyplot, sklearn.metrics"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_importing_saccade_does_not_load_large_packages():
    script = "import sys, saccade; print(sorted({'tensorflow', 'keras', 'numpy', 'PIL', 'click'} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_an_unknown_command_names_the_nearest_command_with_exit_code_2():
    result = saccade("trian")
    assert result.returncode == 2
    assert "Did you mean 'train'?" in result.stderr


def test_a_wrong_option_has_exit_code_2():
    result = saccade("train", "--epoch", "3")
    assert result.returncode == 2
    assert "--epochs" in result.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_a_full_disk_is_an_error_without_a_traceback():
    with Path("/dev/full").open("w") as full:
        result = subprocess.run(
            [sys.executable, "-m", "saccade", "recipes"], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert result.returncode == 1
    assert result.stderr.startswith("error: No space left on device")
    assert "Traceback" not in result.stderr
