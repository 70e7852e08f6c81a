"""Who may ask: credentials, rights, accounts."""

import base64

import pytest

from harness import network
from harness.client import Client
from harness.daemon import (
    ACCOUNT,
    DOWNLOAD_TOKEN,
    EMAIL,
    KEY,
    OTHER_ACCOUNT,
    OTHER_TOKEN,
    READ_TOKEN,
    TOKEN,
    WRITE_TOKEN,
    Daemon,
    bearer,
    configuration,
)
from harness.waiting import wait_until

MISSING = (400, [9106])
WRONG = (403, [10000])
FORBIDDEN = (403, [10001])
UNKNOWN_JOB = (404, [20200])
BLOCKED = (429, [20309])

# Of the namespace, besides loopback's.
ADDRESS = "192.0.2.10"

PAIR = {"X-Auth-Email": EMAIL, "X-Auth-Key": KEY}


@pytest.fixture(scope="module")
def daemon(links, work):
    link = links.veth()
    config = configuration(work(), [link.name])
    with Daemon(work(), config) as running:
        yield running


@pytest.fixture(scope="module")
def job(daemon):
    """A job that can be downloaded: stopped before a packet came."""
    client = daemon.client()
    created = client.create()
    client.stop(created["id"])
    client.wait_success(created["id"])
    return created["id"]


def outcome(answer):
    """Status and codes of a failure."""
    return answer.status, answer.codes


def requests(client, job_id):
    """One request of each kind, and the right that it needs."""
    return [
        ("read", "GET", client.base, None),
        ("read", "GET", client.path(job_id), None),
        ("download", "GET", client.path(job_id, "/download"), None),
        ("write", "POST", client.base, {"type": "simple"}),
        ("write", "PUT", client.path(job_id, "/stop"), None),
        ("write", "DELETE", client.path(job_id), None),
    ]


# -- credentials --------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        bearer(TOKEN),
        {"Authorization": f"bearer {TOKEN}"},
        {"authorization": f"Bearer {TOKEN}"},
        PAIR,
        {"x-auth-email": EMAIL, "x-auth-key": KEY},
        {**bearer(TOKEN), **PAIR},
    ],
    ids=lambda headers: "+".join(headers),
)
def test_right_credentials_are_let_in(daemon, headers):
    client = Client(daemon.port, ACCOUNT, headers)
    assert client.get(client.base).status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-Auth-Email": EMAIL},
        {"X-Auth-Key": KEY},
        {"Authorization": ""},
    ],
    ids=lambda headers: "+".join(headers) or "none",
)
def test_missing_credentials_are_9106(daemon, job, headers):
    client = Client(daemon.port, ACCOUNT, headers)
    for _, method, target, body in requests(client, job):
        answer = client.request(method, target, body)
        assert outcome(answer) == MISSING, (method, target)
        assert answer.text.startswith("Missing")


@pytest.mark.parametrize(
    "headers",
    [
        bearer("wrong"),
        bearer(TOKEN + "x"),
        bearer(TOKEN[:-1]),
        bearer(TOKEN.upper()),
        bearer(KEY),
        {"X-Auth-Email": EMAIL, "X-Auth-Key": KEY + "x"},
        {"X-Auth-Email": EMAIL, "X-Auth-Key": TOKEN},
        {"X-Auth-Email": "nobody@example.com", "X-Auth-Key": KEY},
        bearer("x" * 4000),
    ],
    ids=lambda headers: str(headers)[:60],
)
def test_wrong_credentials_are_10000(daemon, job, headers):
    client = Client(daemon.port, ACCOUNT, headers)
    for _, method, target, body in requests(client, job):
        answer = client.request(method, target, body)
        assert outcome(answer) == WRONG, (method, target)
        assert answer.text == "Authentication error"


def test_another_scheme_is_no_credential(daemon):
    word = base64.b64encode(f"{EMAIL}:{KEY}".encode()).decode()
    client = Client(daemon.port, ACCOUNT, {"Authorization": f"Basic {word}"})
    assert outcome(client.get(client.base)) in (MISSING, WRONG)


def test_credentials_in_the_query_are_not_looked_at(daemon):
    client = Client(daemon.port, ACCOUNT)
    answer = client.get(f"{client.base}?token={TOKEN}")
    assert outcome(answer) == MISSING


# -- rights -------------------------------------------------------------------


@pytest.mark.parametrize(
    "right, token",
    [
        ("read", READ_TOKEN),
        ("write", WRITE_TOKEN),
        ("download", DOWNLOAD_TOKEN),
    ],
)
def test_a_right_allows_its_own_operations_only(daemon, right, token):
    owner = daemon.client()
    job_id = owner.create()["id"]
    owner.stop(job_id)
    owner.wait_success(job_id)
    client = daemon.client(token)
    for needed, method, target, body in requests(client, job_id):
        answer = client.request(method, target, body)
        if needed != right:
            assert outcome(answer) == FORBIDDEN, (method, target)
            assert needed in answer.text
        elif method == "POST":
            # Let in, and refused for its body.
            assert answer.status == 400 and 20101 in answer.codes
        else:
            assert answer.status in (200, 204), (method, target, answer.body)


def test_a_writer_can_create(daemon):
    client = daemon.client(WRITE_TOKEN)
    client.delete(client.create()["id"])


# -- accounts -----------------------------------------------------------------


def test_a_credential_is_for_its_account_only(daemon, job):
    stranger = Client(daemon.port, ACCOUNT, bearer(OTHER_TOKEN))
    for _, method, target, body in requests(stranger, job):
        answer = stranger.request(method, target, body)
        assert outcome(answer) == WRONG, (method, target)
    daemon.client().job(job)


def test_another_accounts_job_does_not_exist(daemon, job):
    other = daemon.client(OTHER_TOKEN, OTHER_ACCOUNT)
    assert job not in [entry["id"] for entry in other.jobs()]
    for _, method, target, body in requests(other, job):
        if job in target:
            answer = other.request(method, target, body)
            assert outcome(answer) == UNKNOWN_JOB, (method, target)
    daemon.client().job(job)


@pytest.mark.parametrize(
    "account",
    [
        "f" * 32,
        ACCOUNT.upper(),
        ACCOUNT[:-1],
        ACCOUNT + "0",
        "x",
        "%30" + ACCOUNT[1:] + "0",
        "..",
    ],
)
def test_an_unknown_account_is_refused(daemon, account):
    client = Client(daemon.port, account, bearer(TOKEN))
    answer = client.get(client.base)
    assert outcome(answer) in (WRONG, (404, [7003])), answer.body


# -- guesses ------------------------------------------------------------------


def test_an_address_that_guesses_has_to_wait(links, work):
    network.add_address(ADDRESS)
    config = configuration(
        work(),
        [links.veth().name],
        listen={"address": "0.0.0.0", "behind_proxy": True},
        auth={"max_failures": 3, "max_block": "1h"},
    )
    with Daemon(work(), config) as daemon:

        def ask(token, address=ADDRESS):
            client = Client(daemon.port, ACCOUNT, bearer(token), address)
            return client.get(client.base)

        def guess_until_blocked_for(milliseconds):
            """So long that what follows is within the block."""

            def blocked():
                answer = ask("wrong")
                assert outcome(answer) in (WRONG, BLOCKED)
                return (
                    outcome(answer) == BLOCKED
                    and int(answer.header("retry-after-ms")) > milliseconds
                )

            wait_until("the block is long", blocked, 60)

        for _ in range(3):
            assert outcome(ask("wrong")) == WRONG
        wait_until("the block is over", lambda: ask(TOKEN).status == 200)
        guess_until_blocked_for(3000)
        # The answer does not tell whether the token would have done.
        for token in ("wrong", TOKEN):
            answer = ask(token)
            assert outcome(answer) == BLOCKED
            milliseconds = int(answer.header("retry-after-ms"))
            assert milliseconds > 0
            assert answer.header("Retry-After") == str(
                -(-milliseconds // 1000)
            )
        # Nobody else has to wait, and probes need no credentials.
        assert ask(TOKEN, "127.0.0.1").status == 200
        anonymous = Client(daemon.port, address=ADDRESS)
        assert anonymous.get("/healthz").status == 200
        # The log has a line for each block, not for each guess.
        blocks = [
            entry["block_ms"]
            for entry in daemon.log_entries()
            if entry["event"] == "auth-blocked"
        ]
        assert blocks[:3] == [1000, 2000, 4000]
        assert len(blocks) < 6
