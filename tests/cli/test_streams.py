"""Output that cannot be written, and Ctrl-C: every command ends with one line or none, and the right status."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from .programs import SNUG, snug

SLEEP = shutil.which("sleep") or "/bin/sleep"
TRACE = "1: malloc 0xa 1000\n1: free 0xa\n"
COMMANDS = (
    ["--help"],
    ["--version"],
    ["doctor"],
    ["doctor", "--json"],
    ["install", "docker"],
    ["install", "helm", "--set", "limit=1G"],
    ["replay", "trace.txt", "-n", "1", "--allocators", "osmem"],
    ["replay", "trace.txt", "-n", "1", "--allocators", "osmem", "--json", "-"],
    ["replay", "trace.txt", "--policy", "buddy"],
    ["compare", "-n", "1", "--allocators", "system", "--", "true"],
    ["compare", "-n", "1", "--allocators", "system", "--json", "-", "--", "true"],
)


def in_shell(redirection: str, *words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """`snug` with `words`, its streams redirected as the shell writes it."""
    (folder / "trace.txt").write_text(TRACE)
    line = f'set -o pipefail; "$0" "$@" {redirection}'
    return subprocess.run(["bash", "-c", line, SNUG, *words], cwd=folder, capture_output=True, text=True)


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
@pytest.mark.parametrize(
    ("redirection", "line"),
    [
        (">/dev/full", "snug: standard output: No space left on device\n"),
        (">&-", "snug: standard output is closed\n"),
        ("| true", ""),
        (">/dev/full 2>&1", ""),
        (">&- 2>&- <&-", ""),
    ],
)
def test_output_that_cannot_be_written_is_told_in_one_line(
    words: list[str], redirection: str, line: str, tmp_path: Path
) -> None:
    ended = in_shell(redirection, *words, folder=tmp_path)
    assert (ended.returncode, ended.stdout, ended.stderr) == (1, "", line)


@pytest.mark.parametrize("redirection", ["2>/dev/full", "2>&-", "2> >(true)"])
@pytest.mark.parametrize(
    ("words", "status"),
    [(["sing"], 2), (["doctor", "4194304"], 1), (["run", "--", "nosuchprogram"], 127), (["doctor"], 0)],
)
def test_a_line_that_cannot_be_told_does_not_change_the_status(
    redirection: str, words: list[str], status: int, tmp_path: Path
) -> None:
    assert in_shell(redirection, *words, folder=tmp_path).returncode == status


def test_a_closed_standard_input_is_nobody_elses(tmp_path: Path) -> None:
    ended = in_shell("<&-", "replay", "trace.txt", "-n", "1", "--allocators", "osmem", folder=tmp_path)
    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
@pytest.mark.parametrize(
    "words",
    [["doctor"], ["compare", "-n", "2", "--allocators", "system", "--", "true"]],
    ids=lambda words: words[0],
)
def test_characters_that_an_encoding_does_not_have_are_spelled(encoding: str, words: list[str]) -> None:
    command: list[str | Path] = [SNUG, *words]
    ended = subprocess.run(command, env={**os.environ, "PYTHONIOENCODING": encoding}, capture_output=True)
    assert (ended.returncode, ended.stderr) == (0, b"")
    text = ended.stdout.decode(encoding)
    assert "\\u" not in text and ("-> " in text or "+-" in text or "±" in text)


def test_a_name_that_is_no_text_is_shown_with_escapes(tmp_path: Path) -> None:
    program = os.fsencode(tmp_path) + b"/na\xffme"
    os.symlink(SLEEP, program)
    with subprocess.Popen([program, "60"]) as process:
        for command in (["doctor", str(process.pid)], ["doctor", str(process.pid), "--json"]):
            ended = snug(*command)
            assert (ended.returncode, ended.stderr) == (0, "")
        process.kill()
    ended = snug("run", "--", os.fsdecode(program) + "-not-there")
    assert (ended.returncode, ended.stderr.count("\n"), "na\\udcffme" in ended.stderr) == (127, 1, True)


@pytest.mark.parametrize("columns", ["0", "1", "x", "-5"])
def test_a_width_that_makes_no_sense_is_not_kept_to(columns: str) -> None:
    assert "page size " in snug("doctor", COLUMNS=columns).stdout


def test_a_trace_that_cannot_be_read_is_told_by_name() -> None:
    ended = snug("replay", "/proc/self/mem")
    assert (ended.returncode, ended.stderr) == (1, "snug: mem: Input/output error\n")


@pytest.mark.parametrize("module", ["click", "rich"])
@pytest.mark.parametrize("words", [["demo"], ["doctor"], ["run", "--", "true"], ["compare", "--", "true"]])
def test_ctrl_c_while_the_command_is_loaded_ends_it_silently(
    module: str, words: list[str], tmp_path: Path
) -> None:
    (tmp_path / f"{module}.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n")
    ended = snug(*words, PYTHONPATH=str(tmp_path))
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", "")


# The program prints its process id and sends the command, the parent of its parent, a signal.
SIGNAL_TO_COMMAND = """\
echo $$ >{folder}/program; sleep 60 & echo $! >{folder}/child; {trap}
kill -{name} $(cut -d' ' -f4 /proc/$PPID/stat); wait; wait; wait; sleep 60
"""


@pytest.mark.parametrize("trap", [":", "trap '' TERM"], ids=["obedient", "stubborn"])
@pytest.mark.parametrize("name", ["INT", "TERM", "HUP"])
def test_a_signal_that_ends_a_comparison_ends_the_program_and_its_children(
    name: str, trap: str, tmp_path: Path
) -> None:
    program = SIGNAL_TO_COMMAND.format(folder=tmp_path, trap=trap, name=name)
    ended = snug("compare", "--allocators", "system", "--", "bash", "-c", program, TMPDIR=str(tmp_path))
    assert (ended.returncode, ended.stdout, ended.stderr) == (128 + signal.Signals[f"SIG{name}"], "", "")
    for file in ("program", "child"):
        assert not is_running(int((tmp_path / file).read_text()))


def test_a_comparison_that_is_killed_ends_the_program(tmp_path: Path) -> None:
    program = SIGNAL_TO_COMMAND.format(
        folder=tmp_path, trap=f"trap 'echo ended >{tmp_path}/end; exit' TERM", name="KILL"
    )
    os.mkfifo(tmp_path / "end")
    with subprocess.Popen([SNUG, "compare", "--allocators", "system", "--", "bash", "-c", program]) as process:
        assert (tmp_path / "end").read_text() == "ended\n"
        assert process.wait() == -signal.SIGKILL
    os.kill(int((tmp_path / "child").read_text()), signal.SIGKILL)


def is_running(pid: int) -> bool:
    """Whether there is such a process, and not only what its parent has not asked for yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_an_ignored_interrupt_stays_ignored() -> None:
    line = """trap '' INT; exec "$0" run -- sh -c 'kill -INT $$; echo there'"""
    ended = subprocess.run(["sh", "-c", line, SNUG], capture_output=True, text=True)
    assert (ended.returncode, ended.stdout) == (0, "there\n")
