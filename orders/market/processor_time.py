"""What each process of the site costs: processor seconds and memory, by name."""

import os
from dataclasses import dataclass

import psutil

from execution_site.floor.processes import ProcessStatus


@dataclass(frozen=True, slots=True)
class Cost:
    """Processor seconds since the process began, and resident bytes (shared ones counted once)."""

    seconds: float
    resident: int


def costs(others: dict[str, int] | None = None) -> dict[str, Cost]:
    """Return the cost of every process the supervisor reports, of ours, and of `others` (pids)."""
    reported = ProcessStatus.objects.exclude(pid=None).values_list("name", "pid")
    pids = dict(reported) | {"replay": os.getpid()} | (others or {})
    found = {name: _cost(pid) for name, pid in sorted(pids.items()) if pid is not None}
    return {name: cost for name, cost in found.items() if cost is not None}


def spent(before: dict[str, Cost], after: dict[str, Cost]) -> dict[str, float]:
    """Return the processor seconds each process spent between the two, the costliest first."""
    seconds = {
        name: cost.seconds - (before[name].seconds if name in before else 0.0)
        for name, cost in after.items()
    }
    return dict(sorted(seconds.items(), key=lambda item: -item[1]))


def _cost(pid: int) -> Cost | None:
    """Return what a process and its children cost, or None where it is gone."""
    try:
        process = psutil.Process(pid)
        family = [process, *process.children(recursive=True)]
        times = process.cpu_times()
        seconds = times.user + times.system + times.children_user + times.children_system
        for child in family[1:]:
            taken = child.cpu_times()
            seconds += taken.user + taken.system
        return Cost(seconds, sum(_resident(member) for member in family))
    except psutil.NoSuchProcess:
        return None


def _resident(process: psutil.Process) -> int:
    try:
        return int(process.memory_full_info().pss)
    except (psutil.AccessDenied, AttributeError):
        return int(process.memory_info().rss)
