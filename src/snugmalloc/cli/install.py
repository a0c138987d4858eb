"""`snug install`: the lines that put the allocator under a program for good, in an image, a unit or a chart."""

from __future__ import annotations

import click

from snugmalloc.cli.settings import settings_option
from snugmalloc.launch.recipes import RECIPES, settings_of
from snugmalloc.options import variables


@click.command("install")
@settings_option()
@click.option("--keep-pymalloc", is_flag=True, help="Omit PYTHONMALLOC=malloc, which only Python uses.")
@click.argument("target", type=click.Choice(list(RECIPES)))
def command(target: str, settings: dict[str, str], keep_pymalloc: bool) -> None:
    """Print the lines that set up snugmalloc for a service permanently.

    \b
        snug install docker >> Dockerfile
        snug install systemd > /etc/systemd/system/app.service.d/snugmalloc.conf
        snug install gunicorn >> gunicorn.conf.py
        snug install helm > values-snugmalloc.yaml

    The command only prints. Comments in the lines say where they go and what they need; docs/deploying.md
    explains more, and how to check the result.
    """
    click.echo(RECIPES[target](settings_of(variables(settings), plain_python=not keep_pymalloc)), nl=False)
