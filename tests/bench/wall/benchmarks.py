"""The benchmarks. Each takes the ways by turns, round by round, so that what the
machine does besides hits all of them."""

import contextlib
import datetime
import json
import os
import socket
import statistics
import tempfile
import time

from harness.fleets import CollectorDaemon
from harness.hosts import NODE_USER
from harness.waiting import wait_until
from harness.walls import BASP_PORT, cpu_s

import ways
from crowd import Crowd

KIB = 1 << 10
SIZES = (256 * KIB, 1024 * KIB)
# Batches that are sent and not yet acknowledged.
WINDOW = 4
THROUGHPUT_RATIO = 0.5


def _run(fleet, command):
    """Runs a client on the edge; returns what it printed, line by line, and the
    processor time that it took."""
    before = os.times()
    done = fleet.edges[0].run(command, NODE_USER, text=True)
    after = os.times()
    assert done.returncode == 0, done
    took = after.children_user + after.children_system
    took -= before.children_user + before.children_system
    return [json.loads(line) for line in done.stdout.splitlines()], took


def _client(fleet, link, command, *options):
    program = [fleet.work / "basp_peer", command, str(link.port)]
    return [*program, *link.options, *options]


def _push(fleet, link, size, seconds):
    """Sends batches; returns MB/s, and seconds of a processor for each GB, of
    the two nodes and of what is between them."""
    options = ["--bytes", str(size), "--window", str(WINDOW)]
    options += ["--seconds", str(seconds)]
    before_s = sum(process.cpu_s() for process in link.between)
    (result,), client_s = _run(fleet, _client(fleet, link, "push", *options))
    between_s = sum(process.cpu_s() for process in link.between) - before_s
    gigabytes = result["bytes"] / 1e9
    return {
        "mb_per_s": result["bytes"] / 1e6 / result["seconds"],
        "client_cpu_s_per_gb": client_s / gigabytes,
        "between_cpu_s_per_gb": between_s / gigabytes,
    }


def _rotated(names, number):
    """The names, another one first in each round."""
    number %= len(names)
    return names[number:] + names[:number]


# -- throughput --------------------------------------------------------------------


def throughput(bench):
    """Batches one way, and TLS alone beside them."""
    fleet = bench.fleet
    for size in SIZES:
        bench.report.section(f"batches of {size // KIB} KiB", window=WINDOW)
        for number in range(bench.rounds):
            figures = {}
            for name in _rotated([*ways.ALL, "raw TLS"], number):
                if name == "raw TLS":
                    with ways.RawTls(fleet) as raw:
                        (result,), _ = _run(
                            fleet, raw.push(size, bench.seconds)
                        )
                    speed = result["bytes"] / 1e6 / result["seconds"]
                    figures[name] = {"mb_per_s": speed}
                else:
                    with ways.ALL[name](fleet) as link:
                        figures[name] = _push(fleet, link, size, bench.seconds)
            ratio = (
                figures["wall"]["mb_per_s"] / figures["raw TLS"]["mb_per_s"]
            )
            told = ", ".join(
                f"{name} {figures[name]['mb_per_s']:.0f} MB/s"
                for name in [*ways.ALL, "raw TLS"]
            )
            bench.report.round(
                f"{told}; ratio {ratio:.2f}", ratio=ratio, **figures
            )
        for name in ways.ALL:
            for figure in ("client_cpu_s_per_gb", "between_cpu_s_per_gb"):
                bench.report.figure(
                    f"{name}, {figure}",
                    statistics.median(
                        x[name][figure] for x in bench.report.rounds()
                    ),
                    " s",
                )
        bench.report.at_least(
            f"batches of {size // KIB} KiB over the wall, speed to raw TLS's",
            bench.report.median_of("ratio"),
            THROUGHPUT_RATIO,
        )


# -- captures ----------------------------------------------------------------------

PACKET_BYTES = 1000
CAPTURE_BYTES = 800_000_000
SMOKE_CAPTURE_BYTES = 8_000_000


def captures(bench):
    """What an edge captures, counted and written by the collector, and TLS alone
    beside it: edgecapd's own batches over the wall."""
    fleet = bench.fleet
    size = SMOKE_CAPTURE_BYTES if bench.smoke else CAPTURE_BYTES
    bench.report.section("captures", bytes=size, packet_bytes=PACKET_BYTES)
    for number in range(bench.rounds):
        figures = {}
        for name in _rotated(["capture", "raw TLS"], number):
            if name == "capture":
                figures |= _capture(bench, size, number)
            else:
                with ways.RawTls(fleet) as raw:
                    (result,), _ = _run(fleet, raw.push(256 * KIB, bench.seconds))
                speed = result["bytes"] / 1e6 / result["seconds"]
                figures["raw_tls_mb_per_s"] = speed
        ratio = figures["mb_per_s"] / figures["raw_tls_mb_per_s"]
        bench.report.round(
            f"capture {figures['mb_per_s']:.0f} MB/s, raw TLS "
            f"{figures['raw_tls_mb_per_s']:.0f} MB/s; ratio {ratio:.2f}; "
            f"{figures['collector_cpu_s_per_gb']:.2f} CPU s/GB at the collector, "
            f"{figures['edge_cpu_s_per_gb']:.2f} at the edge, "
            f"{figures['between_cpu_s_per_gb']:.2f} between them",
            ratio=ratio,
            **figures,
        )
    bench.report.at_least(
        "captures over the wall, speed to raw TLS's",
        bench.report.median_of("ratio"),
        THROUGHPUT_RATIO,
    )


def _capture(bench, size, number):
    """One capture of so many bytes from the edge."""
    fleet = bench.fleet
    files = ways.Files(fleet)
    work = fleet.work / f"capture-{number}"
    work.mkdir()
    packets = size // PACKET_BYTES
    with tempfile.TemporaryDirectory(dir="/dev/shm") as memory:
        sections = {
            "storage": {"directory": f"{memory}/captures"},
            "limits": {"packet_limit": packets},
        }
        collector = CollectorDaemon(
            fleet.collector, work, files.collector, sections
        )
        with collector:
            crowd = Crowd(
                work,
                range(1, 2),
                BASP_PORT,
                fleet.edges[0].prepare(NODE_USER),
                packets=packets,
                length=PACKET_BYTES,
                certificate=files.edge / "node.crt",
                key=files.edge / "node.key",
            )
            client = collector.client()
            wait_until(
                lambda: f"the edge joins:\n{collector.log()}",
                lambda: collector.events("node-joined"),
                20,
            )
            job_id = client.create(packet_limit=packets)["id"]
            client.wait_capturing(job_id)
            parties = {
                "collector": [collector.pid],
                "edge": [crowd.process.pid],
                "between": [
                    x.pid for x in (fleet.collector_wall, fleet.edge_walls[0])
                ],
            }
            before = {
                name: sum(map(cpu_s, pids)) for name, pids in parties.items()
            }
            begin = time.time()
            crowd.send()
            job = client.wait_success(job_id, 120)
            result = {
                f"{name}_cpu_s_per_gb": (sum(map(cpu_s, pids)) - before[name])
                / (size / 1e9)
                for name, pids in parties.items()
            }
            assert job["packets_captured"] == packets, job
            crowd.stop()
            crowd.wait()
    finished = datetime.datetime.fromisoformat(job["finished"][:-1] + "+00:00")
    result["mb_per_s"] = size / 1e6 / (finished.timestamp() - begin)
    return result


# -- round trips -------------------------------------------------------------------


def round_trips(bench):
    """A small question and its answer, one at a time."""
    bench.report.section("round trips")
    for number in range(bench.rounds):
        figures = {}
        for name in _rotated([*ways.ALL], number):
            with ways.ALL[name](bench.fleet) as link:
                command = _client(
                    bench.fleet, link, "ask", "--seconds", str(bench.seconds)
                )
                stretches, _ = _run(bench.fleet, command)
            trips = sum(x["trips"] for x in stretches)
            mean = sum(x["mean_us"] * x["trips"] for x in stretches) / trips
            figures[name] = mean
        told = ", ".join(f"{name} {figures[name]:.0f} us" for name in ways.ALL)
        bench.report.round(told, **figures)


# -- strangers ---------------------------------------------------------------------

SILENT = (1, 500)


def silent(bench):
    """What connections that say nothing cost the port that strangers reach, as
    a share of one core, and whether a node gets in meanwhile."""
    fleet = bench.fleet
    bench.report.section("silent connections")
    for name, way in ways.ALL.items():
        for count in SILENT:
            with way(fleet) as link, contextlib.ExitStack() as stack:
                for number in range(count):
                    stack.enter_context(_silent(fleet, link, number))
                began, before = time.monotonic(), link.exposed.cpu_s()
                wait_until(
                    "time to be watched",
                    lambda: time.monotonic() >= began + bench.seconds,
                    bench.seconds + 10,
                )
                used = link.exposed.cpu_s() - before
                share = used / (time.monotonic() - began)
                command = _client(fleet, link, "ask", "--seconds", "0.5")
                stretches, _ = _run(fleet, command)
                bench.report.figure(
                    f"{name}, {count} silent, share of a core", share
                )
                bench.report.figure(
                    f"{name}, {count} silent, round trip",
                    statistics.median(x["mean_us"] for x in stretches),
                    " us",
                )


def _silent(fleet, link, number):
    # The rules' limits are for each address.
    source = f"10.78.{number // 250}.{number % 250 + 1}"
    target = (fleet.collector.address, link.exposed_port)
    return socket.create_connection(target, 10, (source, 0))


ALL = {
    "throughput": throughput,
    "captures": captures,
    "round-trips": round_trips,
    "silent": silent,
}
