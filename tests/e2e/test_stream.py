"""GET …/stream: packets of a running capture, as they come."""

import contextlib
import re
import socket
import subprocess
import threading

import pytest

from harness import packets
from harness.client import RawConnection
from harness.daemon import (
    DOWNLOAD_TOKEN,
    READ_TOKEN,
    TOKEN,
    Daemon,
    configuration,
)
from harness.network import die_with_parent
from harness.prometheus import scrape
from harness.savefiles import LINKTYPE_LINUX_SLL2, read_pcap
from harness.waiting import wait_until

NOT_RUNNING = 20205
TOO_MANY_STREAMS = 20308
STREAMS_PER_JOB = 3


@pytest.fixture(scope="module")
def link(links):
    return links.veth()


@pytest.fixture(scope="module")
def tun(links):
    return links.tun()


@pytest.fixture(scope="module")
def daemon(link, tun, work):
    config = configuration(
        work(),
        [{"match": link.name, "snaplen": "2KiB"}],
        limits={"streams_per_job": STREAMS_PER_JOB, "packet_limit": 1000000},
        http={"stream_buffer": "1MiB"},
        systems={"mixed": {"interfaces": [link.name, tun.name]}},
    )
    with Daemon(work(), config) as running:
        yield running


@pytest.fixture(scope="module")
def api(daemon):
    return daemon.client()


@pytest.fixture
def job(api):
    """A capture that runs; ends after the test."""
    made = api.create()
    api.wait_capturing(made["id"])
    yield made["id"]
    api.stop(made["id"])
    api.wait_success(made["id"])


def frame(number, length=60):
    return packets.ethernet(packets.udp_ipv4(packets.marked(number, length)))


def request(api, job_id, token=TOKEN, method="GET", version="1.1"):
    return (
        f"{method} {api.path(job_id, '/stream')} HTTP/{version}\r\n"
        f"Host: a\r\nAuthorization: Bearer {token}\r\n\r\n"
    ).encode()


class Stream:
    """One stream, read by a thread until it ends, unless it is paused."""

    def __init__(self, api, job_id, version="1.1", receive_buffer_bytes=None):
        self.connection = RawConnection(api.port, receive_buffer_bytes)
        self.connection.send(request(api, job_id, version=version))
        self.content = b""
        self._may_read = threading.Event()
        self._may_read.set()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.go_on()
        with contextlib.suppress(OSError):
            self.connection.socket.shutdown(socket.SHUT_RDWR)
        self._reader.join(20)
        self.connection.__exit__()

    def _read(self):
        while True:
            self._may_read.wait(60)
            try:
                got = self.connection.socket.recv(65536)
            except OSError:
                return
            if not got:
                return
            self.content += got

    def pause(self):
        self._may_read.clear()

    def go_on(self):
        self._may_read.set()

    def wait_for_header(self):
        wait_until("the stream begins", lambda: b"\r\n\r\n18\r\n" in self.content)

    def wait_for_end(self):
        self._reader.join(20)
        assert not self._reader.is_alive(), "the stream does not end"

    @property
    def head(self):
        return self.content.split(b"\r\n\r\n", 1)[0].decode()

    def take_apart(self):
        """The savefile, and the trailers, of a whole chunked body."""
        rest = self.content.split(b"\r\n\r\n", 1)[1]
        savefile = b""
        while True:
            size, rest = rest.split(b"\r\n", 1)
            size = int(size, 16)
            if size == 0:
                break
            assert rest[size : size + 2] == b"\r\n"
            savefile += rest[:size]
            rest = rest[size + 2 :]
        lines = rest.decode().split("\r\n")
        assert lines[-2:] == ["", ""], rest
        trailers = dict(line.split(": ") for line in lines[:-2])
        return savefile, {name: int(n) for name, n in trailers.items()}


def test_the_stream_is_what_the_savefile_will_be(api, link):
    job_id = api.create(packet_limit=50)["id"]
    api.wait_capturing(job_id)
    with Stream(api, job_id) as stream:
        stream.wait_for_header()
        for number in range(80):
            link.send(frame(number))
        stream.wait_for_end()
        savefile, trailers = stream.take_apart()
    api.wait_success(job_id)
    streamed = read_pcap(savefile).records
    assert [r.data for r in streamed] == [frame(n) for n in range(50)]
    assert streamed == read_pcap(api.download(job_id)).records
    assert trailers == {
        "Edgecap-Packets-Sent": 50,
        "Edgecap-Packets-Dropped": 0,
    }
    head = stream.head
    assert head.startswith("HTTP/1.1 200 OK\r\n")
    assert "\r\nContent-Type: application/vnd.tcpdump.pcap\r\n" in head
    assert f'filename="pcap_{job_id}.pcap"' in head
    assert "\r\nConnection: close" in head


def test_packets_come_while_the_capture_runs(api, link, job):
    with Stream(api, job) as stream:
        stream.wait_for_header()
        for number in range(3):
            sent = frame(number)
            link.send(sent)
            wait_until("the packet is shown", lambda: sent in stream.content)
        assert api.job(job)["status"] == "pending"


def test_an_old_client_reads_to_the_end(api, link):
    job_id = api.create(packet_limit=1)["id"]
    api.wait_capturing(job_id)
    with Stream(api, job_id, version="1.0") as stream:
        wait_until("the stream begins", lambda: b"\r\n\r\n" in stream.content)
        link.send(frame(1))
        stream.wait_for_end()
        savefile = stream.content.split(b"\r\n\r\n", 1)[1]
    assert [r.data for r in read_pcap(savefile).records] == [frame(1)]
    assert "chunked" not in stream.head


def test_mixed_link_types_are_linux_sll2(api, link, tun):
    job_id = api.create(system="mixed", packet_limit=2)["id"]
    api.wait_capturing(job_id)
    with Stream(api, job_id) as stream:
        stream.wait_for_header()
        link.send(frame(1))
        tun.send(packets.udp_ipv4(packets.marked(2)))
        stream.wait_for_end()
        savefile, _ = stream.take_apart()
    api.wait_success(job_id)
    streamed = read_pcap(savefile)
    assert streamed.link_type == LINKTYPE_LINUX_SLL2
    stored = read_pcap(api.download(job_id)).records
    assert sorted(r.data for r in streamed.records) == sorted(
        r.data for r in stored
    )


@pytest.mark.parametrize(
    "tool", [["tcpdump", "-n", "-l", "-r", "-"], ["tshark", "-n", "-l", "-r", "-"]]
)
def test_tools_read_it_through_a_pipe(daemon, api, link, job, tool):
    curl = subprocess.Popen(
        [
            "curl",
            "-sN",
            "-H",
            f"Authorization: Bearer {TOKEN}",
            f"http://127.0.0.1:{daemon.port}{api.path(job, '/stream')}",
        ],
        stdout=subprocess.PIPE,
        preexec_fn=die_with_parent,
    )
    reader = subprocess.Popen(
        tool,
        stdin=curl.stdout,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        preexec_fn=die_with_parent,
    )
    curl.stdout.close()
    lines = []
    thread = threading.Thread(
        target=lambda: lines.extend(iter(reader.stdout.readline, "")),
        daemon=True,
    )
    thread.start()
    try:
        wait_until(
            "curl is served",
            lambda: scrape(daemon.client()).total("edgecap_http_bodies_open")
            >= 1,
        )
        sent = 0

        def shown():
            nonlocal sent
            link.send(frame(sent))
            sent += 1
            return len(lines) > 0

        wait_until("a packet is printed", shown)
        # The capture still runs: it was not the end that flushed it.
        assert api.job(job)["status"] == "pending"
        assert "UDP" in lines[0]
    finally:
        curl.kill()
        curl.wait()
        reader.wait(20)
        thread.join(20)


def test_a_paused_reader_loses_packets_in_its_own_counter_only(api, link, daemon):
    job_id = api.create(packet_limit=20000)["id"]
    api.wait_capturing(job_id)
    with Stream(api, job_id) as eager, Stream(
        api, job_id, receive_buffer_bytes=4096
    ) as paused:
        eager.wait_for_header()
        paused.wait_for_header()
        paused.pause()
        before = api.job(job_id)["packets_captured"]
        for number in range(4000):
            last = frame(number, 1000)
            link.send(last)
            if number % 200 == 199:
                # Nobody is outrun but the one who does not read.
                wait_until(
                    "the eager one has all",
                    lambda: eager.content.find(last, -5000) >= 0,
                )
        paused.go_on()
        api.stop(job_id)
        job = api.wait_success(job_id)
        eager.wait_for_end()
        paused.wait_for_end()
        _, eager_counts = eager.take_apart()
        slow, slow_counts = paused.take_apart()
    assert job["packets_captured"] == before + 4000
    assert eager_counts == {
        "Edgecap-Packets-Sent": 4000,
        "Edgecap-Packets-Dropped": 0,
    }
    assert slow_counts["Edgecap-Packets-Dropped"] > 0
    assert sum(slow_counts.values()) == 4000
    received = read_pcap(slow).records
    assert len(received) == slow_counts["Edgecap-Packets-Sent"]
    for report in job["interfaces"]:
        assert report["dropped_by_us"] == 0
        assert report["dropped_by_kernel"] == 0
    ends = daemon.events("stream-ended", job=job_id)
    assert sorted(e["dropped"] for e in ends) == [
        0,
        slow_counts["Edgecap-Packets-Dropped"],
    ]


def test_a_client_that_leaves_costs_the_capture_nothing(api, link, job):
    with Stream(api, job) as stream:
        stream.wait_for_header()
    wait_until(
        "the stream is over",
        lambda: scrape(api).total("edgecap_http_bodies_open") == 0,
    )
    before = api.job(job)["packets_captured"]
    link.send(frame(1))
    api.wait_captured(job, before + 1)


def test_head_says_what_get_would(api, job):
    with RawConnection(api.port) as connection:
        connection.send(request(api, job, method="HEAD"))
        answer = connection.answer("HEAD", api.path(job, "/stream"))
        assert answer.status == 200
        assert answer.header("Transfer-Encoding") == "chunked"
        assert connection.is_closed_by_peer()


def test_a_capture_that_is_over_is_404(api, link):
    job_id = api.create(packet_limit=1)["id"]
    api.wait_capturing(job_id)
    link.send(frame(1))
    api.wait_success(job_id)
    answer = api.get(api.path(job_id, "/stream"))
    assert (answer.status, answer.codes) == (404, [NOT_RUNNING])
    assert job_id in answer.text
    assert api.get(api.path("0" * 32, "/stream")).codes == [20200]


def test_it_takes_the_right_to_download(daemon, api, job):
    answer = daemon.client(token=READ_TOKEN).get(api.path(job, "/stream"))
    assert (answer.status, answer.codes) == (403, [10001])
    with RawConnection(api.port) as connection:
        connection.send(request(api, job, DOWNLOAD_TOKEN))
        connection.wait_for_bytes()


def test_so_many_streams_and_no_more(api, job):
    open_ones = [Stream(api, job) for _ in range(STREAMS_PER_JOB)]
    try:
        for stream in open_ones:
            stream.wait_for_header()
        answer = api.get(api.path(job, "/stream"))
        assert (answer.status, answer.codes) == (503, [TOO_MANY_STREAMS])
        assert answer.header("Retry-After")
        assert re.search(rf"limit of {STREAMS_PER_JOB}\b", answer.text)
    finally:
        for stream in open_ones:
            stream.__exit__()


def test_the_end_of_the_daemon_ends_streams_whole(link, work):
    config = configuration(work(), [link.name])
    with Daemon(work(), config) as running:
        api = running.client()
        job_id = api.create()["id"]
        api.wait_capturing(job_id)
        with Stream(api, job_id) as stream:
            stream.wait_for_header()
            link.send(frame(1))
            api.wait_captured(job_id, 1)
            running.stop()
            stream.wait_for_end()
            savefile, trailers = stream.take_apart()
    assert [r.data for r in read_pcap(savefile).records] == [frame(1)]
    assert trailers["Edgecap-Packets-Sent"] == 1


def test_the_log_says_who_streamed_what(daemon, api, link):
    job_id = api.create(packet_limit=2)["id"]
    api.wait_capturing(job_id)
    with Stream(api, job_id) as stream:
        stream.wait_for_header()
        link.send(frame(1))
        link.send(frame(2))
        stream.wait_for_end()
    wait_until(
        "the end is logged",
        lambda: daemon.events("stream-ended", job=job_id),
    )
    audits = daemon.events("audit", job=job_id)
    assert [(e["action"], e["outcome"]) for e in audits] == [
        ("create", "done"),
        ("stream", "done"),
    ]
    (end,) = daemon.events("stream-ended", job=job_id)
    assert (end["packets"], end["dropped"], end["complete"]) == (2, 0, True)
    assert end["credential"] == "all"
    assert end["client"] == "127.0.0.1"
