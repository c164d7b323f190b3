"""Figures: alternating runs of ours and a floor, their medians, and the ratio."""

import os
import platform
import statistics
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

RUNS = 5


@dataclass(frozen=True, slots=True)
class Row:
    """One comparison. `ratio` is ours over the floor's; more is better unless `less_is_better`."""

    row: str
    what: str
    unit: str
    floor_name: str
    must: float
    reach: float
    less_is_better: bool
    ours: list[float]
    floor: list[float]
    limits: str = ""
    notes: dict[str, Any] = field(default_factory=dict)

    @property
    def ratio(self) -> float:
        """Return median of ours over median of the floor."""
        return statistics.median(self.ours) / statistics.median(self.floor)

    @property
    def verdict(self) -> str:
        """Return reach, must or below."""
        sign = -1 if self.less_is_better else 1
        if sign * self.ratio >= sign * self.reach:
            return "reach"
        return "must" if sign * self.ratio >= sign * self.must else "below must"

    def as_json(self) -> dict[str, Any]:
        """Return the row with its ratio and verdict."""
        return asdict(self) | {"ratio": round(self.ratio, 3), "verdict": self.verdict}


def alternate(
    ours: Callable[[], float], floor: Callable[[], float], *, runs: int = RUNS
) -> tuple[list[float], list[float]]:
    """Run ours and the floor in turns; return what each measured."""
    measured: tuple[list[float], list[float]] = ([], [])
    for number in range(runs):
        measured[0].append(ours())
        measured[1].append(floor())
        say(f"  run {number + 1} of {runs}: {measured[0][-1]:,.2f} against {measured[1][-1]:,.2f}")
    return measured


def say(text: str) -> None:
    """Show progress."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def machine() -> dict[str, Any]:
    """Return what this was measured on."""
    models = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    return {
        "processor": models[0] if models else platform.processor(),
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
    }


def table(rows: list[Row]) -> str:
    """Return the rows as Markdown."""
    lines = [
        "| row | ours | against | ours (median) | floor (median) | ratio | pairs | must | reach"
        " | verdict |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        pairs = [a / b for a, b in zip(row.ours, row.floor, strict=True)]
        bound = "≤" if row.less_is_better else "≥"
        lines.append(
            f"| {row.row} | {row.what} | {row.floor_name}"
            f" | {statistics.median(row.ours):,.2f} {row.unit}"
            f" | {statistics.median(row.floor):,.2f} {row.unit} | **{row.ratio:.2f}**"
            f" | {min(pairs):.2f} to {max(pairs):.2f} | {bound} {row.must} | {bound} {row.reach}"
            f" | {row.verdict} |"
        )
    limits = [f"- {row.row}, {row.what}: {row.limits}" for row in rows if row.limits]
    return "\n".join([*lines, "", *limits])
