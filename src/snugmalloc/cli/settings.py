"""Owns the option --set: options of the allocator as words NAME=VALUE."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from snugmalloc.options import variables

F = TypeVar("F", bound=Callable[..., Any])


def split_settings(
    context: click.Context, parameter: click.Parameter, words: tuple[str, ...]
) -> dict[str, str]:
    """`name=value` words as a dictionary, each a known option with a value that it takes."""
    settings = {}
    for word in words:
        name, given, value = word.partition("=")
        if not given:
            raise click.BadParameter(f"{word!r} is not name=value", context, parameter)
        settings[name] = value
    try:
        variables(settings)
    except ValueError as error:
        raise click.BadParameter(str(error), context, parameter) from None
    return settings


def settings_option(meaning: str = "") -> Callable[[F], F]:
    """The option --set of a command; `meaning` is what more its help says."""
    return click.option(
        "--set",
        "settings",
        metavar="NAME=VALUE",
        multiple=True,
        callback=split_settings,
        help=f"Set an option of the allocator, such as limit=64M{meaning}.",
    )
