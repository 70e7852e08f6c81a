"""SIGKILL at random moments: a short form of the campaign in kill/."""

import pathlib
import subprocess
import sys

RUN = pathlib.Path(__file__).parent / "kill" / "run"


def test_kills_break_no_promise():
    done = subprocess.run(
        [sys.executable, RUN, "--times", "10"],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
