"""What the daemon may do, and what it does without."""

import os
import pathlib
import re

import pytest

from harness.daemon import Daemon, configuration
from harness.packets import ethernet, marked, udp_ipv4
from harness.savefiles import read_pcap
from harness.waiting import wait_until

UNIT = (
    pathlib.Path(__file__).resolve().parents[2]
    / "deploy/systemd/edgecapd.service"
)
PORTS = (1000, 1001)
PACKETS = 5


def unit_capabilities():
    """Those of the systemd unit."""
    unit = UNIT.read_text(encoding="utf-8")
    names = re.findall(r"^CapabilityBoundingSet=(.*)$", unit, re.MULTILINE)
    assert re.findall(r"^AmbientCapabilities=(.*)$", unit, re.MULTILINE) == names
    return names[0].split()


class ConfinedDaemon(Daemon):
    """A daemon that has these capabilities and no others."""

    def __init__(self, work, config, capabilities):
        super().__init__(work, config)
        names = [name.removeprefix("CAP_").lower() for name in capabilities]
        chosen = ",".join(["-all", *(f"+{name}" for name in names)])
        self.starter = (
            "setpriv",
            "--inh-caps", chosen,
            "--bounding-set", chosen,
            "--no-new-privs",
        )


@pytest.fixture(scope="module")
def link(links):
    return links.veth()


def frame(port, number):
    return ethernet(udp_ipv4(marked(number), destination_port=port))


def has_classifier(daemon):
    """Whether it has a program in the kernel that sorts packets."""
    directory = f"/proc/{daemon.pid}/fd"
    for name in os.listdir(directory):
        try:
            if "bpf-prog" in os.readlink(f"{directory}/{name}"):
                return True
        except FileNotFoundError:
            pass
    return False


def run_two_jobs(daemon, link, settled):
    """Two jobs share an interface, and each gets its own packets once
    `settled` holds."""
    api = daemon.client()
    ids = [
        api.create(packet_limit=PACKETS, filter_v1={"destination_port": port})[
            "id"
        ]
        for port in PORTS
    ]
    for job_id in ids:
        api.wait_capturing(job_id)
    wait_until(lambda: f"{settled.__name__}\n{daemon.log()}", settled)
    for number in range(PACKETS):
        for port in PORTS:
            link.send(frame(port, number))
    for port, job_id in zip(PORTS, ids):
        api.wait_success(job_id)
        records = read_pcap(api.download(job_id)).records
        assert [record.data for record in records] == [
            frame(port, number) for number in range(PACKETS)
        ]


def test_the_unit_gives_what_is_needed(link, work):
    config = configuration(work(), [link.name])
    with ConfinedDaemon(work(), config, unit_capabilities()) as daemon:

        def classified():
            return has_classifier(daemon)

        run_two_jobs(daemon, link, classified)
        assert daemon.events("capture-unclassified") == []


def test_it_works_without_the_right_to_load_programs(link, work):
    config = configuration(work(), [link.name])
    with ConfinedDaemon(work(), config, ["CAP_NET_RAW"]) as daemon:

        def said():
            return daemon.events("capture-unclassified")

        run_two_jobs(daemon, link, said)
        (event,) = said()
        assert "Operation not permitted" in event["reason"]
        assert event["level"] == "warning"
        assert not has_classifier(daemon)


def test_nothing_is_loaded_if_the_operator_does_not_want_it(link, work):
    config = configuration(work(), [link.name], capture={"classifier": False})
    with Daemon(work(), config) as daemon:
        run_two_jobs(daemon, link, lambda: True)
    assert daemon.events("capture-unclassified") == []
