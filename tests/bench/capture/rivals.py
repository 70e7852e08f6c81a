"""Who captures: edgecapd, and the tools that an operator would run instead.

Each is started, waits until it captures, and is asked at the end what it cost:
processor seconds (user and system, of all its threads), its memory at the most,
and how often it gave up or lost the processor.
"""

import dataclasses
import mmap
import os
import pathlib
import signal
import subprocess
import time

from harness.daemon import Daemon, configuration
from harness.network import die_with_parent
from harness.waiting import wait_until

from api import Api

RING_MIB = 32
READY_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 60.0
# Between looks at a capture that is about to end, which count as its cost.
LOOK_INTERVAL_S = 0.1


@dataclasses.dataclass
class Cost:
    """What a capture took."""

    cpu_s: float
    peak_mib: float
    switches: int


def cost_of(process):
    """Waits for the end of a process. Its memory is at least what Python had
    when it was started: the kernel counts that, too."""
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return Cost(
        used.ru_utime + used.ru_stime,
        used.ru_maxrss / 1024,
        used.ru_nvcsw + used.ru_nivcsw,
    )


def cpu_s_of(pid):
    """What a process has used so far, of all its threads, to the nanosecond
    (proc-pid-schedstat)."""
    total = 0
    for path in pathlib.Path(f"/proc/{pid}/task").iterdir():
        total += int((path / "schedstat").read_text().split()[0])
    return total / 1e9


def _capturing_sockets(pid):
    """How many packet sockets of a process are bound to an interface."""
    inodes = set()
    for entry in os.scandir(f"/proc/{pid}/fd"):
        try:
            target = os.readlink(entry.path)
        except FileNotFoundError:
            continue
        if target.startswith("socket:["):
            inodes.add(target[len("socket:["):-1])
    with open("/proc/net/packet", encoding="ascii") as f:
        lines = [line.split() for line in f.readlines()[1:]]
    # sk RefCnt Type Proto Iface R Rmem User Inode (proc_packet in the kernel)
    return sum(
        fields[5] == "1" and fields[4] != "0" and fields[8] in inodes
        for fields in lines
    )


def _descendants(pid):
    result = [pid]
    for each in result:
        try:
            path = f"/proc/{each}/task/{each}/children"
            with open(path, encoding="ascii") as f:
                result += [int(child) for child in f.read().split()]
        except FileNotFoundError:
            pass
    return result


class Tool:
    """A program that captures as long as the `with` block. It was asked for
    that at `requested_ns`."""

    sampling = 1

    def __init__(self, work, link, filter_text=""):
        self.file = work / "capture.pcap"
        self._command = self.command(link.name, str(self.file), filter_text)

    def __enter__(self):
        requested_ns = mmap.mmap(-1, 8)

        def begin():
            die_with_parent()
            # Right before `exec`: to fork Python takes milliseconds.
            requested_ns[:] = time.time_ns().to_bytes(8, "little")

        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=begin,
        )
        self.requested_ns = int.from_bytes(requested_ns[:], "little")

        def captures():
            assert self._process.poll() is None, f"{self.name} ended"
            return any(
                _capturing_sockets(pid)
                for pid in _descendants(self._process.pid)
            )

        wait_until(f"{self.name} captures", captures, READY_TIMEOUT_S)
        return self

    def __exit__(self, kind, *_):
        if kind is not None:
            self._process.kill()
            self._process.wait()

    def settle(self, size_bytes):
        """Waits until it has written so much, or no more comes: some hold back
        what does not fill a buffer."""
        seen = [-1, 0]

        def done():
            now = self.file.stat().st_size if self.file.exists() else 0
            seen[:] = [now, seen[1] + 1 if now == seen[0] else 0]
            return now >= size_bytes or seen[1] >= 60

        wait_until(f"{self.name} has written", done, STOP_TIMEOUT_S)

    def finish(self):
        """Ends it as an operator does, and says what it cost."""
        self._process.send_signal(signal.SIGINT)
        return cost_of(self._process)

    def forget(self):
        """Removes the savefile, which takes memory."""
        self.file.unlink()


class Tcpdump(Tool):
    name = "tcpdump"

    def command(self, interface, file, filter_text):
        return ["tcpdump", "-i", interface, "-w", file, "-n", "-Z", "root",
                "-B", str(RING_MIB * 1024), *filter_text.split()]


class Dumpcap(Tool):
    name = "dumpcap"

    def command(self, interface, file, filter_text):
        options = ["-f", filter_text] if filter_text else []
        return ["dumpcap", "-i", interface, "-w", file, "-P", "-q",
                "-B", str(RING_MIB), *options]


class NetsniffNg(Tool):
    name = "netsniff-ng"

    def command(self, interface, file, filter_text):
        options = ["-f", filter_text] if filter_text else []
        return ["netsniff-ng", "-i", interface, "-o", file, "-s",
                "-S", f"{RING_MIB}MiB", *options]


RIVALS = (Tcpdump, Dumpcap, NetsniffNg)


class Edgecapd:
    """A daemon that is running; each `with` block is one capture of it."""

    def __init__(self, work, link, sampling=1, name="edgecapd", **capture):
        self.name = name
        work = work / name
        storage = work / "storage"
        storage.mkdir(parents=True)
        self._daemon = Daemon(work, configuration(
            storage,
            [{"match": link.name, "snaplen": "256KiB",
              "sampling_one_in": sampling}],
            capture={
                "ring": f"{RING_MIB}MiB", "batch": "2MiB", "credit": "16MiB",
                "batch_interval": "1s",
                **capture,
            },
            limits={"time_limit": "1d", "packet_limit": 1_000_000_000},
            storage={"pcapng": False},
            retention={"max_size": "1TiB"},
            # A capture may take minutes, and nobody asks meanwhile.
            http={"keep_alive_timeout": "1h"},
        ))
        self.sampling = sampling
        self._storage = storage
        self._filter = {}

    def start(self):
        self._daemon.start()
        self._api = self._daemon.client()
        self._kept = Api(self._api)
        self._kept.ask("GET", self._kept.base)

    def stop(self):
        self._daemon.stop()

    def filtering(self, fields):
        """The next captures have this filter."""
        self._filter = fields
        return self

    def _switches(self):
        total = 0
        for path in pathlib.Path(f"/proc/{self._daemon.pid}/task").iterdir():
            for line in (path / "status").read_text().splitlines():
                if "ctxt_switches" in line:
                    total += int(line.split()[1])
        return total

    def __enter__(self):
        self._daemon.forget_peak()
        self._before = (cpu_s_of(self._daemon.pid), self._switches())
        self.requested_ns = time.time_ns()
        self._id = self._kept.create(self._filter)
        self._api.wait_capturing(self._id)
        return self

    def __exit__(self, *_):
        pass

    def settle(self, size_bytes):
        """Nothing to wait for: a stop delivers what has come in."""

    def finish(self):
        self._api.stop(self._id)
        self.job = self._api.wait_success(self._id, interval_s=LOOK_INTERVAL_S)
        cpu_s, switches = self._before
        cost = Cost(
            cpu_s_of(self._daemon.pid) - cpu_s,
            self._daemon.peak_bytes() / (1 << 20),
            self._switches() - switches,
        )
        self.file = self._storage / "savefiles" / f"{self._id}.pcap"
        return cost

    def dropped(self):
        """Packets that it says it lost."""
        return sum(
            report["dropped_by_kernel"] + report["dropped_by_us"]
            for report in self.job["interfaces"]
        )

    def forget(self):
        """Removes the job, for its file takes memory."""
        self._api.delete(self._id)
