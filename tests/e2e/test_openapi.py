"""http/openapi.yaml and the daemon say the same.

Every documented status of every route is either made to happen here, and the
answer validated against its schema, or stands in UNREACHABLE with the reason.
`harness.client` validates every answer of every test in the same way, so an
undocumented status fails wherever it happens.
"""

import jsonschema
import pytest

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
from harness.openapi import PATH, document

BASE = "/client/v4/accounts/{account_id}/pcaps"
JOB = BASE + "/{pcap_id}"
DOWNLOAD = JOB + "/download"
STOP = JOB + "/stop"
STREAM = JOB + "/stream"
OWNERSHIP = BASE + "/ownership"
VALIDATE = OWNERSHIP + "/validate"
OWNERSHIP_ID = OWNERSHIP + "/{ownership_id}"

UNKNOWN_ID = "0" * 32

# Statuses that cannot be made to happen from outside, on any route.
UNREACHABLE = {
    500: "a defect of ours",
    503: "an engine or storage that does not answer, or a process that ends: "
    "moments that cannot be held from outside (POST reaches it by the limit "
    "of running jobs)",
    504: "an engine that does not answer in time",
    507: "a full disk: reached for POST by a floor of free space",
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

    def close(self):
        for daemon in (self.daemon, self.limited):
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


ANYWHERE = {
    400: _missing_credentials,
    403: _wrong_credentials,
    404: _not_found,
    408: _not_acceptable_head("Content-Length: 5\r\n"),
    411: _not_acceptable_head("Transfer-Encoding: chunked\r\n"),
    413: _not_acceptable_head("Content-Length: 4097\r\n"),
    417: _not_acceptable_head("Expect: x\r\n"),
    429: _rate_limited,
    431: _not_acceptable_head(f"X-Long: {'x' * 20000}\r\n"),
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


def _stream(world):
    """A stream of the one capture that runs for a second."""
    job_id = world.api.create(time_limit=1)["id"]
    return world.api.request("GET", world.target(STREAM, job_id))


def _probe(path):
    return lambda world: Client(world.daemon.port).get(path)


PARTICULAR = {
    ("POST", BASE, 200): _create,
    ("POST", BASE, 503): _too_many_jobs,
    ("POST", BASE, 507): _storage_full,
    ("GET", BASE, 200): _simple("GET", BASE),
    ("GET", JOB, 200): _simple("GET", JOB),
    ("DELETE", JOB, 204): _delete,
    ("GET", STREAM, 200): _stream,
    ("PUT", STOP, 204): _simple("PUT", STOP),
    ("GET", DOWNLOAD, 200): _simple("GET", DOWNLOAD),
    ("GET", DOWNLOAD, 206): _download(Range="bytes=0-9"),
    ("GET", DOWNLOAD, 304): _download(If_None_Match="{etag}"),
    ("GET", DOWNLOAD, 416): _download(Range="bytes=999999-"),
    ("GET", DOWNLOAD, 412): _download(If_Match='"other"'),
    ("HEAD", DOWNLOAD, 200): _download("HEAD"),
    ("HEAD", DOWNLOAD, 304): _download("HEAD", If_None_Match="{etag}"),
    ("HEAD", DOWNLOAD, 412): _download("HEAD", If_Match='"other"'),
    ("GET", OWNERSHIP, 400): _simple("GET", OWNERSHIP),
    ("POST", OWNERSHIP, 400): _simple("POST", OWNERSHIP),
    ("POST", VALIDATE, 400): _simple("POST", VALIDATE),
    ("DELETE", OWNERSHIP_ID, 400): _simple("DELETE", OWNERSHIP_ID),
    ("GET", "/healthz", 200): _probe("/healthz"),
    ("GET", "/readyz", 200): _probe("/readyz"),
    ("GET", "/metrics", 200): _probe("/metrics"),
}


def documented():
    """Every documented method, route and status."""
    return [
        (operation.method, operation.route, int(status))
        for operation in document().operations
        for status in operation.responses
        if status != "default"
    ]


def way_to(method, route, status):
    """A function that makes it happen; None if nothing does."""
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
        assert (
            way_to(method, route, status) or status in UNREACHABLE
        ), f"{method} {route} {status}"


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
