"""Jobs of edgecapd, told apart by what frame.h writes into one packet of a
hundred, and whether each got its packets."""

import concurrent.futures
import os
import shutil
import struct
import time

from harness.daemon import Daemon, configuration
from harness.savefiles import read_pcap
from harness.waiting import wait_until

from api import Api
from rivals import RING_MIB, cpu_s_of
from traffic import PROCESSOR

# In step with frame.h.
ONE_IN = 100
REMAINDER = 7
FIRST_PORT = 1024
# Of a frame of 60 bytes, what stands before addresses and ports, and between
# these and the number.
_BEFORE = bytes.fromhex(
    "0200000000990200000000010800" "4500002e0000000040110000"
)
_BEHIND = bytes.fromhex("001a0000")

# Which fields a job gives; each names a job's packets by itself.
SHAPES = (
    ("source_address", "destination_address", "source_port",
     "destination_port", "protocol"),
    ("source_address", "destination_address"),
    ("destination_address", "destination_port", "protocol"),
    ("source_address", "source_port", "protocol"),
    ("source_address", "destination_address", "protocol"),
    ("source_port", "destination_port", "protocol"),
    ("destination_address",),
    ("destination_port", "protocol"),
)

CREATORS = 4
SETTLE_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 60.0
# More than the age of a count.
COUNTS_AGE_S = 2.0


def _values(job):
    """What the fields of a job's packets hold."""
    return {
        "source_address": f"10.0.{job >> 8}.{job & 255}",
        "destination_address": f"10.128.{job >> 8}.{job & 255}",
        "source_port": FIRST_PORT + job,
        "destination_port": FIRST_PORT + job,
        "protocol": 17,
    }


def filter_of(job, shapes=1):
    """A filter that this job's packets match, and no others."""
    values = _values(job)
    return {name: values[name] for name in SHAPES[job % shapes]}


def _frame(job, number):
    """The packet of that number, which is the job's."""
    port = FIRST_PORT + job
    fields = struct.pack("!BBHBBHHH", 10, 0, job, 10, 128, job, port, port)
    return _BEFORE + fields + _BEHIND + struct.pack("<Q", number) + bytes(10)


class Jobs:
    """A daemon in which so many jobs capture as long as the `with` block."""

    def __init__(self, bench, count, shapes):
        self._work = bench.directory(f"many-{count}-{shapes}")
        self._storage = self._work / "storage"
        self._storage.mkdir()
        self._daemon = Daemon(self._work, configuration(
            self._storage,
            [{"match": bench.link.name, "snaplen": "256KiB"}],
            capture={"ring": f"{RING_MIB}MiB", "classifier": bench.classifier},
            limits={"time_limit": "1d", "packet_limit": 1_000_000_000,
                    "running_jobs": 10_000},
            storage={"pcapng": False},
            retention={"max_size": "1TiB"},
            shutdown={"grace_period": "1m"},
            # A busy host sends for minutes, and nobody asks meanwhile.
            http={"keep_alive_timeout": "1h"},
        ))
        self._classifier = bench.classifier and count > 1
        self._count = count
        self._shapes = shapes

    def __enter__(self):
        self._daemon.start()
        begin = time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(CREATORS) as pool:
            parts = pool.map(self._create, range(CREATORS))
        self._ids = {job: x for part in parts for job, x in part.items()}
        self.create_ms = (time.monotonic() - begin) * 1e3 / self._count
        self.api = Api(self._daemon.client())
        self._wait_capturing()
        if self._classifier:
            wait_until("the classifier is loaded", self._has_classifier)
        self._keep_off_the_generator()
        return self

    def _create(self, part):
        """Creates every CREATORS-th job."""
        api = Api(self._daemon.client())
        return {job: api.create(filter_of(job, self._shapes))
                for job in range(part, self._count, CREATORS)}

    def _wait_capturing(self):
        def capturing():
            found = self.api.jobs()
            failed = [x for x in found.values() if x["status"] == "failed"]
            assert not failed, f"{len(failed)} jobs failed, one is {failed[0]}"
            return all(_captures(found.get(x)) for x in self._ids.values())

        wait_until("all jobs capture", capturing, SETTLE_TIMEOUT_S)

    def _has_classifier(self):
        for entry in os.scandir(f"/proc/{self._daemon.pid}/fd"):
            try:
                if os.readlink(entry.path) == "anon_inode:bpf-prog":
                    return True
            except FileNotFoundError:
                pass
        return False

    def _keep_off_the_generator(self):
        """What is measured is what packets pay, not who has the processor."""
        others = os.sched_getaffinity(0) - {PROCESSOR}
        for task in os.listdir(f"/proc/{self._daemon.pid}/task"):
            os.sched_setaffinity(int(task), others or {PROCESSOR})

    def cpu_s(self):
        """Its processor time so far."""
        return cpu_s_of(self._daemon.pid)

    def peak_mib(self):
        """The most memory that it had."""
        return self._daemon.peak_bytes() / (1 << 20)

    def expected(self, job, sent):
        """How many of the packets that were sent are for a job."""
        turns = (sent - REMAINDER + ONE_IN - 1) // ONE_IN
        return (turns - job + self._count - 1) // self._count

    def wait_last(self, sent):
        """Waits until the last packet of all is counted, or more seems not to
        come: what is missing is found by `verify`."""
        last = ((sent - REMAINDER + ONE_IN - 1) // ONE_IN - 1) % self._count
        end = time.monotonic() + SETTLE_TIMEOUT_S

        def there():
            job = self.api.job(self._ids[last])
            return (time.monotonic() > end
                    or job["packets_captured"] >= self.expected(last, sent))

        wait_until("the last packet", there, 2 * SETTLE_TIMEOUT_S)

    def verify(self, sent):
        """Compares each job's counts with what was sent to it. Returns how many
        packets are not captured, of all jobs."""
        wanted = {job_id: self.expected(job, sent)
                  for job, job_id in self._ids.items()}
        seen, since = {}, time.monotonic()

        def settled():
            nonlocal seen, since
            before, seen = seen, {
                job_id: (found["packets_captured"],
                         found["interfaces"][0]["packets_matched"])
                for job_id, found in self._look().items()
            }
            if seen != before:
                since = time.monotonic()
            return (time.monotonic() - since > COUNTS_AGE_S
                    or all(seen[x] == (y, y) for x, y in wanted.items()))

        wait_until("the counts stand still", settled, SETTLE_TIMEOUT_S)
        for job, job_id in self._ids.items():
            self._verify_counts(job, self._found[job_id], sent)
        return sum(wanted.values()) - sum(x for x, _ in seen.values())

    def _look(self):
        self._found = self.api.jobs()
        return self._found

    def _verify_counts(self, job, found, sent):
        (report,) = found["interfaces"]
        captured = found["packets_captured"]
        missing = self.expected(job, sent) - captured
        reported = report["dropped_by_kernel"] + report["dropped_by_us"]
        assert captured == report["packets_captured"], found
        # What a shared ring dropped each job reports, whosever it was.
        assert 0 <= missing <= reported, (job, missing, found)
        if reported == 0:
            assert report["packets_matched"] == captured, found

    def __exit__(self, kind, *_):
        if kind is not None:
            self._daemon.kill()
            return
        self._daemon.stop(timeout_s=STOP_TIMEOUT_S)
        for job, job_id in self._ids.items():
            captured = self._found[job_id]["packets_captured"]
            self._verify_file(job, self.savefile(job_id)[0], captured)
        shutil.rmtree(self._work)

    def savefile(self, job_id):
        """What a job that is over has captured, and when it got its name."""
        path = self._storage / "savefiles" / f"{job_id}.pcap"
        return read_pcap(path.read_bytes()).records, path.stat().st_ctime_ns

    def _verify_file(self, job, records, captured):
        """Each packet must be the job's, in order, none twice."""
        assert len(records) == captured, (job, len(records), captured)
        last = -1
        for record in records:
            number = number_of(record)
            assert number % ONE_IN == REMAINDER and number > last, (job, number)
            assert number // ONE_IN % self._count == job, (job, number)
            assert record.data == _frame(job, number), (job, record)
            assert record.original_length == len(record.data), (job, record)
            last = number


def _captures(job):
    return job and [x["state"] for x in job["interfaces"]] == ["capturing"]


def number_of(record):
    """Of a packet that was captured."""
    return struct.unpack_from("<Q", record.data, 42)[0]
