"""A strict reader of Prometheus' text format 0.0.4."""

import re

_NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
_SAMPLE = re.compile(rf"({_NAME})(?:\{{(.*)\}})? (\S+)(?: (-?\d+))?")
_LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"(,|$)')
_TYPES = ("counter", "gauge", "histogram", "summary", "untyped")
_SUFFIXES = {
    "histogram": ("_bucket", "_sum", "_count"),
    "summary": ("", "_sum", "_count"),
}


def _labels(text):
    found = {}
    at = 0
    while at < len(text):
        match = _LABEL.match(text, at)
        if not match:
            raise ValueError(f"labels: {text}")
        if match[1] in found:
            raise ValueError(f"label {match[1]} twice")
        found[match[1]] = match[2]
        at = match.end()
    return found


def scrape(client):
    """What a daemon's metrics are now."""
    answer = client.get("/metrics")
    assert answer.status == 200
    assert answer.header("Content-Type").startswith("text/plain; version=0.0.4")
    return Metrics(answer.body.decode())


class Metrics:
    """Families and samples of one scrape; raises ValueError if anything is
    not as the format wants it."""

    def __init__(self, text):
        self.types = {}
        self.helps = {}
        # name and labels (as sorted pairs) to value
        self.samples = {}
        if text and not text.endswith("\n"):
            raise ValueError("the last line does not end")
        current = None
        for line in text.splitlines():
            if line.startswith("# HELP "):
                current, _, said = line[7:].partition(" ")
                self._once(self.helps, current, said)
            elif line.startswith("# TYPE "):
                current, _, kind = line[7:].partition(" ")
                if kind not in _TYPES:
                    raise ValueError(line)
                self._once(self.types, current, kind)
            elif line and not line.startswith("#"):
                self._add(line, current)
        self._check_histograms()

    @staticmethod
    def _once(where, name, value):
        if not re.fullmatch(_NAME, name) or name in where:
            raise ValueError(f"{name}: no name, or given twice")
        where[name] = value

    def _add(self, line, family):
        match = _SAMPLE.fullmatch(line)
        if not match:
            raise ValueError(f"no sample: {line}")
        name, labels, value = match[1], _labels(match[2] or ""), float(match[3])
        kind = self.types.get(family)
        suffixes = _SUFFIXES.get(kind, ("",))
        if kind is None or name not in [family + end for end in suffixes]:
            raise ValueError(f"{name} does not stand below its TYPE")
        if kind == "counter" and (value < 0 or not name.endswith("_total")):
            raise ValueError(f"odd counter: {line}")
        key = name, tuple(sorted(labels.items()))
        if key in self.samples:
            raise ValueError(f"twice: {line}")
        self.samples[key] = value

    def _check_histograms(self):
        series = {}
        for (name, labels), value in self.samples.items():
            family = name[: -len("_bucket")]
            if self.types.get(family) == "histogram":
                rest = tuple(pair for pair in labels if pair[0] != "le")
                bound = float(dict(labels)["le"])
                series.setdefault((family, rest), []).append((bound, value))
        for (family, labels), buckets in series.items():
            counts = [count for _, count in sorted(buckets)]
            if counts != sorted(counts):
                raise ValueError(f"{family}: buckets do not add up")
            if sorted(buckets)[-1][0] != float("inf"):
                raise ValueError(f"{family}: no bucket +Inf")
            if counts[-1] != self.samples[family + "_count", labels]:
                raise ValueError(f"{family}: count and buckets differ")

    def total(self, name, **labels):
        """Sum of the samples of that name that have these labels."""
        return sum(
            value
            for (found, pairs), value in self.samples.items()
            if found == name and set(labels.items()) <= set(pairs)
        )
