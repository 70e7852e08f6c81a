"""The command line and the configuration."""

import hashlib
import pathlib
import re
import shutil

import pytest
import yaml

from harness import network
from harness.client import Client
from harness.daemon import ACCOUNT, Daemon, bearer, configuration, run
from harness.waiting import wait_until

ROOT = pathlib.Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "deploy" / "edgecap.example.yaml"
QUICKSTART = ROOT / "deploy" / "quickstart.yaml"
BROKEN = ROOT / "tests" / "config" / "broken"

DEMO_TOKEN = "edgecap-demo-token"
DEMO_PAIR = {
    "X-Auth-Email": "demo@example.com",
    "X-Auth-Key": "edgecap-demo-key",
}


# -- the files that we ship ---------------------------------------------------


class ShippedDaemon(Daemon):
    """A daemon with a shipped file: its port and directory are those of the
    file, the directory below a root of the test's own."""

    def __init__(self, work, content, directory):
        # Such a file is tested as it is: only where it writes differs.
        old = "directory: /var/lib/edgecap"
        assert content.count(old) == 1
        config = {
            "listen": {"address": "127.0.0.1", "port": 8787},
            "storage": {"directory": str(directory)},
        }
        super().__init__(work, config)
        content = content.replace(old, f"directory: {directory}")
        self.config_file.write_text(content, encoding="utf-8")


def serves_the_demo(daemon):
    for headers in (bearer(DEMO_TOKEN), DEMO_PAIR):
        client = Client(daemon.port, ACCOUNT, headers)
        assert client.get(client.base).status == 200
    job_id = client.create(filter_v1={"destination_port": 9})["id"]
    client.wait_capturing(job_id)
    client.stop(job_id)
    client.wait_success(job_id)


@pytest.mark.parametrize("path", [EXAMPLE, QUICKSTART], ids=lambda p: p.name)
def test_a_shipped_file_starts_the_daemon(path, work):
    content = path.read_text(encoding="utf-8")
    with ShippedDaemon(work(), content, work()) as daemon:
        serves_the_demo(daemon)


def test_the_example_with_its_commented_options(work):
    """A commented option must be a right one too."""
    content = EXAMPLE.read_text(encoding="utf-8")
    content, count = re.subn(r"(?m)^  #(name:)", r"  \1", content)
    assert count == 1
    made = [network.Veth("eth"), network.Veth("veth")]
    try:
        content, count = re.subn(r"(?m)^(      )#(- )", r"\1\2", content)
        assert count == 2
        content = content.replace("- eth0\n", f"- {made[0].name}\n")
        with ShippedDaemon(work(), content, work()) as daemon:
            client = Client(daemon.port, ACCOUNT, bearer(DEMO_TOKEN))
            job = client.wait_capturing(client.create()["id"])
            found = {
                report["interface"]: report["sampling_one_in"]
                for report in job["interfaces"]
            }
            # The glob fits both ends of the pair.
            globbed = {made[1].name: 10, made[1].name + "p": 10}
            assert found == {"lo": 1, made[0].name: 1, **globbed}
            nodes = {report["node"] for report in job["interfaces"]}
            assert nodes == {"edge-1"}
    finally:
        for link in made:
            link.close()


def test_the_shipped_files_pass_the_check():
    for path in (EXAMPLE, QUICKSTART):
        done = run("--config", str(path), "--check")
        assert done.returncode == 0, done.stderr


# -- faults -------------------------------------------------------------------

BROKEN_NAMES = sorted(path.stem for path in BROKEN.glob("*.yaml"))


def test_there_are_at_least_ten_broken_files():
    assert len(BROKEN_NAMES) >= 10


@pytest.mark.parametrize("name", BROKEN_NAMES)
def test_a_broken_file_gives_exactly_these_messages(name):
    expected = (BROKEN / f"{name}.expected").read_bytes()
    for arguments in (["--check"], []):
        done = run("--config", f"{name}.yaml", *arguments, cwd=BROKEN)
        assert done.returncode == 1
        assert done.stderr == expected
        assert done.stdout == b""


def write(directory, config):
    path = directory / "edgecap.yaml"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("pattern", ["nosuch0", "nosuch*"])
def test_an_interface_that_does_not_exist_is_a_fault(pattern, tmp_path):
    config = configuration(tmp_path, ["lo", pattern])
    path = write(tmp_path, config)
    for arguments in (["--check"], []):
        done = run("--config", path, *arguments)
        assert done.returncode == 1
        said = done.stderr.decode()
        assert said.startswith(path + ":")
        assert "systems.magic-transit.interfaces[1]" in said
        assert pattern in said
        assert said.count("\n") == 1


def test_a_good_file_passes_the_check_silently(tmp_path):
    path = write(tmp_path, configuration(tmp_path, ["lo"]))
    done = run("--config", path, "--check")
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize("target", ["nosuch.yaml", "."])
def test_a_file_that_cannot_be_read_is_a_fault(target, tmp_path):
    done = run("--config", target, "--check", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.decode().startswith(target + ":")
    assert re.search("No such file|directory", done.stderr.decode())


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "192.0.2.1"])
def test_the_demo_credential_is_refused_on_other_addresses(address, tmp_path):
    content = QUICKSTART.read_text(encoding="utf-8")
    content = content.replace(
        "address: 127.0.0.1", f'address: "{address}"\n  behind_proxy: true'
    )
    path = tmp_path / "demo.yaml"
    path.write_text(content, encoding="utf-8")
    for arguments in (["--check"], []):
        done = run("--config", str(path), *arguments)
        assert done.returncode == 1
        said = done.stderr.decode()
        assert "edgecap-demo-token" in said and "edgecap-demo-key" in said
        assert address in said


def test_another_address_is_served_behind_a_proxy(links, work):
    link = links.veth()
    network.ip(f"address add 192.0.2.7/24 dev {link.name}")
    config = configuration(
        work(),
        [link.name],
        listen={"address": "192.0.2.7", "behind_proxy": True},
    )

    class Elsewhere(Daemon):
        def wait_ready(self):
            client = Client(self.port, address="192.0.2.7")

            def ready():
                try:
                    return client.get("/readyz").status == 200
                except OSError:
                    return False

            wait_until(self.log, ready)

    with Elsewhere(work(), config) as daemon:
        with pytest.raises(OSError):
            Client(daemon.port).get("/healthz")


def test_an_ipv6_address_is_served(work):
    # IPv6 is off in the tests' namespace but for this.
    with open(
        "/proc/sys/net/ipv6/conf/lo/disable_ipv6", "w", encoding="ascii"
    ) as f:
        f.write("0")
    config = configuration(work(), ["lo"], listen={"address": "::1"})

    class OnSix(Daemon):
        def wait_ready(self):
            client = Client(self.port, address="::1")

            def ready():
                try:
                    return client.get("/readyz").status == 200
                except OSError:
                    return False

            wait_until(self.log, ready)

    with OnSix(work(), config):
        pass


def test_port_0_lets_the_system_choose(links, work):
    link = links.veth()
    config = configuration(work(), [link.name], listen={"port": 0})

    class Anywhere(Daemon):
        def wait_ready(self):
            def chosen():
                return [
                    entry["port"]
                    for entry in self.log_entries()
                    if entry["event"] == "listening"
                ]

            self.config["listen"]["port"] = wait_until(
                self.log, chosen
            )[0]
            super().wait_ready()

    with Anywhere(work(), config) as daemon:
        assert daemon.port > 0


# -- the command line ---------------------------------------------------------


def test_version():
    done = run("--version")
    assert done.returncode == 0
    version = re.search(
        r"project\(edgecap VERSION (\S+)", (ROOT / "CMakeLists.txt").read_text()
    )[1]
    assert done.stdout.decode().strip().endswith(version)
    assert done.stderr == b""


def test_help():
    done = run("--help")
    assert done.returncode == 0
    for option in "--config --check --version --help --hash-secret --salt-of".split():
        assert option in done.stdout.decode()
    assert done.stderr == b""


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--check"],
        ["--confg", "x"],
        ["--config"],
        ["x"],
        ["--config", "x", "--hash-secret"],
    ],
    ids=str,
)
def test_a_wrong_command_line_is_told(arguments):
    done = run(*arguments)
    assert done.returncode == 2
    assert done.stdout == b""
    said = done.stderr.decode()
    assert said.startswith("edgecapd: ")
    assert "--help" in said


@pytest.mark.parametrize("end", [b"\n", b"", b"\r\n"])
def test_hash_secret(end):
    secret = b"correct horse battery staple"
    done = run("--hash-secret", input=secret + end)
    assert done.returncode == 0, done.stderr
    match = re.fullmatch(
        r"sha256:([0-9a-f]{32}):([0-9a-f]{64})\n", done.stdout.decode()
    )
    assert match, done.stdout
    # A carriage return may be part of the secret or not, but nothing else.
    candidates = [secret, secret + b"\r"] if b"\r" in end else [secret]
    salt = bytes.fromhex(match[1])
    assert match[2] in [
        hashlib.sha256(salt + candidate).hexdigest() for candidate in candidates
    ]
    assert secret not in done.stderr


def test_hash_secret_salts():
    results = [
        run("--hash-secret", input=b"correct horse battery staple\n").stdout
        for _ in range(3)
    ]
    assert len(set(results)) == 3


def test_hash_secret_takes_a_salt_that_is_there(tmp_path):
    file = write(tmp_path, configuration(tmp_path, ["lo"]))
    text = pathlib.Path(file).read_text(encoding="utf-8")
    results = [
        run("--hash-secret", "--salt-of", file, input=secret)
        for secret in (b"correct horse battery staple", b"another long secret")
    ]
    salts = {done.stdout.decode().split(":")[1] for done in results}
    assert len(salts) == 1 and salts.pop() in text
    assert results[0].stdout != results[1].stdout
    missing = run(
        "--hash-secret", "--salt-of", "/nowhere", input=b"x" * 32
    )
    assert missing.returncode == 1
    assert missing.stdout == b"" and b"/nowhere" in missing.stderr


def test_hash_secret_finds_no_salt_at_an_edge(tmp_path):
    edge = {"role": "edge", "systems": {"lab": {"interfaces": ["lo"]}}}
    file = write(tmp_path, edge)
    done = run("--hash-secret", "--salt-of", file, input=b"x" * 32)
    assert done.returncode == 1
    assert done.stdout == b"" and b"has no accounts" in done.stderr


@pytest.mark.parametrize(
    "secret", [b"", b"\n", b"short\n", b"x" * 65536], ids=len
)
def test_hash_secret_refuses_nothing_and_too_much(secret):
    done = run("--hash-secret", input=secret)
    assert done.returncode == 1
    assert done.stdout == b""
    assert done.stderr


def test_a_hashed_secret_lets_in(links, work):
    link = links.veth()
    secret = "correct horse battery staple"
    digest = run("--hash-secret", input=secret.encode()).stdout.decode().strip()
    config = configuration(work(), [link.name])
    config["accounts"][0]["credentials"][0]["token_hash"] = digest
    with Daemon(work(), config) as daemon:
        client = daemon.client(secret)
        assert client.get(client.base).status == 200


# -- the environment ----------------------------------------------------------


def test_a_directory_that_is_missing_is_made(links, work):
    link = links.veth()
    directory = work() / "deep" / "er"
    with Daemon(work(), configuration(directory, [link.name])):
        assert directory.is_dir()


def test_a_directory_that_cannot_be_had_is_told(links, tmp_path):
    link = links.veth()
    (tmp_path / "file").write_text("in the way")
    config = configuration(tmp_path / "file" / "x", [link.name])
    done = run("--config", write(tmp_path, config))
    assert done.returncode == 1
    said = done.stderr.decode()
    assert str(tmp_path / "file") in said
    assert "Not a directory" in said


def test_files_are_not_for_everyone(links, work):
    link = links.veth()
    directory = work()
    with Daemon(work(), configuration(directory, [link.name])) as daemon:
        api = daemon.client()
        job_id = api.create()["id"]
        api.wait_capturing(job_id)
        api.stop(job_id)
        api.wait_success(job_id)
        for path in directory.rglob("*"):
            assert path.stat().st_mode & 0o007 == 0, path
    shutil.rmtree(directory)
