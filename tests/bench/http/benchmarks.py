"""The benchmarks. Each interleaves its rivals round by round, so that what the
machine does besides hits both."""

import concurrent.futures
import json
import pathlib
import random
import statistics
import subprocess
import sys
import threading
import time

from harness.daemon import TOKEN, bearer
from harness.packets import ethernet, marked, udp_ipv4
from harness.prometheus import Metrics
from harness.savefiles import read_pcap
from harness.waiting import wait_until

import load
import rivals
import seed

HEADERS = bearer(TOKEN)
IO_THREADS = 2
_HERE = pathlib.Path(__file__).parent


def _interleaved(number, first, second):
    """Calls both, by turns the one or the other first; returns the results of
    `first` and `second`."""
    if number % 2 == 0:
        a = first()
        return a, second()
    b = second()
    return first(), b


# -- a large download ----------------------------------------------------------

DOWNLOAD_RATIO = 0.8
DOWNLOAD_GROWTH_MIB = 16


def download(bench):
    """One client that downloads the large file: edgecapd against nginx."""
    stored = bench.stored
    report = bench.report
    report.section("download", bytes=stored.large_bytes)
    ours = bench.api.path(stored.large_id, "/download")
    theirs = f"/{stored.large_id}.pcap"
    daemon = bench.daemon
    with rivals.Nginx(bench.directory("nginx"), stored.savefiles) as nginx:
        with stored.large_content() as content:
            view = memoryview(content)
            load.download(daemon.port, ours, HEADERS, view)
            load.download(nginx.port, theirs, {}, view)
            view.release()
        daemon.forget_peak()
        before = daemon.resident_bytes()
        for number in range(bench.rounds):
            (size, edgecap_s), (_, nginx_s) = _interleaved(
                number,
                lambda: load.download(daemon.port, ours, HEADERS),
                lambda: load.download(nginx.port, theirs, {}),
            )
            report.round(
                f"edgecapd {size / edgecap_s / 1e9:.2f} GB/s, "
                f"nginx {size / nginx_s / 1e9:.2f} GB/s, "
                f"ratio {nginx_s / edgecap_s:.2f}",
                edgecap_s=edgecap_s,
                nginx_s=nginx_s,
                ratio=nginx_s / edgecap_s,
            )
        growth = (daemon.peak_bytes() - before) / (1 << 20)
    report.at_least(
        "download, speed to nginx's", report.median_of("ratio"), DOWNLOAD_RATIO
    )
    report.at_most(
        "download, memory growth", growth, DOWNLOAD_GROWTH_MIB, " MiB"
    )


# -- status and list -----------------------------------------------------------

REQUEST_RATIO = 0.6
REQUEST_P99_RATIO = 3


def _check_status(bench, number):
    """Whether the answer tells what is stored."""
    job = bench.api.job(seed.job_id(number))
    large = number == bench.stored.jobs - 1
    assert job["id"] == seed.job_id(number), job
    assert job["status"] == "success" and job["time_limit"] == 60, job
    assert large or job["bytes_captured"] == seed.SMALL_PACKET_BYTES, job
    assert job["submitted"] == seed.rfc3339(
        bench.stored.submitted_ns(number)
    ), job
    assert len(job["interfaces"]) == 1, job


def _check_list(bench, page):
    answer = bench.api.get(f"{bench.api.base}?page={page}&per_page=50")
    newest = bench.stored.jobs - 1 - 50 * (page - 1)
    expected = [seed.job_id(newest - i) for i in range(min(50, newest + 1))]
    assert [job["id"] for job in answer.result] == expected, answer
    assert answer.json["result_info"]["total_count"] == bench.stored.jobs


def check_answers(bench):
    """Asks from 32 threads at once, and compares every answer."""
    choose = random.Random(1)
    numbers = [choose.randrange(bench.stored.jobs) for _ in range(200)]
    pages = [1 + choose.randrange(bench.stored.jobs // 50) for _ in range(20)]
    with concurrent.futures.ThreadPoolExecutor(load.CONNECTIONS) as pool:
        asked = [pool.submit(_check_status, bench, n) for n in numbers]
        asked += [pool.submit(_check_list, bench, p) for p in [1, *pages]]
        for each in asked:
            each.result()


def _told(figures):
    return (
        f"{figures['per_second']:.0f}/s, p99 {figures['p99_us'] / 1000:.2f} ms,"
        f" {figures['cpu_us']:.0f} us of CPU each"
    )


def _requests(bench, name, paths):
    """Requests/s of one kind of request: edgecapd against bare Pistache."""
    report = bench.report
    body_bytes = len(bench.api.get(paths[0]).body)
    report.section(name, stored_jobs=bench.stored.jobs, body_bytes=body_bytes)
    file = bench.directory(name) / "paths"
    file.write_text("\n".join(paths) + "\n", encoding="ascii")

    def ask(port, process):
        return load.wrk(port, process, file, HEADERS, bench.seconds)

    with rivals.BarePistache(body_bytes, IO_THREADS) as bare:
        for number in range(bench.rounds):
            ours, theirs = _interleaved(
                number,
                lambda: ask(bench.daemon.port, bench.daemon.pid),
                lambda: ask(bare.port, bare.process.pid),
            )
            ratio = ours["per_second"] / theirs["per_second"]
            report.round(
                f"edgecapd {_told(ours)}; bare Pistache {_told(theirs)}; "
                f"ratio {ratio:.2f}, of p99 "
                f"{ours['p99_us'] / theirs['p99_us']:.2f}",
                edgecap=ours,
                bare=theirs,
                ratio=ratio,
                p99_ratio=ours["p99_us"] / theirs["p99_us"],
            )
    report.at_least(
        f"{name}, requests/s to bare Pistache's",
        report.median_of("ratio"),
        REQUEST_RATIO,
    )
    report.at_most(
        f"{name}, p99 to bare Pistache's",
        report.median_of("p99_ratio"),
        REQUEST_P99_RATIO,
    )


def status(bench):
    """The status of all jobs that are stored, in random order and again."""
    check_answers(bench)
    jobs = list(range(bench.stored.jobs - 1))
    random.Random(2).shuffle(jobs)
    _requests(
        bench,
        "status",
        [bench.api.path(seed.job_id(job)) for job in jobs],
    )


def list_(bench):
    """The list as a client that follows its jobs asks for it."""
    check_answers(bench)
    _requests(bench, "list", [bench.api.base])


# -- a siege -------------------------------------------------------------------

SIEGE_P99_RATIO = 3
# A server that is overloaded before the siege has nothing to lose.
CALM_P99_MS = 50
SIEGE_MEMORY_MIB = 300
PACED_PER_SECOND = 200
PACKETS_PER_SECOND = 1000
PACKET_PORT = 5000
CAPTURED_TIMEOUT_S = 60.0
# Looks at a daemon at rest, whose most is what is normal.
REST_SAMPLES = 20
BACK_TO_NORMAL_TIMEOUT_S = 60.0


class _Capture:
    """A capture of packets that are sent meanwhile, as long as the `with`
    block; every one must be in its savefile."""

    def __init__(self, bench):
        self._api = bench.api
        self._link = bench.link
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._send)
        self.sent = 0

    def _frame(self, number):
        return ethernet(
            udp_ipv4(marked(number), destination_port=PACKET_PORT)
        )

    def _send(self):
        begin = time.monotonic()
        while not self._stop.is_set():
            self._link.send(self._frame(self.sent))
            self.sent += 1
            due = begin + self.sent / PACKETS_PER_SECOND
            self._stop.wait(max(0.0, due - time.monotonic()))

    def __enter__(self):
        self._id = self._api.create(
            time_limit=86400,
            packet_limit=1_000_000,
            filter_v1={"destination_port": PACKET_PORT},
        )["id"]
        self._api.wait_capturing(self._id)
        self._thread.start()
        return self

    def __exit__(self, kind, *_):
        self._stop.set()
        self._thread.join()
        if kind is None:
            self._judge()

    def _judge(self):
        self._api.wait_captured(self._id, self.sent, CAPTURED_TIMEOUT_S)
        self._api.stop(self._id)
        job = self._api.wait_success(self._id)
        report = job["interfaces"][0]
        assert job["packets_captured"] == self.sent, job
        assert report["dropped_by_kernel"] == 0, job
        assert report["dropped_by_us"] == 0, job
        records = read_pcap(self._api.download(self._id)).records
        expected = [self._frame(number) for number in range(self.sent)]
        assert [record.data for record in records] == expected, "other packets"
        self._api.delete(self._id)


def _start(script, **arguments):
    return subprocess.Popen(
        [sys.executable, str(_HERE / script), json.dumps(arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


class _Hostile:
    """The hostile clients, as long as the `with` block."""

    def __init__(self, bench):
        self._process = _start(
            "hostile_clients.py",
            port=bench.daemon.port,
            download=bench.api.path(bench.stored.large_id, "/download"),
            headers=HEADERS,
            **bench.crowd,
        )
        self.said = None

    def __enter__(self):
        assert self._process.stdout.readline() == "ready\n"
        return self

    def __exit__(self, *_):
        self.said = json.loads(self._process.communicate("", 60)[0])
        assert self._process.returncode == 0


def _paced(bench):
    """p99 of status and of list, in milliseconds, under the paced load."""
    paths = [bench.api.path(seed.job_id(7)), bench.api.base]
    process = _start(
        "paced_load.py",
        port=bench.daemon.port,
        paths=paths,
        headers=HEADERS,
        per_second=PACED_PER_SECOND,
        seconds=bench.seconds,
    )
    output = process.communicate(timeout=bench.seconds + 60)[0]
    assert process.returncode == 0
    return [
        statistics.quantiles(latencies, n=100)[98] / 1000
        for latencies in json.loads(output)
    ]


def _gauges(bench):
    """What the daemon has open, by its own account."""
    metrics = Metrics(bench.api.get("/metrics").body.decode())
    return {
        name: metrics.total(f"edgecap_http_{name}_open")
        for name in ("connections", "bodies")
    }


def _footprint(bench):
    return {
        "descriptors": bench.daemon.descriptors(),
        "threads": bench.daemon.threads(),
        **_gauges(bench),
    }


def _all_in(bench):
    """The gauges once all hostile clients are there but those that pause."""
    now = _gauges(bench)
    staying = sum(bench.crowd.values()) - bench.crowd["aborting"]
    all_in = (
        now["connections"] >= staying
        and now["bodies"] >= bench.crowd["stalled"]
    )
    return now if all_in else None


def _most(footprints):
    return {name: max(x[name] for x in footprints) for name in footprints[0]}


def _is_within(footprint, bounds):
    return all(footprint[name] <= bounds[name] for name in bounds)


def siege(bench):
    """status and list while hostile clients do their worst."""
    report = bench.report
    report.section("siege", crowd=bench.crowd, per_second=PACED_PER_SECOND)
    with _Capture(bench):
        _paced(bench)
    # The connection that asked before may or may not be gone.
    normal = _most([_footprint(bench) for _ in range(REST_SAMPLES)])
    bench.daemon.forget_peak()
    for _ in range(bench.rounds):
        with _Capture(bench) as capture:
            calm = _paced(bench)
            with _Hostile(bench) as hostile:
                open_ = wait_until(
                    lambda: f"{bench.crowd}: {_gauges(bench)}",
                    lambda: _all_in(bench),
                )
                under_siege = _paced(bench)
        wait_until(
            lambda: f"{normal}: {_footprint(bench)}",
            lambda: _is_within(_footprint(bench), normal),
            BACK_TO_NORMAL_TIMEOUT_S,
        )
        ratios = [x / y for x, y in zip(under_siege, calm)]
        report.round(
            f"status p99 {calm[0]:.2f} -> {under_siege[0]:.2f} ms, list p99 "
            f"{calm[1]:.2f} -> {under_siege[1]:.2f} ms; "
            f"{open_['connections']:.0f} connections, "
            f"{hostile.said['aborted']} downloads aborted, "
            f"{hostile.said['thrown_out']} thrown out, "
            f"{capture.sent} of {capture.sent} packets captured",
            calm_p99_ms=calm,
            siege_p99_ms=under_siege,
            calm_worst_ms=max(calm),
            status_ratio=ratios[0],
            list_ratio=ratios[1],
            packets=capture.sent,
            **hostile.said,
        )
    report.at_most(
        "siege, p99 before it", report.median_of("calm_worst_ms"), CALM_P99_MS,
        " ms",
    )
    for name in ("status", "list"):
        report.at_most(
            f"siege, p99 of {name} to that before",
            report.median_of(f"{name}_ratio"),
            SIEGE_P99_RATIO,
        )
    report.at_most(
        "siege, peak of memory",
        bench.daemon.peak_bytes() / (1 << 20),
        SIEGE_MEMORY_MIB,
        " MiB",
    )


ALL = {"download": download, "status": status, "list": list_, "siege": siege}
