"""GET and HEAD …/download: headers, ranges, conditions, formats, failures."""

import re
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from harness import network, packets
from harness.client import RawConnection
from harness.daemon import TOKEN, Daemon, configuration
from harness.savefiles import read_pcap, read_pcapng
from harness.waiting import wait_until

PCAP = "application/vnd.tcpdump.pcap"
BAD_QUERY = 20105
NOT_READY = 20201
NO_SAVEFILE = 20202
RANGE_NOT_SATISFIABLE = 20203

COUNT = 20


@pytest.fixture(scope="module")
def link(links):
    return links.veth()


@pytest.fixture(scope="module")
def daemon(link, work):
    gone = network.Veth("gone")
    config = configuration(
        work(),
        [link.name],
        systems={
            "gone": {"interfaces": [gone.name]},
            "whole": {"interfaces": [{"match": link.name, "snaplen": "2KiB"}]},
        },
    )
    with Daemon(work(), config) as running:
        gone.close()
        yield running


@pytest.fixture(scope="module")
def api(daemon):
    return daemon.client()


@pytest.fixture(scope="module")
def job(api, link):
    """A job of COUNT packets."""
    job_id = api.create(packet_limit=COUNT)["id"]
    api.wait_capturing(job_id)
    for number in range(COUNT):
        link.send(packets.ethernet(packets.udp_ipv4(packets.marked(number))))
    return api.wait_success(job_id)


@pytest.fixture(scope="module")
def path(api, job):
    return api.path(job["id"], "/download")


@pytest.fixture(scope="module")
def content(api, job):
    """The whole file."""
    return api.download(job["id"])


def test_the_whole_file(api, job, path, content):
    answer = api.get(path)
    assert answer.status == 200
    assert answer.header("Content-Type") == PCAP
    assert answer.header("Content-Length") == str(len(answer.body))
    assert (
        answer.header("Content-Disposition")
        == f'attachment; filename="pcap_{job["id"]}.pcap"'
    )
    assert answer.header("Accept-Ranges") == "bytes"
    assert re.fullmatch(r'"[!#-~]+"', answer.header("ETag"))
    assert answer.body == content
    assert len(read_pcap(content).records) == COUNT


def test_accept_does_not_matter(api, path, content):
    for accept in (PCAP, "*/*", "application/json", "nonsense"):
        answer = api.get(path, Accept=accept)
        assert (answer.status, answer.body) == (200, content)


def test_head_answers_the_same_without_the_bytes(api, path):
    whole = api.get(path)
    answer = api.request("HEAD", path)
    assert answer.status == 200
    for name in (
        "Content-Type",
        "Content-Length",
        "Content-Disposition",
        "ETag",
        "Accept-Ranges",
    ):
        assert answer.header(name) == whole.header(name)


def test_head_of_what_is_not_there_is_404(api):
    assert api.request("HEAD", api.path("0" * 32, "/download")).status == 404


# -- conditions ---------------------------------------------------------------


def test_the_etag_stays(api, path):
    assert api.get(path).header("ETag") == api.get(path).header("ETag")


def test_etags_differ_between_formats(api, path):
    assert api.get(path).header("ETag") != api.get(
        path + "?format=pcapng"
    ).header("ETag")


@pytest.mark.parametrize("form", ["{}", "W/{}", '"x", {}, "y"', "*"])
def test_a_file_that_is_known_is_304(api, path, form):
    etag = api.get(path).header("ETag")
    for method in ("GET", "HEAD"):
        answer = api.request(
            method, path, headers={"If-None-Match": form.format(etag)}
        )
        assert answer.status == 304
        assert answer.header("ETag") == etag


def test_a_file_that_is_not_known_is_200(api, path, content):
    answer = api.get(path, If_None_Match='"other"')
    assert (answer.status, answer.body) == (200, content)


# -- ranges -------------------------------------------------------------------


@pytest.mark.parametrize(
    "text, start, end",
    [
        ("bytes=0-23", 0, 24),
        ("bytes=0-0", 0, 1),
        ("bytes=24-", 24, None),
        ("bytes=24-99999999", 24, None),
        ("bytes=10-19", 10, 20),
        ("Bytes=10-19", 10, 20),
        ("bytes=-10", -10, None),
        ("bytes=-99999999", 0, None),
        ("bytes= 5-6", 5, 7),
        ("bytes=0-99999999999999999999", 0, None),
    ],
)
def test_a_range_is_206(api, path, content, text, start, end):
    expected = content[start:end]
    first = content.index(expected) if start == 0 else start % len(content)
    answer = api.get(path, Range=text)
    assert answer.status == 206
    assert answer.body == expected
    assert answer.header("Content-Length") == str(len(expected))
    assert answer.header("Content-Range") == (
        f"bytes {first}-{first + len(expected) - 1}/{len(content)}"
    )
    assert answer.header("Content-Type") == PCAP
    assert answer.header("ETag") == api.get(path).header("ETag")


@pytest.mark.parametrize("text", ["bytes={}-", "bytes={}-99999999", "bytes=-0"])
def test_a_range_behind_the_end_is_416(api, path, content, text):
    answer = api.get(path, Range=text.format(len(content)))
    assert (answer.status, answer.codes) == (416, [RANGE_NOT_SATISFIABLE])
    assert answer.header("Content-Range") == f"bytes */{len(content)}"


@pytest.mark.parametrize(
    "text",
    ["bytes=", "bytes=x-y", "bytes=5-4", "lines=0-1", "0-1", "bytes=1--2", "="],
)
def test_a_malformed_range_is_ignored(api, path, content, text):
    answer = api.get(path, Range=text)
    assert (answer.status, answer.body) == (200, content)


def test_several_ranges_are_answered_with_everything(api, path, content):
    answer = api.get(path, Range="bytes=0-1,5-6")
    assert (answer.status, answer.body) == (200, content)


def test_a_range_of_the_file_that_is_known(api, path, content):
    etag = api.get(path).header("ETag")
    answer = api.get(path, Range="bytes=0-9", If_Range=etag)
    assert (answer.status, answer.body) == (206, content[:10])
    for other in ('"other"', "W/" + etag, "Mon, 01 Jan 2024 00:00:00 GMT"):
        answer = api.get(path, Range="bytes=0-9", If_Range=other)
        assert (answer.status, answer.body) == (200, content)


def test_a_download_can_be_resumed(api, path, content):
    parts = [
        api.get(path, Range=f"bytes={at}-{at + 99}").body
        for at in range(0, len(content), 100)
    ]
    assert b"".join(parts) == content


def test_a_condition_goes_before_a_range(api, path):
    etag = api.get(path).header("ETag")
    answer = api.get(path, Range="bytes=0-9", If_None_Match=etag)
    assert answer.status == 304


# -- formats ------------------------------------------------------------------


def test_pcapng(api, job, path, content):
    answer = api.get(path + "?format=pcapng")
    assert answer.status == 200
    assert answer.header("Content-Length") == str(len(answer.body))
    assert (
        answer.header("Content-Disposition")
        == f'attachment; filename="pcap_{job["id"]}.pcapng"'
    )
    classic = read_pcap(content).records
    records = read_pcapng(answer.body).records
    assert [(r.time_ns, r.data, r.original_length) for r in records] == [
        (r.time_ns, r.data, r.original_length) for r in classic
    ]
    part = api.get(path + "?format=pcapng", Range="bytes=4-11")
    assert (part.status, part.body) == (206, answer.body[4:12])


def test_pcap_by_name(api, path, content):
    assert api.get(path + "?format=pcap").body == content


@pytest.mark.parametrize("query", ["format=", "format=PCAP", "format=csv"])
def test_another_format_is_refused(api, path, query):
    answer = api.get(f"{path}?{query}")
    assert (answer.status, answer.codes) == (400, [BAD_QUERY])


# -- nothing to download ------------------------------------------------------


def test_a_running_job_has_no_file_yet(api):
    job_id = api.create()["id"]
    for query in ("", "?format=pcapng"):
        answer = api.get(api.path(job_id, "/download") + query)
        assert (answer.status, answer.codes) == (404, [NOT_READY])
        assert "pending" in answer.text
    api.delete(job_id)


def test_a_failed_job_has_no_file_and_says_why(api):
    job_id = api.create(system="gone")["id"]
    job = api.wait_terminal(job_id)
    assert job["status"] == "failed"
    assert job["end_reason"] == "interface_lost"
    assert job["error_message"]
    assert job["packets_captured"] == 0
    assert job["packets_remaining"] == 0
    answer = api.get(api.path(job_id, "/download"))
    assert (answer.status, answer.codes) == (404, [NO_SAVEFILE])
    assert "failed" in answer.text
    assert job["error_message"] in answer.text
    # Its end is its end.
    api.stop(job_id)
    assert api.job(job_id) == job
    api.delete(job_id)


def test_an_empty_capture_is_a_whole_file(api):
    job_id = api.create()["id"]
    api.wait_capturing(job_id)
    api.stop(job_id)
    api.wait_success(job_id)
    assert read_pcap(api.download(job_id)).records == []
    assert read_pcapng(api.download(job_id, "?format=pcapng")).records == []


def test_many_download_at_once(daemon, path, content):
    with ThreadPoolExecutor(16) as pool:
        answers = list(
            pool.map(lambda _: daemon.client().get(path), range(64))
        )
    assert all(answer.body == content for answer in answers)


def test_a_client_that_leaves_in_the_middle_does_no_harm(daemon, path, api):
    request = (
        f"GET {path} HTTP/1.1\r\nHost: x\r\n"
        f"Authorization: Bearer {TOKEN}\r\n\r\n"
    ).encode()
    for _ in range(20):
        with RawConnection(daemon.port) as raw:
            raw.send(request * 20)
            raw.socket.recv(10)
    assert api.get(path).status == 200


def test_a_slow_reader_costs_itself_alone(daemon, link, api):
    """Nor does a delete take the bytes of a download away that has begun."""
    job_id = api.create(system="whole", packet_limit=10000)["id"]
    api.wait_capturing(job_id)
    frame = packets.ethernet(packets.udp_ipv4(packets.marked(1, 1400)))

    def complete():
        # More than enough, should any be lost on this way.
        for _ in range(2000):
            link.send(frame)
        return api.job(job_id)["status"] == "success"

    wait_until("10000 packets", complete)
    target = api.path(job_id, "/download")
    whole = api.download(job_id)
    assert len(whole) > 14_000_000
    with ExitStack() as stack:
        slow = [
            stack.enter_context(RawConnection(daemon.port, 4096))
            for _ in range(8)
        ]
        for connection in slow:
            connection.send(
                f"GET {target} HTTP/1.1\r\nHost: x\r\n"
                f"Authorization: Bearer {TOKEN}\r\n\r\n".encode()
            )
            connection.wait_for_bytes()
        began = time.monotonic()
        for _ in range(50):
            assert api.get("/healthz").status == 200
        assert api.download(job_id) == whole
        assert time.monotonic() - began < 5
        api.delete(job_id)
        assert api.get(target).status == 404
        answer = slow[0].answer("GET", target)
        assert (answer.status, answer.body) == (200, whole)
