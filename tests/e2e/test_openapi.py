"""http/openapi.yaml and the daemon say the same.

Every documented status of every route is either made to happen here, and the
answer validated against its schema, or stands in UNREACHABLE with the reason.
`harness.client` validates every answer of every test in the same way, so an
undocumented status fails wherever it happens.
"""

import contextlib
import json
import sqlite3

import jsonschema
import pytest
import yaml

from harness import network, packets
from harness.client import Client, RawConnection
from harness.daemon import (
    ACCOUNT,
    DOWNLOAD_TOKEN,
    READ_TOKEN,
    TOKEN,
    Daemon,
    bearer,
    configuration,
)
from harness.openapi import METHODS, PATH, document
from harness.waiting import wait_until

BASE = "/client/v4/accounts/{account_id}/pcaps"
JOB = BASE + "/{pcap_id}"
DOWNLOAD = JOB + "/download"
STOP = JOB + "/stop"
STREAM = JOB + "/stream"
NODES = BASE + "/nodes"
OWNERSHIP = BASE + "/ownership"
VALIDATE = OWNERSHIP + "/validate"
OWNERSHIP_ID = OWNERSHIP + "/{ownership_id}"

UNKNOWN_ID = "0" * 32

# What cannot be made to happen from outside, with the reason: a status alone is
# meant of every route.
UNREACHABLE = {
    500: "a defect of ours",
    **{
        (method, route, 504): "asks the rate limiter alone, which never waits"
        for method, route in (
            ("GET", OWNERSHIP),
            ("HEAD", OWNERSHIP),
            ("POST", OWNERSHIP),
            ("POST", VALIDATE),
            ("DELETE", OWNERSHIP_ID),
        )
    },
    **{
        (method, NODES, 504): "asks the fleet, which waits for nobody"
        for method in ("GET", "HEAD")
    },
}

# Until storage was caught in the act, on a busy machine.
PATIENCE_S = 30.0

# A request that is fine.
CREATE = {
    "type": "simple",
    "system": "magic-transit",
    "time_limit": 300,
    "packet_limit": 10000,
}


class World:
    """Daemons and jobs in the states that the statuses need."""

    def __init__(self, link, work):
        self.link = link
        gone = network.Veth("gone")
        self.daemon = Daemon(
            work(),
            configuration(
                work(),
                [link.name],
                systems={"gone": {"interfaces": [gone.name]}},
                limits={
                    "general": {"requests": 100000, "window": "1h"},
                    "running_jobs": 4,
                },
                http={
                    "body_timeout": "200ms",
                    "header_timeout": "200ms",
                    "max_body_size": "4KiB",
                },
            ),
        ).start()
        gone.close()
        self.limited = Daemon(
            work(),
            configuration(
                work(),
                [link.name],
                limits={"general": {"requests": 1, "window": "1h"}},
                storage={"min_free": "1024TiB"},
            ),
        ).start()
        self.api = self.daemon.client()
        self.done = self.api.create(packet_limit=2)["id"]
        self.api.wait_capturing(self.done)
        for number in range(2):
            packet = packets.udp_ipv4(packets.marked(number))
            link.send(packets.ethernet(packet))
        self.api.wait_success(self.done)
        # Uses up the limited daemon's only request.
        self.limited_api = self.limited.client()
        self.full_answer = self.limited_api.try_create()
        self.crowded, self.only_guest = self._crowded(work)
        self.clogged = self._clogged(work)
        self._lock = None

    def _crowded(self, work):
        """A daemon that takes one connection, and that connection."""
        limits = {"max_connections": 1, "keep_alive_timeout": "1h"}
        config = configuration(work(), [self.link.name], http=limits)
        daemon = Daemon(work(), config).start()

        def admitted():
            raw = RawConnection(daemon.port)
            raw.send(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            if raw.answer("GET", "/healthz").status == 200:
                return raw
            raw.socket.close()  # the one before it is not gone yet
            return None

        return daemon, wait_until("a connection", admitted)

    def _clogged(self, work):
        """A daemon whose storage can be kept from answering in time."""
        config = configuration(
            work(), [self.link.name], http={"answer_timeout": "100ms"}
        )
        return Daemon(work(), config).start()

    def clog(self):
        """Makes storage wait for a second, before it does anything else. Who
        holds the index's lock lets each insert wait for it in vain."""
        if self._lock is None:
            self._lock = sqlite3.connect(
                self.clogged.directory / "index.sqlite", isolation_level=None
            )
            self._lock.execute("BEGIN IMMEDIATE")
        body = json.dumps(CREATE).encode()
        request = (
            f"POST {self.target(BASE)} HTTP/1.1\r\nHost: x\r\n"
            f"Authorization: Bearer {TOKEN}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        ).encode() + body
        with contextlib.ExitStack() as stack:
            asked = [
                stack.enter_context(RawConnection(self.clogged.port))
                for _ in range(4)
            ]
            for raw in asked:
                raw.send(request)
            for raw in asked:
                assert raw.answer("POST", self.target(BASE)).status in (503, 504)

    def close(self):
        if self._lock is not None:
            self._lock.close()
        self.only_guest.socket.close()
        for daemon in (self.daemon, self.limited, self.crowded, self.clogged):
            daemon.stop()

    def target(self, route, job_id=None):
        return route.format(
            account_id=ACCOUNT,
            pcap_id=job_id or self.done,
            ownership_id=UNKNOWN_ID,
        )


@pytest.fixture(scope="module")
def world(links, work):
    made = World(links.veth(), work)
    yield made
    made.close()


def _body(method):
    return {"type": "simple"} if method == "POST" else None


# -- one way to each status that any route may answer -------------------------


def _missing_credentials(world, method, route):
    client = Client(world.daemon.port, ACCOUNT)
    return client.request(method, world.target(route), _body(method))


def _wrong_credentials(world, method, route):
    client = Client(world.daemon.port, ACCOUNT, bearer("wrong"))
    return client.request(method, world.target(route), _body(method))


def _not_found(world, method, route):
    target = world.target(route, UNKNOWN_ID)
    if "{pcap_id}" not in route:
        # What is no account id makes no route.
        target = target.replace(ACCOUNT, "no-id")
    return world.api.request(method, target, _body(method))


def _not_acceptable_head(extra, body=b""):
    def ask(world, method, route):
        target = world.target(route)
        with RawConnection(world.daemon.port) as raw:
            raw.send(
                f"{method} {target} HTTP/1.1\r\nHost: x\r\n"
                f"Authorization: Bearer {TOKEN}\r\n{extra}\r\n".encode()
                + body
            )
            return raw.answer(method, target)

    return ask


def _rate_limited(world, method, route):
    target = world.target(route)
    return world.limited_api.request(method, target, _body(method))


def _too_long(world, method, route):
    target = world.target(route) + "?x=" + "x" * 3000
    return world.api.request(method, target, _body(method))


def _other_version(world, method, route):
    target = world.target(route)
    with RawConnection(world.daemon.port) as raw:
        raw.send(f"{method} {target} HTTP/2.0\r\nHost: x\r\n\r\n".encode())
        return raw.answer(method, target)


def _overloaded(world, method, route):
    api = world.crowded.client()
    return api.request(method, world.target(route), _body(method))


def _engine_timeout(world, method, route):
    api = world.clogged.client()
    # A job that is known need not be looked up.
    target = world.target(route, UNKNOWN_ID)
    body = CREATE if method == "POST" else None

    def late():
        world.clog()
        answer = api.request(method, target, body)
        return answer if answer.status == 504 else None

    return wait_until(f"504 of {method} {route}", late, PATIENCE_S)


ANYWHERE = {
    400: _not_acceptable_head("Content-Length: x\r\n"),
    403: _wrong_credentials,
    404: _not_found,
    408: _not_acceptable_head("Content-Length: 5\r\n"),
    411: _not_acceptable_head("Transfer-Encoding: chunked\r\n"),
    413: _not_acceptable_head("Content-Length: 4097\r\n"),
    414: _too_long,
    417: _not_acceptable_head("Expect: x\r\n"),
    429: _rate_limited,
    431: _not_acceptable_head(f"X-Long: {'x' * 20000}\r\n"),
    503: _overloaded,
    504: _engine_timeout,
    505: _other_version,
}


# -- what is particular to one route ------------------------------------------


def _create(world):
    answer = world.api.try_create()
    world.api.delete(answer.result["id"])
    return answer


def _too_many_jobs(world):
    made = []
    while (answer := world.api.try_create()).status == 200:
        made.append(answer.result["id"])
    for job_id in made:
        world.api.delete(job_id)
    return answer


def _create_with_key(world, key, **fields):
    headers = {"Idempotency-Key": key}
    body = {**CREATE, **fields}
    return world.api.request("POST", world.target(BASE), body, headers)


def _key_reused(world):
    made = _create_with_key(world, "reused")
    answer = _create_with_key(world, "reused", packet_limit=1)
    world.api.delete(made.result["id"])
    return answer


def _storage_full(world):
    return world.full_answer


def _download(method="GET", **headers):
    def ask(world):
        target = world.target(DOWNLOAD)
        etag = world.api.get(target).header("ETag")
        named = {
            name.replace("_", "-"): value.format(etag=etag)
            for name, value in headers.items()
        }
        return world.api.request(method, target, headers=named)

    return ask


def _simple(method, route):
    def ask(world):
        return world.api.request(method, world.target(route), _body(method))

    return ask


def _delete(world):
    job_id = world.api.create()["id"]
    return world.api.request("DELETE", world.target(JOB, job_id))


def _stream(method):
    """A stream of a capture that runs for a second."""

    def ask(world):
        job_id = world.api.create(time_limit=1)["id"]
        return world.api.request(method, world.target(STREAM, job_id))

    return ask


def _probe(path, method="GET"):
    return lambda world: Client(world.daemon.port).request(method, path)


def _description_not_modified(method):
    def ask(world):
        client = Client(world.daemon.port)
        etag = client.get("/openapi.json").header("ETag")
        headers = {"If-None-Match": etag}
        return client.request(method, "/openapi.json", headers=headers)

    return ask


PARTICULAR = {
    ("POST", BASE, 200): _create,
    ("POST", BASE, 503): _too_many_jobs,
    ("POST", BASE, 422): _key_reused,
    ("POST", BASE, 507): _storage_full,
    ("HEAD", BASE, 200): _simple("HEAD", BASE),
    ("HEAD", JOB, 200): _simple("HEAD", JOB),
    ("GET", BASE, 200): _simple("GET", BASE),
    ("GET", JOB, 200): _simple("GET", JOB),
    ("DELETE", JOB, 204): _delete,
    ("GET", STREAM, 200): _stream("GET"),
    ("HEAD", STREAM, 200): _stream("HEAD"),
    ("PUT", STOP, 204): _simple("PUT", STOP),
    ("GET", DOWNLOAD, 200): _simple("GET", DOWNLOAD),
    ("GET", DOWNLOAD, 206): _download(Range="bytes=0-9"),
    ("GET", DOWNLOAD, 304): _download(If_None_Match="{etag}"),
    ("GET", DOWNLOAD, 416): _download(Range="bytes=999999-"),
    ("GET", DOWNLOAD, 412): _download(If_Match='"other"'),
    ("HEAD", DOWNLOAD, 200): _download("HEAD"),
    ("HEAD", DOWNLOAD, 304): _download("HEAD", If_None_Match="{etag}"),
    ("HEAD", DOWNLOAD, 412): _download("HEAD", If_Match='"other"'),
    ("GET", NODES, 200): _simple("GET", NODES),
    ("HEAD", NODES, 200): _simple("HEAD", NODES),
    ("GET", OWNERSHIP, 400): _simple("GET", OWNERSHIP),
    ("HEAD", OWNERSHIP, 400): _simple("HEAD", OWNERSHIP),
    ("POST", OWNERSHIP, 400): _simple("POST", OWNERSHIP),
    ("POST", VALIDATE, 400): _simple("POST", VALIDATE),
    ("DELETE", OWNERSHIP_ID, 400): _simple("DELETE", OWNERSHIP_ID),
    **{
        (method, path, 200): _probe(path, method)
        for path in ("/healthz", "/readyz", "/metrics", "/openapi.json")
        for method in ("GET", "HEAD")
    },
    ("GET", "/openapi.json", 304): _description_not_modified("GET"),
    ("HEAD", "/openapi.json", 304): _description_not_modified("HEAD"),
}


def documented():
    """Every documented method, route and status."""
    return [
        (operation.method, operation.route, int(status))
        for operation in document().operations
        for status in operation.responses
        if status != "default"
    ]


def is_unreachable(method, route, status):
    return status in UNREACHABLE or (method, route, status) in UNREACHABLE


def way_to(method, route, status):
    """A function that makes it happen; None if nothing does."""
    if is_unreachable(method, route, status):
        return None
    if (method, route, status) in PARTICULAR:
        return PARTICULAR[method, route, status]
    anywhere = ANYWHERE.get(status)
    if anywhere:
        return lambda world: anywhere(world, method, route)
    return None


REACHABLE = [triple for triple in documented() if way_to(*triple)]


def test_the_document_is_a_good_one():
    assert PATH.is_file()
    schemas = document().root["components"]["schemas"]
    for schema in schemas.values():
        jsonschema.Draft202012Validator.check_schema(schema)
    for operation in document().operations:
        assert "default" not in operation.responses, operation


def test_every_documented_status_is_reached_or_explained():
    for method, route, status in documented():
        assert way_to(method, route, status) or is_unreachable(
            method, route, status
        ), f"{method} {route} {status}"


def test_nothing_is_explained_that_is_not_documented():
    triples = documented()
    for known in UNREACHABLE:
        if isinstance(known, int):
            assert any(status == known for _, _, status in triples), known
        else:
            assert known in triples, known


def test_nothing_particular_is_undocumented():
    for triple in PARTICULAR:
        assert triple in documented(), triple


@pytest.mark.parametrize(
    "method, route, status",
    REACHABLE,
    ids=[f"{method} {route} {status}" for method, route, status in REACHABLE],
)
def test_status(world, method, route, status):
    """The client validates the answer; see harness.openapi."""
    answer = way_to(method, route, status)(world)
    assert answer.status == status, answer.body


def test_the_served_description_is_the_documented_one(world):
    with open(PATH, encoding="utf-8") as f:
        written = yaml.safe_load(f)
    client = Client(world.daemon.port)
    answer = client.get("/openapi.json")
    assert answer.media_type == "application/json"
    served = answer.json
    version = client.get("/healthz").result["version"]
    assert served["info"].pop("version") == version
    written["info"].pop("version")
    assert served == written


@pytest.mark.parametrize(
    "route", sorted({operation.route for operation in document().operations})
)
def test_other_methods_are_405(world, route):
    """Also OPTIONS, whose answer names the others. A literal in a path fits where
    another route has a parameter, and then has its methods, too."""
    target = world.target(route)
    known = {o.method for o in document().operations if o.fits(target)}
    for method in (name.upper() for name in METHODS):
        if method in known or method == "TRACE":
            continue
        answer = world.api.request(method, target)
        assert answer.status == 405, (method, answer.body)
        assert method == "HEAD" or answer.codes == [20001]
        allowed = answer.header("Allow").split(", ")
        assert sorted(allowed) == sorted(known), method


def test_every_operation_of_an_account_wants_credentials(world):
    for operation in document().operations:
        if "403" not in operation.responses:
            continue
        method, route = operation.method, operation.route
        assert _missing_credentials(world, method, route).status == 400


def test_every_kind_of_200_of_a_create(world):
    target = world.target(BASE)
    made = _create_with_key(world, "kinds")
    assert made.header("Idempotency-Replayed") is None
    again = _create_with_key(world, "kinds")
    assert again.header("Idempotency-Replayed") == "true"
    assert again.result["id"] == made.result["id"]
    world.api.delete(made.result["id"])
    body = {**CREATE, "time_limit": 60.0}
    tried = world.api.request("POST", target + "?validate_only=true", body)
    assert tried.status == 200
    assert tried.result == {**body, "filter_v1": {}}
    for query in ("?validate_only=1", "?validate_only=true&validate_only=true"):
        answer = world.api.request("POST", target + query, body)
        assert answer.status == 400 and answer.codes == [20105]
    answer = _create_with_key(world, "no key")
    assert answer.status == 400 and answer.codes == [20108]


def test_both_kinds_of_403_and_400(world):
    """More than one error leads to these: each is valid."""
    reader = world.daemon.client(READ_TOKEN)
    downloader = world.daemon.client(DOWNLOAD_TOKEN)
    assert reader.try_create().status == 403
    assert reader.get(world.target(DOWNLOAD)).status == 403
    assert downloader.get(world.target(JOB)).status == 403
    assert world.api.try_create(time_limit=0).status == 400
    assert world.api.get(world.target(BASE) + "?page=0").status == 400
    assert world.api.get(world.target(DOWNLOAD) + "?format=x").status == 400


def test_jobs_of_every_kind_fit_the_schema(world):
    running = world.api.create(filter_v1={"source_address": "::1"})["id"]
    failed = world.api.create(system="gone")["id"]
    world.api.wait_capturing(running)
    world.api.wait_terminal(failed)
    listed = {job["id"]: job["status"] for job in world.api.jobs()}
    assert listed[running] == "pending"
    assert listed[failed] == "failed"
    assert listed[world.done] == "success"
    assert world.api.get(world.target(DOWNLOAD, failed)).status == 404
    assert world.api.get(world.target(DOWNLOAD, running)).status == 404
    world.api.delete(running)
    world.api.delete(failed)
