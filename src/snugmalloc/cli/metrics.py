"""`snug metrics`: the figures of running processes for Prometheus."""

from __future__ import annotations

import functools
import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING

import click

from snugcommand import tidy_at_end
from snugmalloc.cli.files import named_file
from snugmalloc.cli.streams import tell
from snugmalloc.launch.diagnosis import NoSuchProcess
from snugmalloc.live.processes import check_process, read_all, read_one

if TYPE_CHECKING:  # it may not be installed
    from prometheus_client.registry import CollectorRegistry

MOST_PORT = 65535


def load_extra(module: str, command: str, extra: str) -> ModuleType:
    """The module of a command that needs an extra of the package, or an error that names it."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("snugmalloc"):
            raise
        raise click.ClickException(f"{command} needs {error.name}: pip install 'snugmalloc[{extra}]'") from None


def split_address(
    context: click.Context, parameter: click.Parameter, text: str | None
) -> tuple[str, int] | None:
    """HOST:PORT as both."""
    if text is None:
        return None
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or int(port) > MOST_PORT:
        raise click.BadParameter(f"{text} is not HOST:PORT, such as 127.0.0.1:9500", context, parameter)
    return host.removeprefix("[").removesuffix("]"), int(port)


@click.command("metrics")
@click.option(
    "--listen",
    metavar="HOST:PORT",
    callback=split_address,
    help="Serve them over HTTP, at /metrics, until interrupted. Port 0 picks a free port.",
)
@click.option(
    "--textfile",
    metavar="FILE",
    callback=named_file,
    help="Write them into FILE, atomically, for the textfile collector of node_exporter.",
)
@click.option("--pid", type=click.IntRange(min=1), help="Report this process only.")
def command(listen: tuple[str, int] | None, textfile: str | None, pid: int | None) -> None:
    """Report the figures of running processes as metrics for Prometheus.

    \b
        snug metrics                           # once, in the OpenMetrics format
        snug metrics --listen 127.0.0.1:9500   # for Prometheus to scrape
        snug metrics --textfile DIR/snugmalloc.prom

    The metrics cover all processes of this user that are on snugmalloc; as root, of all users. Processes that
    have ended, cannot be read or are off by an option are only counted, in snugmalloc_unreadable_processes.
    docs/metrics.md lists the metrics and has a dashboard.
    """
    if listen and textfile:
        raise click.UsageError("--listen and --textfile exclude each other")
    exposition = load_extra("snugmalloc.live.exposition", "snug metrics", "metrics")
    if pid is not None:
        try:
            check_process(pid)
        except NoSuchProcess as error:
            raise click.ClickException(str(error)) from None
    registry = exposition.make_registry(read_all if pid is None else functools.partial(read_one, pid))
    if listen:
        _serve(registry, *listen)
    elif textfile:
        _write(registry, textfile)
    else:
        sys.stdout.write(exposition.as_openmetrics(registry))


def _serve(registry: CollectorRegistry, host: str, port: int) -> None:
    from prometheus_client import start_http_server

    tidy_at_end()
    try:
        server, thread = start_http_server(port, host, registry)
    except OSError as error:
        raise click.ClickException(f"{host}:{port}: {error.strerror}") from None
    shown = f"[{host}]" if ":" in host else host
    tell(f"serving http://{shown}:{server.server_port}/metrics")
    thread.join()


def _write(registry: CollectorRegistry, name: str) -> None:
    from prometheus_client import write_to_textfile

    try:
        write_to_textfile(name, registry)
    except OSError as error:
        raise OSError(error.errno, error.strerror, name) from None
