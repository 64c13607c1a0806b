import subprocess
import sys

from saccade.file_lock import try_lock

HOLDER = (
    "import sys, time\nfrom pathlib import Path\nfrom saccade.file_lock import try_lock\n"
    "held = try_lock(Path(sys.argv[1]))\nprint('locked' if held else 'not locked', flush=True)\ntime.sleep(60)\n"
)


def test_a_lock_is_held_by_one_process_until_it_is_killed(tmp_path):
    path = tmp_path / "a.lock"
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(path)], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "locked\n"
        assert try_lock(path) is None
        holder.kill()
    held = try_lock(path)
    assert held is not None
    with held:
        assert try_lock(path) is None
    again = try_lock(path)
    assert again is not None
    again.close()
