"""Owns the history of each process over the last minutes: curves and rates from successive readings."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

from snugmalloc.live.processes import Reading, Sample

KEPT = 240  # readings
BARS = "▁▂▃▄▅▆▇█"


class History:
    """The last readings. Processes that have ended stay while they are within them."""

    def __init__(self, kept: int = KEPT) -> None:
        self.latest = Reading(0, (), {})
        self._times: deque[float] = deque(maxlen=kept)
        self._points: dict[int, deque[tuple[float, Sample]]] = {}
        self._kept = kept

    def add(self, reading: Reading) -> None:
        """Take one more reading."""
        self.latest = reading
        self._times.append(reading.time)
        for sample in reading.samples:
            points = self._points.setdefault(sample.pid, deque(maxlen=self._kept))
            if points and points[-1][1].program != sample.program:
                points.clear()  # it has become another program, or another process has its number
            points.append((reading.time, sample))
        oldest = self._times[0]
        self._points = {pid: points for pid, points in self._points.items() if points[-1][0] >= oldest}

    def last(self, pid: int) -> Sample | None:
        """The last sample of the process."""
        points = self._points.get(pid)
        return points[-1][1] if points else None

    def is_running(self, pid: int) -> bool:
        """Whether the latest reading has the process."""
        return any(sample.pid == pid for sample in self.latest.samples)

    def curve(self, pid: int, value: Callable[[Sample], float]) -> list[float]:
        """A figure of the process over time."""
        return [value(sample) for _, sample in self._points.get(pid, ())]

    def call_rates(self, pid: int) -> list[float]:
        """System calls for memory a second, between each two readings."""
        points = list(self._points.get(pid, ()))
        return [
            max(0, sample.system_calls - before.system_calls) / (time - earlier) if time > earlier else 0.0
            for (earlier, before), (time, sample) in pairwise(points)
        ]

    def calls_per_second(self, pid: int) -> float | None:
        """The latest of these rates; None after one reading alone."""
        rates = self.call_rates(pid)
        return rates[-1] if rates else None

    def as_json(self, pid: int | None) -> Mapping[str, Any]:
        """The latest figures of all processes or, with its curves, of one."""
        if pid is None:
            samples = list(self.latest.samples)
        else:
            last = self.last(pid)
            samples = [last] if last else []
        return {
            "time": self.latest.time,
            "processes": [self._sample_as_json(sample, is_detailed=pid is not None) for sample in samples],
            "left_out": {str(reason): count for reason, count in self.latest.missing.items()},
        }

    def _sample_as_json(self, sample: Sample, *, is_detailed: bool) -> Mapping[str, Any]:
        entry: dict[str, Any] = {
            "pid": sample.pid,
            "program": sample.program,
            "running": self.is_running(sample.pid),
            "threads": sample.threads,
            "process_resident_bytes": sample.process_resident_bytes,
            "resident_bytes": sample.heap.resident_bytes,
            "kept_free_bytes": sample.heap.kept_free_bytes,
            "fragmentation": sample.fragmentation,
            "calls_per_second": self.calls_per_second(sample.pid),
            "figures": sample.heap._asdict(),
        }
        if is_detailed:
            entry["curve"] = [
                {"time": time, "live_bytes": one.heap.live_bytes, "resident_bytes": one.heap.resident_bytes}
                for time, one in self._points[sample.pid]
            ]
        return entry


def bars(values: list[float], width: int) -> str:
    """The last `width` values as a curve of characters, from 0 to their maximum."""
    shown = values[-width:]
    top = max(shown, default=0) or 1
    return "".join(BARS[min(len(BARS) - 1, int(value / top * len(BARS)))] for value in shown).rjust(width)
