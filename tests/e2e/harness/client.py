"""A client that trusts nothing: every answer is checked as it comes."""

import http.client
import json
import re
import socket
from dataclasses import dataclass

from harness.openapi import document
from harness.waiting import POLL_INTERVAL_S, wait_until

TERMINAL = ("success", "failed")
TIMEOUT_S = 20.0
# Fields that typed clients read as times: left out when unset.
TIMES = ("submitted", "started", "finished", "offset_time", "stop_requested")
TIME_PATTERN = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


@dataclass(frozen=True)
class Answer:
    """One HTTP answer."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    def header(self, name):
        """The only header of that name; None if there is none."""
        values = self.headers.get_all(name, [])
        assert len(values) <= 1, f"{name} is there {len(values)} times"
        return values[0] if values else None

    @property
    def media_type(self):
        return (self.header("Content-Type") or "").split(";")[0].strip().lower()

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def result(self):
        return self.json["result"]

    @property
    def codes(self):
        """The errors' codes, in order."""
        return [error["code"] for error in self.json["errors"]]

    @property
    def pointers(self):
        """Each blamed field with its error's code."""
        return {
            error["source"]["pointer"]: error["code"]
            for error in self.json["errors"]
            if "source" in error
        }

    @property
    def text(self):
        """Everything that the errors say."""
        return "; ".join(error["message"] for error in self.json["errors"])


def _check_entries(entries):
    for entry in entries:
        assert isinstance(entry["code"], int) and entry["code"] >= 1000, entry
        assert isinstance(entry["message"], str) and entry["message"], entry
        if "source" in entry:
            assert isinstance(entry["source"]["pointer"], str), entry


def _check_envelope(answer):
    assert answer.media_type == "application/json", answer
    body = answer.json
    assert {"result", "success", "errors", "messages"} <= set(body), body
    assert set(body) <= {
        "result",
        "success",
        "errors",
        "messages",
        "result_info",
    }, body
    assert isinstance(body["errors"], list), body
    assert isinstance(body["messages"], list), body
    _check_entries(body["errors"] + body["messages"])
    if answer.status < 400:
        assert body["success"] is True and body["errors"] == [], body
    else:
        assert body["success"] is False and body["errors"], body
        assert body["result"] is None, body


def _check_times(value):
    if isinstance(value, list):
        for item in value:
            _check_times(item)
    elif isinstance(value, dict):
        for name in TIMES:
            if name in value:
                assert TIME_PATTERN.fullmatch(value[name]), (name, value[name])


def check(method, target, answer):
    """Whether the answer keeps what the contract says of all answers."""
    if method == "HEAD" or answer.status in (204, 304):
        assert answer.body == b"", answer
    elif answer.status < 400 and target == "/openapi.json":
        pass  # the one JSON that is no envelope
    elif answer.status >= 400 or answer.media_type == "application/json":
        _check_envelope(answer)
        _check_times(answer.json["result"])
    # Clients retry a conflict by themselves: it is never answered.
    assert answer.status != 409, answer
    document().check(method, target, answer)


class Client:
    """Asks one daemon as one account, a connection for each request."""

    # Answers have to be what our openapi.yaml says.
    described = True

    def __init__(
        self,
        port,
        account="",
        headers=None,
        address="127.0.0.1",
        source=None,
        tls=None,
    ):
        """`source` is the address to ask from, `tls` an SSL context."""
        self.port = port
        self.account = account
        self.address = address
        self._source = (source, 0) if source else None
        self._tls = tls
        self._headers = dict(headers or {})

    @property
    def base(self):
        """Path of the account's jobs."""
        return f"/client/v4/accounts/{self.account}/pcaps"

    def path(self, job_id, rest=""):
        """Path of a job and what hangs below it."""
        return f"{self.base}/{job_id}{rest}"

    def connect(self):
        """A connection of http.client, for more than one request."""
        options = {"timeout": TIMEOUT_S, "source_address": self._source}
        if self._tls:
            return http.client.HTTPSConnection(
                self.address, self.port, context=self._tls, **options
            )
        return http.client.HTTPConnection(self.address, self.port, **options)

    def request(self, method, target, body=None, headers=None):
        """One request; a `body` that is no bytes is sent as JSON."""
        all_headers = {**self._headers, **(headers or {})}
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
            all_headers.setdefault("Content-Type", "application/json")
        connection = self.connect()
        try:
            connection.request(method, target, body, all_headers)
            reply = connection.getresponse()
            answer = Answer(reply.status, reply.headers, reply.read())
        finally:
            connection.close()
        if self.described:
            check(method, target, answer)
        return answer

    def get(self, target, **headers):
        """GET; keyword arguments are headers, `_` for `-`."""
        named = {k.replace("_", "-"): v for k, v in headers.items()}
        return self.request("GET", target, headers=named)

    # -- the operations, which must succeed

    def create(self, **fields):
        """Creates a job and returns it; some valid values are defaults."""
        answer = self.try_create(**fields)
        assert answer.status == 200, answer.body
        return answer.result

    def try_create(self, **fields):
        """Creates a job, or not; a field of None is left out."""
        body = {
            "type": "simple",
            "system": "magic-transit",
            "time_limit": 300,
            "packet_limit": 10000,
            **fields,
        }
        body = {k: v for k, v in body.items() if v is not None}
        return self.request("POST", self.base, body)

    def job(self, job_id):
        """The job as it is now."""
        answer = self.get(self.path(job_id))
        assert answer.status == 200, answer.body
        return answer.result

    def jobs(self, query=""):
        """The list of jobs."""
        answer = self.get(self.base + query)
        assert answer.status == 200, answer.body
        return answer.result

    def stop(self, job_id):
        answer = self.request("PUT", self.path(job_id, "/stop"))
        assert answer.status == 204, answer.body

    def delete(self, job_id):
        answer = self.request("DELETE", self.path(job_id))
        assert answer.status == 204, answer.body

    def download(self, job_id, query=""):
        """The bytes of the savefile."""
        answer = self.get(self.path(job_id, "/download" + query))
        assert answer.status == 200, answer.body
        return answer.body

    # -- waiting

    def wait_capturing(self, job_id):
        """Waits until every interface is captured on; returns the job."""
        job = {}

        def capturing():
            job.clear()
            job.update(self.job(job_id))
            reports = job["interfaces"]
            return reports and all(
                report["state"] == "capturing" for report in reports
            )

        wait_until(lambda: f"capturing: {job}", capturing)
        return job

    def wait_captured(self, job_id, count, timeout_s=10.0):
        """Waits until the job has so many packets; returns the job."""
        job = {}

        def captured():
            job.clear()
            job.update(self.job(job_id))
            return job["packets_captured"] >= count

        wait_until(lambda: f"{count} packets: {job}", captured, timeout_s)
        return job

    def wait_terminal(
        self, job_id, timeout_s=20.0, interval_s=POLL_INTERVAL_S
    ):
        """Waits until the job is over, with a look at each interval; returns it."""
        job = {}

        def terminal():
            job.clear()
            job.update(self.job(job_id))
            return job["status"] in TERMINAL

        wait_until(lambda: f"terminal: {job}", terminal, timeout_s, interval_s)
        return job

    def wait_success(self, job_id, timeout_s=20.0, interval_s=POLL_INTERVAL_S):
        """The same; it must be over well."""
        job = self.wait_terminal(job_id, timeout_s, interval_s)
        assert job["status"] == "success", job
        return job


class _KeptOpen:
    """What HTTPResponse takes for a socket. It closes the file that it gets
    from it after each answer; this one stays open, for it may hold bytes of
    the next."""

    def __init__(self, file):
        self._file = file
        self.readline = file.readline
        self.read = file.read
        self.readinto = file.readinto

    def makefile(self, _mode):
        return self

    def flush(self):
        pass

    def close(self):
        pass


class RawConnection:
    """A connection for requests that no HTTP library would send."""

    def __init__(self, port, receive_buffer_bytes=None, address="127.0.0.1"):
        self.socket = socket.socket()
        self.socket.settimeout(TIMEOUT_S)
        if receive_buffer_bytes:
            self.socket.setsockopt(
                socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes
            )
        self.socket.connect((address, port))
        self._incoming = self.socket.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._incoming.close()
        self.socket.close()

    def send(self, content):
        self.socket.sendall(content)

    def answer(self, method="GET", target="/"):
        """The next answer, checked like any other."""
        reply = http.client.HTTPResponse(
            _KeptOpen(self._incoming), method=method
        )
        reply.begin()
        answer = Answer(reply.status, reply.headers, reply.read())
        check(method, target, answer)
        return answer

    def wait_for_bytes(self):
        """Waits until an answer begins, and leaves it where it is."""
        assert self._incoming.peek(1)

    def is_closed_by_peer(self):
        """Whether the other side closes; waits for it."""
        try:
            return self._incoming.read(1) == b""
        except ConnectionResetError:
            return True
        except socket.timeout:
            return False
