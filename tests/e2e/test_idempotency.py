"""One key, one capture: whoever got no answer to a create may ask again."""

import concurrent.futures
import http.client
import re
import sqlite3
import uuid

import pytest

from harness.daemon import (
    OTHER_ACCOUNT,
    OTHER_TOKEN,
    READ_TOKEN,
    Daemon,
    configuration,
)
from harness.waiting import wait_until

REQUEST = {
    "type": "simple",
    "system": "magic-transit",
    "time_limit": 300,
    "packet_limit": 10000,
    "filter_v1": {"destination_port": 53, "protocol": 17},
}

CONCURRENT_CLIENTS = 16


@pytest.fixture(scope="module")
def link(links):
    return links.veth()


@pytest.fixture
def make_daemon(link, work):
    """Makes daemons that are not started yet."""
    return lambda **sections: Daemon(
        work(), configuration(work(), [link.name], **sections)
    )


@pytest.fixture
def daemon(make_daemon):
    with make_daemon() as running:
        yield running


def new_key():
    return str(uuid.uuid4())


def ask(api, key, query="", **changes):
    """Asks for a capture with a key."""
    headers = {} if key is None else {"Idempotency-Key": key}
    body = {**REQUEST, **changes}
    return api.request("POST", api.base + query, body, headers)


def create(api, key, **changes):
    """A capture that nobody has asked for before."""
    answer = ask(api, key, **changes)
    assert answer.status == 200, answer.body
    assert answer.header("Idempotency-Replayed") is None
    return answer.result


def replay(api, key, **changes):
    """The capture that an earlier request has made."""
    answer = ask(api, key, **changes)
    assert answer.status == 200, answer.body
    assert answer.header("Idempotency-Replayed") == "true"
    return answer.result


def ids(api):
    return [job["id"] for job in api.jobs()]


# -- the same request ---------------------------------------------------------


def test_the_same_key_leads_to_the_same_capture(daemon):
    api = daemon.client()
    key = new_key()
    made = create(api, key)
    api.wait_capturing(made["id"])
    running = replay(api, key)
    assert running["id"] == made["id"]
    assert running["started"], "as it is now"
    api.stop(made["id"])
    api.wait_success(made["id"])
    assert replay(api, key)["status"] == "success"
    assert ids(api) == [made["id"]]
    audited = daemon.events("audit", action="create", job=made["id"])
    assert [line.get("replayed", False) for line in audited] == [
        False,
        True,
        True,
    ]
    assert not re.search(key, daemon.log()), "a key is nobody's business"


def test_a_replay_draws_nothing_on_the_allowance(make_daemon):
    limits = {"collect": {"requests": 1, "window": "1h"}, "running_jobs": 1}
    with make_daemon(limits=limits) as daemon:
        api = daemon.client()
        key = new_key()
        made = create(api, key)
        assert ask(api, new_key()).status == 503, "one capture at once"
        assert replay(api, key)["id"] == made["id"]
        api.stop(made["id"])
        api.wait_success(made["id"])
        refused = new_key()
        assert ask(api, refused).status == 429
        assert ask(api, refused).status == 429, "a refusal leaves no key"
        assert replay(api, key)["id"] == made["id"]
        assert ids(api) == [made["id"]]


def test_what_counts_is_what_was_understood(daemon):
    api = daemon.client()
    key = new_key()
    made = create(api, key)
    same = (
        b'{ "packet_limit": 1e4, "filter_v1": {"protocol": 17.0, '
        b'"destination_port": 53},\n"system": "magic-transit", '
        b'"colo": "ignored", "time_limit": 300.0, "type": "simple"}'
    )
    for text in (key, f'"{key}"'):
        headers = {"Idempotency-Key": text}
        answer = api.request("POST", api.base, same, headers)
        assert answer.status == 200, answer.body
        assert answer.result["id"] == made["id"]
        assert answer.json["messages"][0]["code"] == 20400


@pytest.mark.parametrize(
    "changes",
    [
        {"time_limit": 299},
        {"packet_limit": 1},
        {"filter_v1": {}},
        {"filter_v1": {"destination_port": 53, "protocol": 6}},
    ],
    ids=str,
)
def test_another_request_is_refused(daemon, changes):
    api = daemon.client()
    key = new_key()
    made = create(api, key)
    answer = ask(api, key, **changes)
    assert answer.status == 422
    assert answer.codes == [20109]
    assert ids(api) == [made["id"]]


@pytest.mark.parametrize(
    "text",
    ["", '""', "two words", '"open', 'open"', '"a"; p=1', "k" * 256, "\xe9"],
)
def test_a_malformed_key_is_named(daemon, text):
    api = daemon.client()
    answer = ask(api, text)
    assert answer.status == 400
    assert answer.codes == [20108]
    assert "Idempotency-Key" in answer.json["errors"][0]["message"]
    assert ids(api) == []


def test_the_longest_and_the_oddest_key(daemon):
    api = daemon.client()
    for key in ("k" * 255, "".join(chr(c) for c in range(0x23, 0x7F)), "!"):
        made = create(api, key)
        assert replay(api, key)["id"] == made["id"]


def test_accounts_and_rights_are_kept_apart(daemon):
    ours = daemon.client()
    theirs = daemon.client(OTHER_TOKEN, OTHER_ACCOUNT)
    key = new_key()
    made = create(ours, key)
    assert create(theirs, key)["id"] != made["id"]
    assert ask(daemon.client(READ_TOKEN), key).status == 403


def test_a_key_ends_with_its_capture(daemon):
    api = daemon.client()
    key = new_key()
    made = create(api, key)
    api.delete(made["id"])
    assert create(api, key, packet_limit=1)["id"] != made["id"]


# -- at the same time ---------------------------------------------------------


def test_concurrent_requests_make_one_capture(make_daemon):
    limits = {"collect": {"requests": 1, "window": "1h"}}
    with make_daemon(limits=limits) as daemon:
        api = daemon.client()
        key = new_key()
        with concurrent.futures.ThreadPoolExecutor(CONCURRENT_CLIENTS) as pool:
            asked = [
                pool.submit(ask, daemon.client(), key)
                for _ in range(CONCURRENT_CLIENTS)
            ]
            answers = [x.result() for x in asked]
        assert [x.status for x in answers] == [200] * CONCURRENT_CLIENTS
        assert len({x.result["id"] for x in answers}) == 1
        first = [x for x in answers if not x.header("Idempotency-Replayed")]
        assert len(first) == 1
        assert len(ids(api)) == 1


# -- when things go wrong -----------------------------------------------------


def test_a_key_survives_a_crash(make_daemon):
    daemon = make_daemon().start()
    api = daemon.client()
    key = new_key()
    made = create(api, key)
    api.wait_capturing(made["id"])
    daemon.kill()
    with daemon:
        after = replay(api, key)
        assert after["id"] == made["id"]
        assert after["status"] == "pending", "it goes on"
        assert ask(api, key, packet_limit=1).status == 422
        assert ids(api) == [made["id"]]


def test_a_crash_between_request_and_answer_makes_one_capture_at_most(
    make_daemon,
):
    """The process is killed at some moment of a create, again and again; who
    then asks again gets one capture, be it the first's or a new one."""
    daemon = make_daemon().start()
    for _ in range(5):
        api = daemon.client()
        key = new_key()
        before = set(ids(api))
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            asked = pool.submit(ask, api, key)
            daemon.kill()
            try:
                first = asked.result()
            except (OSError, http.client.HTTPException):
                first = None
        daemon.start()
        answer = ask(api, key)
        assert answer.status == 200, answer.body
        assert set(ids(api)) - before == {answer.result["id"]}
        if first is not None:
            assert first.result["id"] == answer.result["id"]
    daemon.stop()


def test_a_create_that_was_too_slow_is_found_again(make_daemon):
    """Whoever holds the index's lock keeps storage waiting, longer than the API
    waits; once it is free, the insert goes on, whoever has given up on it."""
    with make_daemon(http={"answer_timeout": "100ms"}) as daemon:
        api = daemon.client()
        index = sqlite3.connect(
            daemon.directory / "index.sqlite", isolation_level=None
        )

        def found_again():
            key = new_key()
            before = set(ids(api))
            index.execute("BEGIN IMMEDIATE")
            try:
                late = ask(api, key)
            finally:
                index.execute("ROLLBACK")

            def answered():
                answer = ask(api, key)
                return answer.status == 200 and answer

            answer = wait_until("the capture", answered)
            assert set(ids(api)) - before == {answer.result["id"]}
            # Not so if storage gave up before the lock was free.
            return late.status == 504 and answer.header("Idempotency-Replayed")

        wait_until("a capture whose create was answered 504", found_again, 60.0)
        index.close()


def test_a_key_has_a_lifetime(make_daemon):
    """Time is turned back for the key, not on for the daemon."""
    daemon = make_daemon(storage={"idempotency_lifetime": "1m"}).start()
    api = daemon.client()
    key = new_key()
    made = create(api, key)
    index = sqlite3.connect(daemon.directory / "index.sqlite")
    with index:
        index.execute(
            "UPDATE idempotency_keys SET created = created - 61000000000"
        )
    index.close()
    assert create(api, key)["id"] != made["id"]
    daemon.stop()


# -- without creating ---------------------------------------------------------


def test_validating_creates_nothing(make_daemon):
    limits = {"collect": {"requests": 1, "window": "1h"}}
    with make_daemon(limits=limits) as daemon:
        api = daemon.client()
        key = new_key()
        for _ in range(3):
            answer = ask(api, key, "?validate_only=true", colo="x")
            assert answer.status == 200
            assert answer.result == REQUEST
            assert answer.json["messages"][0]["source"]["pointer"] == "/colo"
        bad = ask(
            api,
            "two words",
            "?validate_only=true",
            system="none",
            time_limit="1",
        )
        assert bad.status == 400
        assert bad.codes == [20108, 20107, 20102]
        assert ids(api) == []
        assert daemon.events("audit") == []
        assert ask(api, key, "?validate_only=perhaps").codes == [20105]
        made = ask(api, key, "?validate_only=false", packet_limit=1)
        assert made.status == 200, "neither key nor allowance is used up"
        assert made.header("Idempotency-Replayed") is None
