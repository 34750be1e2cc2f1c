"""What processes of Linux take: time, and memory with what they share counted once."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")


@dataclass(frozen=True)
class Memory:
    """Of some processes, in bytes.

    Attributes:
        rss: what each has mapped and is in memory, added up; shared pages count many times.
        pss: the same with each page shared out among those that have it: what they really take.
        private: of that, what is no file: it is not given back under pressure.
    """

    rss: int
    pss: int
    private: int


def family(pid: int) -> list[int]:
    """Return a process and all that descend from it."""
    children: dict[int, list[int]] = {}
    for path in _PROC.iterdir():
        if path.name.isdigit():
            with suppress(OSError):
                fields = (path / "stat").read_text().rpartition(")")[2].split()
                children.setdefault(int(fields[1]), []).append(int(path.name))
    found = [pid]
    for each in found:
        found += children.get(each, [])
    return found


def cpu_seconds(pids: list[int]) -> float:
    """Return the time that processes have run, in seconds of one core."""
    ticks = 0
    for pid in pids:
        with suppress(OSError):
            fields = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def memory(pids: list[int]) -> Memory:
    """Return the memory of processes."""
    total = {"Rss": 0, "Pss": 0, "Pss_Anon": 0}
    for pid in pids:
        with suppress(OSError):
            for line in (_PROC / str(pid) / "smaps_rollup").read_text().splitlines():
                name, _, rest = line.partition(":")
                if name in total:
                    total[name] += 1024 * int(rest.split()[0])
    return Memory(total["Rss"], total["Pss"], total["Pss_Anon"])


def having_mapped(pids: list[int], name: str) -> list[int]:
    """Return those of some processes that have mapped a file of this name."""
    found = []
    for pid in pids:
        with suppress(OSError):
            if f"/{name}\n" in (_PROC / str(pid) / "maps").read_text():
                found.append(pid)
    return found
