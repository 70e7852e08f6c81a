"""Many jobs on one interface: what they cost the link, and each other.

Jobs are told apart by what frame.h writes into one packet of a hundred.
"""

import concurrent.futures
import json
import os
import shutil
import statistics
import struct
import time

from harness.daemon import TOKEN, Daemon, bearer, configuration
from harness.savefiles import read_pcap
from harness.waiting import wait_until

from benchmarks import in_turn, p99
from rivals import RING_MIB, cpu_s_of
from sockets import Sockets
from traffic import PROCESSOR

# In step with frame.h.
ONE_IN = 100
REMAINDER = 7
FIRST_PORT = 1024

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

# How many jobs, and of how many shapes. The packets for each are the same.
MIXES = ((0, 1), (1, 1), (10, 1), (100, 1), (500, 1), (5000, 1),
         (100, 8), (500, 8), (5000, 8))
SMOKE_MIXES = ((0, 1), (1, 1), (10, 1), (50, 1), (50, 8))
# Of the union that takes the classifier's place.
MOST_IN_UNION = 500
SOCKETS = (1, 10, 100)
SMOKE_SOCKETS = (1, 10)
# A multiple of all numbers of jobs, and of ONE_IN.
COUNT = 4_000_000
SMOKE_COUNT = 100_000

# One more job, of one flow in ten.
CHANGES = 100
SMOKE_CHANGES = 2
CHANGE_RATE = 100_000
CHANGE_FLOWS = 10
CHANGE_FLOW = 3
# More than the changes take.
CHANGE_COUNT = CHANGE_RATE * 3600
# Of all flows, between a start and a stop.
CHANGE_PACKETS = 20_000

CREATORS = 4
SETTLE_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 60.0
# More than the age of a count.
COUNTS_AGE_S = 2.0
# How long the processor time of jobs is measured that get no packets.
REST_S = 1.0


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


def _fields_at_26(job):
    port = FIRST_PORT + job
    return struct.pack("!BBHBBHHH", 10, 0, job, 10, 128, job, port, port)


class _Api:
    """Asks over one connection, which stays open."""

    def __init__(self, client):
        self.path = client.path
        self.base = client.base
        self._connection = client.connect()
        self._headers = bearer(TOKEN)

    def ask(self, method, target, status=200, **body):
        """The result of a request that must have this status."""
        content = json.dumps(body) if body else None
        self._connection.request(method, target, content, self._headers)
        reply = self._connection.getresponse()
        answer = reply.read()
        assert reply.status == status, answer
        return json.loads(answer)["result"] if answer else None

    def create(self, fields):
        """Returns the id of a new job."""
        return self.ask(
            "POST", self.base, type="simple", system="magic-transit",
            time_limit=86400, packet_limit=1_000_000_000, filter_v1=fields,
        )["id"]

    def stop(self, job_id):
        self.ask("PUT", self.path(job_id, "/stop"), 204)

    def delete(self, job_id):
        self.ask("DELETE", self.path(job_id), 204)

    def job(self, job_id):
        return self.ask("GET", self.path(job_id))

    def jobs(self):
        """All jobs, by id."""
        result = {}
        page = 1
        while True:
            found = self.ask("GET", f"{self.base}?per_page=50&page={page}")
            result |= {job["id"]: job for job in found}
            if len(found) < 50:
                return result
            page += 1


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
        self.api = _Api(self._daemon.client())
        self._wait_capturing()
        if self._classifier:
            wait_until("the classifier is loaded", self._has_classifier)
        self._keep_off_the_generator()
        return self

    def _create(self, part):
        """Creates every CREATORS-th job."""
        api = _Api(self._daemon.client())
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
        fields = _fields_at_26(job)
        last = -1
        for record in records:
            number = number_of(record)
            assert record.data[26:38] == fields, (job, record)
            assert number % ONE_IN == REMAINDER and number > last, (job, number)
            assert number // ONE_IN % self._count == job, (job, number)
            assert len(record.data) == record.original_length == 60, record
            last = number


def _captures(job):
    return job and [x["state"] for x in job["interfaces"]] == ["capturing"]


def number_of(record):
    """Of a packet that was captured."""
    return struct.unpack_from("<Q", record.data, 42)[0]


def _name(count, shapes):
    if count == 0:
        return "no job"
    name = f"{count} jobs" if count > 1 else "1 job"
    return f"{name} of {shapes} shapes" if shapes > 1 else name


def _rate(bench, packets, count):
    """How many packets the link carries, of which one in a hundred is for one
    of so many jobs: a second, and a second of the generator's processor."""
    by_clock, rate = bench.link.send(packets, "60", jobs=count)
    return {"rate": rate, "rate by the clock": by_clock}


def _with_jobs(bench, mix, packets):
    """What so many jobs cost while packets come in as fast as they can."""
    count, shapes = mix
    if count == 0:
        return _rate(bench, packets, 1)
    with Jobs(bench, count, shapes) as jobs:
        before = jobs.cpu_s()
        time.sleep(REST_S)
        rest = (jobs.cpu_s() - before) / REST_S
        before = jobs.cpu_s()
        figures = _rate(bench, packets, count)
        jobs.wait_last(packets)
        cpu_s = jobs.cpu_s() - before
        figures |= {
            "cpu_us": cpu_s / packets * 1e6,
            "cpu_at_rest": rest,
            "create_ms": jobs.create_ms,
            "lost": jobs.verify(packets),
            "peak_mib": jobs.peak_mib(),
        }
    return figures


def _with_sockets(bench, count, packets):
    """The same with a socket for each filter."""
    filters = [filter_of(job) for job in range(count)]
    with Sockets(bench.link.name, filters):
        # A hundred take a hundred times as long.
        return _rate(bench, packets // max(count // 10, 1), count)


def _line(name, figures, base):
    text = (f"\n  {name:22}{figures['rate'] / 1e6:6.3f} M/s, "
            f"{figures['rate'] / base:.2f} of that with 1 job "
            f"({figures['rate by the clock'] / 1e6:.3f} M/s by the clock)")
    if "lost" in figures:
        text += (
            f"; {figures['cpu_us']:6.3f} us of CPU a packet, "
            f"{figures['cpu_at_rest'] * 100:5.1f} % of a processor at rest, "
            f"{figures['peak_mib']:4.0f} MiB, {figures['lost']} lost, "
            f"{figures['create_ms']:.2f} ms to create each"
        )
    return text


def _rates(bench):
    """What the link carries, round by round."""
    packets = SMOKE_COUNT if bench.smoke else COUNT
    mixes = [mix for mix in (SMOKE_MIXES if bench.smoke else MIXES)
             if bench.classifier or mix[0] <= MOST_IN_UNION]
    tools = [(_name(*mix), _with_jobs, mix) for mix in mixes]
    tools += [(f"{count} sockets", _with_sockets, count)
              for count in (SMOKE_SOCKETS if bench.smoke else SOCKETS)]
    for number in range(bench.rounds):
        found = {}
        for name, measure, what in in_turn(tools, number):
            found[name] = measure(bench, what, packets)
        base = found["1 job"]["rate"]
        figures = {}
        for name, values in found.items():
            figures |= {f"{name} {key}": x for key, x in values.items()}
            figures[f"{name} to 1 job"] = values["rate"] / base
        lines = [_line(name, found[name], base) for name, _, _ in tools]
        bench.report.round("".join(lines), **figures)
    return [name for name, _, _ in tools]


def _change(bench, jobs):
    """Starts one more job and stops it. Returns, in milliseconds since the
    request, when the first packet came, when the last one, when we had the
    answers, and when the savefile had its name."""
    api = jobs.api
    fields = {"destination_address": f"198.51.100.{CHANGE_FLOW}"}
    start_ns = time.time_ns()
    job_id = api.create(fields)
    started_ns = time.time_ns()
    bench.link.wait_received(CHANGE_PACKETS)
    stop_ns = time.time_ns()
    api.stop(job_id)
    stopped_ns = time.time_ns()
    wait_until("it is sealed", lambda: api.job(job_id)["status"] == "success")
    records, sealed_ns = jobs.savefile(job_id)
    numbers = [number_of(record) for record in records]
    assert numbers == list(
        range(numbers[0], numbers[-1] + 1, CHANGE_FLOWS)
    ), "packets are missing"
    api.delete(job_id)
    return {name: ns / 1e6 for name, ns in {
        "start": records[0].time_ns - start_ns,
        "stop": records[-1].time_ns - stop_ns,
        "start answered": started_ns - start_ns,
        "stop answered": stopped_ns - stop_ns,
        "sealed": sealed_ns - stop_ns,
    }.items()}


def _changes(bench, count):
    """Starts and stops beside so many jobs, which all get their packets."""
    changes = SMOKE_CHANGES if bench.smoke else CHANGES
    every = {}
    with Jobs(bench, count, 1) as jobs:
        with bench.link.flowing(
            CHANGE_COUNT, "60", CHANGE_FLOWS, CHANGE_RATE, count
        ) as total:
            for _ in range(changes):
                for name, ms in _change(bench, jobs).items():
                    every.setdefault(name, []).append(ms)
        (sent,) = total
        jobs.wait_last(sent)
        lost = jobs.verify(sent)
    bench.report.round(
        f"{changes} changes beside {count} jobs, {sent} packets, {lost} lost",
        sent=sent, lost=lost, **every,
    )
    return every


def many(bench):
    """Jobs with filters of their own, on one interface."""
    report = bench.report
    section = "many" if bench.classifier else "many, without the classifier"
    report.section(section, packets=COUNT, one_in=ONE_IN)
    for name in _rates(bench):
        report.figure(f"{name}, rate to that with 1 job",
                      report.median_of(f"{name} to 1 job"))
    if not bench.classifier:
        return
    most = SMOKE_MIXES[-1][0] if bench.smoke else MIXES[-1][0]
    for shapes, limit in ((1, 0.85), (8, 0.65)):
        name = _name(most, shapes)
        report.at_least(f"{name}, rate to that with 1 job",
                        report.median_of(f"{name} to 1 job"), limit)
        report.at_most(f"{name}, packets lost",
                       report.median_of(f"{name} lost"), 0)
    report.section("many, changes", packets_per_s=CHANGE_RATE)
    every = _changes(bench, most)
    for name, values in every.items():
        report.figure(f"{name}, median", statistics.median(values), " ms")
        report.figure(f"{name}, p99", p99(values), " ms")
    for name in ("start", "stop"):
        report.at_most(f"{name} beside {most} jobs, median",
                       statistics.median(every[name]), 5, " ms")
    report.at_most("changes, packets that other jobs lost",
                   report.median_of("lost"), 0)
