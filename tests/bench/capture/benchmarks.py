"""The benchmarks. Tools take turns round by round, and who begins changes, so
that what the machine does besides hits all."""

from rivals import RIVALS, Edgecapd
from traffic import check

FLOWS = 100
# What matches 1 % of the packets.
ONE_FLOW = 7
ONE_ADDRESS = f"198.51.100.{ONE_FLOW}"
RECORD_HEADER = 16


class _Profile:
    def __init__(self, name, count, mean_bytes, limits):
        self.name = name
        self.count = count
        self.mean_bytes = mean_bytes
        self.limits = limits


# Of each rival's processor time, ours may be so much.
FULL = (
    _Profile("60", 4_000_000, 60,
             {"tcpdump": 0.5, "netsniff-ng": 0.25, "dumpcap": 0.1}),
    _Profile("1514", 1_500_000, 1514,
             {"tcpdump": 0.4, "netsniff-ng": 0.4}),
    _Profile("mixed", 2_000_000, 407, {}),
)
# At rest a daemon costs nothing, but a process costs its start: so many packets
# that this does not decide.
FILTERED_COUNT = 10_000_000
SMOKE_COUNT = 50_000


def _capture(bench, tool, count, profile, flow):
    """One capture by one tool. Returns what it cost, at which rate packets were
    offered, and how many of them it lost."""
    expected = count if flow is None else count // FLOWS
    size = expected * (RECORD_HEADER + profile.mean_bytes)
    with tool:
        rate = bench.link.send(count, profile.name, FLOWS)
        tool.settle(size)
        cost = tool.finish()
    missing = check(tool.file, count, FLOWS, flow)
    tool.file.unlink() if tool.name != "edgecapd" else tool.forget()
    return {
        "cpu_us": cost.cpu_s / count * 1e6,
        "peak_mib": cost.peak_mib,
        "switches": cost.switches,
        "offered_per_s": rate,
        "lost": missing,
    }


def _rounds(bench, profile, count, flow=None):
    """All tools, round by round."""
    work = bench.directory(f"{profile.name}-{flow}")
    ours = Edgecapd(work, bench.link)
    ours.start()
    fields = None if flow is None else {"destination_address": ONE_ADDRESS}
    text = "" if flow is None else f"dst host {ONE_ADDRESS}"
    if bench.smoke:
        count = SMOKE_COUNT
    for number in range(bench.rounds):
        tools = [ours.filtering(fields)]
        tools += [kind(work, bench.link, text) for kind in RIVALS]
        turn = number % len(tools)
        found = {}
        for tool in tools[turn:] + tools[:turn]:
            found[tool.name] = _capture(bench, tool, count, profile, flow)
        figures = {}
        lines = []
        for name, figure in found.items():
            figures |= {f"{name} {key}": x for key, x in figure.items()}
            ratio = found["edgecapd"]["cpu_us"] / figure["cpu_us"]
            figures[f"to {name}"] = ratio
            lines.append(
                f"\n  {name:12}{figure['cpu_us']:7.3f} us of CPU a packet, "
                f"{figure['lost']:8} lost of {count} at "
                f"{figure['offered_per_s'] / 1e6:.2f} M/s, "
                f"{figure['peak_mib']:5.0f} MiB, "
                f"{figure['switches']:6} switches, ratio {ratio:.2f}"
            )
        bench.report.round("".join(lines), **figures)
    ours.stop()


def full(bench):
    """Everything, as fast as the generator gives it."""
    for profile in FULL:
        report = bench.report
        report.section(f"full {profile.name}", packets=profile.count)
        _rounds(bench, profile, profile.count)
        report.at_most(
            f"{profile.name} bytes, packets lost",
            report.median_of("edgecapd lost"), 0,
        )
        for rival, limit in profile.limits.items():
            report.at_most(
                f"{profile.name} bytes, CPU to {rival}'s",
                report.median_of(f"to {rival}"), limit,
            )


def filtered(bench):
    """A filter that matches 1 % of the packets."""
    report = bench.report
    report.section("filtered", packets=FILTERED_COUNT)
    _rounds(bench, FULL[0], FILTERED_COUNT, ONE_FLOW)
    cheapest = min(
        report.median_of(f"{kind.name} cpu_us") for kind in RIVALS
    )
    report.at_most("1 % match, packets lost",
                   report.median_of("edgecapd lost"), 0)
    report.at_most("1 % match, CPU to the cheapest rival's",
                   report.median_of("edgecapd cpu_us") / cheapest, 1)


ALL = {"full": full, "filtered": filtered}
