"""The end of ``snug run --report``: replaces the launcher when the program has ended, reports, ends likewise.

    python -m snugmalloc.cli.ending DESCRIPTOR

DESCRIPTOR is open for what `snugmalloc.cli.run` handed over: the program, its figures, and what to report.
"""

from __future__ import annotations

import os
import resource
import shutil
import signal
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from snugmalloc.cli.files import write_json
from snugmalloc.cli.handover import take_over
from snugmalloc.cli.report import size
from snugmalloc.cli.streams import OutputError, check_output, settled_output, tell
from snugmalloc.cli.tables import get_console, print_table
from snugmalloc.launch.inside import REASONS, STATES, Inside
from snugmalloc.launch.launcher import Figures
from snugmalloc.launch.run_report import ProcessReport, read_reports

BAR_WIDTH = 24
PROGRAMS_SHOWN = 8


def as_json(state: dict[str, Any], figures: Figures, reports: dict[int, ProcessReport]) -> dict[str, Any]:
    """The report: sizes in bytes, times in seconds; `heap` has the fields of snug_stats_t."""
    own = reports.get(figures.pid)
    heap = own.heap if own else None
    return {
        "program": state["program"],
        "library": {
            "path": state["library"],
            "version": own.library if own else None,
            "in_use": own.is_on(state["library"]) and not own.is_off if own else None,
            "state": STATES[own.state] if own and own.heap else None,
            "malloc_from": own.malloc_from if own else None,
        },
        "pid": figures.pid,
        "exit_status": figures.exit_status,
        "signal": figures.signal,
        "wall_s": figures.wall_s,
        "cpu_s": figures.cpu_s,
        "user_s": figures.user_s,
        "system_s": figures.system_s,
        "peak_resident_bytes": figures.peak_resident_bytes,
        "mean_resident_bytes": figures.mean_resident_bytes,
        "final_resident_bytes": figures.final_resident_bytes,
        "minor_faults": figures.minor_faults,
        "major_faults": figures.major_faults,
        "heap": heap and heap._asdict(),
        "fragmentation": {"final": own.final_fragmentation, "peak": own.peak_fragmentation}
        if own and heap
        else None,
        "sizes": [{"up_to_bytes": top, "blocks": blocks, "bytes": held} for top, blocks, held in own.sizes]
        if own
        else [],
        "children": [
            {
                "pid": pid,
                "command": child.command,
                "peak_resident_bytes": child.peak_resident_bytes,
                "resident_bytes": child.resident_bytes,
                "heap": child.heap and child.heap._asdict(),
            }
            for pid, child in sorted(reports.items())
            if pid != figures.pid
        ],
    }


def show(state: dict[str, Any], figures: Figures, reports: dict[int, ProcessReport]) -> None:
    """Print the report to stderr: standard output is the program's."""
    console = get_console(stderr=True)
    own = reports.get(figures.pid)
    table = _table()
    table.add_row("program", escape(f"{' '.join(state['program'])}: {figures.ending}"))
    table.add_row(
        "time",
        f"{figures.wall_s:.2f} s, processor {figures.cpu_s:.2f} s "
        f"({figures.user_s:.2f} s in the program, {figures.system_s:.2f} s in the kernel)",
    )
    table.add_row(
        "resident",
        f"peak {size(figures.peak_resident_bytes)}, mean {_size(figures.mean_resident_bytes)}, "
        f"final {_size(figures.final_resident_bytes)}",
    )
    if own and own.is_off:
        table.add_row("snugmalloc", f"{STATES[own.state]}: every call went to the system's malloc")
    elif own and own.heap:
        _add_heap(table, own, own.heap)
    table.add_row("proof", _proof(state, own))
    print_table(console, table)
    if own and own.sizes and not own.is_off:
        _show_sizes(console, own)
    _show_children(console, (child for pid, child in reports.items() if pid != figures.pid))


def _table() -> Table:
    table = Table(box=SIMPLE_HEAD, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    return table


def _add_heap(table: Table, own: ProcessReport, heap: Inside) -> None:
    if heap.counting:
        calls = f"{heap.malloc_calls:,} malloc, {heap.realloc_calls:,} realloc, {heap.free_calls:,} free"
    else:
        calls = "not counted (stats=0)"
    live = f"final {size(heap.live_bytes)} in {heap.live_blocks:,} blocks"
    table.add_row("live", f"peak {size(heap.peak_live_bytes)}, {live}")
    table.add_row(
        "heap",
        f"peak {size(heap.peak_system_bytes)}, final {size(heap.system_bytes)}, "
        f"of that {size(heap.resident_bytes)} resident",
    )
    table.add_row("returned", f"{size(heap.returned_bytes)} given back to the system in total")
    table.add_row(
        "fragmentation",
        f"peak {_ratio(own.peak_fragmentation)}, final {_ratio(own.final_fragmentation)} (heap / live)",
    )
    table.add_row("calls", calls)
    table.add_row(
        "system calls",
        f"{heap.brk_calls:,} brk, {heap.mmap_calls:,} mmap, {heap.munmap_calls:,} munmap, "
        f"{heap.mremap_calls:,} mremap, {heap.madvise_calls:,} madvise",
    )
    for reason in REASONS:
        if count := reason.count(heap):
            table.add_row("refused", f"{count:,} returned NULL: {reason.words}")


def _size(count: int | None) -> str:
    return "unknown" if count is None else size(count)


def _ratio(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.2f}"


def _proof(state: dict[str, Any], own: ProcessReport | None) -> str:
    """One line that says whether the program's malloc was this library's, and how that is known."""
    if own is None:
        return "none: the program did not exit normally, or ran without the library"
    if own.is_off:
        return f"[red]snugmalloc was not in use in process {own.pid}: {STATES[own.state]}[/red]"
    if own.is_on(state["library"]):
        return escape(f"malloc of process {own.pid} came from {own.malloc_from} (snugmalloc {own.library})")
    source = escape(str(own.malloc_from))
    return f"[red]snugmalloc was not in use: malloc of process {own.pid} came from {source}[/red]"


def _show_sizes(console: Console, own: ProcessReport) -> None:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for title in ("live at the end, up to", "blocks", "bytes"):
        table.add_column(title, justify="right")
    table.add_column("")
    most = max(held for _, _, held in own.sizes)
    for top, blocks, held in own.sizes:
        table.add_row(
            size(top),
            f"{blocks:,}",
            size(held),
            ("#" if console.options.ascii_only else "█") * round(held / most * BAR_WIDTH),
        )
    print_table(console, table)


def _show_children(console: Console, children: Iterable[ProcessReport]) -> None:
    """One row for each program, the one with the largest process first."""
    groups = _by_program(children)
    if not groups:
        return
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for title in ("children that ended", "processes", "peak resident", "final resident", "final live"):
        table.add_column(title, justify="left" if title == "children that ended" else "right")
    for group in groups[:PROGRAMS_SHOWN]:
        largest = group[0]
        is_on = largest.heap and not largest.is_off
        live = size(largest.heap.live_bytes) if is_on and largest.heap else "not on snugmalloc"
        table.add_row(
            escape(largest.command),
            f"{len(group):,}",
            size(largest.peak_resident_bytes),
            size(largest.resident_bytes),
            live,
        )
    print_table(console, table)
    if len(groups) > PROGRAMS_SHOWN:
        console.print(f"and {len(groups) - PROGRAMS_SHOWN:,} smaller programs")
    if any(len(group) > 1 for group in groups[:PROGRAMS_SHOWN]):
        console.print("Memory is that of the largest process of each program.")


def _by_program(children: Iterable[ProcessReport]) -> list[list[ProcessReport]]:
    """The children in groups of one program each; groups and their processes by peak, the largest first."""
    groups: dict[str, list[ProcessReport]] = {}
    for child in sorted(children, key=lambda child: -child.peak_resident_bytes):
        groups.setdefault(child.command, []).append(child)
    return list(groups.values())


def end_like(figures: Figures) -> int:
    """The program's exit status; a signal that ended it ends this process too, without a second core file."""
    if figures.signal is None:
        return figures.exit_status or 0
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if figures.signal != signal.SIGKILL:
        signal.signal(figures.signal, signal.SIG_DFL)
    os.kill(os.getpid(), figures.signal)
    return 128 + figures.signal


def main() -> int:
    """Read what the launcher and the library left, report, and end as the program did in any case."""
    check_output()
    state, figures = take_over(int(sys.argv[1]))
    reports = read_reports(Path(state["folder"]))
    shutil.rmtree(state["folder"], ignore_errors=True)
    if state["report"]:
        with _failure_told():
            show(state, figures, reports)
    if state["json"]:
        with _failure_told():
            file = state["json"].replace("%p", str(figures.pid))
            write_json(file, as_json(state, figures, reports))
    return end_like(figures)


@contextmanager
def _failure_told() -> Iterator[None]:
    """A part of the report that cannot be read or written costs one line, and nothing else."""
    try:
        with settled_output():
            yield
    except OutputError as error:
        if not error.is_closed_pipe:
            tell(str(error))
    except OSError as error:
        tell(f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror))


if __name__ == "__main__":
    sys.exit(main())
