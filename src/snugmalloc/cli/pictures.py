"""Owns the options that name a picture: checks before anything runs that it can be drawn and written."""

from __future__ import annotations

import importlib
import logging
from pathlib import Path

import click

from snugmalloc.cli.files import named_file, writable_file

KINDS = (".svg", ".png", ".html")


def picture_file(context: click.Context, parameter: click.Parameter, name: str | None) -> str | None:
    """The name of a picture that an option was given, when it can be drawn and written."""
    if named_file(context, parameter, name) is None:
        return None
    if Path(str(name)).suffix not in KINDS:
        raise click.BadParameter(f"{name}: a picture is a .svg, .png or .html file", context, parameter)
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # else it reports where its cache of fonts is
    try:
        importlib.import_module("matplotlib.figure")
    except ImportError:
        raise click.ClickException(
            f"{parameter.opts[0]} needs matplotlib: pip install 'snugmalloc[plot]'"
        ) from None
    return writable_file(context, parameter, name)
