"""``python -m benchmarks [NAME ...] [--quick]``: measures, and writes ``benchmarks/results/``."""

from __future__ import annotations

import functools
from pathlib import Path

import click

from snugmalloc.launch.allocators import AllocatorError

from . import catalogue, figures, floor, four, goals, record, scaling, simulation, suite

BENCHMARKS = ("four", "figures", "suite", "python", "floor", "scaling", "simulate", "record", "goals")
WORKLOADS = tuple(workload.name for workload in catalogue.ALL)


class ThreadCounts(click.ParamType):  # type: ignore[type-arg, unused-ignore] # generic in newer clicks
    """Numbers of threads with commas between them."""

    name = "counts"

    def convert(
        self, value: str | tuple[int, ...], parameter: click.Parameter | None, context: click.Context | None
    ) -> tuple[int, ...]:
        """The numbers in `value`, smallest first."""
        if isinstance(value, tuple):
            return value
        words = value.split(",")
        if not all(word.isdecimal() and 1 <= int(word) <= scaling.MOST_THREADS for word in words):
            self.fail(f"{value!r}: numbers from 1 to {scaling.MOST_THREADS} with commas between them")
        return tuple(sorted({int(word) for word in words}))


@click.command(epilog=f"Workloads: {', '.join(WORKLOADS)}.")
@click.argument("names", nargs=-1, metavar="[NAME]...", type=click.Choice([*BENCHMARKS, *WORKLOADS]))
@click.option("--quick", is_flag=True, help="Fewer rounds of less work: minutes instead of hours, and noisier.")
@click.option(
    "--allocators",
    metavar="LIST",
    default="",
    help="Names with commas between them, NAME=PATH for any library; by default all that are installed.",
)
@click.option(
    "--variant",
    "variants",
    metavar="NAME:OPTION=VALUE",
    multiple=True,
    help="snugmalloc once more with other options, under NAME; more options after more colons.",
)
@click.option(
    "--rounds",
    type=click.IntRange(1, 100),
    help="Rounds of the suite and of scaling.  [default: 5, with --quick 3]",
)
@click.option(
    "--threads",
    metavar="LIST",
    type=ThreadCounts(),
    default=scaling.THREADS,
    help="Numbers of threads for scaling.  [default: 1,2,4,8,16,32]",
)
@click.option(
    "--before",
    metavar="TREE",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="For simulate: a source tree of snugmalloc as it was with one lock for everything.",
)
@click.option(
    "--line-ns",
    type=click.FloatRange(0),
    default=simulation.Costs.line_ns,
    show_default=True,
    help="For simulate: nanoseconds until a cache line comes from another core.",
)
@click.option(
    "--data-lines",
    type=click.IntRange(0),
    default=simulation.Costs.data_lines,
    show_default=True,
    help="For simulate: cache lines of data under a lock that come with it.",
)
@click.option("--fresh", is_flag=True, help="Do not go on with an interrupted run.")
def main(
    names: tuple[str, ...],
    quick: bool,
    allocators: str,
    variants: tuple[str, ...],
    rounds: int | None,
    threads: tuple[int, ...],
    before: Path | None,
    line_ns: float,
    data_lines: int,
    fresh: bool,
) -> None:
    """Measure NAMES, or everything.

    `four` is the four functions; `figures` instructions, threads, starts; `suite` every workload on every
    allocator; `python` those in Python, against stock Python; `floor` what Python programs would hold without
    free pages; `scaling` four patterns with many threads; `simulate` how patterns would scale on more cores
    than there are here; `record` what recording costs; `goals` writes docs/figures.md from what was measured.
    A workload's name measures it alone, into benchmarks/work/.
    """
    chosen = [name.strip() for name in allocators.split(",") if name.strip()]
    wanted = names or BENCHMARKS
    alone = [name for name in wanted if name in WORKLOADS]
    run_suite = functools.partial(
        suite.run, quick=quick, allocators=chosen, variants=variants, rounds=rounds, fresh=fresh
    )
    try:
        if "four" in wanted:
            four.run(quick)
        if "figures" in wanted:
            figures.run(quick, chosen)
        if "suite" in wanted:
            run_suite(suite.ALL)
        if "python" in wanted:
            run_suite(suite.PYTHON)
        if "floor" in wanted:
            floor.run(quick)
        if "scaling" in wanted:
            scaling.run(quick=quick, allocators=chosen, rounds=rounds, threads=threads, fresh=fresh)
        if "simulate" in wanted:
            simulation.run(quick=quick, before=before, costs=simulation.Costs(line_ns, data_lines))
        if "record" in wanted:
            record.run(quick)
        if alone:
            run_suite(suite.SOME, alone)
        if "goals" in wanted:
            click.echo(goals.write())
    except AllocatorError as error:
        raise click.ClickException(str(error)) from None


if __name__ == "__main__":
    main()
