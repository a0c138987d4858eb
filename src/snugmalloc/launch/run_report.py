"""The reports of ``libsnug-run.so``: one small text for each process that exited normally."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path

from snugmalloc.launch.inside import Inside

TEXTS = ("malloc_from", "command", "library")
RESIDENT = ("peak_resident_bytes", "resident_bytes")


@dataclass(frozen=True)
class ProcessReport:
    """One process at its end. Sizes in bytes."""

    pid: int
    command: str
    malloc_from: str | None
    """The file that the process's malloc came from."""
    library: str | None
    """The version of snugmalloc, or None if that was not loaded."""
    peak_resident_bytes: int
    resident_bytes: int
    heap: Inside | None
    sizes: tuple[tuple[int, int, int], ...]
    """What was live: (largest usable size, a power of two; blocks; their bytes), by size."""

    def is_on(self, library: str) -> bool:
        """Whether malloc came from the file `library`, under this or another name."""
        return self.malloc_from is not None and Path(self.malloc_from).resolve() == Path(library).resolve()

    @property
    def state(self) -> int:
        """Whether the process was on the heap: `state` of snug_stats_t."""
        return self.heap.state if self.heap else 0

    @property
    def is_off(self) -> bool:
        """Whether an option put the process off the heap."""
        return self.heap is not None and self.heap.is_off

    @property
    def final_fragmentation(self) -> float | None:
        """Resident heap over live bytes, at the end."""
        return _over(self.heap.resident_bytes, self.heap.live_bytes) if self.heap else None

    @property
    def peak_fragmentation(self) -> float | None:
        """Peak heap over peak live bytes; untouched pages count, so the true value may be lower."""
        return _over(self.heap.peak_system_bytes, self.heap.peak_live_bytes) if self.heap else None


def _over(heap: int, live: int) -> float | None:
    return heap / live if live else None


def read_reports(folder: Path) -> dict[int, ProcessReport]:
    """The reports in `folder`, by process id; those that are not complete, or gone, are left out."""
    texts = {}
    with contextlib.suppress(OSError):
        for file in folder.glob("[0-9]*"):
            texts[int(file.name)] = file.read_text(errors="replace")
    return {
        pid: _read(pid, text.removesuffix("end\n")) for pid, text in texts.items() if text.endswith("\nend\n")
    }


def _read(pid: int, text: str) -> ProcessReport:
    texts: dict[str, str] = {}
    values: dict[str, int] = {}
    sizes = []
    for line in text.splitlines():
        name, _, value = line.partition(" ")
        if name in TEXTS:
            texts[name] = value
        elif name == "class":
            top, blocks, held = map(int, value.split())
            sizes.append((top, blocks, held))
        else:
            values[name] = int(value)
    peak, final = (values.pop(name, 0) for name in RESIDENT)
    return ProcessReport(
        pid=pid,
        command=texts.get("command", "?"),
        malloc_from=texts.get("malloc_from"),
        library=texts.get("library"),
        peak_resident_bytes=peak,
        resident_bytes=final,
        heap=Inside(**values) if values else None,
        sizes=tuple(sizes),
    )
