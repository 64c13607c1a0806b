import subprocess
import sys

import pytest

_PROGRAM = """
import os, re, sys
from saccade.stderr_filter import filtered_stderr
with filtered_stderr(re.compile({pattern!r})):
    os.write(2, b"first\\nnotice: second\\n")
    print("third", file=sys.stderr)
print("fourth", file=sys.stderr)
"""


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [(b"^notice", "first\nthird\nfourth\n"), (b"", "fourth\n"), (b"fifth", "first\nnotice: second\nthird\nfourth\n")],
    ids=["one pattern", "all lines", "no line"],
)
def test_lines_of_the_pattern_are_dropped_and_the_others_are_written_at_the_end(pattern, expected):
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM.format(pattern=pattern)], check=False, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, expected)


def test_a_process_with_a_closed_stderr_goes_on():
    program = _PROGRAM.format(pattern=b"").replace("os.write", "print") + "\nprint('fifth')"
    words = ["sh", "-c", 'exec "$0" -c "$1" 2>&-', sys.executable, program]
    done = subprocess.run(words, check=False, capture_output=True, text=True)
    assert done.returncode == 0
    assert done.stdout.endswith("fifth\n")
