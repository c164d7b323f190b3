"""`python -m benchmarks soak [ORDERS]`: what each process and each table gains over many orders."""

import time
from pathlib import Path

import psycopg

from benchmarks import memory, site
from benchmarks.measure import say
from execution_site.floor.database_roles import OWNER
from execution_site.processes.embedded.runtime import Runtime

ORDERS = 50_000
LOOKS = 10
CONNECTIONS = 8
WARM_SECONDS = 20.0
SETTLE_SECONDS = 5.0
BATCH_SECONDS = 15.0

#: The demo's bounds on a day would end the soak before its time.
_UNBOUNDED = "DELETE FROM risk_risklimit; DELETE FROM risk_breaker"
_COUNT = "SELECT count(*) FROM orders_order WHERE status = 'FILLED'"
_TABLES = """
SELECT c.relname, pg_table_size(c.oid), pg_indexes_size(c.oid)
FROM pg_class c JOIN pg_stat_user_tables s ON s.relid = c.oid
WHERE c.relkind = 'r' ORDER BY pg_total_relation_size(c.oid) DESC LIMIT 14
"""


def soak(orders: int) -> str:
    """Run a whole site through so many orders; return Markdown tables: MB, and bytes an order."""
    with memory.whole_site() as running:
        directory, port = running.directory, int(running.environment["PORT"])
        key = memory.manage(running.environment, "create_api_key", "soak", "--accounts", "paper")
        _ask(directory, _UNBOUNDED)
        authorization = f"Api-Key {key.splitlines()[-1]}"
        _post(port, authorization, WARM_SECONDS)
        looks: dict[int, dict[str, float]] = {}
        start = _filled(directory)
        sizes = _sizes(directory)
        for look in range(LOOKS + 1):
            while (done := _filled(directory) - start) < look * orders // LOOKS:
                _post(port, authorization, BATCH_SECONDS)
            time.sleep(SETTLE_SECONDS)
            looks[done] = memory.resident(running.pid, directory)
            say(f"  {done:,} orders: " + _line(looks[done]))
        grown = _grown(sizes, _sizes(directory), _filled(directory) - start)
    return f"{_memory_table(looks)}\n\n{grown}"


def _post(port: int, authorization: str, seconds: float) -> None:
    said = site.post(
        port,
        authorization,
        connections=CONNECTIONS,
        seconds=seconds,
        account="paper",
        prefer="wait=10",
    )
    if not set(said["answers"]) <= {"200", "202"}:
        raise RuntimeError(f"not all were accepted: {said}")


def _ask(directory: str, query: str) -> list[tuple[object, ...]]:
    address = Runtime(Path(directory)).database_url(OWNER)
    with psycopg.connect(address, autocommit=True) as connection:
        cursor = connection.execute(query)
        return cursor.fetchall() if cursor.description else []


def _filled(directory: str) -> int:
    return int(str(_ask(directory, _COUNT)[0][0]))


def _sizes(directory: str) -> dict[str, tuple[int, int]]:
    """Return the bytes of each table, and of its indexes."""
    _ask(directory, "VACUUM ANALYZE")
    return {str(row[0]): (int(str(row[1])), int(str(row[2]))) for row in _ask(directory, _TABLES)}


def _grown(
    before: dict[str, tuple[int, int]], after: dict[str, tuple[int, int]], orders: int
) -> str:
    lines = ["| table | rows, bytes an order | indexes, bytes an order |", "|---|---|---|"]
    total = [0.0, 0.0]
    for name, sizes in after.items():
        gained = [
            (now - was) / orders for now, was in zip(sizes, before.get(name, (0, 0)), strict=True)
        ]
        total = [whole + part for whole, part in zip(total, gained, strict=True)]
        if sum(gained) > 1:
            lines.append(f"| {name} | {gained[0]:,.0f} | {gained[1]:,.0f} |")
    lines.append(f"| all | {total[0]:,.0f} | {total[1]:,.0f} |")
    return "\n".join(lines)


def _memory_table(looks: dict[int, dict[str, float]]) -> str:
    names = list(next(iter(looks.values())))
    lines = [f"| orders | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    for orders, taken in looks.items():
        figures = " | ".join(f"{taken.get(name, 0):.1f}" for name in names)
        lines.append(f"| {orders:,} | {figures} |")
    return "\n".join(lines)


def _line(taken: dict[str, float]) -> str:
    return ", ".join(f"{name} {megabytes:.1f}" for name, megabytes in taken.items())
