"""``python -m benchmarks [NAME ...] [--quick]``: measures, and writes ``benchmarks/results/``."""

from __future__ import annotations

import click

from . import four

BENCHMARKS = {"four": four.run}


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(list(BENCHMARKS)))
@click.option("--quick", is_flag=True, help="Fewer rounds: minutes instead of an hour, and noisier.")
def main(names: tuple[str, ...], quick: bool) -> None:
    """Measure NAMES, or everything."""
    for name in names or BENCHMARKS:
        BENCHMARKS[name](quick)


main()
