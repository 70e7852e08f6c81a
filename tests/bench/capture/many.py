"""Many jobs on one interface: what they cost the link, and each other."""

import statistics
import time

from harness.waiting import wait_until

from benchmarks import in_turn, p99
from jobs import ONE_IN, Jobs, filter_of, number_of
from sockets import Sockets

# How many jobs, and of how many shapes. The packets for each are the same.
MIXES = ((0, 1), (1, 1), (10, 1), (100, 1), (500, 1), (5000, 1),
         (100, 8), (500, 8), (5000, 8))
SMOKE_MIXES = ((0, 1), (1, 1), (10, 1), (50, 1), (50, 8))
# Of the union that takes the classifier's place.
MOST_IN_UNION = 500
SOCKETS = (1, 10, 100)
SMOKE_SOCKETS = (1, 10)
SOCKETS_LIMIT = 0.5
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
# From one packet of the job to the next.
CHANGE_GAP_MS = CHANGE_FLOWS / CHANGE_RATE * 1e3
# What a start and a stop may take, and their answers.
CHANGE_LIMIT_MS = 5

# How long the processor time of jobs is measured that get no packets.
REST_S = 1.0


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


def _line(name, figures):
    text = (f"\n  {name:22}{figures['rate'] / 1e6:6.3f} M/s, "
            f"{figures['to 1 job']:.2f} of that with 1 job, "
            f"{figures['to no job']:.2f} of that with none "
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
    tools += [(f"{count} socket" + "s" * (count > 1), _with_sockets, count)
              for count in (SMOKE_SOCKETS if bench.smoke else SOCKETS)]
    for number in range(bench.rounds):
        found = {}
        for name, measure, what in in_turn(tools, number):
            found[name] = measure(bench, what, packets)
        figures = {}
        for name, values in found.items():
            for base in ("1 job", "no job"):
                values[f"to {base}"] = values["rate"] / found[base]["rate"]
            figures |= {f"{name} {key}": x for key, x in values.items()}
        lines = [_line(name, found[name]) for name, _, _ in tools]
        bench.report.round("".join(lines), **figures)
    return [name for name, _, _ in tools]


def _change(bench, jobs, received_before):
    """Starts one more job and stops it. Returns, in milliseconds since the
    request, when the first packet came, when the last one, when we had the
    answers, and when the savefile had its name. Packets are numbered from 0,
    which came in after `received_before` others."""
    api = jobs.api
    fields = {"destination_address": f"198.51.100.{CHANGE_FLOW}"}
    start_ns = time.time_ns()
    job_id = api.create(fields)
    started_ns = time.time_ns()
    bench.link.wait_received(CHANGE_PACKETS)
    received = bench.link.received() - received_before
    stop_ns = time.time_ns()
    api.stop(job_id)
    stopped_ns = time.time_ns()
    wait_until("it is sealed", lambda: api.job(job_id)["status"] == "success")
    records, sealed_ns = jobs.savefile(job_id)
    numbers = [number_of(record) for record in records]
    assert numbers == list(
        range(numbers[0], numbers[-1] + 1, CHANGE_FLOWS)
    ), "packets are missing"
    # All that came in before the request, to the last one.
    assert numbers[-1] + CHANGE_FLOWS >= received, (
        f"{numbers[-1]} is the last one, though {received} had come in"
    )
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
        before = bench.link.received()
        with bench.link.flowing(
            CHANGE_COUNT, "60", CHANGE_FLOWS, CHANGE_RATE, count
        ) as total:
            for _ in range(changes):
                for name, ms in _change(bench, jobs, before).items():
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
    sockets = (SMOKE_SOCKETS if bench.smoke else SOCKETS)[-1]
    # Otherwise this kernel does not count what a socket costs in the generator's
    # time, nor what we cost.
    report.at_most(f"{sockets} sockets, rate to that with 1 job",
                   report.median_of(f"{sockets} sockets to 1 job"),
                   SOCKETS_LIMIT)
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
    for name in ("start", "stop", "start answered", "stop answered"):
        report.at_most(f"{name} beside {most} jobs, median",
                       statistics.median(every[name]), CHANGE_LIMIT_MS, " ms")
    # Older, the last packet would be before the request, and others missing.
    report.at_least(f"stop beside {most} jobs, last packet, median",
                    statistics.median(every["stop"]), -2 * CHANGE_GAP_MS, " ms")
    report.at_most("changes, packets that other jobs lost",
                   report.median_of("lost"), 0)
