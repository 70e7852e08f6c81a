"""SIGHUP: the configuration is read again, and taken over as a whole."""

import copy
import os
import secrets
import signal
import threading

import pytest
import yaml

from harness.client import RawConnection
from harness.daemon import (
    ACCOUNT,
    DOWNLOAD_TOKEN,
    OTHER_ACCOUNT,
    OTHER_TOKEN,
    READ_TOKEN,
    TOKEN,
    Daemon,
    bearer,
    configuration,
    hash_secret,
    new_port,
)
from harness.packets import ethernet, marked, udp_ipv4
from harness.prometheus import scrape
from harness.savefiles import read_pcap
from harness.waiting import wait_until

FORBIDDEN = 10000
PORT = 40071
FILTER = {"destination_port": PORT}
NEW_ACCOUNT = "00000000000000000000000000000007"
NEW_TOKEN = "token-new-" + secrets.token_hex(8)


@pytest.fixture(scope="module")
def link(links):
    return links.veth()


@pytest.fixture
def daemon(link, work):
    config = configuration(work(), [{"match": link.name, "snaplen": "2KiB"}])
    with Daemon(work(), config) as running:
        yield running


def frame(number):
    return ethernet(udp_ipv4(marked(number), destination_port=PORT))


def capture(api, link, packets=1):
    """A finished capture."""
    job_id = api.create(packet_limit=packets, filter_v1=FILTER)["id"]
    api.wait_capturing(job_id)
    for number in range(packets):
        link.send(frame(number))
    api.wait_success(job_id)
    return job_id


def new_account(token=NEW_TOKEN, **keys):
    return {
        "id": NEW_ACCOUNT,
        "credentials": [
            {
                "name": "first",
                "token_hash": hash_secret(token),
                "rights": ["read", "write", "download"],
            }
        ],
        **keys,
    }


def changes(daemon, event="config-changed"):
    return {
        line["key"]: (line["old"], line["new"]) for line in daemon.events(event)
    }


# -- accounts ------------------------------------------------------------------


def test_an_added_account_works(daemon, link):
    api = daemon.client(token=NEW_TOKEN, account=NEW_ACCOUNT)
    assert api.get(api.base).codes == [FORBIDDEN]
    daemon.config["accounts"].append(new_account(max_jobs=1))
    assert daemon.reload()
    capture(api, link)
    assert api.try_create().status == 507, "its quota came with it"
    assert changes(daemon) == {f"accounts[{NEW_ACCOUNT}]": ("absent", "present")}


def test_a_removed_credential_is_refused_at_the_next_request(daemon):
    reader = daemon.client(token=READ_TOKEN)
    others = daemon.client(token=OTHER_TOKEN, account=OTHER_ACCOUNT)
    request = (
        f"GET {reader.base} HTTP/1.1\r\nHost: x\r\n"
        f"Authorization: {bearer(READ_TOKEN)['Authorization']}\r\n\r\n"
    ).encode()
    ours = daemon.config["accounts"][0]
    ours["credentials"] = [
        x for x in ours["credentials"] if x["name"] != "reader"
    ]
    with RawConnection(daemon.port) as connection:
        connection.send(request)
        assert connection.answer("GET", reader.base).status == 200
        assert daemon.reload()
        connection.send(request)
        answer = connection.answer("GET", reader.base)
        assert (answer.status, answer.codes) == (403, [FORBIDDEN])
    assert others.get(others.base).status == 200
    assert daemon.client().get(reader.base).status == 200


def test_a_changed_secret_and_right(daemon):
    ours = daemon.config["accounts"][0]
    ours["credentials"][0].update(
        token_hash=hash_secret(NEW_TOKEN), rights=["read"]
    )
    old = daemon.client()
    assert daemon.reload()
    assert old.get(old.base).codes == [FORBIDDEN]
    new = daemon.client(token=NEW_TOKEN)
    assert new.get(new.base).status == 200
    assert new.try_create().status == 403
    key = f"accounts[{ACCOUNT}].credentials[all]."
    assert changes(daemon) == {
        key + "token_hash": ("hidden", "hidden"),
        key + "rights": ("read, write, download", "read"),
    }


# -- limits, retention, the log ------------------------------------------------


def test_limits_count_from_the_next_request_on(daemon):
    daemon.config["limits"]["collect"] = {"requests": 2, "window": "1h"}
    assert daemon.reload()
    api = daemon.client()
    for _ in range(2):
        api.create(filter_v1=FILTER)
    assert api.try_create().status == 429
    daemon.config["limits"]["collect"]["requests"] = 3
    daemon.config["limits"]["packet_limit"] = 20000
    assert daemon.reload()
    api.create(filter_v1=FILTER, packet_limit=20000)
    assert api.try_create().status == 429
    daemon.config["limits"].update(
        collect={"requests": 9, "window": "1h"}, running_jobs=3
    )
    assert daemon.reload()
    assert api.try_create().status == 503, "so many run"
    api.stop(api.jobs()[0]["id"])
    wait_until(
        "two captures run",
        lambda: sum(job["status"] == "pending" for job in api.jobs()) == 2,
    )
    api.create(filter_v1=FILTER)


def test_lower_retention_removes_at_once(daemon, link):
    # The regular time to look is a day away.
    daemon.config["retention"] = {"sweep_interval": "1d"}
    assert daemon.reload()
    api = daemon.client()
    ids = [capture(api, link) for _ in range(5)]
    daemon.config["retention"]["max_jobs"] = 2
    assert daemon.reload()
    wait_until(
        "two captures are left",
        lambda: [job["id"] for job in api.jobs()] == [ids[4], ids[3]],
    )


def test_the_level_of_the_log(daemon):
    api = daemon.client()
    daemon.config["log"]["level"] = "warn"
    assert daemon.reload()
    unseen = api.create(filter_v1=FILTER)["id"]
    daemon.config["log"]["level"] = "info"
    assert daemon.reload()
    seen = api.create(filter_v1=FILTER)["id"]
    wait_until("an audit line", lambda: daemon.events("audit", job=seen))
    assert not daemon.events("audit", job=unseen)


def test_guessers_are_blocked_as_the_file_says_now(daemon):
    daemon.config["auth"]["max_failures"] = 2
    assert daemon.reload()
    guesser = daemon.client(token="x" * 20)
    statuses = [guesser.get(guesser.base).status for _ in range(3)]
    assert statuses == [403, 403, 429]


# -- what is not taken over ----------------------------------------------------


def test_a_faulty_file_changes_nothing_and_is_explained(daemon):
    good = yaml.safe_dump(daemon.config)
    api = daemon.client(token=NEW_TOKEN, account=NEW_ACCOUNT)
    daemon.config["accounts"].append(new_account())
    faulty = yaml.safe_dump(daemon.config) + "auth: {}\nretention: {max_age: 5}\n"
    lines = faulty.splitlines()
    assert not daemon.reload(faulty)
    assert api.get(api.base).codes == [FORBIDDEN]
    assert daemon.client().get(api.path("x")).status in (403, 404)
    faults = {
        line["key"]: (line["line"], line["error"])
        for line in daemon.events("config-rejected", level="error")
    }
    assert set(faults) == {"auth", "retention.max_age"}
    assert faults["auth"][0] == len(lines) - 1
    assert "given twice" in faults["auth"][1]
    assert faults["retention.max_age"][0] == len(lines)
    assert "unit" in faults["retention.max_age"][1]
    assert not daemon.events("config-reloaded")
    # What was in force is, and the next file that is right is taken.
    assert daemon.reload(good)
    assert changes(daemon) == {}
    assert daemon.reload()
    assert api.get(api.base).status == 200


def test_a_file_that_is_gone_changes_nothing(daemon):
    daemon.config_file.unlink()
    text = yaml.safe_dump(daemon.config)
    before = daemon.reloads()
    daemon.process.send_signal(signal.SIGHUP)
    wait_until("it is refused", lambda: daemon.reloads() != before)
    (line,) = daemon.events("config-rejected")
    assert "No such file" in line["error"]
    assert line["file"] == str(daemon.config_file)
    api = daemon.client()
    assert api.get(api.base).status == 200
    assert daemon.reload(text)


def test_an_interface_that_is_missing_is_a_fault(daemon):
    other = copy.deepcopy(daemon.config)
    other["systems"]["magic-transit"]["interfaces"].append("nosuch0")
    assert not daemon.reload(yaml.safe_dump(other))
    (line,) = daemon.events("config-rejected")
    assert line["key"] == "systems.magic-transit.interfaces[1]"
    assert "'nosuch0'" in line["error"]


def test_what_needs_a_restart_is_named_and_stays(daemon):
    old_port = daemon.port
    other = copy.deepcopy(daemon.config)
    other["listen"]["port"] = new_port()
    other["http"] = {"threads": 3}
    other["systems"]["lab"] = {"interfaces": ["lo"]}
    other["limits"]["time_limit"] = "400s"
    for _ in range(2):
        assert daemon.reload(yaml.safe_dump(other))
    waiting = daemon.events("config-needs-restart", level="warning")
    # At each reload, until it is so.
    assert [line["key"] for line in waiting] == 2 * [
        "listen.port",
        "http.threads",
        "systems.lab",
    ]
    assert waiting[0]["old"] == str(old_port)
    assert waiting[0]["new"] == str(other["listen"]["port"])
    assert changes(daemon) == {"limits.time_limit": ("5m", "400s")}
    totals = daemon.events("config-reloaded")
    assert [(x["changed"], x["need_restart"]) for x in totals] == [
        (1, 3),
        (0, 3),
    ]
    api = daemon.client()
    api.create(filter_v1=FILTER, time_limit=400)
    assert api.try_create(system="lab").status == 400


# -- what goes on --------------------------------------------------------------


def test_captures_streams_and_connections_go_on(daemon, link):
    api = daemon.client()
    job_id = api.create(packet_limit=100, filter_v1=FILTER)["id"]
    api.wait_capturing(job_id)
    connection = daemon.client().connect()
    connection.request(
        "GET", api.path(job_id, "/stream"), headers=bearer(DOWNLOAD_TOKEN)
    )
    stream = connection.getresponse()
    assert stream.status == 200
    for number in range(50):
        link.send(frame(number))
    api.wait_captured(job_id, 50)
    # Not even whose credential is gone loses what has begun.
    ours = daemon.config["accounts"][0]
    ours["credentials"] = [
        x for x in ours["credentials"] if x["name"] != "downloader"
    ]
    daemon.config["limits"].update(packet_limit=10, running_jobs=1)
    assert daemon.reload()
    for number in range(50, 100):
        link.send(frame(number))
    job = api.wait_success(job_id)
    assert job["packets_captured"] == 100
    streamed = read_pcap(stream.read())
    connection.close()
    assert [r.data for r in streamed.records] == [frame(n) for n in range(100)]


def test_two_hundred_signals_under_load(daemon, link):
    """Whose credential stays is served all the time."""
    api = daemon.client()
    job_id = api.create(filter_v1=FILTER)["id"]
    api.wait_capturing(job_id)
    without = yaml.safe_dump(daemon.config)
    daemon.config["accounts"].append(new_account())
    daemon.config["retention"] = {"max_jobs": 1000}
    daemon.config["limits"]["running_jobs"] = 200
    with_more = yaml.safe_dump(daemon.config)
    enough = threading.Event()
    wrong = []
    served = []

    def ask(token):
        client = daemon.client(token=token)
        while not enough.is_set():
            status = client.get(client.base).status
            served.append(status)
            if status != 200:
                wrong.append(status)

    threads = [
        threading.Thread(target=ask, args=(token,))
        for token in (TOKEN, READ_TOKEN, TOKEN)
    ]
    for thread in threads:
        thread.start()
    try:
        for number in range(200):
            daemon.write_config(with_more if number % 2 else without)
            daemon.process.send_signal(signal.SIGHUP)
            link.send(frame(number))
        assert daemon.reload(with_more) or not daemon.events("config-rejected")
    finally:
        enough.set()
        for thread in threads:
            thread.join()
    assert served and not wrong
    assert not daemon.events("config-rejected")
    # Signals that come while one is waiting are one.
    wait_until("the last file is in force", lambda: new_account_is_known(daemon))
    api.wait_captured(job_id, 200)


def new_account_is_known(daemon):
    api = daemon.client(token=NEW_TOKEN, account=NEW_ACCOUNT)
    return api.get(api.base).status == 200


# -- for whoever watches -------------------------------------------------------


def test_metrics_tell_of_reloads(daemon):
    def last(metrics):
        return metrics.total("edgecap_config_last_success_timestamp_seconds")

    client = daemon.client()
    started = last(scrape(client))
    assert started >= os.stat(daemon.config_file).st_mtime - 1
    assert not daemon.reload("accounts: []\n")
    assert last(scrape(client)) == started
    assert daemon.reload()
    assert last(scrape(client)) >= started
    assert daemon.reloads() == [1, 1]


def test_the_log_shows_no_hash(daemon):
    for account in daemon.config["accounts"]:
        for credential in account["credentials"]:
            for key in ("token_hash", "key_hash"):
                if key in credential:
                    credential[key] = hash_secret(secrets.token_hex(16))
    assert daemon.reload()
    assert daemon.events("config-changed")
    daemon.config["accounts"][0]["credentials"][0]["token_hash"] = "abc"
    assert not daemon.reload()
    assert "sha256:" not in daemon.log().replace("which is 'sha256:'", "")
