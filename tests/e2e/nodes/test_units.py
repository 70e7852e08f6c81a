"""The units of deploy/ as systemd puts them together: a unit, then its drop-in."""

import pytest

from harness.shipped import DEPLOY

# What a host of the fleet runs: the files of each unit, in systemd's order.
UNITS = {
    "edgecapd": ["systemd/edgecapd.service", "fleet/edgecapd-fleet.conf"],
    "edgecap-wall": ["fleet/edgecap-wall.service"],
}


def settings(files):
    """Section and key of each setting, with its last value."""
    result = {}
    for file in files:
        section = None
        for line in (DEPLOY / file).read_text(encoding="utf-8").splitlines():
            if line.startswith("["):
                section = line.strip("[]")
            elif line and not line.startswith(("#", ";")):
                key, _, value = line.partition("=")
                result[section, key] = value
    return result


@pytest.mark.parametrize("unit", UNITS)
def test_it_is_started_again_however_often_it_ends(unit):
    """docs/fleet.md promises it: who has an edge's key can end the collector's
    process as often as he likes, until that key is revoked."""
    found = settings(UNITS[unit])
    assert found["Service", "Restart"] in ("always", "on-failure")
    assert found["Unit", "StartLimitIntervalSec"] == "0"


def test_alone_it_gives_up():
    """Without the drop-in there is a limit: the test above could fail."""
    found = settings(UNITS["edgecapd"][:1])
    assert found["Unit", "StartLimitIntervalSec"] != "0"
