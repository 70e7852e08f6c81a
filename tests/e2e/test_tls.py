"""deploy/tls: nginx and HAProxy in front of the daemon, as they are shipped."""

import json
import os
import re
import sqlite3
import ssl
import subprocess
import threading

import pytest

from harness import network, packets, sdk
from harness.certificates import Authority
from harness.client import TIMEOUT_S, Client
from harness.daemon import (
    ACCOUNT,
    TOKEN,
    Daemon,
    bearer,
    configuration,
    new_port,
)
from harness.proxies import Haproxy, Nginx
from harness.savefiles import read_pcap
from harness.shipped import tool
from harness.waiting import wait_until

MIB = 1 << 20
LARGE_BYTES = 2 << 30
PCAP_HEADER_BYTES = 24
PCAP_RECORD_BYTES = 16
# What a client that stands still leaves in buffers: of the kernel for two
# connections, 6 MiB to receive and 4 to send by default, and of the processes.
MAX_READ_AHEAD_BYTES = 32 * MIB
# An address of loopback that neither the daemon nor a proxy has.
CLIENT = "127.0.0.9"
RENEWALS = 3


@pytest.fixture(scope="module")
def link(links):
    return links.veth()


@pytest.fixture(scope="module")
def daemon(link, work):
    config = configuration(
        work(),
        [link.name],
        listen={"trusted_proxies": ["127.0.0.1"]},
        limits={"collect": {"requests": 1, "window": f"{sdk.WINDOW_S}s"}},
    )
    with Daemon(work(), config) as running:
        yield running


def create_when_allowed(api, **fields):
    """Creates a job as soon as limits.collect has room; returns its id."""
    answers = []

    def created():
        answers.append(api.try_create(**fields))
        assert answers[-1].status in (200, 429), answers[-1]
        return answers[-1].status == 200

    wait_until("a create is allowed", created)
    return answers[-1].result["id"]


@pytest.fixture(scope="module")
def large(daemon, link):
    """The id and the file of a capture that is larger than a test can make.
    docs/storage.md says where that is, and what the index holds of it."""
    api = daemon.client()
    job_id = create_when_allowed(api, packet_limit=1)
    api.wait_capturing(job_id)
    link.send(packets.ethernet(packets.udp_ipv4(packets.marked(1))))
    api.wait_success(job_id)
    daemon.stop()
    file = daemon.directory / "savefiles" / f"{job_id}.pcap"
    with open(file, "r+b") as f:
        f.truncate(LARGE_BYTES)
        # No two parts of it are alike.
        for offset in range(MIB, LARGE_BYTES, 16 * MIB):
            f.seek(offset)
            f.write(os.urandom(64))
    index = sqlite3.connect(daemon.directory / "index.sqlite")
    with index:
        index.execute(
            "UPDATE jobs SET savefile_bytes = ? WHERE id = ?",
            (LARGE_BYTES, job_id),
        )
    index.close()
    daemon.start()
    return job_id, file


@pytest.fixture(scope="module", params=[Nginx, Haproxy], ids=lambda x: x.name)
def proxy(request, daemon, work):
    with request.param(work(), daemon.port, Authority(work())) as running:
        yield running


# -- the API ------------------------------------------------------------------


def curl(proxy, target, *options):
    """One request by curl(1), from CLIENT."""
    done = subprocess.run(
        [tool("curl"), "-q", "--noproxy", "*", "-sS", "--path-as-is"]
        + ["--cacert", str(proxy.authority.crt), "--interface", CLIENT]
        + ["-H", f"Authorization: Bearer {TOKEN}"]
        + ["-w", "%{stderr}%{http_code}", *options]
        + [f"https://127.0.0.1:{proxy.port}{target}"],
        capture_output=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return int(done.stderr), done.stdout


def test_curl_creates_follows_and_downloads(proxy, link):
    base = f"/client/v4/accounts/{ACCOUNT}/pcaps"
    body = {
        "type": "simple",
        "system": "magic-transit",
        "time_limit": 300,
        "packet_limit": 2,
    }
    status, content = wait_until(
        "a create is allowed",
        lambda: (answer := curl(proxy, base, "-d", json.dumps(body)))[0] != 429
        and answer,
    )
    assert status == 200, content
    path = f"{base}/{json.loads(content)['result']['id']}"

    def job():
        status, content = curl(proxy, path)
        assert status == 200, content
        return json.loads(content)["result"]

    wait_until(
        "capturing",
        lambda: [x["state"] for x in job()["interfaces"]] == ["capturing"],
    )
    for number in range(2):
        link.send(packets.ethernet(packets.udp_ipv4(packets.marked(number))))
    wait_until("success", lambda: job()["status"] == "success")
    status, content = curl(proxy, path + "/download")
    assert status == 200
    assert len(read_pcap(content).records) == 2
    assert curl(proxy, path, "-X", "DELETE") == (204, b"")


def test_the_official_sdk_comes_through(proxy, link):
    sdk.drive(
        f"https://127.0.0.1:{proxy.port}",
        link,
        NODE_EXTRA_CA_CERTS=str(proxy.authority.crt),
    )


def test_connections_are_kept(proxy):
    api = proxy.client()
    connection = api.connect()
    for _ in range(3):
        connection.request("GET", api.base, headers=bearer(TOKEN))
        answer = connection.getresponse()
        assert answer.status == 200
        assert answer.getheader("Strict-Transport-Security")
        answer.read()
        assert not answer.will_close
    connection.close()


@pytest.mark.parametrize(
    "target",
    [
        "/metrics",
        "//metrics",
        "/metrics/",
        "/healthz",
        "/readyz?",
        "/client/v4/../../metrics",
        "/%6detrics",
        "/",
    ],
)
def test_what_is_for_the_host_alone_is_not_served(proxy, target):
    status, content = curl(proxy, target)
    assert status == 404
    assert b"edgecap_" not in content
    assert json.loads(content)["errors"][0]["code"] == 7003


# -- who is asking ------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-Forwarded-For": "192.0.2.1"},
        {"X-Forwarded-For": "192.0.2.1", "x-forwarded-for": "127.0.0.1"},
    ],
)
def test_the_audit_log_shows_the_client(proxy, daemon, headers):
    """Whatever the client claims, through the proxy and around it."""
    through = proxy.client(source=CLIENT)
    around = daemon.client(source=CLIENT)
    for api in (through, around):
        before = len(daemon.events("audit"))
        target = api.path("f" * 32, "/stop")
        assert api.request("PUT", target, headers=headers).status == 404
        wait_until("an audit line", lambda: len(daemon.events("audit")) > before)
        assert daemon.events("audit")[-1]["client"] == CLIENT


def test_a_client_on_the_host_of_the_proxy_cannot_be_another(proxy, daemon):
    """Its address is that of a trusted proxy: what it claims must be gone."""
    api = proxy.client(source="127.0.0.1")
    before = len(daemon.events("audit"))
    claim = {"X-Forwarded-For": "192.0.2.1"}
    api.request("PUT", api.path("f" * 32, "/stop"), headers=claim)
    wait_until("an audit line", lambda: len(daemon.events("audit")) > before)
    assert daemon.events("audit")[-1]["client"] == "127.0.0.1"


# -- limits -------------------------------------------------------------------


def test_a_body_that_is_too_large_is_refused(proxy):
    api = proxy.client()
    answer = api.request("POST", api.base, b" " * (64 * 1024 + 1))
    assert (answer.status, answer.codes) == (413, [20002])
    # The largest one is the daemon's to judge.
    answer = api.request("POST", api.base, b"x" * (64 * 1024))
    assert (answer.status, answer.codes) == (400, [20100])


def test_a_header_that_is_too_large_is_refused(proxy):
    api = proxy.client()
    for size, expected in ((7000, {200}), (20000, {400, 431})):
        answer = api.get(api.base, X_Padding="x" * size)
        assert answer.status in expected
        assert answer.status == 200 or answer.codes in ([20000], [20003])


@pytest.mark.parametrize("kind", [Nginx, Haproxy], ids=lambda x: x.name)
def test_without_a_daemon_the_envelope_says_so(kind, work):
    with kind(work(), new_port(), Authority(work())) as proxy:
        api = proxy.client()
        answer = api.get(api.base)
        assert (answer.status, answer.codes) == (503, [20306])


# -- streams ------------------------------------------------------------------


def test_a_stream_shows_packets_while_they_are_captured(proxy, daemon, link):
    api = proxy.client()
    direct = daemon.client()
    job_id = create_when_allowed(direct, packet_limit=3)
    direct.wait_capturing(job_id)
    connection = api.connect()
    connection.request(
        "GET", api.path(job_id, "/stream"), headers=bearer(TOKEN)
    )
    answer = connection.getresponse()
    assert answer.status == 200
    savefile = answer.read(PCAP_HEADER_BYTES)
    for number in range(3):
        # Each comes before the next is sent: nothing holds it back.
        frame = packets.ethernet(packets.udp_ipv4(packets.marked(number)))
        link.send(frame)
        savefile += answer.read(PCAP_RECORD_BYTES + len(frame))
        assert savefile.endswith(frame)
    assert answer.read() == b""
    connection.close()
    direct.wait_success(job_id)
    assert savefile == direct.download(job_id)


# -- large downloads ----------------------------------------------------------


def read_and_compare(answer, file, count):
    """Reads so many bytes of an answer; they must be the next of the file."""
    got = memoryview(bytearray(MIB))
    while count > 0:
        size = answer.readinto(got[: min(count, MIB)])
        assert size > 0, f"ends {count} bytes too early"
        assert got[:size] == file.read(size)
        count -= size


def begin_download(api, job_id, headers=None):
    """A connection and its answer, of which nothing is read."""
    connection = api.connect()
    connection.request(
        "GET",
        api.path(job_id, "/download"),
        headers={**bearer(TOKEN), **(headers or {})},
    )
    return connection, connection.getresponse()


def read_ahead_bytes(daemon):
    """How much those who ask the daemon have read of an answer at most."""
    done = subprocess.run(
        ["ss", "-tinOH", "state", "established", f"dport = :{daemon.port}"],
        capture_output=True,
        text=True,
        check=True,
    )
    return max(map(int, re.findall(r"bytes_received:(\d+)", done.stdout)))


def test_a_large_download_arrives_whole_and_is_never_spooled(
    proxy, daemon, large
):
    job_id, path = large
    connection, answer = begin_download(proxy.client(), job_id)
    assert answer.status == 200
    assert int(answer.getheader("Content-Length")) == LARGE_BYTES
    with open(path, "rb", buffering=0) as file:
        read_and_compare(answer, file, MIB)
        # Now the client stands still, until nothing moves any more.
        seen = []

        def nothing_moves():
            seen.append(read_ahead_bytes(daemon))
            return len(seen) > 10 and len(set(seen[-10:])) == 1

        wait_until(lambda: f"nothing moves: {seen}", nothing_moves)
        assert MIB < seen[-1] < MAX_READ_AHEAD_BYTES
        spools = [x for x in proxy.open_files() if "(deleted)" in x]
        assert not spools
        read_and_compare(answer, file, LARGE_BYTES - MIB)
    assert answer.read() == b""
    connection.close()


# -- versions and ciphers -----------------------------------------------------


def s_client(port, *options):
    """What openssl(1) says of a handshake."""
    done = subprocess.run(
        [tool("openssl"), "s_client", "-connect", f"127.0.0.1:{port}"]
        + [*options],
        input=b"",
        capture_output=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    return (done.stdout + done.stderr).decode(errors="replace")


# Without the second, openssl would not even offer the old version.
OLD = ("-tls1_1", "-cipher", "DEFAULT:@SECLEVEL=0")


def test_tls_1_1_is_refused(proxy):
    said = s_client(proxy.port, *OLD)
    assert "Cipher is (NONE)" in said, said
    assert "alert protocol version" in said, said


def test_tls_1_1_would_be_spoken_by_a_server_that_allows_it(work):
    """So that the refusal above is the proxy's."""
    crt, key = Authority(work()).issue("server")
    port = new_port()
    server = subprocess.Popen(
        [tool("openssl"), "s_server", "-accept", f"127.0.0.1:{port}", *OLD]
        + ["-naccept", "1", "-cert", str(crt), "-key", str(key)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=network.die_with_parent,
    )
    with server:
        assert any(line.startswith("ACCEPT") for line in server.stdout)
        said = s_client(port, *OLD)
        server.kill()
    assert re.search(r"Protocol *: TLSv1\.1", said), said


@pytest.mark.parametrize(
    "options, cipher",
    [
        (("-tls1_2",), "ECDHE-ECDSA-AES"),
        (("-tls1_3",), "TLS_"),
    ],
)
def test_modern_tls_is_spoken(proxy, options, cipher):
    trust = ("-CAfile", str(proxy.authority.crt), "-verify_return_error")
    said = s_client(proxy.port, *options, *trust)
    assert f"Cipher is {cipher}" in said, said
    assert "Verify return code: 0 (ok)" in said, said


@pytest.mark.parametrize(
    "cipher", ["ECDHE-ECDSA-AES256-SHA384", "ECDHE-ECDSA-AES128-SHA"]
)
def test_ciphers_without_authentication_are_refused(proxy, cipher):
    said = s_client(proxy.port, "-tls1_2", "-cipher", cipher)
    assert "Cipher is (NONE)" in said, said


# -- a new certificate --------------------------------------------------------


class Asker(threading.Thread):
    """Asks again and again until it is told to stop, and keeps count."""

    def __init__(self, proxy):
        super().__init__(daemon=True)
        self.proxy = proxy
        self.api = proxy.client()
        self.answers = 0
        self.failures = []
        self.stopping = threading.Event()

    def run(self):
        try:
            while not self.stopping.is_set():
                self.ask()
                self.answers += 1
        except Exception as error:
            self.failures.append(repr(error))


class FreshAsker(Asker):
    """With a connection for each request."""

    def ask(self):
        self.api.jobs()


class KeptAsker(Asker):
    """On one connection, for as long as the proxy keeps it: it may say that an
    answer is the last, but not end the connection without."""

    connection = None

    def ask(self):
        if self.connection is None:
            self.connection = self.api.connect()
        self.connection.request("GET", self.api.base, headers=bearer(TOKEN))
        answer = self.connection.getresponse()
        assert answer.status == 200
        json.loads(answer.read())


class Downloader(Asker):
    """Reads one download slowly until it is told to stop, then the rest."""

    count = 256 * MIB

    def __init__(self, proxy, large):
        super().__init__(proxy)
        self.job_id, self.path = large

    def run(self):
        try:
            connection, answer = begin_download(
                self.api, self.job_id, {"Range": f"bytes=0-{self.count - 1}"}
            )
            assert answer.status == 206
            with open(self.path, "rb", buffering=0) as file:
                left = self.count
                while not self.stopping.wait(0.1) and left > MIB:
                    read_and_compare(answer, file, 64 * 1024)
                    left -= 64 * 1024
                    self.answers += 1
                read_and_compare(answer, file, left)
            assert answer.read() == b""
            connection.close()
        except Exception as error:
            self.failures.append(repr(error))


def wait_for_more_answers(askers, count):
    """Waits until each has so many more."""
    goals = [asker.answers + count for asker in askers]

    def all_have():
        assert [x.failures for x in askers] == [[]] * len(askers)
        return all(x.answers >= goal for x, goal in zip(askers, goals))

    wait_until("each has more answers", all_have, 60)


def test_a_new_certificate_drops_no_connection(proxy, large):
    askers = [FreshAsker(proxy) for _ in range(3)]
    askers += [KeptAsker(proxy) for _ in range(3)]
    askers += [Downloader(proxy, large) for _ in range(2)]
    for asker in askers:
        asker.start()
    try:
        for _ in range(RENEWALS):
            wait_for_more_answers(askers, 5)
            before = proxy.served_serial()
            proxy.renew_certificate()
            wait_until(
                "the new certificate", lambda: proxy.served_serial() != before
            )
            wait_for_more_answers(askers, 5)
    finally:
        for asker in askers:
            asker.stopping.set()
        for asker in askers:
            asker.join(60)
    assert not any(asker.is_alive() for asker in askers)
    assert [x.failures for x in askers] == [[]] * len(askers)
    assert len({proxy.served_serial() for _ in range(5)}) == 1


# -- client certificates ------------------------------------------------------


@pytest.mark.parametrize("kind", [Nginx, Haproxy], ids=lambda x: x.name)
def test_clients_may_have_to_show_a_certificate(kind, daemon, work):
    authority = Authority(work())
    authority.issue("client")
    other = Authority(work(), "other")
    other.issue("client")
    asking = kind(work(), daemon.port, authority, client_certificates=True)
    with asking as proxy:
        with_one = proxy.client(certificate="client")
        assert with_one.jobs() == daemon.client().jobs()
        for certificate in (None, other):
            context = authority.context()
            if certificate:
                context.load_cert_chain(
                    other.directory / "client.crt",
                    other.directory / "client.key",
                )
            api = Client(proxy.port, ACCOUNT, bearer(TOKEN), tls=context)
            assert is_refused(api)


def is_refused(api):
    """By an answer, as nginx does, or by the handshake, as HAProxy."""
    try:
        answer = api.get(api.base)
    except (ssl.SSLError, ConnectionError):
        return True
    return (answer.status, answer.codes) == (403, [10000])
