"""The daemon under test: started, watched, ended, and its traces judged."""

import copy
import hashlib
import itertools
import json
import os
import pathlib
import re
import resource
import secrets
import signal
import subprocess

import yaml

from harness.client import Client
from harness.network import die_with_parent
from harness.prometheus import scrape
from harness.waiting import wait_until

ACCOUNT = "023e105f4ecef8ad9ca31a8372d0c353"
OTHER_ACCOUNT = "0123456789abcdef0123456789abcdef"

# Secrets of the test accounts; none may ever show up in a log.
TOKEN = "token-all-" + secrets.token_hex(8)
READ_TOKEN = "token-read-" + secrets.token_hex(8)
WRITE_TOKEN = "token-write-" + secrets.token_hex(8)
DOWNLOAD_TOKEN = "token-download-" + secrets.token_hex(8)
OTHER_TOKEN = "token-other-" + secrets.token_hex(8)
EMAIL = "ops@example.com"
KEY = "key-all-" + secrets.token_hex(8)
SECRETS = (TOKEN, READ_TOKEN, WRITE_TOKEN, DOWNLOAD_TOKEN, OTHER_TOKEN, KEY)

READY_TIMEOUT_S = 20.0
# The grace period and what the system may take beyond it; Show "exit 0
# within 10 s".
STOP_TIMEOUT_S = 10.0

_SANITIZER = re.compile(
    r"(Address|Leak|Thread|UndefinedBehavior|Memory)Sanitizer|runtime error:"
)
_ports = itertools.count(20000)

# Those that run, so that a failed test can show their logs.
running = []


def program(variable="EDGECAPD"):
    """Path of the daemon under test, or of another one that it has to work
    with."""
    path = os.environ.get(variable)
    assert path, f"set {variable} to the path of the daemon under test"
    path = os.path.abspath(path)
    assert os.access(path, os.X_OK), f"{variable}={path} is no program"
    return path


def hash_secret(secret):
    """What the configuration holds instead of the secret."""
    salt = secrets.token_bytes(16)
    digest = hashlib.sha256(salt + secret.encode()).hexdigest()
    return f"sha256:{salt.hex()}:{digest}"


def bearer(token):
    """The header that carries a token."""
    return {"Authorization": f"Bearer {token}"}


def new_port():
    """A port that no daemon of this process has had."""
    return next(_ports)


def _token(name, token, *rights):
    return {"name": name, "token_hash": hash_secret(token), "rights": [*rights]}


def configuration(directory, interfaces, **sections):
    """A configuration as the YAML's structure.

    `interfaces` is for the system magic-transit; `sections` replace or extend
    the defaults of the tests section by section.
    """
    config = {
        "listen": {"address": "127.0.0.1", "port": new_port()},
        "node": {"name": "e2e-node"},
        "accounts": [
            {
                "id": ACCOUNT,
                "name": "Ours",
                "credentials": [
                    _token("all", TOKEN, "read", "write", "download"),
                    _token("reader", READ_TOKEN, "read"),
                    _token("writer", WRITE_TOKEN, "write"),
                    _token("downloader", DOWNLOAD_TOKEN, "download"),
                    {
                        "name": "pair",
                        "email": EMAIL,
                        "key_hash": hash_secret(KEY),
                        "rights": ["read", "write", "download"],
                    },
                ],
            },
            {
                "id": OTHER_ACCOUNT,
                "name": "Theirs",
                "credentials": [
                    _token("other", OTHER_TOKEN, "read", "write", "download")
                ],
            },
        ],
        "systems": {"magic-transit": {"interfaces": interfaces}},
        "limits": {
            "collect": {"requests": 1000000, "window": "1s"},
            "general": {"requests": 1000000, "window": "1s"},
        },
        # All tests come from one address, and many are refused on purpose.
        "auth": {"max_failures": 10000},
        "storage": {"directory": str(directory), "min_free": "0B"},
        "log": {"level": "info", "format": "json"},
    }
    for name, section in copy.deepcopy(sections).items():
        config.setdefault(name, {}).update(section)
    return config


def environment():
    """The daemon's environment: sanitizers stop at the first fault."""
    result = dict(os.environ)
    for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS"):
        options = [result[name]] if result.get(name) else []
        options.append("exitcode=99")
        if name == "UBSAN_OPTIONS":
            options += ["halt_on_error=1", "print_stacktrace=1"]
        result[name] = ":".join(options)
    return result


def run(*arguments, **options):
    """Runs the program to its end, for what it does besides serving."""
    return subprocess.run(
        [program(), *arguments],
        capture_output=True,
        env=environment(),
        timeout=30,
        check=False,
        **options,
    )


class Daemon:
    """One edgecapd with a directory of its own.

    As a context manager it is ready at the start, and at the end has exited
    with 0 and without a word from a sanitizer. `descriptors` is how many it may
    have open at once.
    """

    # For the start; one with a large index takes longer.
    ready_timeout_s = READY_TIMEOUT_S
    # The command that it is started by, if it is not started directly.
    starter = ()
    # Where the test finds its API.
    address = "127.0.0.1"
    # Which program it is.
    program_variable = "EDGECAPD"
    # What its environment has besides.
    more_environment = {}

    def __init__(self, work, config, descriptors=None):
        self.work = pathlib.Path(work)
        self.config = config
        self._descriptors = descriptors
        self.config_file = self.work / "edgecap.yaml"
        self.log_file = self.work / "stderr.log"
        self.process = None
        self._log = None
        self.write_config(yaml.safe_dump(config))

    @property
    def port(self):
        return self.config["listen"]["port"]

    @property
    def directory(self):
        return pathlib.Path(self.config["storage"]["directory"])

    @property
    def pid(self):
        return self.process.pid

    def client(self, token=TOKEN, account=ACCOUNT, source=None):
        """A client with this token, and this address of its own."""
        result = Client(
            self.port, account, bearer(token), self.address, source
        )
        # Another version has a description of its own.
        result.described = self.program_variable == "EDGECAPD"
        return result

    def start(self):
        """Starts and waits until it is ready."""
        self.launch()
        self.wait_ready()
        return self

    def launch(self):
        """Starts, and does not wait."""
        with open(self.log_file, "ab") as log:
            self.process = subprocess.Popen(
                [
                    *self.starter,
                    program(self.program_variable),
                    "--config",
                    str(self.config_file),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**environment(), **self.more_environment},
                preexec_fn=self._prepare,
            )
        running.append(self)

    def _prepare(self):
        die_with_parent()
        if self._descriptors:
            bounds = (self._descriptors, self._descriptors)
            resource.setrlimit(resource.RLIMIT_NOFILE, bounds)

    def wait_ready(self):
        """Waits for /readyz to say yes."""
        anonymous = Client(self.port, address=self.address)

        def ready():
            code = self.process.poll()
            assert code is None, f"exited with {code}:\n{self.log()}"
            try:
                return anonymous.get("/readyz").status == 200
            except OSError:
                return False

        wait_until(
            lambda: f"/readyz\n{self.log()}", ready, self.ready_timeout_s
        )

    def wait_inspected(self):
        """Waits until it has looked at all files of an earlier process."""

        def inspected():
            log = self.log()
            began = log.rfind('"storage-opened"')
            return 0 <= began < log.rfind('"storage-inspected"')

        wait_until("storage-inspected", inspected, self.ready_timeout_s)

    def write_config(self, text):
        """Puts another configuration in the place of the one that is there; a
        reader sees the one or the other."""
        other = self.work / "edgecap.yaml.new"
        other.write_text(text, encoding="utf-8")
        other.replace(self.config_file)

    def reload(self, text=None):
        """Has it read its configuration again, which is `text` or else
        `config`. Waits until it has; returns whether it took it over."""
        self.write_config(yaml.safe_dump(self.config) if text is None else text)
        before = self.reloads()
        self.process.send_signal(signal.SIGHUP)
        after = wait_until(
            "the configuration is read again",
            lambda: (now := self.reloads()) != before and now,
        )
        return after[0] > before[0]

    def reloads(self):
        """How many configurations it took over, and how many it refused."""
        metrics = scrape(Client(self.port))
        return [
            metrics.total("edgecap_config_reloads_total", outcome=outcome)
            for outcome in ("applied", "refused")
        ]

    def stop(self, number=signal.SIGTERM, timeout_s=STOP_TIMEOUT_S):
        """Ends it in order, and judges how it ended."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        self.wait_exit(timeout_s)

    def wait_exit(self, timeout_s=STOP_TIMEOUT_S):
        """Waits for an end in order."""
        try:
            code = self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(
                f"runs on after {timeout_s} s:\n{self.log()}"
            ) from None
        running.remove(self)
        assert code == 0, f"exit code {code}:\n{self.log()}"
        self.assert_sanitizers_silent()

    def kill(self):
        """SIGKILL, as a crash."""
        self.process.kill()
        self.process.wait()
        if self in running:
            running.remove(self)

    def assert_sanitizers_silent(self):
        found = _SANITIZER.search(self.log())
        assert not found, self.log()

    def log(self):
        """All that it wrote, in all its lives."""
        return self.log_file.read_text(encoding="utf-8", errors="replace")

    def log_entries(self):
        """Its log, line by line; every whole line is a JSON object."""
        lines = self.log().splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.endswith("\n")]

    def events(self, name, **fields):
        """The lines of its log with this event and these fields."""
        return [
            entry
            for entry in self.log_entries()
            if entry.get("event") == name and fields.items() <= entry.items()
        ]

    def __enter__(self):
        return self.start()

    def __exit__(self, kind, *_):
        if self.process.poll() is not None and self not in running:
            return
        if kind is None:
            self.stop()
        else:
            self.kill()

    # -- what the kernel says of the process

    def threads(self):
        """How many threads it has."""
        return len(os.listdir(f"/proc/{self.pid}/task"))

    def descriptors(self):
        """How many open descriptors it has."""
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def resident_bytes(self):
        """Its memory."""
        with open(f"/proc/{self.pid}/statm", encoding="ascii") as f:
            return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def peak_bytes(self):
        """The most memory that it had since `forget_peak`."""
        with open(f"/proc/{self.pid}/status", encoding="ascii") as f:
            return int(re.search(r"VmHWM:\s+(\d+) kB", f.read())[1]) * 1024

    def forget_peak(self):
        """Begins to measure the peak of its memory anew."""
        with open(f"/proc/{self.pid}/clear_refs", "w", encoding="ascii") as f:
            f.write("5")

    def is_sanitized(self):
        """Whether a sanitizer is built in, which keeps freed memory."""
        with open(f"/proc/{self.pid}/maps", encoding="ascii") as f:
            return re.search(r"lib[at]san", f.read()) is not None
