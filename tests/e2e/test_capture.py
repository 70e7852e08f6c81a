"""What a capture holds: exactly the packets that match, as they were sent.

Three interfaces of two link types see known traffic by turns, from one
thread: the order of sending is the order of the kernel's time stamps.
"""

import calendar
import subprocess
import time

import pytest

from harness import network, packets
from harness.daemon import Daemon, configuration
from harness.packets import ethernet, ipv4, ipv6, marked, udp, udp_ipv4
from harness.savefiles import (
    LINKTYPE_ETHERNET,
    LINKTYPE_LINUX_SLL2,
    LINKTYPE_RAW,
    read_pcap,
    read_pcapng,
    split_sll2,
)

NODE = "e2e-node"
SNAPLEN = 96
PORT = 40053
V4 = ("192.0.2.1", "198.51.100.1")
V6 = ("2001:db8::1", "2001:db8::2")
FILTER = {
    "source_address": "192.0.2.1",
    "destination_address": "198.51.100.1",
    "source_port": 4000,
    "destination_port": PORT,
    "protocol": packets.UDP,
}
# Lengths of payloads below, at and above the snaplen.
LENGTHS = (18, 33, 54, 55, 400, 1400)
ROUNDS = 40


class Wire:
    """The three interfaces, and what was sent on them."""

    def __init__(self, links):
        self.ethernets = (links.veth(), links.veth())
        self.tun = links.tun()
        self.links = (*self.ethernets, self.tun)

    def send_mixture(self, rounds=ROUNDS):
        """Sends matching packets between others; returns the matching ones,
        each with its link, in order."""
        matching = []
        number = 0
        for i in range(rounds):
            length = LENGTHS[i % len(LENGTHS)]
            for link in self.links:
                self._send_others(link, number)
                packet = udp_ipv4(marked(number, length), destination_port=PORT)
                number += 1
                matching.append((link, self._send(link, packet)))
        return matching

    def _send(self, link, packet):
        frame = packet if link is self.tun else ethernet(packet)
        link.send(frame)
        return frame

    def _send_others(self, link, number):
        payload = marked(number)
        self._send(link, udp_ipv4(payload, destination_port=PORT + 1))
        self._send(
            link,
            udp_ipv4(payload, source_port=4001, destination_port=PORT),
        )
        self._send(
            link,
            udp_ipv4(payload, source="192.0.2.2", destination_port=PORT),
        )
        # The other direction: the filter has one only.
        self._send(
            link,
            udp_ipv4(
                payload,
                source="198.51.100.1",
                destination="192.0.2.1",
                source_port=PORT,
                destination_port=4000,
            ),
        )
        other = packets.tcp(*V4, 4000, PORT, payload)
        self._send(link, ipv4(*V4, packets.TCP, other))


@pytest.fixture(scope="module")
def wire(links):
    return Wire(links)


@pytest.fixture(scope="module")
def daemon(wire, work):
    one, two, tun = (link.name for link in wire.links)

    def cut(name):
        return {"match": name, "snaplen": f"{SNAPLEN}B"}

    def whole(name):
        return {"match": name, "snaplen": "65536B"}

    config = configuration(
        work(),
        [whole(one), whole(two), whole(tun)],
        systems={
            "cut": {"interfaces": [cut(one), cut(two), cut(tun)]},
            "ethernets": {"interfaces": [whole(one), whole(two)]},
            "ethernets-cut": {"interfaces": [cut(one), cut(two)]},
            "one": {"interfaces": [whole(one)]},
            "tun": {"interfaces": [whole(tun)]},
            "half-sampled": {
                "interfaces": [
                    {**whole(one), "sampling_one_in": 4},
                    {**whole(two), "sampling_one_in": 1},
                ]
            },
        },
    )
    with Daemon(work(), config) as running:
        yield running


@pytest.fixture(scope="module")
def api(daemon):
    return daemon.client()


def captured(api, system, send, **fields):
    """Captures while `send()` runs, stops if that does not end the job;
    returns what was sent, the job, and both files."""
    job_id = api.create(system=system, **fields)["id"]
    api.wait_capturing(job_id)
    sent = send()
    limit = fields.get("packet_limit", 10000)
    api.wait_captured(job_id, min(limit, len(sent)))
    if len(sent) < limit:
        api.stop(job_id)
    job = api.wait_success(job_id)
    classic = api.download(job_id)
    pcapng = api.download(job_id, "?format=pcapng")
    return sent, job, classic, pcapng


def assert_tools_read(content, directory, count, one_link_type=True):
    """capinfos, tcpdump and tshark read the file without complaint.

    libpcap, and so tcpdump, reads files of one link type only.
    """
    path = directory / "file"
    path.write_bytes(content)

    def output_of(*command):
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
        complaints = [
            line
            for line in done.stderr.splitlines()
            if not line.startswith(("reading from file", "Running as user"))
            and "This could be dangerous" not in line
            # What tcpdump says of every LINUX_SLL2 file, its own included.
            and line != "Warning: interface names might be incorrect"
        ]
        assert complaints == []
        return done.stdout

    infos = output_of("capinfos", "-M", "-c", "-o", str(path))
    assert f"Number of packets:   {count}\n" in infos
    if count:
        assert "Strict time order:   True" in infos
    if one_link_type:
        lines = output_of("tcpdump", "-nn", "-r", str(path)).splitlines()
        assert len(lines) == count
    fields = output_of(
        "tshark",
        *("-n", "-r", str(path), "-T", "fields"),
        *("-e", "frame.len", "-e", "_ws.malformed"),
    ).splitlines()
    assert len(fields) == count
    assert not [line for line in fields if "alformed" in line]


def assert_in_time_order(records, job):
    times = [record.time_ns for record in records]
    assert times == sorted(times)
    submitted = _nanoseconds(job["submitted"])
    finished = _nanoseconds(job["finished"])
    for at in times:
        assert submitted <= at <= finished + 1000


def _nanoseconds(text):
    seconds = time.strptime(text[:19], "%Y-%m-%dT%H:%M:%S")
    return calendar.timegm(seconds) * 10**9 + int(text[20:26]) * 1000


def assert_counters_add_up(job, records):
    reports = job["interfaces"]
    assert job["packets_captured"] == len(records)
    assert sum(report["packets_captured"] for report in reports) == len(records)
    assert job["bytes_captured"] > 0 or not records
    by_name = {}
    for record in records:
        by_name[record.interface] = by_name.get(record.interface, 0) + 1
    assert {
        f"{report['node']}/{report['interface']}": report["packets_captured"]
        for report in reports
        if report["packets_captured"]
    } == by_name
    for report in reports:
        assert report["dropped_by_kernel"] == 0, report
        assert report["dropped_by_us"] == 0, report
        assert not report.get("error"), report
        if report["packets_matched"] is not None:
            assert report["packets_matched"] >= report["packets_captured"]


def assert_exact(records, sent, snaplen):
    """Frame by frame what was sent, cut at the snaplen."""
    assert [(r.data, r.original_length) for r in records] == [
        (frame[:snaplen], len(frame)) for _, frame in sent
    ]


def assert_cooked(records, sent, wire, snaplen):
    """What was sent, with a LINUX_SLL2 header in place of its own."""
    assert len(records) == len(sent)
    for record, (link, frame) in zip(records, sent):
        cooked = split_sll2(record.data)
        assert cooked.protocol == packets.ETHERTYPE_IPV4
        # 0 is "unknown"; a wrong one would be worse.
        assert cooked.interface_index in (0, link.index)
        if link is wire.tun:
            assert cooked.hardware_type == 65534  # ARPHRD_NONE
            assert cooked.address == b""
            skipped = 0
        else:
            assert cooked.hardware_type == 1  # ARPHRD_ETHER
            assert cooked.address == packets.SOURCE_MAC
            skipped = 14
        assert cooked.payload == frame[skipped:snaplen]
        assert record.original_length == len(frame) - skipped + 20


# -- three interfaces, two link types -----------------------------------------


@pytest.mark.parametrize(
    "system, snaplen", [("magic-transit", 65536), ("cut", SNAPLEN)]
)
def test_mixed_link_types(api, wire, tmp_path, system, snaplen):
    sent, job, classic, pcapng = captured(
        api, system, wire.send_mixture, filter_v1=FILTER
    )
    assert len(sent) == 3 * ROUNDS
    assert job["end_reason"] == "stopped"
    mixed = read_pcap(classic)
    assert mixed.link_type == LINKTYPE_LINUX_SLL2
    assert mixed.nanoseconds
    assert_cooked(mixed.records, sent, wire, snaplen)
    exact = read_pcapng(pcapng)
    assert_exact(exact.records, sent, snaplen)
    assert exact.interfaces == {
        f"{NODE}/{link.name}": (
            LINKTYPE_RAW if link is wire.tun else LINKTYPE_ETHERNET
        )
        for link in wire.links
    }
    assert [r.time_ns for r in exact.records] == [
        r.time_ns for r in mixed.records
    ]
    assert_in_time_order(exact.records, job)
    assert_counters_add_up(job, exact.records)
    assert_tools_read(classic, tmp_path, len(sent))
    assert_tools_read(pcapng, tmp_path, len(sent), one_link_type=False)


@pytest.mark.parametrize(
    "system, snaplen", [("ethernets", 65536), ("ethernets-cut", SNAPLEN)]
)
def test_one_link_type(api, wire, tmp_path, system, snaplen):
    sent, job, classic, pcapng = captured(
        api,
        system,
        lambda: [x for x in wire.send_mixture() if x[0] is not wire.tun],
        filter_v1=FILTER,
    )
    file = read_pcap(classic)
    assert file.link_type == LINKTYPE_ETHERNET
    assert_exact(file.records, sent, snaplen)
    exact = read_pcapng(pcapng)
    assert_exact(exact.records, sent, snaplen)
    assert_in_time_order(file.records, job)
    assert_counters_add_up(job, exact.records)
    assert job["bytes_captured"] == sum(len(r.data) for r in file.records)
    for content in (classic, pcapng):
        assert_tools_read(content, tmp_path, len(sent))


def test_raw_packets_alone(api, wire, tmp_path):
    sent, job, classic, _ = captured(
        api,
        "tun",
        lambda: [x for x in wire.send_mixture(5) if x[0] is wire.tun],
        filter_v1=FILTER,
    )
    file = read_pcap(classic)
    assert file.link_type == LINKTYPE_RAW
    assert_exact(file.records, sent, 65536)
    assert job["packets_captured"] == 5
    assert_tools_read(classic, tmp_path, 5)


def test_without_a_filter_everything_is_captured(api, wire):
    link = wire.ethernets[0]
    frames = [
        ethernet(b"\0\1\x08\0\6\4\0\1" + bytes(38), packets.ETHERTYPE_ARP),
        ethernet(bytes(46), 0x88B5),
        ethernet(udp_ipv4(marked(1))),
        bytes(12) + (46).to_bytes(2, "big") + b"\x42\x42\x03" + bytes(43),
    ]

    def send():
        for frame in frames:
            link.send(frame)
        return [(link, frame) for frame in frames]

    for filter_v1 in ({}, None):
        sent, _, classic, _ = captured(api, "one", send, filter_v1=filter_v1)
        assert_exact(read_pcap(classic).records, sent, 65536)


# -- how a capture ends -------------------------------------------------------


@pytest.mark.parametrize("limit", [1, 2, 50, 3 * ROUNDS - 1, 3 * ROUNDS])
def test_the_packet_limit_is_exact(api, wire, limit):
    sent, job, classic, pcapng = captured(
        api,
        "magic-transit",
        wire.send_mixture,
        filter_v1=FILTER,
        packet_limit=limit,
    )
    assert job["end_reason"] == "packet_limit"
    exact = read_pcapng(pcapng)
    assert len(exact.records) == len(read_pcap(classic).records) == limit
    assert_in_time_order(exact.records, job)
    assert_counters_add_up(job, exact.records)
    # Which ones depends on the interfaces' turns; each matches, each once,
    # and of each interface the first ones.
    for link in wire.links:
        of_link = [
            r.data
            for r in exact.records
            if r.interface == f"{NODE}/{link.name}"
        ]
        expected = [frame for where, frame in sent if where is link]
        assert of_link == expected[: len(of_link)]


def test_the_time_limit_ends_a_job(api, wire):
    began = time.monotonic()
    job_id = api.create(system="one", time_limit=1, filter_v1=FILTER)["id"]
    api.wait_capturing(job_id)
    packet = ethernet(udp_ipv4(marked(1), destination_port=PORT))
    wire.ethernets[0].send(packet)
    api.wait_captured(job_id, 1)
    assert time.monotonic() - began < 1, "too slow to tell anything"
    job = api.wait_success(job_id, 5)
    assert 0.99 <= time.monotonic() - began < 4
    assert job["end_reason"] == "time_limit"
    assert [r.data for r in read_pcap(api.download(job_id)).records] == [packet]
    lasted = _nanoseconds(job["finished"]) - _nanoseconds(job["submitted"])
    # Two clocks take part: allow them some milliseconds.
    assert 0.99e9 <= lasted < 3e9


def test_the_time_limit_runs_without_packets(api):
    job_id = api.create(system="one", time_limit=1, filter_v1=FILTER)["id"]
    job = api.wait_success(job_id, 5)
    assert job["end_reason"] == "time_limit"
    assert job["packets_captured"] == 0
    assert read_pcap(api.download(job_id)).records == []


def test_an_interface_that_vanishes_costs_its_own_share(wire, work):
    lost = network.Veth("lost")
    kept = wire.ethernets[0]
    config = configuration(work(), [lost.name, kept.name])
    with Daemon(work(), config) as daemon:
        api = daemon.client()
        job_id = api.create(filter_v1=FILTER)["id"]
        api.wait_capturing(job_id)
        frame = ethernet(udp_ipv4(marked(1), destination_port=PORT))
        lost.send(frame)
        api.wait_captured(job_id, 1)
        lost.close()
        kept.send(frame)
        api.wait_captured(job_id, 2)
        api.stop(job_id)
        job = api.wait_success(job_id)
        assert job["packets_captured"] == 2
        reports = {x["interface"]: x for x in job["interfaces"]}
        assert reports[lost.name]["packets_captured"] == 1
        assert reports[lost.name]["state"] == "failed"
        assert reports[lost.name]["error"]
        assert reports[kept.name]["packets_captured"] == 1
        assert len(read_pcap(api.download(job_id)).records) == 2


def test_when_the_last_interface_vanishes_the_job_ends(work):
    lost = network.Veth("lost")
    with Daemon(work(), configuration(work(), [lost.name])) as daemon:
        api = daemon.client()
        job_id = api.create(filter_v1=FILTER)["id"]
        api.wait_capturing(job_id)
        frame = ethernet(udp_ipv4(marked(1), destination_port=PORT))
        lost.send(frame)
        api.wait_captured(job_id, 1)
        lost.close()
        job = api.wait_terminal(job_id)
        assert job["end_reason"] == "interface_lost"
        assert job["error_message"]
        # It has a packet: it keeps it.
        assert job["status"] == "success"
        records = read_pcap(api.download(job_id)).records
        assert [r.data for r in records] == [frame]


# -- filters ------------------------------------------------------------------

ENDPOINTS = {"source_port": 4000, "destination_port": PORT}


def datagram(addresses, number, length=64):
    return udp(*addresses, 4000, PORT, marked(number, length))


def segment(addresses, number):
    return packets.tcp(*addresses, 4000, PORT, marked(number, 64))


def the_frames():
    """Frames of every class, by name."""
    first, second = datagram(V4, 3, 256)[:128], datagram(V4, 3, 256)[128:]
    # Bytes where a fragment's ports would be that look like the right ones.
    decoy = datagram(V4, 4)
    return {
        "udp4": ethernet(ipv4(*V4, 17, datagram(V4, 1))),
        "udp4-options": ethernet(
            ipv4(*V4, 17, datagram(V4, 2), options=b"\x01" * 7 + b"\0")
        ),
        "fragment-first": ethernet(
            ipv4(*V4, 17, first, more_fragments=True)
        ),
        "fragment-last": ethernet(ipv4(*V4, 17, second, fragment_offset=128)),
        "fragment-decoy": ethernet(
            ipv4(*V4, 17, decoy, fragment_offset=64, more_fragments=True)
        ),
        "tcp4": ethernet(ipv4(*V4, 6, segment(V4, 5))),
        "icmp4": ethernet(ipv4(*V4, 1, packets.icmp_echo(marked(6)))),
        "udp4-back": ethernet(
            ipv4(*V4[::-1], 17, udp(*V4[::-1], PORT, 4000, marked(7)))
        ),
        "udp4-vlan": ethernet(ipv4(*V4, 17, datagram(V4, 8)), vlans=[7]),
        "udp4-qinq": ethernet(ipv4(*V4, 17, datagram(V4, 9)), vlans=[7, 8]),
        "udp6": ethernet(ipv6(*V6, 17, datagram(V6, 10))),
        "udp6-hop": ethernet(
            ipv6(*V6, 17, datagram(V6, 11), hop_by_hop=True)
        ),
        "udp6-vlan": ethernet(ipv6(*V6, 17, datagram(V6, 12)), vlans=[7]),
        "tcp6": ethernet(ipv6(*V6, 6, segment(V6, 13))),
        "icmp6": ethernet(
            ipv6(*V6, 58, packets.icmpv6_echo(*V6, marked(14)))
        ),
        "icmp4-vlan": ethernet(
            ipv4(*V4, 1, packets.icmp_echo(marked(15))), vlans=[7]
        ),
        "arp": ethernet(
            b"\0\1\x08\0\6\4\0\1" + bytes(38), packets.ETHERTYPE_ARP
        ),
    }


UDP4 = {"udp4", "udp4-options", "udp4-vlan", "udp4-qinq"}
FRAGMENTS = {"fragment-first", "fragment-last", "fragment-decoy"}
UDP6 = {"udp6", "udp6-hop", "udp6-vlan"}


@pytest.mark.parametrize(
    "filter_v1, expected",
    [
        (
            {"protocol": 17, "source_address": V4[0], **ENDPOINTS},
            UDP4 | {"fragment-first"},
        ),
        (
            {"protocol": 17, "source_address": V4[0]},
            UDP4 | FRAGMENTS,
        ),
        (ENDPOINTS, UDP4 | UDP6 | {"fragment-first", "tcp4", "tcp6"}),
        ({"protocol": 17}, UDP4 | UDP6 | FRAGMENTS | {"udp4-back"}),
        (
            {"protocol": 17, "destination_port": PORT},
            UDP4 | UDP6 | {"fragment-first"},
        ),
        ({"destination_port": 4000}, {"udp4-back"}),
        ({"protocol": 6}, {"tcp4", "tcp6"}),
        (
            {"source_address": V6[0]},
            UDP6 | {"tcp6", "icmp6"},
        ),
        (
            {"source_address": V6[0], "protocol": 17, "source_port": 4000},
            UDP6,
        ),
        ({"destination_address": V6[1], "protocol": 58}, {"icmp6"}),
        (
            {"destination_address": V4[1], "protocol": 1},
            {"icmp4", "icmp4-vlan"},
        ),
        ({"destination_address": V4[0]}, {"udp4-back"}),
        ({"protocol": 132}, set()),
    ],
    ids=str,
)
def test_filters(api, wire, filter_v1, expected):
    """Exactly the frames that fit, byte for byte: tags, options and all."""
    link = wire.ethernets[0]
    frames = the_frames()
    end = ethernet(ipv4(*V4, 253, b"the end"))

    def send():
        for frame in frames.values():
            link.send(frame)
        return [(link, frames[name]) for name in frames if name in expected]

    # A second job sees when everything has passed.
    watcher = api.create(
        system="one", filter_v1={"protocol": 253}, packet_limit=1
    )["id"]
    api.wait_capturing(watcher)
    job_id = api.create(system="one", filter_v1=filter_v1)["id"]
    api.wait_capturing(job_id)
    sent = send()
    link.send(end)
    api.wait_success(watcher)
    api.stop(job_id)
    job = api.wait_success(job_id)
    records = read_pcap(api.download(job_id)).records
    names = {frame: name for name, frame in frames.items()}
    got = [names.get(r.data, r.data.hex()) for r in records]
    assert got == [name for name in frames if name in expected]
    assert_exact(records, sent, 65536)
    assert job["packets_captured"] == len(expected)


# -- sampling -----------------------------------------------------------------


def test_sampling(api, wire):
    """1 in 4 on one interface, everything on the other."""
    total = 4000
    sampled, other = wire.ethernets
    frame = ethernet(udp_ipv4(marked(1), destination_port=PORT))
    last = ethernet(udp_ipv4(marked(2), destination_port=PORT))

    def send():
        for _ in range(total):
            sampled.send(frame)
        other.send(last)
        return [(other, last)]

    job_id = api.create(system="half-sampled", filter_v1=FILTER)["id"]
    api.wait_capturing(job_id)
    send()
    # Mean 1000, standard deviation 27: ten of those on either side.
    api.wait_captured(job_id, 1 + 730)
    api.stop(job_id)
    job = api.wait_success(job_id)
    reports = {x["interface"]: x for x in job["interfaces"]}
    assert reports[sampled.name]["sampling_one_in"] == 4
    assert 730 <= reports[sampled.name]["packets_captured"] <= 1270
    assert reports[other.name]["sampling_one_in"] == 1
    assert reports[other.name]["packets_captured"] == 1
    # What the kernel left out, it does not count: unknown is not 0.
    left_out = reports[sampled.name]["packets_sampled_out"]
    matched = reports[sampled.name]["packets_matched"]
    assert (left_out is None) == (matched is None)
    if left_out is not None:
        assert matched == total
        assert (
            left_out + reports[sampled.name]["packets_captured"] == total
        )
    records = read_pcapng(api.download(job_id, "?format=pcapng")).records
    assert_counters_add_up(job, records)


def test_sampling_counts_towards_the_limit_what_it_keeps(api, wire):
    sampled, _ = wire.ethernets
    frame = ethernet(udp_ipv4(marked(1), destination_port=PORT))
    job_id = api.create(
        system="half-sampled", filter_v1=FILTER, packet_limit=100
    )["id"]
    api.wait_capturing(job_id)
    for _ in range(2000):
        sampled.send(frame)
    job = api.wait_success(job_id)
    assert job["end_reason"] == "packet_limit"
    assert job["packets_captured"] == 100
    assert len(read_pcap(api.download(job_id)).records) == 100


# -- volume and configuration -------------------------------------------------


def test_a_burst_of_the_largest_job(api, wire, tmp_path):
    """10000 packets as fast as they can be sent: none is missing."""
    link = wire.ethernets[0]
    frames = [
        ethernet(udp_ipv4(marked(i, 18), destination_port=PORT))
        for i in range(10000)
    ]

    def send():
        for frame in frames:
            link.send(frame)
        return [(link, frame) for frame in frames]

    sent, job, classic, _ = captured(api, "one", send, filter_v1=FILTER)
    assert job["end_reason"] == "packet_limit"
    assert_exact(read_pcap(classic).records, sent, 65536)
    assert_tools_read(classic, tmp_path, 10000)


def test_microseconds_and_no_pcapng_when_so_configured(wire, work, tmp_path):
    link = wire.ethernets[0]
    config = configuration(
        work(),
        [link.name],
        storage={"microseconds": True, "pcapng": False},
    )
    with Daemon(work(), config) as daemon:
        api = daemon.client()
        job_id = api.create(packet_limit=2)["id"]
        api.wait_capturing(job_id)
        for _ in range(2):
            link.send(ethernet(udp_ipv4(marked(1))))
        api.wait_success(job_id)
        content = api.download(job_id)
        file = read_pcap(content)
        assert not file.nanoseconds and len(file.records) == 2
        assert_tools_read(content, tmp_path, 2)
        answer = api.get(api.path(job_id, "/download?format=pcapng"))
        assert (answer.status, answer.codes) == (404, [20202])
