"""Whether a sample is what independent draws with the same chance give."""

import math

# As statistics has it. A fair sampler misses it once in a thousand samples, for
# each figure, and in two that are independent once in a million.
LEAST_P = 0.001


def _upper_tail(z):
    """The probability that a normal variable exceeds z."""
    return math.erfc(z / math.sqrt(2)) / 2


def _spread(counts, expected, chance):
    """The probability that fair counts differ more: chi-square, after Wilson
    and Hilferty. The total is not given, so each count is a degree of freedom."""
    degrees = len(counts)
    square = sum((x - expected) ** 2 for x in counts) / (expected * (1 - chance))
    scale = 2 / (9 * degrees)
    cube_root = (square / degrees) ** (1 / 3)
    return _upper_tail((cube_root - (1 - scale)) / math.sqrt(scale))


def p_values(found, count, one_in):
    """Of a sample of `count` packets in which `check` found this: how many there
    are, and from which times and flows."""
    chance = 1 / one_in
    deviation = math.sqrt(count * chance * (1 - chance))
    figures = {"p of the count": 2 * _upper_tail(
        abs(found["packets"] - count * chance) / deviation
    )}
    for name in ("position", "flow"):
        counts = found["by_" + name]
        figures["p by " + name] = _spread(
            counts, count * chance / len(counts), chance
        )
    return figures


def _doubts(figures):
    return {name: x for name, x in figures.items()
            if name.startswith("p ") and x <= LEAST_P}


def judge(figures, again):
    """Ends the benchmark if the p-values of a sample cannot be chance: then
    `again`, which takes another one, finds the same."""
    doubts = _doubts(figures)
    if not doubts:
        return
    print(f"once more, for {doubts}", flush=True)
    confirmed = doubts.keys() & _doubts(again()).keys()
    assert not confirmed, f"no fair sample, twice: {confirmed}"
