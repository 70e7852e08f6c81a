"""Fixtures of the end-to-end tests; see README.md."""

import pytest

from harness import daemon as daemons
from harness import network

LOG_LINES_SHOWN = 40


def pytest_sessionstart(session):
    """Moves everything into a network namespace before a thread exists."""
    try:
        daemons.program()
        network.enter_namespace()
    except (AssertionError, OSError) as error:
        raise pytest.UsageError(str(error)) from None


def pytest_runtest_setup(item):
    """Remembers where the daemons' logs stand."""
    item.log_positions = {d: len(d.log()) for d in daemons.running}


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """Shows with a failed test what the daemons said during it."""
    outcome = yield
    report = outcome.get_result()
    if report.failed:
        for daemon in daemons.running:
            said = daemon.log()[item.log_positions.get(daemon, 0) :]
            lines = said.splitlines()[-LOG_LINES_SHOWN:]
            report.sections.append(
                (f"edgecapd, port {daemon.port}", "\n".join(lines))
            )


@pytest.fixture(scope="module")
def links():
    """Makes interfaces that are gone after the module's tests."""
    made = []

    class Links:
        """Makes interfaces."""

        @staticmethod
        def veth():
            made.append(network.Veth())
            return made[-1]

        @staticmethod
        def tun():
            made.append(network.Tun())
            return made[-1]

    yield Links
    for link in made:
        link.close()


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """Makes new directories."""
    return lambda: tmp_path_factory.mktemp("edgecapd")
