"""The command ``snug``: one module for each command, which it calls `command`; `report` is what they print."""

from __future__ import annotations

import sys
from typing import Any

import click

from snugcommand import INTERRUPTED
from snugmalloc import __version__
from snugmalloc.cli import (
    autopsy,
    compare,
    demo,
    diff,
    doctor,
    export,
    install,
    metrics,
    record,
    replay,
    run,
    summary,
    top,
    trace,
    tune,
    view,
)
from snugmalloc.cli.streams import OutputError, check_output, settled_output, tell


class OneLineErrors(click.Group):
    """Reports an error in one line on stderr: exit status 2 for wrong usage, 1 for anything else."""

    def main(self, *args: Any, **extra: Any) -> Any:
        extra["standalone_mode"] = False
        check_output()
        try:
            with settled_output():
                status = super().main(*args, **extra)
        except click.UsageError as error:
            where = error.ctx.command_path if error.ctx else "snug"
            message = " ".join(line.strip() for line in error.format_message().splitlines())
            tell(f"{message} (see: {where} --help)", where)
            sys.exit(error.exit_code)
        except click.ClickException as error:
            tell(error.format_message())
            sys.exit(error.exit_code)
        except click.Abort:
            sys.exit(INTERRUPTED)
        except OutputError as error:
            if not error.is_closed_pipe:
                tell(str(error))
            sys.exit(1)
        except OSError as error:
            tell(f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror))
            sys.exit(1)
        sys.exit(status if isinstance(status, int) else 0)


@click.group(
    cls=OneLineErrors, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(__version__, prog_name="snugmalloc")
@click.pass_context
def main(context: click.Context) -> None:
    """Run programs on snugmalloc, and see what their memory is doing."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


main.add_command(autopsy.command)
main.add_command(compare.command)
main.add_command(demo.command)
main.add_command(diff.command)
main.add_command(doctor.command)
main.add_command(export.command)
main.add_command(install.command)
main.add_command(metrics.command)
main.add_command(record.command)
main.add_command(replay.command)
main.add_command(run.command)
main.add_command(summary.command)
main.add_command(top.command)
main.add_command(trace.command)
main.add_command(tune.command)
main.add_command(view.command)
