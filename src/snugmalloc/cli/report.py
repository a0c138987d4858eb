"""What a replay on the four functions looks like: progress bar, table, curves, heap map."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from snugmalloc import heap_map
from snugmalloc.cli.sections import Report, print_report
from snugmalloc.cli.streams import tell
from snugmalloc.cli.tables import get_console
from snugmalloc.heapmap import counted
from snugmalloc.replay import Progress as Told
from snugmalloc.replay import Replay, TraceError, read_trace, replay

CURVE = " ▁▂▃▄▅▆▇█"
CURVE_WIDTH = 48
NAMES_WIDTH = 22  # of the column before the curve


def play(path: Path) -> Replay:
    """Read the trace at `path` and play it, with a progress bar if stderr is a terminal."""
    try:
        with progress_bar("reading") as told:
            trace = read_trace(path, told)
        if trace.damage:
            tell(trace.damage)
        with progress_bar("playing") as told:
            return replay(trace, told)
    except OSError as error:
        raise click.ClickException(f"{path.name}: {error.strerror}") from None
    except (TraceError, RuntimeError) as error:
        raise click.ClickException(str(error)) from None
    except MemoryError as error:
        raise click.ClickException(f"{path.name}: out of memory: {error}") from None


@contextmanager
def progress_bar(what: str) -> Iterator[Told]:
    console = get_console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    # Without the bar's own thread: while there is one thread only, the heap takes no lock.
    with Progress(
        *columns, console=console, disable=not console.is_terminal, transient=True, auto_refresh=False
    ) as bar:
        task = bar.add_task(what)

        def told(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total, refresh=True)

        yield told


def show(played: Replay) -> None:
    """Print the figures of `played` as a table, then the heap as it was when most was live."""
    console = get_console()
    rows = list(_rows(played, curve_width(console, NAMES_WIDTH)))
    print_report(console, Report(rows[0][1], rows, []))
    show_map(played)


def show_map(played: Replay) -> None:
    """Draw the heap as it was when most was live."""
    click.echo(f"The heap at its peak of live bytes, after {played.at_peak.call:,} calls, when most was live:")
    print(heap_map(played.blocks_at_peak))


def curve_width(console: Console, taken: int) -> int:
    """How many columns a curve may have beside those that are `taken`; 0 where it cannot be drawn."""
    return 0 if console.options.ascii_only else min(CURVE_WIDTH, max(8, console.width - taken))


def _rows(played: Replay, width: int) -> Iterator[tuple[str, str]]:
    trace, peak, end = played.trace, played.at_peak, played.at_end
    yield (
        "trace",
        f"{trace.name}: {len(trace):,} calls of {counted(len(trace.threads), 'thread')}, played by one",
    )
    yield "calls per second", f"{played.calls_per_second:,.0f}"
    yield "time", f"{played.seconds:.3f} s: the calls, and every byte written and compared"
    yield "peak live", f"{size(played.peak_live)} requested by the program"
    yield "peak heap", f"{size(played.peak_system)} taken from the system, mappings included"
    yield (
        "fragmentation",
        f"{peak.fragmentation:.3f} at the peak, {end.fragmentation:.3f} at the end (heap / live)",
    )
    if width:
        top = played.peak_system
        yield "heap over time", curve([sample.system for sample in played.samples], top, width)
        yield "live over time", curve([sample.live for sample in played.samples], top, width)
    yield "system calls", ", ".join(f"{count:,} {name}" for name, count in played.system_calls.items())
    if trace.calls["memalign"]:
        yield "memalign", f"{trace.calls['memalign']:,} calls, played as os_malloc(size + alignment)"
    if trace.left_out:
        yield (
            "left out",
            f"{counted(trace.left_out, 'call')} that failed, or freed blocks older than the trace",
        )
    if trace.missing_frees:
        yield "added", f"{trace.missing_frees:,} frees that the recording missed"


def curve(values: Sequence[int], top: int, width: int) -> str:
    """`values`, evenly spaced in time, as `width` columns from 0 to `top`; each shows its highest."""
    columns = [values[at * len(values) // width :][: -(-len(values) // width)] for at in range(width)]
    return "".join(CURVE[max(column) * (len(CURVE) - 1) // top] for column in columns if column)


def size(count: int) -> str:
    """`count` bytes for people."""
    if count < 1024:
        return f"{count} bytes"
    return f"{count / 1024:,.1f} KiB" if count < 1 << 20 else f"{count / (1 << 20):,.2f} MiB"
