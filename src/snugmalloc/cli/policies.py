"""`snug replay --policy`: what simple policies make of a trace, as a table and as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click
from rich.box import SIMPLE_HEAD
from rich.table import Table

from snugmalloc.cli.report import curve, curve_width, progress_bar, size
from snugmalloc.cli.tables import get_console, print_table
from snugmalloc.heapmap import counted
from snugmalloc.play.plan import Plan
from snugmalloc.policies import POLICIES
from snugmalloc.policies.playing import Played, play_on_policy

NAME_WIDTH = 20  # of the column beside a curve
ALL = "all"


def chosen(names: list[str]) -> list[str]:
    """The policies of these names. Raises UsageError."""
    for name in names:
        if name not in (ALL, *POLICIES):
            raise click.UsageError(f"there is no policy {name!r}: choose from {', '.join(POLICIES)} and {ALL}")
    return list(POLICIES) if ALL in names else list(dict.fromkeys(names))


def play_policies(plan: Plan, names: list[str]) -> dict[str, Played]:
    """What each policy makes of a plan."""
    played = {}
    for name in names:
        with progress_bar(f"playing on {name}") as told:
            played[name] = play_on_policy(plan, POLICIES[name](), told)
    return played


def show(plan: Plan, played: Mapping[str, Played]) -> None:
    """Print a table of the figures, and the lines over time."""
    console = get_console()
    first = next(iter(played.values()))
    console.print(
        f"{plan.name}: {counted(plan.calls, 'call')}, on a line of addresses without memory; "
        f"peak live {size(first.at_peak.live)}.",
        markup=False,
    )
    print_table(console, _figures(played))
    console.print("The line at the peak of live bytes: its length and losses. Mean: over all calls.")
    width = curve_width(console, NAME_WIDTH)
    if width:
        print_table(console, _lines(played, width))


def _figures(played: Mapping[str, Played]) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("policy", no_wrap=True)
    titles = ("line", "rounding", "holes", "line\n/ live", "mean", "holes in\nthe end")
    for title in titles:
        table.add_column(title, justify="right")
    for name, figures in played.items():
        peak = figures.at_peak
        table.add_row(
            name,
            size(peak.held),
            size(peak.rounding),
            size(peak.in_holes),
            f"{peak.fragmentation:.3f}",
            f"{figures.mean_fragmentation:.3f}",
            f"{figures.hole_count:,}",
        )
    return table


def _lines(played: Mapping[str, Played], width: int) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("policy", no_wrap=True)
    table.add_column("line over the calls", no_wrap=True)
    top = max(1, *(figures.at_end.held for figures in played.values()))
    first = next(iter(played.values()))
    table.add_row("live", curve([moment.live for moment in first.moments], top, width))
    for name, figures in played.items():
        table.add_row(name, curve([moment.held for moment in figures.moments], top, width))
    return table


def as_json(plan: Plan, played: Mapping[str, Played]) -> dict[str, Any]:
    """The documented form: see docs/policies.md. Sizes in bytes."""
    return {
        "trace": plan.name,
        "calls": plan.calls,
        "policies": [_policy_as_json(name, figures) for name, figures in played.items()],
    }


def _policy_as_json(name: str, figures: Played) -> dict[str, Any]:
    peak = figures.at_peak
    return {
        "name": name,
        "peak_live_bytes": peak.live,
        "line_at_peak_bytes": peak.held,
        "rounding_at_peak_bytes": peak.rounding,
        "holes_at_peak_bytes": peak.in_holes,
        "fragmentation_at_peak": peak.fragmentation,
        "mean_fragmentation": figures.mean_fragmentation,
        "fragmentation_at_end": figures.at_end.fragmentation,
        "holes_at_end": figures.hole_count,
        "largest_hole_at_end_bytes": figures.largest_hole,
        "samples": [
            {"call": moment.call, "live_bytes": moment.live, "line_bytes": moment.held}
            for moment in figures.moments
        ],
    }
