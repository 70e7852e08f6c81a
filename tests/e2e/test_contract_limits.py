"""Rate limits and the limit of running jobs."""

import re
import time

import pytest

from harness import network
from harness.client import Client
from harness.daemon import (
    OTHER_ACCOUNT,
    OTHER_TOKEN,
    Daemon,
    bearer,
    configuration,
)
from harness.waiting import wait_until

RATE_LIMITED = 20300
TOO_MANY_JOBS = 20301

WINDOW_S = 3
GENERAL_REQUESTS = 60


@pytest.fixture(scope="module")
def link(links):
    return links.veth()


@pytest.fixture
def daemon(link, work):
    """A new daemon for each test: allowances are not used up by others."""
    config = configuration(
        work(),
        [link.name],
        limits={
            "collect": {"requests": 1, "window": f"{WINDOW_S}s"},
            "general": {"requests": GENERAL_REQUESTS, "window": "1h"},
        },
    )
    with Daemon(work(), config) as running:
        yield running


def assert_rate_limited(answer, limit, window_s):
    """Checks the failure and its headers; returns the milliseconds to wait."""
    assert (answer.status, answer.codes) == (429, [RATE_LIMITED]), answer.body
    milliseconds = int(answer.header("retry-after-ms"))
    assert 0 < milliseconds <= window_s * 1000
    seconds = answer.header("Retry-After")
    assert seconds == str(-(-milliseconds // 1000))
    assert answer.header("Ratelimit") == f'"default";r=0;t={seconds}'
    policy = answer.header("Ratelimit-Policy")
    match = re.fullmatch(r'"[\w-]+";q=(\d+);w=(\d+)', policy)
    assert match, policy
    assert (int(match[1]), int(match[2])) == (limit, window_s)
    return milliseconds


def test_the_second_create_has_to_wait(daemon):
    api = daemon.client()
    first = time.monotonic()
    api.create()
    answer = api.try_create()
    milliseconds = assert_rate_limited(answer, 1, WINDOW_S)
    refused = time.monotonic()
    # The allowance is one per window, and not more than that to wait.
    assert refused - first + milliseconds / 1000 >= WINDOW_S - 0.001
    assert len(api.jobs()) == 1
    until = refused + milliseconds / 1000

    def granted():
        answer = api.try_create()
        now = time.monotonic()
        if answer.status == 200:
            assert now >= first + WINDOW_S, "too early"
            return True
        assert answer.status == 429
        assert now <= until + 1, "refused after the wait it asked for"
        return False

    # One attempt at the right time, as a client would make it.
    wait_until("the wait is over", lambda: time.monotonic() >= until)
    wait_until("a second create", granted)


def test_a_refused_request_does_not_use_the_allowance_up(daemon):
    api = daemon.client()
    assert api.try_create(time_limit=0).status == 400
    assert api.try_create(type="full", colo_name="x").status == 400
    assert api.try_create(system="nowhere").status == 400
    assert api.request("POST", api.base, b"nonsense").status == 400
    anonymous = Client(daemon.port, api.account)
    assert anonymous.try_create().status == 400
    api.create()
    assert api.try_create().status == 429
    # An invalid request is told so even while the allowance is used up.
    assert api.try_create(time_limit=0).status == 400


def test_accounts_do_not_share_an_allowance(daemon):
    daemon.client().create()
    daemon.client(OTHER_TOKEN, OTHER_ACCOUNT).create()


def test_stop_and_delete_do_not_give_the_allowance_back(daemon):
    api = daemon.client()
    job = api.create()
    api.stop(job["id"])
    api.delete(job["id"])
    assert api.try_create().status == 429


def test_a_restart_does_not_matter_to_other_limits(daemon):
    """All calls of an account share a limit; the probes have none."""
    api = daemon.client()
    for _ in range(GENERAL_REQUESTS):
        assert api.get(api.base).status == 200
    for method, target in (
        ("GET", api.base),
        ("GET", api.path("0" * 32)),
        ("GET", api.path("0" * 32, "/download")),
        ("PUT", api.path("0" * 32, "/stop")),
        ("DELETE", api.path("0" * 32)),
        ("POST", api.base),
    ):
        body = {} if method == "POST" else None
        answer = api.request(method, target, body)
        assert_rate_limited(answer, GENERAL_REQUESTS, 3600)
    other = daemon.client(OTHER_TOKEN, OTHER_ACCOUNT)
    assert other.get(other.base).status == 200
    for probe in ("/healthz", "/readyz", "/metrics"):
        assert api.get(probe).status == 200


def test_wrong_credentials_do_not_use_an_allowance_up(daemon):
    stranger = Client(daemon.port, daemon.client().account, bearer("wrong"))
    for _ in range(GENERAL_REQUESTS + 1):
        assert stranger.get(stranger.base).status == 403
    assert daemon.client().get(stranger.base).status == 200


def test_running_jobs_are_limited(link, work):
    config = configuration(work(), [link.name], limits={"running_jobs": 2})
    with Daemon(work(), config) as daemon:
        api = daemon.client()
        first = api.create()
        api.create()
        answer = api.try_create()
        assert (answer.status, answer.codes) == (503, [TOO_MANY_JOBS])
        assert len(api.jobs()) == 2
        api.stop(first["id"])
        api.wait_success(first["id"])
        api.create()


def test_the_collect_limit_is_per_window_not_per_job(work):
    """Several per window are granted at once when so configured."""
    link = network.Veth()
    try:
        config = configuration(
            work(),
            [link.name],
            limits={"collect": {"requests": 3, "window": "1h"}},
        )
        with Daemon(work(), config) as daemon:
            api = daemon.client()
            for _ in range(3):
                api.create()
            assert_rate_limited(api.try_create(), 3, 3600)
    finally:
        link.close()
