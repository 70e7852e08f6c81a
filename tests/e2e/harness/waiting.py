"""Waiting for something to become true, with a deadline."""

import time

# How often a condition is looked at; never a means of synchronisation.
POLL_INTERVAL_S = 0.02


def wait_until(what, condition, timeout_s=10.0, interval_s=POLL_INTERVAL_S):
    """The first true value of `condition()`, which is looked at every
    `interval_s`.

    `what` says in the failure what was waited for; a string or a function.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= deadline:
            text = what() if callable(what) else what
            raise AssertionError(f"waited {timeout_s} s in vain: {text}")
        time.sleep(interval_s)
