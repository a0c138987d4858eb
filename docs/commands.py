"""Writes docs/commands.md from the commands themselves: python docs/commands.py [FILE]."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from snugmalloc.cli import main
from snugmalloc.options import OPTIONS

PAGE = Path(__file__).with_suffix(".md")
WIDTH = 80
HEAD = """# The commands

This is what `snug COMMAND --help` says; the page is made by `python docs/commands.py`. What stands behind `snug
run` and `snug compare`, and the form of their JSON, is in [running.md](running.md).
"""


OPTIONS_HEAD = """\
## Options

`snug run --set NAME=VALUE`, or `SNUG_NAME=VALUE` in the environment. Numbers may have a suffix K, M or G.

| name | values | default | meaning | cost |
|---|---|---|---|---|"""


def page() -> str:
    """The whole page."""
    widths: dict[str, Any] = {"terminal_width": WIDTH, "max_content_width": WIDTH}
    context = click.Context(main, info_name="snug", **widths, **main.context_settings)
    parts = [HEAD]
    parts += sections(context, widths)
    return "\n".join([*parts, OPTIONS_HEAD, *options(), ""])


def sections(context: click.Context, widths: dict[str, Any]) -> Iterator[str]:
    """One section for each command of a group, and behind that for those which it is a group of."""
    assert isinstance(context.command, click.Group)
    for name in context.command.list_commands(context):
        command = context.command.get_command(context, name)
        assert command is not None
        own = click.Context(command, context, info_name=name, **widths, **command.context_settings)
        yield f"## {own.command_path}\n\n```text\n{command.get_help(own)}\n```\n"
        if isinstance(command, click.Group):
            yield from sections(own, widths)


def options() -> Iterator[str]:
    """The rows of the table of options."""
    for option in OPTIONS.values():
        cells = (f"`{option.name}`", option.range, option.default_text, option.meaning, option.cost)
        yield f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    (Path(sys.argv[1]) if len(sys.argv) > 1 else PAGE).write_text(page())
