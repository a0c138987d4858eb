"""The command `snug` as a user meets it."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import snugmalloc
from snugmalloc.cli import main

SNUG = Path(sys.executable).with_name("snug")
SYSTEMUI = Path(snugmalloc.__file__).parent / "data" / "systemui.zip"


def snug(*arguments: str | Path) -> Result:
    """`snug` in this process."""
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """`snug` as a program of its own."""
    return subprocess.run([SNUG, *arguments], capture_output=True, text=True, timeout=600)


def test_the_demo_prints_the_figures_and_the_heap() -> None:
    outcome = run("demo")
    assert (outcome.returncode, outcome.stderr) == (0, "")
    for line in (
        r"trace +systemui.zip: 786,097 calls of 393 threads, played by one",
        r"calls per second +[\d,]+",
        r"time +\d+\.\d{3} s: the calls, and every byte written and compared",
        r"peak live +9\.96 MiB requested by the program",
        r"peak heap +1[0-4]\.\d\d MiB taken from the system, mappings included",
        r"fragmentation +1\.\d{3} at the peak, 1\.\d{3} at the end \(heap / live\)",
        r"system calls +[\d,]+ brk, 470 mmap, \d+ munmap",
        r"memalign +1,066 calls, played as os_malloc\(size \+ alignment\)",
        r"The heap after [\d,]+ calls, when most was live:",
        r"heap: [\d,]+ bytes, [\d,]+ blocks",
        r"\+0x000000  #{64}",
        r"# live [\d,]+ .* [\d,]+ bytes a cell",
    ):
        assert re.search(f"^ *{line} *$", outcome.stdout, re.MULTILINE), line
    assert max(map(len, outcome.stdout.splitlines())) <= 80


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["replay", "/dev/null", "--json", ""],
            "snug replay: Invalid value for '--json': the name of the file is empty (see: snug replay --help)",
        ),
        (
            ["replay", "/dev/null", "--json", "/nosuch/x"],
            "snug replay: Invalid value for '--json': /nosuch/x: No such file or directory"
            " (see: snug replay --help)",
        ),
        (["sing"], "snug: No such command 'sing'. (see: snug --help)"),
        (["--loud"], "snug: No such option '--loud'. (see: snug --help)"),
        (["replay"], "snug replay: Missing argument 'TRACE'. (see: snug replay --help)"),
        (
            ["replay", "no-such-file"],
            "snug replay: Invalid value for 'TRACE': File 'no-such-file' does not exist."
            " (see: snug replay --help)",
        ),
        (["demo", "x"], "snug demo: Got unexpected extra argument (x) (see: snug demo --help)"),
    ],
)
def test_wrong_usage_is_told_in_one_line_on_stderr_with_status_2(arguments: list[str], message: str) -> None:
    outcome = run(*arguments)
    assert (outcome.returncode, outcome.stdout, outcome.stderr) == (2, "", f"{message}\n")


def test_without_a_command_it_prints_the_help() -> None:
    outcome = snug()
    assert outcome.exit_code == 0
    assert outcome.output == snug("--help").output
    assert re.findall(r"^  (\w+) ", outcome.output.split("Commands:")[1], re.MULTILINE) == sorted(main.commands)


@pytest.mark.parametrize("command", ["demo", "replay"])
def test_each_commands_help_fits_on_a_screen(command: str) -> None:
    help_text = snug(command, "--help").output
    assert help_text == snug(command, "-h").output
    assert help_text.startswith(f"Usage: main {command}")
    assert len(help_text.splitlines()) <= 48


def test_the_version_is_the_packages() -> None:
    assert snug("--version").output == f"snugmalloc, version {snugmalloc.__version__}\n"


def on_a_terminal(*arguments: str | Path) -> tuple[str, str]:
    """What `snug` writes to its standard output and, on a terminal, to stderr."""
    reader, terminal = pty.openpty()
    process = subprocess.Popen(
        [SNUG, *arguments],
        stdout=subprocess.PIPE,
        stderr=terminal,
        text=True,
        env={**os.environ, "TERM": "xterm"},
    )
    os.close(terminal)
    shown = b""
    try:
        while piece := os.read(reader, 1 << 16):
            shown += piece
    except OSError:  # the terminal's other end is closed: the program has ended
        pass
    assert process.stdout is not None
    with process:
        return process.stdout.read(), shown.decode()


def test_a_progress_bar_is_drawn_on_a_terminal_and_goes_away() -> None:
    out, err = on_a_terminal("replay", SYSTEMUI, "-n", "1", "--allocators", "osmem", "--json", "-")
    assert json.loads(out)["calls"] == 786_097
    assert "reading" in err
    assert "playing" in err
    assert err.rstrip().endswith("\x1b[2K")
