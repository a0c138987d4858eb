"""Owns the files that commands write: checked to be writable before anything runs, or reported by name."""

from __future__ import annotations

import errno
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])
Check: TypeAlias = Callable[[click.Context, click.Parameter, str | None], str | None]


def write_json(name: str, value: Any) -> None:
    """Write `value` as JSON to the file `name`, '-' for standard output. Raises OSError."""
    write_text(name, json.dumps(value, indent=1) + "\n")


def write_text(name: str, text: str) -> None:
    """Write `text` to the file `name`, '-' for standard output. Raises OSError."""
    if name == "-":
        sys.stdout.write(text)
    else:
        write_file(name, text.encode())


def write_file(name: str, content: bytes) -> None:
    """Make `content` that of the file `name`. Raises OSError, which names the file."""
    try:
        Path(name).write_bytes(content)
    except OSError as error:
        raise OSError(error.errno, error.strerror, name) from None


def check_writable(name: str) -> None:
    """Raise OSError, which names the file, if `name` cannot be written; changes nothing."""
    path = Path(name)
    try:
        if path.exists() and not path.is_file() and not path.is_dir():
            if not os.access(path, os.W_OK):  # a pipe is not opened twice: its reader would see an end
                raise OSError(errno.EACCES, os.strerror(errno.EACCES))
            return
        is_new = not path.exists()
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666))
        if is_new:
            path.resolve().unlink()  # what a link leads to, and not the link
    except OSError as error:
        raise OSError(error.errno, error.strerror, name) from None


def named_file(context: click.Context, parameter: click.Parameter, name: str | None) -> str | None:
    """The name of a file that an option was given, which may be '-' for standard output."""
    if name == "":
        raise click.BadParameter("the name of the file is empty", context, parameter)
    return name


def writable_file(context: click.Context, parameter: click.Parameter, name: str | None) -> str | None:
    """The same, after checking that it is writable."""
    if named_file(context, parameter, name) not in (None, "-"):
        try:
            check_writable(str(name))
        except OSError as error:
            raise click.BadParameter(f"{error.filename}: {error.strerror}", context, parameter) from None
    return name


def json_file_option(meaning: str, check: Check = writable_file) -> Callable[[F], F]:
    """The option --json of a command, with its help."""
    return click.option("--json", "json_file", metavar="FILE", callback=check, help=meaning)


def json_option(table: str, *, beside: bool = False) -> Callable[[F], F]:
    """The option --json of a command that else prints `table`; with `beside`, also where it writes a file."""
    where = (
        f"FILE beside {table}, or to standard output, '-', instead of it"
        if beside
        else f"FILE, '-' for standard output, instead of {table}"
    )
    return json_file_option(f"Write the figures as JSON to {where}.")
