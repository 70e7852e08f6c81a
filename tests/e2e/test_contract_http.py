"""HTTP as such: routes, methods, and requests that are none.

Whatever comes in, the answer is an envelope, and the daemon serves the next.
"""

import pytest

from harness.client import RawConnection
from harness.daemon import (
    ACCOUNT,
    TOKEN,
    Daemon,
    configuration,
)

NO_ROUTE = 7003
BAD_REQUEST = 20000
METHOD_NOT_ALLOWED = 20001
BODY_TOO_LARGE = 20002
HEADERS_TOO_LARGE = 20003
TARGET_TOO_LONG = 20004
LENGTH_REQUIRED = 20005
REQUEST_TIMEOUT = 20006
EXPECTATION_FAILED = 20007
UNKNOWN_METHOD = 20008
BAD_VERSION = 20009

PCAPS = f"/client/v4/accounts/{ACCOUNT}/pcaps"
SOME_ID = "0" * 32
CREDENTIALS = f"Authorization: Bearer {TOKEN}\r\n"
VALID_BODY = (
    b'{"type":"simple","system":"magic-transit",'
    b'"time_limit":300,"packet_limit":10}'
)


@pytest.fixture(scope="module")
def daemon(links, work):
    link = links.veth()
    config = configuration(
        work(),
        [link.name],
        http={
            "max_target_size": "1KiB",
            "max_header_size": "4KiB",
            "max_headers": 30,
            "max_body_size": "4KiB",
            "header_timeout": "1s",
            "body_timeout": "1s",
            "keep_alive_timeout": "1s",
        },
    )
    with Daemon(work(), config) as running:
        yield running


@pytest.fixture
def connection(daemon):
    """A raw connection; the daemon must be well afterwards."""
    with RawConnection(daemon.port) as raw:
        yield raw
    client = daemon.client()
    for job in client.jobs():
        client.delete(job["id"])


def head(method="GET", target=PCAPS, extra="", version="HTTP/1.1"):
    return (
        f"{method} {target} {version}\r\nHost: localhost\r\n"
        f"{CREDENTIALS}{extra}\r\n"
    ).encode("latin-1")


def assert_failure(answer, status, code):
    assert (answer.status, answer.codes) == (status, [code]), answer.body


# -- routes -------------------------------------------------------------------


@pytest.mark.parametrize(
    "target",
    [
        "/",
        "/client/v4",
        "/client/v4/accounts",
        f"/client/v4/accounts/{ACCOUNT}",
        f"/client/v4/accounts/{ACCOUNT}/pcap",
        f"/client/v4/accounts/{ACCOUNT}/PCAPS",
        f"{PCAPS}/{SOME_ID}/files",
        f"{PCAPS}/{SOME_ID}/stop/now",
        f"{PCAPS}/ownership/x/y",
        "/healthz/x",
        "/metrics.json",
        "/../../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "//",
        "/client/v4/accounts//pcaps",
    ],
)
def test_no_such_route_is_404(daemon, target):
    client = daemon.client()
    for method in ("GET", "POST", "PUT", "DELETE"):
        body = {} if method == "POST" else None
        answer = client.request(method, target, body)
        assert_failure(answer, 404, NO_ROUTE)


@pytest.mark.parametrize(
    "target, allowed",
    [
        (PCAPS, {"GET", "POST"}),
        (f"{PCAPS}/{SOME_ID}", {"GET", "DELETE"}),
        (f"{PCAPS}/{SOME_ID}/download", {"GET", "HEAD"}),
        (f"{PCAPS}/{SOME_ID}/stop", {"PUT"}),
        (f"{PCAPS}/ownership", {"GET", "POST"}),
        (f"{PCAPS}/ownership/validate", {"POST"}),
        ("/healthz", {"GET"}),
        ("/readyz", {"GET"}),
        ("/metrics", {"GET"}),
    ],
)
def test_another_method_is_405_and_says_which_ones(daemon, target, allowed):
    client = daemon.client()
    refused = {"GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"} - allowed
    if target == f"{PCAPS}/ownership":
        # DELETE is for an ownership's id: some id called "ownership" is none.
        refused.discard("DELETE")
    if target == f"{PCAPS}/ownership/validate":
        refused -= {"DELETE"}
    for method in sorted(refused):
        answer = client.request(method, target)
        assert_failure(answer, 405, METHOD_NOT_ALLOWED)
        named = {word.strip() for word in answer.header("Allow").split(",")}
        assert allowed <= named and method not in named, (method, named)


def test_the_query_is_no_part_of_the_route(daemon):
    assert daemon.client().get(PCAPS + "?per_page=5").status == 200
    assert daemon.client().get("/healthz?x=y").status == 200


# -- connections --------------------------------------------------------------


def test_a_connection_serves_many_requests(connection):
    for _ in range(5):
        connection.send(head())
        assert connection.answer(target=PCAPS).status == 200


def test_requests_sent_at_once_are_answered_in_order(connection):
    connection.send(head() + head(target="/nowhere") + head(target="/healthz"))
    assert connection.answer(target=PCAPS).status == 200
    assert_failure(connection.answer(), 404, NO_ROUTE)
    assert connection.answer(target="/healthz").status == 200


def test_a_request_may_come_byte_by_byte(connection):
    for byte in head():
        connection.send(bytes([byte]))
    assert connection.answer(target=PCAPS).status == 200


def test_the_client_may_ask_to_close(connection):
    connection.send(head(extra="Connection: close\r\n"))
    answer = connection.answer(target=PCAPS)
    assert answer.status == 200
    assert answer.header("Connection").lower() == "close"
    assert connection.is_closed_by_peer()


def test_an_idle_connection_is_closed(connection):
    connection.send(head())
    assert connection.answer(target=PCAPS).status == 200
    assert connection.is_closed_by_peer()


def test_an_unused_connection_is_closed(connection):
    assert connection.is_closed_by_peer()


# -- bodies -------------------------------------------------------------------


def post(connection, extra, body=b""):
    connection.send(head("POST", PCAPS, extra) + body)
    return connection.answer("POST", PCAPS)


def test_a_body_is_read_to_its_length(connection):
    extra = f"Content-Length: {len(VALID_BODY)}\r\n"
    assert post(connection, extra, VALID_BODY).status == 200
    connection.send(head())
    assert connection.answer(target=PCAPS).status == 200


def test_a_client_may_wait_to_be_told_to_send(connection):
    connection.send(
        head(
            "POST",
            PCAPS,
            f"Expect: 100-continue\r\nContent-Length: {len(VALID_BODY)}\r\n",
        )
    )
    first = connection.socket.recv(25, 0x100)  # MSG_WAITALL
    assert first == b"HTTP/1.1 100 Continue\r\n\r\n"
    connection.send(VALID_BODY)
    assert connection.answer("POST", PCAPS).status == 200


@pytest.mark.parametrize("length", [4097, 2**31, 2**63 - 1])
def test_a_body_too_large_is_413_before_it_is_sent(connection, length):
    answer = post(connection, f"Content-Length: {length}\r\n")
    assert_failure(answer, 413, BODY_TOO_LARGE)
    assert connection.is_closed_by_peer()


def test_a_body_without_a_length_is_411(connection):
    answer = post(connection, "Transfer-Encoding: chunked\r\n", b"0\r\n\r\n")
    assert_failure(answer, 411, LENGTH_REQUIRED)
    assert connection.is_closed_by_peer()


def test_another_expectation_is_417(connection):
    answer = post(connection, "Expect: more\r\nContent-Length: 2\r\n", b"{}")
    assert_failure(answer, 417, EXPECTATION_FAILED)


def test_a_body_that_does_not_come_is_408(connection):
    answer = post(connection, "Content-Length: 100\r\n", b"{")
    assert_failure(answer, 408, REQUEST_TIMEOUT)
    assert connection.is_closed_by_peer()


def test_headers_that_do_not_end_are_408(connection):
    connection.send(b"GET / HTTP/1.1\r\nHost: x\r\n")
    assert_failure(connection.answer(), 408, REQUEST_TIMEOUT)
    assert connection.is_closed_by_peer()


# -- heads --------------------------------------------------------------------


def test_a_target_too_long_is_414(connection):
    connection.send(head(target="/" + "x" * 1024))
    assert_failure(connection.answer(), 414, TARGET_TOO_LONG)
    assert connection.is_closed_by_peer()


def test_a_target_of_the_largest_size_is_looked_up(connection):
    connection.send(head(target="/" + "x" * 1023))
    assert_failure(connection.answer(), 404, NO_ROUTE)


def test_headers_too_large_are_431(connection):
    connection.send(head(extra=f"X-Long: {'x' * 4096}\r\n"))
    assert_failure(connection.answer(), 431, HEADERS_TOO_LARGE)
    assert connection.is_closed_by_peer()


def test_too_many_headers_are_431(connection):
    connection.send(head(extra="".join(f"X-{i}: y\r\n" for i in range(31))))
    assert_failure(connection.answer(), 431, HEADERS_TOO_LARGE)
    assert connection.is_closed_by_peer()


def test_an_unknown_method_is_501(connection):
    connection.send(head("BREW"))
    assert_failure(connection.answer("BREW"), 501, UNKNOWN_METHOD)


@pytest.mark.parametrize("version", ["HTTP/2.0", "HTTP/0.9", "HTTP/3.1"])
def test_another_version_is_505(connection, version):
    connection.send(head(version=version))
    assert_failure(connection.answer(), 505, BAD_VERSION)
    assert connection.is_closed_by_peer()


@pytest.mark.parametrize(
    "extra",
    [
        "Content-Length: -1\r\n",
        "Content-Length: +1\r\n",
        "Content-Length: x\r\n",
        "Content-Length: 1, 2\r\n",
        "Content-Length:\r\n",
        "Content-Length: 99999999999999999999999\r\n",
        "Content-Length: 1\r\nContent-Length: 2\r\n",
        "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: gzip\r\n",
        "Host: again\r\n",
        "No colon\r\n",
        "Space : x\r\n",
        ": no name\r\n",
        " folded: x\r\n",
        "X-Nul: a\0b\r\n",
        "X-Return: a\rb\r\n",
        "X-(: y\r\n",
    ],
    ids=repr,
)
def test_ambiguous_headers_are_refused(connection, extra):
    connection.send(head("POST", PCAPS, extra) + b"{}")
    answer = connection.answer("POST", PCAPS)
    assert answer.status in (400, 411, 413, 501), answer.body
    assert len(answer.codes) == 1
    assert connection.is_closed_by_peer()


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET\r\n\r\n",
        b"GET /\r\n\r\n",
        b" GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET  / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / x HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/x.y\r\nHost: x\r\n\r\n",
        b"GET / http/1.1\r\nHost: x\r\n\r\n",
        b"GET nowhere HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /\0 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"G(T / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /% HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /%00 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\xff" * 100 + b"\r\n\r\n",
    ],
    ids=lambda content: repr(content[:30]),
)
def test_what_is_no_request_is_refused(connection, request_bytes):
    connection.send(request_bytes)
    answer = connection.answer()
    assert answer.status in (400, 404, 501, 505), answer.body
    assert len(answer.codes) == 1


@pytest.mark.parametrize(
    "extra",
    [
        "Accept: nonsense\r\n",
        "Accept: \r\n",
        "Accept: text/html;q=x\r\n",
        "Content-Type: ;;;\r\n",
        "Cookie: ;=;\r\n",
        "User-Agent: \r\n",
        "Accept-Encoding: \x80\r\n",
        "Cache-Control: ,,=\r\n",
        "Date: yesterday\r\n",
        "Connection: nonsense\r\n",
        "Range: nonsense\r\n",
        "Upgrade: websocket\r\nConnection: upgrade\r\n",
        "If-None-Match: \r\n",
    ],
    ids=repr,
)
def test_headers_that_do_not_concern_us_do_not_matter(connection, extra):
    connection.send(head(extra=extra))
    assert connection.answer(target=PCAPS).status == 200


def test_a_client_that_leaves_does_no_harm(daemon):
    for content in (b"", b"GET", head()[:-2], head(), head() * 50):
        with RawConnection(daemon.port) as raw:
            raw.send(content)
    assert daemon.client().get("/healthz").status == 200
