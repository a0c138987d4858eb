"""`snug install`: the lines that put the allocator under a program for good, in an image, a unit or a chart."""

from __future__ import annotations

import click

from snugmalloc.cli.settings import settings_option
from snugmalloc.launch.recipes import RECIPES, settings_of
from snugmalloc.options import variables


@click.command("install")
@settings_option()
@click.option("--keep-pymalloc", is_flag=True, help="Leave PYTHONMALLOC=malloc, which is Python's alone, out.")
@click.argument("target", type=click.Choice(list(RECIPES)))
def command(target: str, settings: dict[str, str], keep_pymalloc: bool) -> None:
    """Print the lines that put snugmalloc under a program for good.

    \b
        snug install docker >> Dockerfile
        snug install systemd > /etc/systemd/system/app.service.d/snugmalloc.conf
        snug install gunicorn >> gunicorn.conf.py
        snug install helm > values-snugmalloc.yaml

    Nothing is changed by that. Comments among the lines say where they go and what they need; docs/deploying.md
    has more, and how to see that it works.
    """
    click.echo(RECIPES[target](settings_of(variables(settings), plain_python=not keep_pymalloc)), nl=False)
