"""Whether a sample is what independent draws with the same chance give."""

import math

# A fair sampler is taken for an unfair one this often, for each figure. A chance
# of 1 in 1000, as statistics has it, would fail a good build every other week.
FALSE_ALARM = 1e-9


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


def judge(found, count, one_in):
    """The p-values of a sample of `count` packets in which `check` found this:
    how many there are, and from which times and flows. Ends the benchmark if
    one cannot be chance."""
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
    assert min(figures.values()) > FALSE_ALARM, f"no fair sample: {figures}"
    return figures
