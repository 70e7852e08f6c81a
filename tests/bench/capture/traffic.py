"""The packets that are offered, and whether a savefile holds them."""

import contextlib
import json
import os
import pathlib
import subprocess

from harness import network
from harness.waiting import wait_until

# The generator's; whoever captures has the others.
PROCESSOR = 0
TIMEOUT_S = 120
_PROGRAM = "generator.bpf.o"


class Link:
    """A pair of interfaces: what the generator sends from one end is captured
    on `name`."""

    def __init__(self):
        self._veth = network.Veth("bench")
        self.name = self._veth.name
        # The far end takes what XDP sends only if it receives by NAPI.
        subprocess.run(
            ["ethtool", "-K", self.name, "gro", "on"],
            check=True, stdout=subprocess.DEVNULL,
        )

    def received(self):
        """Packets that came in so far."""
        path = f"/sys/class/net/{self.name}/statistics/rx_packets"
        return int(pathlib.Path(path).read_text(encoding="ascii"))

    def wait_received(self, count):
        """Waits until so many more have come in."""
        end = self.received() + count
        wait_until(f"{count} packets", lambda: self.received() >= end)

    def _generator(self, count, profile, flows, rate, jobs):
        """What runs a generator of packets that are numbered from 0."""
        generator = os.environ["BENCH_GENERATOR"]
        return {
            "args": [generator, str(pathlib.Path(generator).with_name(_PROGRAM)),
                     self.name + "p", str(count), profile, str(flows), str(rate),
                     str(jobs)],
            "stdout": subprocess.PIPE,
            "text": True,
            "preexec_fn": _begin_paced_generator if rate else _begin_generator,
        }

    def send(self, count, profile, flows=100, jobs=0, rate=0):
        """Offers packets at a rate, or as fast as it goes, one in a hundred of
        them for one of so many jobs in turn. Returns how many a second, and how many in a
        second of the generator's processor time, which what else runs on its
        processor does not change."""
        before = self.received()
        said = subprocess.run(
            **self._generator(count, profile, flows, rate, jobs),
            check=True, timeout=TIMEOUT_S,
        ).stdout
        done = json.loads(said)
        offered = self.received() - before
        assert offered == count, f"only {offered} of {count} packets came in"
        return count / done["seconds"], count / done["processor_s"]

    @contextlib.contextmanager
    def flooded(self, count, profile):
        """Meanwhile as many packets come in as fast as it goes."""
        with subprocess.Popen(
            **self._generator(count, profile, 1, 0, 0)
        ) as process:
            try:
                self.wait_received(1)
                yield
                assert process.wait(TIMEOUT_S) == 0
            except BaseException:
                process.kill()
                raise

    @contextlib.contextmanager
    def flowing(self, count, profile, flows, rate, jobs=0):
        """Meanwhile packets come in at this rate, `count` at most. Yields a list
        that says at the end how many these were."""
        before = self.received()
        sent = []
        with subprocess.Popen(
            **self._generator(count, profile, flows, rate, jobs)
        ) as process:
            try:
                self.wait_received(1)
                yield sent
                assert process.poll() is None, "the packets have run out"
                process.terminate()
                said, _ = process.communicate(timeout=TIMEOUT_S)
            except BaseException:
                process.kill()
                raise
        sent.append(json.loads(said)["sent"])
        came = self.received() - before
        assert came == sent[0], f"only {came} of {sent[0]} packets came in"


def _begin_generator():
    network.die_with_parent()
    os.sched_setaffinity(0, {PROCESSOR})


def _begin_paced_generator():
    _begin_generator()
    # It takes little, and others wait for the packets that it owes.
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))


def check(file, count, flows, wanted_flow=None):
    """Looks at each packet of a savefile: bytes, number, order. Returns what
    savefile_check says of them; anything that is wrong ends the benchmark."""
    command = [os.environ["BENCH_SAVEFILE_CHECK"], str(file), str(count),
               str(flows), str(-1 if wanted_flow is None else wanted_flow)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    assert done.returncode == 0, f"{file} is not what was sent"
    return json.loads(done.stdout)
