"""The benchmarks. Tools take turns round by round, and who begins changes, so
that what the machine does besides hits all."""

import filecmp
import os
import statistics
import subprocess
import time

from harness.network import die_with_parent

import fairness
from rivals import RIVALS, Edgecapd, NetsniffNg, Tcpdump, cost_of
from traffic import check

FLOWS = 100
# What matches 1 % of the packets.
ONE_FLOW = 7
ONE_ADDRESS = f"198.51.100.{ONE_FLOW}"
RECORD_HEADER = 16
WRITE_BYTES = 1 << 20


class _Profile:
    def __init__(self, name, count, mean_bytes, limits, rate=0):
        self.title = f"{name} at {rate:,}/s" if rate else name
        self.name = name
        self.rate = rate
        self.count = count
        self.record_bytes = RECORD_HEADER + mean_bytes
        self.limits = limits


# Of each rival's processor time, ours may be so much.
FULL = (
    _Profile("60", 4_000_000, 60,
             {"tcpdump": 0.5, "netsniff-ng": 0.25, "dumpcap": 0.1}),
    _Profile("1514", 500_000, 1514,
             {"tcpdump": 0.4, "netsniff-ng": 0.4}),
    # So many that every tool can keep up.
    _Profile("1514", 500_000, 1514, {}, 300_000),
    _Profile("mixed", 2_000_000, 407, {}),
)
# Slower, the generator would be what is measured.
LEAST_OFFERED_M_PER_S = 1.3
# At rest a daemon costs nothing, but a process costs its start: so many packets
# that this does not decide.
FILTERED_COUNT = 10_000_000
SAMPLING_COUNT = 10_000_000
SAMPLING_ONE_IN = 100
SMOKE_COUNT = 50_000

STARTS_PER_ROUND = 20
SMOKE_STARTS = 2
OPEN = "edgecapd-open"
CLOSED = "edgecapd-closed"
START_RATE = 100_000
# More than a benchmark takes.
START_COUNT = START_RATE * 3600
# As much as fills a block of tcpdump's ring: what is in one that is not full it
# loses when it is stopped.
START_PACKETS = 20_000

MERGE_RUNS = 8
MERGE_BYTES = 1_000_000_000
SMOKE_MERGE_BYTES = 10_000_000
MERGE_PROFILES = ("60", "mixed")


def _capture(bench, tool, count, profile, flow):
    """One capture by one tool. Returns what it cost, at which rate packets were
    offered, and how many of them it lost."""
    expected = count if flow is None else count // FLOWS
    size = expected * profile.record_bytes
    with tool:
        rate, _ = bench.link.send(count, profile.name, FLOWS,
                                  rate=profile.rate)
        tool.settle(size)
        cost = tool.finish()
    found = check(tool.file, count, FLOWS, flow)
    figures = {
        "cpu_us": cost.cpu_s / count * 1e6,
        "peak_mib": cost.peak_mib,
        "switches": cost.switches,
        "offered_per_s": rate,
        "lost": found["missing"],
    }
    if tool.sampling > 1:
        figures |= fairness.p_values(found, count, tool.sampling)
        figures["lost"] = tool.dropped()
    tool.forget()
    return figures


def _write_alone(bench, count, profile):
    """Processor seconds that it takes to write what a savefile of so many
    packets has, from memory, while packets come in that nobody captures: no
    capture takes less."""
    content = memoryview(os.urandom(WRITE_BYTES))
    left = count * profile.record_bytes
    path = bench.work / "alone"
    with bench.link.flooded(count, profile.name):
        begin = time.process_time()
        with open(path, "wb", buffering=0) as file:
            while left > 0:
                left -= file.write(content[:left])
        result = time.process_time() - begin
    path.unlink()
    return result


def in_turn(tools, number):
    """The tools, another one first in each round."""
    turn = number % len(tools)
    return tools[turn:] + tools[:turn]


def _rounds(bench, profile, count, flow=None, rivals=RIVALS, sampling=1):
    """All tools, round by round."""
    work = bench.directory(f"{profile.name}-{profile.rate}-{flow}-{sampling}")
    ours = Edgecapd(work, bench.link, sampling)
    ours.start()
    fields = {} if flow is None else {"destination_address": ONE_ADDRESS}
    text = "" if flow is None else f"dst host {ONE_ADDRESS}"
    if bench.smoke:
        count = SMOKE_COUNT
    for number in range(bench.rounds):
        tools = [ours.filtering(fields)]
        tools += [kind(work, bench.link, text) for kind in rivals]
        found = {}
        for tool in in_turn(tools, number):
            found[tool.name] = _capture(bench, tool, count, profile, flow)
        if sampling > 1:
            fairness.judge(
                found["edgecapd"],
                lambda: _capture(bench, ours, count, profile, flow),
            )
        figures = {}
        lines = []
        if sampling == 1 and flow is None:
            alone = _write_alone(bench, count, profile) / count * 1e6
            figures["file alone cpu_us"] = alone
            lines.append(f"\n  {'file alone':12}{alone:7.3f} us of CPU a packet")
        for name, figure in found.items():
            figures |= {f"{name} {key}": x for key, x in figure.items()}
            ratio = found["edgecapd"]["cpu_us"] / figure["cpu_us"]
            if name != "edgecapd":
                figures[f"to {name}"] = ratio
            chances = [
                f", {key} {x:.2g}"
                for key, x in figure.items() if key.startswith("p ")
            ]
            lines.append(
                f"\n  {name:12}{figure['cpu_us']:7.3f} us of CPU a packet, "
                f"{figure['lost']:8} lost of {count} at "
                f"{figure['offered_per_s'] / 1e6:.2f} M/s, "
                f"{figure['peak_mib']:5.0f} MiB, "
                f"{figure['switches']:6} switches, ratio {ratio:.2f}"
                + "".join(chances)
            )
        figures["to the cheapest"] = max(
            figures[f"to {kind.name}"] for kind in rivals
        )
        bench.report.round("".join(lines), **figures)
    ours.stop()


def _medians(report, title, rivals=RIVALS):
    """What the rounds say of each tool."""
    for name in ("edgecapd", *(kind.name for kind in rivals)):
        values = {
            key: report.median_of(f"{name} {key}")
            for key in ("cpu_us", "peak_mib", "switches", "offered_per_s", "lost")
        }
        worst = max(x[f"{name} lost"] for x in report.rounds())
        text = (f"{values['cpu_us']:.3f} us of CPU a packet, "
                f"{values['peak_mib']:.0f} MiB, "
                f"{values['switches']:.0f} switches, {values['lost']:.0f} lost, "
                f"{worst} in the worst round")
        values["worst lost"] = worst
        if name != "edgecapd":
            values["ratio"] = report.median_of(f"to {name}")
            text += f", ratio {values['ratio']:.2f}"
        report.figures(f"{title}, {name}, medians", text, **values)


def _judge_offered(report):
    """Whether 60 bytes come as fast as the limits suppose."""
    report.at_least("60, packets offered",
                    report.median_of("edgecapd offered_per_s") / 1e6,
                    LEAST_OFFERED_M_PER_S, " M/s")


def full(bench):
    """Everything, as fast as the generator gives it."""
    for profile in FULL:
        report = bench.report
        report.section(f"full {profile.title}", packets=profile.count)
        _rounds(bench, profile, profile.count)
        _medians(report, profile.title)
        if profile.name == "60":
            _judge_offered(report)
        report.at_most(
            f"{profile.title}, packets lost",
            report.median_of("edgecapd lost"), 0,
        )
        for rival, limit in profile.limits.items():
            report.at_most(
                f"{profile.title}, CPU to {rival}'s",
                report.median_of(f"to {rival}"), limit,
            )


def filtered(bench):
    """A filter that matches 1 % of the packets."""
    report = bench.report
    report.section("filtered", packets=FILTERED_COUNT)
    _rounds(bench, FULL[0], FILTERED_COUNT, ONE_FLOW)
    _medians(report, "1 % match")
    _judge_offered(report)
    report.at_most("1 % match, packets lost",
                   report.median_of("edgecapd lost"), 0)
    report.at_most("1 % match, CPU to the cheapest rival's",
                   report.median_of("to the cheapest"), 1)


def sampling(bench):
    """One in a hundred, beside tools that have to take all."""
    report = bench.report
    rivals = (Tcpdump, NetsniffNg)
    report.section("sampling", packets=SAMPLING_COUNT, one_in=SAMPLING_ONE_IN)
    _rounds(bench, FULL[0], SAMPLING_COUNT, rivals=rivals,
            sampling=SAMPLING_ONE_IN)
    _medians(report, "1 in 100", rivals)
    _judge_offered(report)
    report.at_most("1 in 100, packets of the sample lost",
                   report.median_of("edgecapd lost"), 0)
    report.at_most("1 in 100, CPU to the cheapest rival's",
                   report.median_of("to the cheapest"), 0.1)


def _started(bench, tool):
    """Captures a little. Returns the milliseconds from the request to the first
    packet, and how many are missing behind it."""
    with tool:
        bench.link.wait_received(START_PACKETS)
        tool.finish()
    found = check(tool.file, START_COUNT, FLOWS)
    tool.forget()
    return ((found["first_ns"] - tool.requested_ns) / 1e6,
            found["last"] - found["first"] + 1 - found["packets"])


def p99(values):
    """The 99th percentile."""
    return statistics.quantiles(values, n=100, method="inclusive")[98]


def _start_rounds(bench):
    """Starts by turns, in rounds. Returns all that each tool took."""
    work = bench.directory("start")
    # With one the interface is still open from the capture before, as it is
    # shipped; the other opens it anew.
    ours = [Edgecapd(work, bench.link, name=OPEN),
            Edgecapd(work, bench.link, name=CLOSED, idle_time="0ms")]
    for each in ours:
        each.start()
    starts = SMOKE_STARTS if bench.smoke else STARTS_PER_ROUND
    every = {OPEN: [], CLOSED: [], "tcpdump": []}
    with bench.link.flowing(START_COUNT, "60", FLOWS, START_RATE):
        for number in range(bench.rounds):
            found = {name: [] for name in every}
            lost = dict.fromkeys(every, 0)
            for each in range(starts):
                tools = [*ours, Tcpdump(work, bench.link)]
                for tool in in_turn(tools, number + each):
                    took_ms, missing = _started(bench, tool)
                    found[tool.name].append(took_ms)
                    lost[tool.name] += missing
            medians = {x: statistics.median(y) for x, y in found.items()}
            ratios = {
                f"{name} to tcpdump": medians[name] / medians["tcpdump"]
                for name in (OPEN, CLOSED)
            }
            figures = dict(ratios)
            lines = []
            for name, values in found.items():
                every[name] += values
                figures |= {f"{name} ms": values, f"{name} lost": lost[name]}
                lines.append(
                    f"\n  {name:16}{medians[name]:7.2f} ms to the first packet, "
                    f"{min(values):.2f} to {max(values):.2f}, "
                    f"{lost[name]} lost after it"
                )
            bench.report.round(
                ", ".join(f"{name} {x:.2f}" for name, x in ratios.items())
                + "".join(lines), **figures
            )
    for each in ours:
        each.stop()
    return every


def start(bench):
    """How soon a capture begins, while packets come in all the time."""
    report = bench.report
    report.section("start", packets_per_s=START_RATE)
    for name, values in _start_rounds(bench).items():
        report.figure(f"start, {name}, median", statistics.median(values), " ms")
        report.figure(f"start, {name}, p99", p99(values), " ms")
    for name in (OPEN, CLOSED):
        report.at_most(f"start, {name}, packets lost",
                       report.median_of(f"{name} lost"), 0)
        report.at_most(f"start, {name}, time to tcpdump's",
                       report.median_of(f"{name} to tcpdump"), 0.1)


def _timed(command):
    """How long a program runs, and what it costs."""
    begin = time.monotonic()
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, preexec_fn=die_with_parent
    ) as process:
        cost = cost_of(process)
    assert process.returncode == 0, command
    return time.monotonic() - begin, cost


def _merges(bench, profile):
    """The same runs, merged by edgecapd's code and by mergecap."""
    work = bench.directory(f"merge-{profile}")
    program = os.environ["BENCH_RUNS"]
    size = SMOKE_MERGE_BYTES if bench.smoke else MERGE_BYTES
    subprocess.run(
        [program, "make", work / "run", str(MERGE_RUNS), str(size), profile],
        check=True, stdout=subprocess.DEVNULL,
    )
    runs = [work / f"run{i}" for i in range(MERGE_RUNS)]
    ours, theirs = work / "edgecapd", work / "mergecap"
    commands = [
        ("edgecapd", [program, "merge", ours, *runs]),
        # Of packets with the same time stamp it takes that of the last file.
        ("mergecap", ["mergecap", "-F", "nsecpcap", "-w", theirs, *runs[::-1]]),
    ]
    for number in range(bench.rounds):
        figures = {}
        lines = []
        for name, command in in_turn(commands, number):
            seconds, cost = _timed(command)
            figures |= {f"{name} s": seconds, f"{name} cpu_s": cost.cpu_s,
                        f"{name} peak_mib": cost.peak_mib}
            lines.append(
                f"\n  {name:12}{seconds:6.2f} s, {cost.cpu_s:5.2f} s of CPU, "
                f"{cost.peak_mib:3.0f} MiB"
            )
        assert filecmp.cmp(ours, theirs, shallow=False), "they merge differently"
        ours.unlink()
        theirs.unlink()
        figures["speed"] = figures["mergecap s"] / figures["edgecapd s"]
        bench.report.round(f"speed {figures['speed']:.2f}" + "".join(lines),
                           **figures)
    for run in runs:
        run.unlink()


def merge(bench):
    """What several interfaces delivered becomes one savefile."""
    report = bench.report
    for profile in MERGE_PROFILES:
        report.section(f"merge {profile}", runs=MERGE_RUNS, bytes=MERGE_BYTES)
        _merges(bench, profile)
        report.at_least(f"merge of {profile} bytes, speed to mergecap's",
                        report.median_of("speed"), 1.5)
        report.at_most(f"merge of {profile} bytes, memory",
                       report.median_of("edgecapd peak_mib"), 64, " MiB")


ALL = {"full": full, "filtered": filtered, "sampling": sampling, "start": start,
       "merge": merge}
