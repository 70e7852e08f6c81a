"""Whether a process spins, on a machine that may be busy with others."""

import pathlib
import time

from harness.waiting import wait_until

OBSERVED_S = 2.0
# A thread that spins wants all of a core, one that wakes now and then next to
# nothing, even if it has to wait for the core each time.
SPINNING_SHARE = 0.7


def _wanted_cpu_s(pid):
    """How long each thread has run or waited for a core to run on."""
    result = {}
    for path in pathlib.Path(f"/proc/{pid}/task").iterdir():
        running, waiting, _ = (path / "schedstat").read_text().split()
        result[path.name] = (int(running) + int(waiting)) / 1e9
    return result


def assert_idle(pid):
    """Whether no thread of the process wants the CPU all the time."""
    began, before = time.monotonic(), _wanted_cpu_s(pid)
    wait_until(
        "time to be watched", lambda: time.monotonic() >= began + OBSERVED_S
    )
    wall_s = time.monotonic() - began
    for thread, wanted_s in _wanted_cpu_s(pid).items():
        share = (wanted_s - before.get(thread, wanted_s)) / wall_s
        assert share < SPINNING_SHARE, f"{thread} wants {share:.0%} of a core"
