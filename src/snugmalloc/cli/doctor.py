"""`snug doctor`: what a process's memory depends on, and what to do about it."""

from __future__ import annotations

import json
import os
from dataclasses import asdict

import click
from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from snugmalloc.cli.tables import get_console, print_table
from snugmalloc.launch.diagnosis import Finding, NoSuchProcess, diagnose, read_process


@click.command("doctor")
@click.argument("pid", type=click.IntRange(min=1), required=False)
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
def command(pid: int | None, as_json: bool) -> None:
    """Report which allocator a process uses, its limits, and what to do.

    PID is the process to examine; the default is the Python that runs this command. The environment shown is
    the one that the process was started with.
    """
    try:
        findings = list(diagnose(read_process(pid or os.getpid())))
    except NoSuchProcess as error:
        raise click.ClickException(str(error)) from None
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in findings], indent=1))
    else:
        _show(findings)


def _show(findings: list[Finding]) -> None:
    table = Table(box=SIMPLE_HEAD, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    previous = ""
    for finding in findings:
        advice = f"\n[yellow]→ {escape(finding.advice)}[/yellow]" if finding.advice else ""
        table.add_row("" if finding.name == previous else finding.name, escape(finding.value) + advice)
        previous = finding.name
    print_table(get_console(), table)
