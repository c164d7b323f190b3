"""Processes of clients, for tests of limits under load: forked from one, that loads Django once.

They prepare; it says `ready`, waits for a line, and prints how many signals were answered how.
"""

import json
import multiprocessing
import os
import sys
import threading
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import django

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "execution_site.settings")
django.setup()

from django.db import OperationalError, connections  # noqa: E402

from execution_site.floor import locks, statements  # noqa: E402
from orders.intake.requests import SignalRequest  # noqa: E402
from orders.intake.submit_signal import submit_signal  # noqa: E402
from orders.judging import situation_sql  # noqa: E402
from orders.models import Action, ApiClient  # noqa: E402
from risk import limit_rows  # noqa: E402


def no_locks():
    """The mutant that reads, then inserts."""
    locks.to_judge = lambda *_, **__: None
    unlock_limits()


def unlock_limits():
    text = limit_rows._SHARED_LIMITS.replace(locks.SHARED_LIMIT, "1")
    limit_rows.lock_shared = lambda params: [(m, s) for _, m, s in statements.run(text, params)]


def lock_and_read_at_once():
    """The mutant that locks the limits in the statement that reads what they bound."""
    unlock_limits()
    plain = situation_sql.statement

    def merged(**how):
        locked = (
            "WITH locked AS MATERIALIZED (SELECT count("
            "pg_advisory_xact_lock(7316003, id::int)::text) AS n FROM risk_risklimit), "
        )
        sql = plain(**how).strip().replace("WITH ", locked, 1)
        return f"{sql} AND (SELECT n FROM locked) >= 0"

    situation_sql.statement = merged


MUTANTS = {"": lambda: None, "no_locks": no_locks, "lock_and_read_at_once": lock_and_read_at_once}


def work(client, number, each, symbol, answers):
    for n in range(each):
        key = f"{os.getpid()}-{number}-{n}"
        body = {"signal_id": key, "symbol": symbol}
        request = SignalRequest(
            signal_id=key,
            strategy="alpha",
            account="paper",
            symbol=symbol,
            action=Action.BUY,
            quantity=Decimal(1),
            body=body,
        )
        answers[answered(request, client)] += 1
    connections.close_all()


def answered(request, client):
    """Send it until there is an answer, as a client does that is told to come again (503)."""
    while True:
        with suppress(OperationalError):  # it waited for a lock too long, and nothing was done
            return submit_signal(request, client=client, now=datetime.now(UTC)).status


def clients(process, threads, each, shared, start, told):
    """Send with so many threads, once all processes may begin."""
    client = ApiClient.objects.get()
    answers = Counter()
    workers = [
        threading.Thread(
            target=work,
            args=(client, n, each, "AAPL" if shared == "one" else f"S{n}", answers),
        )
        for n in range(process * threads, (process + 1) * threads)
    ]
    start.wait()  # ready
    start.wait()  # go
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    told.put(answers)


def main():
    processes, threads, each, mutant, shared = sys.argv[1:]
    MUTANTS[mutant]()
    fork = multiprocessing.get_context("fork")
    start, told = fork.Barrier(int(processes) + 1), fork.SimpleQueue()
    for process in range(int(processes)):
        arguments = (process, int(threads), int(each), shared, start, told)
        fork.Process(target=clients, args=arguments, daemon=True).start()
    start.wait()
    print("ready", flush=True)
    sys.stdin.readline()
    start.wait()
    print(json.dumps(sum((told.get() for _ in range(int(processes))), Counter())))


main()
