"""What was measured, round by round, and whether it is enough."""

import json
import os
import platform
import statistics


class Report:
    """Collects figures, prints them, and knows whether all limits are kept.

    In a smoke run figures are shown, not judged, nor are they if `unjudged` says
    why.
    """

    def __init__(self, name, smoke, unjudged=""):
        self.name = name
        self.smoke = smoke
        self.unjudged = unjudged
        self.missed = []
        self.content = {
            "smoke": smoke,
            "unjudged": unjudged,
            "host": {
                "kernel": platform.release(),
                "processors": os.cpu_count(),
                "load_at_begin": os.getloadavg(),
            },
            "benchmarks": {},
        }

    def section(self, name, **facts):
        """Begins a benchmark."""
        print(f"\n== {name}", flush=True)
        self._section = self.content["benchmarks"].setdefault(
            name, {"rounds": [], "figures": []}
        )
        self._section.update(facts)

    def round(self, text, **figures):
        """One round's figures."""
        self._section["rounds"].append(figures)
        number = len(self._section["rounds"])
        print(f"round {number}: {text}", flush=True)

    def figure(self, name, value, unit=""):
        """One that nothing is promised of."""
        self._section["figures"].append({"name": name, "value": value})
        print(f"{name}: {value:.2f}{unit}", flush=True)

    def figures(self, name, text, **values):
        """Several of one thing, of which nothing is promised."""
        self._section["figures"].append({"name": name, **values})
        print(f"{name}: {text}", flush=True)

    def at_least(self, name, value, limit, unit=""):
        self._judge(name, value, ">=", limit, value >= limit, unit)

    def at_most(self, name, value, limit, unit=""):
        self._judge(name, value, "<=", limit, value <= limit, unit)

    def rounds(self):
        """The figures of the rounds so far."""
        return self._section["rounds"]

    def median_of(self, name):
        """The median over the rounds of one of their figures."""
        return statistics.median(x[name] for x in self._section["rounds"])

    def _judge(self, name, value, sign, limit, kept, unit):
        self._section["figures"].append(
            {"name": name, "value": value, "limit": f"{sign} {limit}{unit}",
             "kept": kept}
        )
        word = "ok" if kept else "MISSED"
        if self.smoke or self.unjudged:
            word = "not judged"
        elif not kept:
            self.missed.append(name)
        print(f"{name}: {value:.2f}{unit} (want {sign} {limit}{unit}): {word}",
              flush=True)

    def finish(self, file):
        """Writes the JSON and prints the summary line."""
        self.content["host"]["load_at_end"] = os.getloadavg()
        self.content["missed"] = self.missed
        if file:
            with open(file, "w", encoding="utf-8") as f:
                json.dump(self.content, f, indent=2)
        print()
        if self.smoke:
            print(f"{self.name} benchmarks, smoke: every byte was right")
        elif self.unjudged:
            print(f"{self.name} benchmarks: {self.unjudged}")
        elif self.missed:
            print(f"{self.name} benchmarks: MISSED {', '.join(self.missed)}")
        else:
            print(f"{self.name} benchmarks: every figure is kept")
