"""G3: folding a fill into a position, exact decimals, against Nautilus' `Position.apply`.

NautilusTrader lives in a virtual environment of its own (`make bench` makes it). Both sides run in
that environment's Python, in processes of their own, on the same random fills.
"""

import json
import subprocess
from pathlib import Path

from benchmarks import servers
from benchmarks.measure import Row, alternate

ROOT = Path(__file__).resolve().parent.parent
PYTHON = ROOT / ".venv-bench" / "bin" / "python"
FILLS = 20_000


def fold(_directory: Path) -> list[Row]:
    """Measure G3."""
    servers.show("G3 folding a fill")
    measured = alternate(lambda: _rate("ours"), lambda: _rate("nautilus"))
    return [Row("G3", "fold a fill", "/s", "Nautilus `Position.apply`", 0.5, 1.0, False, *measured)]


def _rate(side: str) -> float:
    """Return the fills a second of one side, in a fresh process."""
    command = [str(PYTHON), "-m", f"benchmarks.fold_{side}", str(FILLS)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return float(json.loads(done.stdout.strip().splitlines()[-1])["per_second"])
