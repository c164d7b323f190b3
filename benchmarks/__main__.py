"""`python -m benchmarks [ROW ...]`: measure the rows, print them, and write docs/benchmarks.*."""

import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import gate, holding, memory, profile, push, scale, servers, steps, web
from benchmarks.measure import Row, machine, say, table

DOCS = Path(__file__).resolve().parent.parent / "docs"
ROWS: dict[str, Callable[[Path], list[Row]]] = {
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
    """Measure what was asked for: rows (all without a name), `scale`, or `memory FILE ...`."""
    slow_disk = "--slow-disk" in sys.argv
    wanted = [name for name in sys.argv[1:] if name != "--slow-disk"] or list(ROWS)
    if wanted[0] == "memory":
        print(memory.memory(wanted[1:]))
        return
    if unknown := set(wanted) - {*ROWS, *STUDIES}:
        known = ", ".join((*ROWS, *STUDIES, "memory"))
        sys.exit(f"no such row: {', '.join(sorted(unknown))}; there are {known}")
    rows: list[Row] = []
    with servers.running(slow_disk=slow_disk) as directory:
        measured_on = machine() | {"flush_ms": round(servers.flush_ms(), 3)}
        say(f"{measured_on}")
        for name in wanted:
            if name in STUDIES:
                print(STUDIES[name]())
            else:
                rows += ROWS[name](directory)
    if rows:
        print(table(rows))
    if wanted == list(ROWS) and not slow_disk:
        _write(rows, measured_on)


def _write(rows: list[Row], measured_on: dict[str, object]) -> None:
    at = datetime.now(UTC).date().isoformat()
    result = {"at": at, "machine": measured_on, "rows": [row.as_json() for row in rows]}
    (DOCS / "benchmarks.json").write_text(json.dumps(result, indent=2) + "\n")
    where = ", ".join(f"{name} {value}" for name, value in measured_on.items())
    page = DOCS / "benchmarks.md"
    begin, end = "<!-- measured -->", "<!-- end -->"
    text = page.read_text()
    before, _, rest = text.partition(begin)
    _, _, after = rest.partition(end)
    page.write_text(f"{before}{begin}\n{at}; {where}\n\n{table(rows)}\n{end}{after}")


if __name__ == "__main__":
    main()
