"""The log: one audit line per create, stop, delete, download; no secrets."""

import json

import pytest

from harness import packets
from harness.client import Client, RawConnection
from harness.daemon import (
    ACCOUNT,
    KEY,
    READ_TOKEN,
    SECRETS,
    TOKEN,
    Daemon,
    bearer,
    configuration,
)
from harness.waiting import wait_until


@pytest.fixture(scope="module")
def link(links):
    return links.veth()


@pytest.fixture(scope="module")
def daemon(link, work):
    config = configuration(work(), [link.name], log={"level": "trace"})
    with Daemon(work(), config) as running:
        yield running


def audits(daemon, **fields):
    return daemon.events("audit", **fields)


def test_each_operation_leaves_one_line(daemon, link):
    api = daemon.client()
    job_id = api.create(
        packet_limit=1, filter_v1={"destination_port": 5000}
    )["id"]
    api.wait_capturing(job_id)
    link.send(packets.ethernet(packets.udp_ipv4(packets.marked(1))))
    api.wait_success(job_id)
    api.stop(job_id)
    api.download(job_id)
    api.job(job_id)
    api.jobs()
    api.delete(job_id)
    lines = wait_until(
        "four audit lines",
        lambda: (found := audits(daemon, job=job_id))
        and len(found) >= 4
        and found,
    )
    assert [line["action"] for line in lines] == [
        "create",
        "stop",
        "download",
        "delete",
    ]
    for line in lines:
        assert line["account"] == ACCOUNT
        assert line["credential"] == "all"
        assert line["client"].startswith("127.0.0.1")
        assert line["status"] in (200, 204)
        assert line["level"] == "info"
        assert line["time"].endswith("Z")


def test_refused_operations_are_audited_too(daemon):
    unknown = "f" * 32
    reader = daemon.client(READ_TOKEN)
    for method, rest in (
        ("PUT", "/stop"),
        ("GET", "/download"),
        ("DELETE", ""),
    ):
        answer = reader.request(method, reader.path(unknown, rest))
        assert answer.status == 403
    lines = wait_until(
        "three audit lines",
        lambda: (found := audits(daemon, job=unknown))
        and len(found) >= 3
        and found,
    )
    assert [line["action"] for line in lines] == ["stop", "download", "delete"]
    assert {line["status"] for line in lines} == {403}
    assert {line["credential"] for line in lines} == {"reader"}


def test_what_clients_send_forges_no_line(daemon):
    evil = 'x"}\n{"event":"audit","action":"forged'
    api = daemon.client()
    api.try_create(system=evil)
    api.try_create(type=evil)
    api.get("/%0a%7b%22event%22:%22audit%22,%22action%22:%22forged%22%7d")
    api.get(api.base, User_Agent='x"},{"event":"audit"')
    with RawConnection(daemon.port) as raw:
        raw.send(b'{"event":"audit","action":"forged"}\r\n\r\n')
        raw.answer()
    api.create()
    for entry in daemon.log_entries():
        assert entry.get("action") != "forged"
        assert {"time", "level", "event"} <= set(entry), entry


def test_no_secret_is_ever_logged(daemon):
    """Not even of requests that are refused, at the most talkative level."""
    api = daemon.client()
    api.get(api.base)
    api.get(f"{api.base}?token={TOKEN}&page=0")
    Client(daemon.port, ACCOUNT, bearer(TOKEN + "-wrong")).get(api.base)
    pair = {"X-Auth-Email": "x@example.com", "X-Auth-Key": KEY}
    Client(daemon.port, ACCOUNT, pair).get(api.base)
    with RawConnection(daemon.port) as raw:
        raw.send(f"GET / HTTP/1.1\r\nAuthorization {TOKEN}\r\n\r\n".encode())
        raw.answer()
    daemon.wait_ready()
    log = daemon.log()
    assert log
    for secret in SECRETS:
        assert secret not in log
    hashes = [
        credential.get("token_hash", credential.get("key_hash"))
        for account in daemon.config["accounts"]
        for credential in account["credentials"]
    ]
    for digest in hashes:
        assert digest.split(":")[2] not in log


def test_the_text_format_says_the_same(link, work):
    config = configuration(work(), [link.name], log={"format": "text"})
    with Daemon(work(), config) as daemon:
        api = daemon.client()
        job_id = api.create()["id"]
        line = wait_until(
            "an audit line",
            lambda: [x for x in daemon.log().splitlines() if job_id in x],
        )[0]
        assert "audit" in line and "create" in line
        with pytest.raises(json.JSONDecodeError):
            json.loads(line)
