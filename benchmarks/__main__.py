"""`python -m benchmarks [ROW ...]`: measure the rows, print them, and write docs/benchmarks.*."""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import (
    gate,
    greeks,
    holding,
    memory,
    profile,
    push,
    scale,
    servers,
    soak,
    steps,
    web,
)
from benchmarks.measure import Row, machine, say, table

DOCS = Path(__file__).resolve().parent.parent / "docs"
ROWS: dict[str, Callable[[Path], list[Row]]] = {
    "G1": greeks.kernel,
    "G2": greeks.implied,
    "G3": holding.fold,
    "G5": steps.intake,
    "G6": steps.booking,
    "G7": web.whole_request,
    "G8": web.hop,
    "G9": web.visible,
    "G10": push.push,
}


STUDIES = {"profile": profile.profile, "scale": scale.scale, "gate": gate.gate}


def main() -> None:
    """Measure what was asked for: rows, a study, `memory FILE ...` or `soak`."""
    slow_disk = "--slow-disk" in sys.argv
    wanted = [name for name in sys.argv[1:] if name != "--slow-disk"] or list(ROWS)
    if wanted[0] == "memory":
        print(memory.memory(wanted[1:]))
        return
    if wanted[0] == "soak":
        print(soak.soak(int(wanted[1]) if wanted[1:] else soak.ORDERS))
        return
    if unknown := set(wanted) - {*ROWS, *STUDIES}:
        known = ", ".join((*ROWS, *STUDIES, "memory", "soak"))
        sys.exit(f"no such row: {', '.join(sorted(unknown))}; there are {known}")
    if len(wanted) > 1:  # each with servers of its own: no row begins with what another left
        options = ["--slow-disk"] * slow_disk
        for name in wanted:
            subprocess.run([sys.executable, "-m", "benchmarks", name, *options], check=True)
        return
    with servers.running(slow_disk=slow_disk) as directory:
        measured_on = machine() | {"flush_ms": round(servers.flush_ms(), 3)}
        say(f"{measured_on}")
        if wanted[0] in STUDIES:
            print(STUDIES[wanted[0]]())
            return
        rows = ROWS[wanted[0]](directory)
    print(table(rows))
    if not slow_disk:
        _write(rows, measured_on)


def _write(rows: list[Row], measured_on: dict[str, object]) -> None:
    """Put the rows in the place of older measurements of the same."""
    at = datetime.now(UTC).date().isoformat()
    file, page = DOCS / "benchmarks.json", DOCS / "benchmarks.md"
    known = json.loads(file.read_text())["rows"]
    new = [row.as_json() | {"at": at} for row in rows]
    measured = {row["row"] for row in new}
    kept = [row for row in known if row["row"] not in measured]
    every = sorted([*kept, *new], key=lambda row: int(row["row"][1:]))
    result = {"machine": measured_on, "rows": every}
    file.write_text(json.dumps(result, indent=2) + "\n")
    where = ", ".join(f"{name} {value}" for name, value in measured_on.items())
    begin, end = "<!-- measured -->", "<!-- end -->"
    before, _, rest = page.read_text().partition(begin)
    _, _, after = rest.partition(end)
    shown = table([Row(**{f.name: row[f.name] for f in fields(Row)}) for row in every])
    page.write_text(f"{before}{begin}\n{at}; {where}\n\n{shown}\n{end}{after}")


if __name__ == "__main__":
    main()
