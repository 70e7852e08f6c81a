"""deploy/fleet/fleet-ca: what it makes, what it says, what it never does."""

import os
import re
import ssl
import subprocess
import time

import pytest

from harness.shipped import DEPLOY, tool
from harness.walls import Authority


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path)


def refusal(authority, *command):
    """What it says to a command that it must refuse, having done nothing."""
    before = contents(authority.directory)
    done = authority.try_fleet_ca(*command)
    assert done.returncode == 1, done
    assert done.stdout == ""
    assert contents(authority.directory) == before
    return done.stderr


def contents(directory):
    return {
        path: path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file()
    }


def openssl(*arguments):
    done = subprocess.run(
        [tool("openssl"), *arguments], capture_output=True, text=True
    )
    return done.returncode, done.stdout + done.stderr


def certificate(directory):
    return openssl("x509", "-in", directory / "node.crt", "-noout", "-text")[1]


def verify(authority, directory, purpose):
    return openssl(
        "verify",
        "-CAfile", authority.directory / "ca.crt",
        "-CRLfile", authority.directory / "ca.crl",
        "-crl_check_all",
        "-purpose", purpose,
        directory / "node.crt",
    )  # fmt: skip


def test_an_edge_gets_a_certificate_of_its_name_for_clients(authority):
    files = authority.issue("edge", "edge-1.ams")
    assert sorted(os.listdir(files)) == [
        "ca.crl",
        "ca.crt",
        "node.crt",
        "node.key",
    ]
    text = certificate(files)
    assert re.search(r"Subject: CN = edge-1.ams\n", text)
    assert "TLS Web Client Authentication\n" in text
    assert "CA:FALSE" in text
    assert verify(authority, files, "sslclient")[0] == 0
    code, said = verify(authority, files, "sslserver")
    assert code != 0 and "unsuitable certificate purpose" in said


def test_a_collector_gets_one_for_servers_with_all_its_names(authority):
    files = authority.issue("collector", "c.example", "192.0.2.1", "fd00::1")
    text = certificate(files)
    assert "TLS Web Server Authentication\n" in text
    assert (
        "DNS:c.example, IP Address:192.0.2.1, IP Address:FD00:0:0:0:0:0:0:1"
        in text
    )
    assert verify(authority, files, "sslserver")[0] == 0
    assert verify(authority, files, "sslclient")[0] != 0


def test_keys_are_for_their_owner_alone(authority):
    authority.issue("edge", "edge-1")
    keys = list(authority.directory.rglob("*.key"))
    assert len(keys) == 2
    assert [key.stat().st_mode & 0o777 for key in keys] == [0o600] * 2
    assert authority.directory.stat().st_mode & 0o777 == 0o700


def test_certificates_hold_for_a_clock_that_is_slow(authority):
    files = authority.issue("edge", "edge-1")
    for name in ("ca.crt", "node.crt"):
        said = openssl("x509", "-in", files / name, "-noout", "-startdate")[1]
        since_s = time.time() - ssl.cert_time_to_seconds(said[10:].strip())
        assert 86400 <= since_s < 2 * 86400


def test_nothing_is_overwritten(authority):
    files = authority.issue("edge", "edge-1")
    assert "exists already" in refusal(authority, "init")
    assert "renew edge-1" in refusal(authority, "edge", "edge-1")
    assert "renew edge-1" in refusal(authority, "collector", "edge-1")
    before = contents(files)
    assert authority.issue("renew", "edge-1") != files
    assert contents(files) == before


def test_a_renewal_keeps_what_a_node_is(authority):
    authority.issue("collector", "c.example", "192.0.2.1")
    text = certificate(authority.issue("renew", "c.example"))
    assert "DNS:c.example, IP Address:192.0.2.1" in text
    assert "TLS Web Server Authentication\n" in text


def test_a_revocation_is_of_all_certificates_or_of_one(authority):
    old = authority.issue("edge", "edge-1")
    new = authority.issue("renew", "edge-1")
    other = authority.issue("edge", "edge-2")
    authority.fleet_ca("revoke", "edge-1", old.name)
    assert "certificate revoked" in verify(authority, old, "sslclient")[1]
    assert verify(authority, new, "sslclient")[0] == 0
    authority.fleet_ca("revoke", "edge-1")
    assert "certificate revoked" in verify(authority, new, "sslclient")[1]
    assert verify(authority, other, "sslclient")[0] == 0
    assert "no valid certificate 99" in refusal(
        authority, "revoke", "edge-1", "99"
    )


@pytest.mark.parametrize("one", [True, False])
def test_a_revocation_that_was_interrupted_can_be_repeated(authority, one):
    """It has marked the certificate, and not yet made the list."""
    files = authority.issue("edge", "edge-1")
    other = authority.issue("edge", "edge-2")
    marked = authority.directory / "certificates" / f"{files.name}.pem"
    subprocess.run(
        [tool("openssl"), "ca", "-config", "openssl.cnf", "-revoke", marked],
        capture_output=True,
        check=True,
        cwd=authority.directory,
    )
    assert verify(authority, files, "sslclient")[0] == 0, "no list names it"
    serial = [files.name] if one else []
    said = authority.fleet_ca("revoke", "edge-1", *serial)
    assert f"{files.name} of edge-1 was revoked before" in said
    assert "ca.crl to /etc/edgecap/fleet of every node" in said
    assert "certificate revoked" in verify(authority, files, "sslclient")[1]
    assert verify(authority, other, "sslclient")[0] == 0


def test_the_list_shows_state_and_expiry(authority):
    authority.issue("collector", "c.example")
    authority.issue("edge", "edge-1")
    authority.sign("late", "-startdate", "200101000000Z", "-enddate", "200102000000Z")
    authority.fleet_ca("revoke", "edge-1")
    lines = authority.fleet_ca("list").splitlines()
    assert lines[0].split() == ["SERIAL", "STATE", "EXPIRES", "NAME"]
    rows = [line.split(maxsplit=3) for line in lines[1:]]
    assert [(serial, state, name) for serial, state, _, name in rows] == [
        ("01", "valid", "edgecap fleet"),
        ("02", "valid", "c.example"),
        ("03", "revoked", "edge-1"),
        ("04", "expired", "late"),
    ]
    assert rows[3][2] == "2020-01-02T00:00:00Z"


def test_what_expires_soon_is_an_exit_status(authority):
    authority.issue("edge", "edge-1")
    authority.issue("--days", "10", "edge", "edge-2")
    assert authority.try_fleet_ca("expiring", "9").returncode == 0
    done = authority.try_fleet_ca("expiring", "11")
    assert done.returncode == 1
    assert done.stdout.split()[1:] == ["edge-2"]
    # The new one counts.
    authority.issue("renew", "edge-2")
    assert authority.try_fleet_ca("expiring", "11").returncode == 0
    assert "edgecap fleet" in authority.try_fleet_ca("expiring", "3651").stdout


@pytest.mark.parametrize(
    "command, said",
    [
        (["edge", "edge 1"], "'edge 1' is no name of a node"),
        (["edge", "-x"], "'-x' is no name of a node"),
        (["edge", "../x"], "'../x' is no name of a node"),
        (["edge", "x" * 65], "at most 64"),
        (["edge"], "wrong number of operands"),
        (["edge", "a", "b"], "wrong number of operands"),
        (["collector", "c.example", "a b"], "neither a DNS name nor an IP"),
        (["renew", "nobody"], "there is no node nobody"),
        (["revoke", "nobody"], "no valid certificate"),
        (["--days", "0", "edge", "a"], "--days wants a number"),
        (["--days", "edge"], "no command given"),
        (["expiring", "soon"], "expiring wants a number"),
        (["--frob", "list"], "unknown option: --frob"),
        (["frob"], "unknown command: frob"),
        ([], "no command given"),
    ],
)
def test_errors_say_what_is_wrong(authority, command, said):
    assert said in refusal(authority, *command)


def test_without_an_authority_it_says_how_to_make_one(tmp_path):
    done = subprocess.run(
        [DEPLOY / "fleet/fleet-ca", "--directory", tmp_path, "list"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert f"fleet-ca --directory {tmp_path} init" in done.stderr
