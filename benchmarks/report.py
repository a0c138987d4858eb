"""Owns the suite's page: its tables in Markdown, and its plots."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from snugmalloc.launch.allocators import OURS, PYMALLOC, SYSTEM

from . import catalogue, plots
from .contenders import Contender
from .harness import Figure, markdown_table
from .summary import Table

CPU, WALL, PEAK, MEAN, FINAL, FAULTS = (
    "cpu_s",
    "wall_s",
    "peak_resident_bytes",
    "mean_resident_bytes",
    "final_resident_bytes",
    "minor_faults",
)
TITLES = {
    CPU: "Processor time",
    WALL: "Wall time",
    PEAK: "Peak resident memory",
    MEAN: "Mean resident memory",
    FINAL: "Final resident memory",
    FAULTS: "Page faults",
}
NOTES = {
    CPU: "In the program and in the kernel for it, its children included.",
    PEAK: "Of the largest process of the program.",
    MEAN: "Over time, of the program itself.",
    FINAL: "Of the program itself, when it ends.",
    FAULTS: "Those that read nothing from disk.",
}
AGAINST_STOCK_PYTHON = (CPU, PEAK, MEAN, FINAL)
FAMILIES = {"own": "own programs", "python": "Python programs", "programs": "real programs"}
RESIDENT = "resident "

TITLE = {"suite": "The suite", "python": "The Python programs of the suite", "some": "Some of the suite"}
PAGE = """# {title}

{workloads} workloads, {rounds} interleaved rounds{amount}.
Python programs run with `PYTHONMALLOC=malloc`, but for the columns `pymalloc` (stock Python) and `pymimalloc`,
which are Python's own allocators on the system's malloc, and `snugmalloc-pymalloc`, which is snugmalloc under
Python's own. `snugmalloc-keeping` is snugmalloc told never to give memory back.

{contenders}

![Time against memory]({name}-means.svg)

## Geometric means

As multiples of the system's malloc, over the workloads that ran on both; lower is better.

{means}

By kind of program, processor time and peak resident memory:

{families}
{stock_python}{metrics}
## Memory that comes back

What the programs themselves saw resident, in MB, at the stages that their head comments tell.

{stages}
{failures}"""

STOCK_PYTHON = """
## Against stock Python

The Python programs, as multiples of what they take as they are: on Python's own allocator of small objects, and
that on the system's malloc (`pymalloc`). The geometric means:

{means}
{metrics}"""

STOCK_PYTHON_METRIC = """
{title}:

{table}
"""

METRIC = """
## {title}

{note}The system's malloc: median (minimum-maximum).
The others: as multiples of its median.

![{title}]({name}-{metric}.svg)

{table}
"""


def ratio_text(ratio: float | None) -> str:
    """`0.72`, or nothing."""
    return "" if ratio is None else f"{ratio:.2f}"


def spread_text(figure: Figure | None) -> str:
    """`0.72 (0.70-0.75)`, or nothing."""
    return "" if figure is None else f"{figure.median:.2f} ({figure.min:.2f}-{figure.max:.2f})"


def amount_text(metric: str, figure: Figure | None) -> str:
    """A figure with its unit: seconds, MB of a million bytes, or a plain number."""
    if figure is None:
        return ""
    if metric.endswith("_s"):
        return f"{figure.median:.2f} s ({figure.min:.2f}-{figure.max:.2f})"
    if metric.endswith("bytes"):
        return f"{figure.median / 1e6:.1f} MB ({figure.min / 1e6:.1f}-{figure.max / 1e6:.1f})"
    return f"{figure.median:,.0f} ({figure.min:,.0f}-{figure.max:,.0f})"


def means_table(table: Table, metrics: Iterable[str] = tuple(TITLES), base: str = SYSTEM) -> str:
    """Each contender's geometric means as multiples of `base`, and over how many workloads."""
    metrics = list(metrics)
    rows = []
    for contender in table.contenders:
        means = [ratio_text(table.mean_ratio(contender, metric, base)) for metric in metrics]
        rows.append([contender, *means, str(len(table.ratios(contender, CPU, base)))])
    return markdown_table(["allocator", *(TITLES[metric].lower() for metric in metrics), "workloads"], rows)


def stock_python(table: Table) -> str:
    """The section on the Python programs as multiples of stock Python; nothing where none ran on that."""
    workloads = [workload for workload in table.workloads if table.get(workload, PYMALLOC, CPU)]
    if not workloads:
        return ""
    others = [contender for contender in table.contenders if contender != PYMALLOC]
    metrics = [
        STOCK_PYTHON_METRIC.format(
            title=TITLES[metric],
            table=markdown_table(
                ["workload", PYMALLOC, *others],
                [
                    [
                        workload,
                        amount_text(metric, table.get(workload, PYMALLOC, metric)),
                        *(
                            spread_text(table.ratio(workload, contender, metric, PYMALLOC))
                            for contender in others
                        ),
                    ]
                    for workload in workloads
                ],
            ),
        )
        for metric in AGAINST_STOCK_PYTHON
    ]
    means = means_table(table, AGAINST_STOCK_PYTHON, PYMALLOC)
    return STOCK_PYTHON.format(means=means, metrics="".join(metrics))


def families_table(table: Table) -> str:
    """Each contender's means of processor time and peak memory by kind of program."""
    members = {
        title: [w.name for w in catalogue.ALL if w.family == family] for family, title in FAMILIES.items()
    }
    header = ["allocator", *(f"{title}, {what}" for title in members for what in ("time", "memory"))]
    rows = [
        [
            contender,
            *(
                ratio_text(table.mean_ratio(contender, metric, SYSTEM, names))
                for names in members.values()
                for metric in (CPU, PEAK)
            ),
        ]
        for contender in table.contenders
    ]
    return markdown_table(header, rows)


def metric_table(table: Table, metric: str) -> str:
    """One metric on every workload: the system's in its unit, the others' ratios, ours over the best peer."""
    others = [contender for contender in table.contenders if contender != SYSTEM]
    against = table.over_best_peer(OURS, metric)
    rows = [
        [
            workload,
            amount_text(metric, table.get(workload, SYSTEM, metric)),
            *(spread_text(table.ratio(workload, contender, metric, SYSTEM)) for contender in others),
            ratio_text(against.get(workload)),
        ]
        for workload in table.workloads
    ]
    return markdown_table(["workload", SYSTEM, *others, f"{OURS} / best peer"], rows)


def stages_table(table: Table) -> str:
    """What the workloads told of their resident memory: a row a stage, a column a contender."""
    rows = []
    for workload in table.workloads:
        told = table.figures[workload].get(SYSTEM, {})
        for stage in [metric for metric in told if metric.startswith(RESIDENT)]:
            figures = [table.get(workload, contender, stage) for contender in table.contenders]
            rows.append(
                [
                    f"{workload}: {stage.removeprefix(RESIDENT)}",
                    *("" if figure is None else f"{figure.median / 1e6:.0f}" for figure in figures),
                ]
            )
    return markdown_table(["stage", *table.contenders], rows)


def contenders_table(contenders: Iterable[Contender]) -> str:
    """What stands behind the names."""
    rows = [
        [
            contender.name,
            contender.allocator.path.name,
            contender.allocator.version or "unknown",
            " ".join(f"{name}={value}" for name, value in contender.options.items()),
        ]
        for contender in contenders
    ]
    return markdown_table(["allocator", "library", "version", "options"], rows)


def page(
    table: Table,
    contenders: Sequence[Contender],
    rounds: int,
    amount: int,
    failures: Mapping[str, str | None],
    name: str,
) -> str:
    """The whole page; its plots are the files that `write_plots` writes for the same `name`."""
    failed = "\n".join(f"- {what}: {why}" for what, why in failures.items())
    return PAGE.format(
        title=TITLE[name],
        workloads=len(table.workloads),
        rounds=rounds,
        amount="" if amount == 100 else f", each workload cut down to {amount} % (quick)",
        contenders=contenders_table(contenders),
        name=name,
        means=means_table(table),
        families=families_table(table),
        stock_python=stock_python(table),
        metrics="".join(
            METRIC.format(
                title=title,
                note=f"{NOTES[metric]} " if metric in NOTES else "",
                name=name,
                metric=metric,
                table=metric_table(table, metric),
            )
            for metric, title in TITLES.items()
        ),
        stages=stages_table(table),
        failures=f"\n## What failed\n\n{failed}\n" if failed else "",
    )


def write_plots(table: Table, folder: Path, name: str) -> None:
    """The plot of the means, and one of each metric."""
    points = []
    for contender in table.contenders:
        means = [table.mean_ratio(contender, metric, SYSTEM) for metric in (CPU, PEAK, FINAL)]
        measured_on_all = len(table.ratios(contender, CPU, SYSTEM)) == len(table.workloads)
        if means[0] is not None and means[1] is not None and measured_on_all:
            points.append(plots.Point(contender, means[0], means[1], means[2]))
    plots.draw_means(points, len(table.workloads), folder / f"{name}-means.svg")
    for metric, title in TITLES.items():
        ratios = {
            workload: {
                contender: ratio
                for contender in table.contenders
                if contender != SYSTEM
                for ratio in [table.ratio(workload, contender, metric, SYSTEM)]
                if ratio
            }
            for workload in table.workloads
        }
        plots.draw_ratios(title, ratios, table.contenders, folder / f"{name}-{metric}.svg")
