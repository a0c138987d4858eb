"""`snug run`: the program is on the allocator, and otherwise as it would be without."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import snugmalloc

from .programs import (
    PYTHON,
    SNUG,
    make_foreign,
    make_leak_checked,
    make_python,
    make_script,
    make_set_user_id,
    make_static,
    snug,
)

LIBRARY = snugmalloc.get_library("snugmalloc")
MIB = 1 << 20
# Prints, from inside, what the program was started with.
TELL = """
import json, os
maps = open("/proc/self/maps").read()
names = ("LD_PRELOAD", "PYTHONMALLOC", "SNUG_LIMIT", "SNUG_STATS", "_SNUG_RUN_ONCE")
print(json.dumps({"loaded": "libsnugmalloc.so" in maps, **{name: os.environ.get(name) for name in names}}))
"""
HOLD = "a = [bytes(1000) for _ in range(40000)]; b = bytearray(30 << 20); del b"


def told(*arguments: str | Path) -> dict[str, Any]:
    """What a Python program under `snug run` says of itself."""
    ended = snug("run", *arguments)
    assert (ended.returncode, ended.stderr) == (0, "")
    result: dict[str, Any] = json.loads(ended.stdout)
    return result


def reported(tmp_path: Path, *arguments: str | Path) -> dict[str, Any]:
    """The report as JSON."""
    file = tmp_path / "report.json"
    assert snug("run", "--json", file, *arguments).returncode == 0
    result: dict[str, Any] = json.loads(file.read_text())
    return result


def test_the_program_runs_on_the_allocator() -> None:
    seen = told("--", PYTHON, "-c", TELL)
    assert seen["loaded"]
    assert (seen["LD_PRELOAD"], seen["PYTHONMALLOC"]) == (LIBRARY, "malloc")


def test_without_two_dashes_it_is_the_same() -> None:
    assert told(PYTHON, "-c", TELL)["loaded"]


def test_it_takes_the_place_of_the_command() -> None:
    with subprocess.Popen([SNUG, "run", "--", "sh", "-c", "echo $$"], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert int(process.stdout.read()) == process.pid


def test_options_are_set_and_pymalloc_is_kept_where_it_is_asked_for() -> None:
    seen = told("--set", "limit=64M", "--keep-pymalloc", "--", PYTHON, "-c", TELL)
    assert (seen["SNUG_LIMIT"], seen["PYTHONMALLOC"]) == ("64M", None)


def test_a_limit_is_kept_to() -> None:
    ended = snug("run", "--set", "limit=64M", "--", PYTHON, "-c", "bytearray(100 << 20)")
    assert ended.returncode == 1 and "MemoryError" in ended.stderr


def test_a_script_of_python_gets_all_its_objects_from_it(tmp_path: Path) -> None:
    script = make_script(tmp_path, f"#!{PYTHON}\n{TELL}", "gunicorn")
    assert told("--", script)["PYTHONMALLOC"] == "malloc"


def test_a_program_that_is_no_python_is_left_alone() -> None:
    ended = snug("run", "--", "sh", "-c", "echo ${PYTHONMALLOC-unset}")
    assert ended.stdout == "unset\n"


@pytest.mark.parametrize("name", ["python3.13t", "python3.14", "python"])
def test_a_free_threaded_python_is_told_about_and_runs(name: str, tmp_path: Path) -> None:
    program = make_python(tmp_path, name, is_free_threaded=True)
    for words in ([program], [make_script(tmp_path, f"#!{program}", "gunicorn")]):
        ended = snug("run", "--", *words)
        assert (ended.returncode, ended.stdout) == (0, "unset\n")
        assert f"{words[0]} is a free-threaded Python: its objects come from its own mimalloc" in ended.stderr
        assert ended.stderr.count("\n") == 1


@pytest.mark.parametrize("setting", ["malloc", "malloc_debug", "pymalloc", "pymalloc_debug"])
def test_a_setting_with_which_a_free_threaded_python_does_not_start_is_told(
    setting: str, tmp_path: Path
) -> None:
    program = make_python(tmp_path, "python3.13t", is_free_threaded=True)
    ended = snug("run", "--", program, PYTHONMALLOC=setting)
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (0, f"{setting}\n", 1)
    assert f"it does not start with PYTHONMALLOC={setting}: unset it\n" in ended.stderr


def test_a_python_with_the_gil_is_asked_and_gets_all_its_objects_from_malloc(tmp_path: Path) -> None:
    ended = snug("run", "--", make_python(tmp_path, "python3.14", is_free_threaded=False))
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "malloc\n", "")


@pytest.mark.parametrize("setting", ["debug", "pymalloc", "default"])
def test_a_setting_of_the_users_is_kept_and_told(setting: str, tmp_path: Path) -> None:
    python = make_python(tmp_path, "python3.14", is_free_threaded=False)
    ended = snug("run", "--", python, PYTHONMALLOC=setting)
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (0, f"{setting}\n", 1)
    assert ended.stderr.startswith(f"snug: PYTHONMALLOC={setting} is kept: objects up to 512 bytes come from")


def test_a_python_that_reads_no_settings_is_told_about() -> None:
    ended = snug("run", "--", PYTHON, "-I", "-c", TELL)
    assert (ended.returncode, json.loads(ended.stdout)["PYTHONMALLOC"]) == (0, None)
    assert ended.stderr.count("\n") == 1 and "told to read no PYTHONMALLOC (-E or -I)" in ended.stderr


@pytest.mark.parametrize(("setting", "seen"), [("malloc_debug", "malloc_debug"), ("", "malloc")])
def test_a_setting_that_means_malloc_is_not_worth_a_line(setting: str, seen: str, tmp_path: Path) -> None:
    python = make_python(tmp_path, "python3.14", is_free_threaded=False)
    ended = snug("run", "--", python, PYTHONMALLOC=setting)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, f"{seen}\n", "")
    ended = snug("run", "--keep-pymalloc", "--", python, PYTHONMALLOC="debug")
    assert (ended.stdout, ended.stderr) == ("debug\n", "")


# ---- Children --------------------------------------------------------------------------------------------


def test_children_inherit_the_allocator_or_not() -> None:
    program = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {TELL!r}])"
    assert told("--", PYTHON, "-c", program)["loaded"]
    seen = told("--no-children", "--", PYTHON, "-c", program)
    assert not seen["loaded"] and seen["LD_PRELOAD"] is None


def test_the_program_itself_is_on_it_without_its_children() -> None:
    seen = told("--no-children", "--", PYTHON, "-c", TELL)
    assert seen["loaded"] and seen["LD_PRELOAD"] is None


# ---- How it ends -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("report", [[], ["--report"]], ids=["plain", "report"])
@pytest.mark.parametrize("status", [0, 1, 42, 255])
def test_the_exit_status_is_the_programs(report: list[str], status: int) -> None:
    assert snug("run", *report, "--", "sh", "-c", f"exit {status}").returncode == status


@pytest.mark.parametrize("report", [[], ["--report"]], ids=["plain", "report"])
@pytest.mark.parametrize("name", ["SIGTERM", "SIGKILL", "SIGABRT"])
def test_a_signal_that_kills_the_program_kills_the_command(report: list[str], name: str) -> None:
    ended = snug("run", *report, "--", "sh", "-c", f"kill -{name[3:]} $$")
    assert ended.returncode == -signal.Signals[name]
    assert not report or f"killed by {name}" in ended.stderr


@pytest.mark.parametrize("report", [[], ["--report"]], ids=["plain", "report"])
@pytest.mark.parametrize("name", ["SIGTERM", "SIGUSR1", "SIGINT"])
def test_a_signal_to_the_command_reaches_the_program(report: list[str], name: str) -> None:
    number = int(signal.Signals[name])
    program = (
        "import signal, sys, time\n"
        f"signal.signal({number}, lambda *_: sys.exit(7))\n"
        "print('there', flush=True)\n"
        "while True: time.sleep(0.02)\n"
    )
    command: list[str | Path] = [SNUG, "run", *report, "--", PYTHON, "-c", program]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None and process.stdout.readline() == b"there\n"
        process.send_signal(number)
        assert process.wait(300) == 7


def test_a_broken_pipe_ends_the_program_as_always() -> None:
    ended = subprocess.run(
        ["bash", "-c", 'set -o pipefail; "$0" run -- yes | head -1', SNUG], capture_output=True, text=True
    )
    assert (ended.returncode, ended.stdout) == (128 + signal.SIGPIPE, "y\n")


# ---- What cannot be run ----------------------------------------------------------------------------------


@pytest.mark.parametrize("report", [[], ["--report"]], ids=["plain", "report"])
def test_what_cannot_be_preloaded_into_is_told_in_one_line(report: list[str], tmp_path: Path) -> None:
    for program, reason in (
        (make_static(tmp_path), "statically linked"),
        (make_foreign(tmp_path), "is built for aarch64, 64-bit"),
        (make_set_user_id(tmp_path), "the loader ignores LD_PRELOAD"),
    ):
        ended = snug("run", *report, "--", program)
        assert (ended.returncode, ended.stdout) == (126, "")
        assert reason in ended.stderr and ended.stderr.count("\n") == 1


def test_a_program_that_is_not_there_is_told() -> None:
    ended = snug("run", "--", "nosuchprogram")
    assert (ended.returncode, ended.stderr) == (127, "snug: nosuchprogram: no such program\n")


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--"],
        ["--set", "limit", "--", "true"],
        ["--nosuch", "--", "true"],
        ["--json", "", "--", "true"],
        ["--set", "", "--", "true"],
    ],
)
def test_wrong_usage_is_told(arguments: list[str]) -> None:
    ended = snug("run", *arguments)
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (2, "", 1)


@pytest.mark.parametrize(
    ("setting", "reason"),
    [
        ("limt=64M", "limt: no such option, there are limit, mmap_threshold, "),
        ("limit=much", "limit=much: 0 and more bytes"),
        ("align=12", "align=12: 8 or 16 bytes"),
        ("stats=2", "stats=2: 0 or 1 "),
    ],
)
def test_a_setting_that_is_none_is_told_and_the_program_not_run(setting: str, reason: str) -> None:
    ended = snug("run", "--set", setting, "--", "echo", "output")
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (2, "", 1)
    assert reason in ended.stderr


@pytest.mark.parametrize("report", [[], ["--report"]], ids=["plain", "report"])
def test_options_in_the_environment_that_are_none_are_told_once(report: list[str]) -> None:
    ended = snug(
        "run",
        *report,
        "--set",
        "align=16",
        "--",
        PYTHON,
        "-c",
        "import os; print(os.environ['SNUG_LIMT'], os.environ['SNUG_LIMIT'], os.environ['SNUG_FILL'])",
        SNUG_LIMT="64M",
        SNUG_LIMIT="much",
        SNUG_ALIGN="9",
        SNUG_FILL="1",
    )
    told = [line for line in ended.stderr.splitlines() if line.startswith("snug")]
    assert (ended.returncode, ended.stdout) == (0, "64M much 1\n")
    assert told == [
        "snug: SNUG_LIMIT=much: not a value of this option, ignored: it takes 0 and more bytes",
        "snug: SNUG_LIMT=64M: no such option, ignored: is SNUG_LIMIT meant?",
    ]


def test_the_doctor_finds_what_is_ignored_in_a_program_that_was_started_by_the_command() -> None:
    command: list[str | Path] = [SNUG, "run", "--", "sh", "-c", "echo; read line"]
    environment, pipe = {**os.environ, "SNUG_LIMT": "64M"}, subprocess.PIPE
    with subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, stderr=pipe) as process:
        assert process.stdout is not None and process.stdout.readline() == b"\n"
        ended = snug("doctor", str(process.pid), "--json")
        process.communicate(b"\n")
    (setting,) = [finding for finding in json.loads(ended.stdout) if finding["name"] == "setting"]
    assert setting["value"] == "SNUG_LIMT=64M" and "is SNUG_LIMIT meant?" in setting["advice"]


def test_the_package_may_lie_in_a_folder_with_spaces(tmp_path: Path) -> None:
    folder = tmp_path / "a folder: with spaces"
    shutil.copytree(Path(LIBRARY).parent, folder)
    elsewhere = (
        "import snugmalloc; from snugmalloc.cli import main\n"
        f"snugmalloc.get_library = lambda name: {str(folder)!r} + f'/lib{{name}}.so'; main()"
    )
    for report in ([], ["--report"]):
        command = [sys.executable, "-c", elsewhere, "run", *report, "--", PYTHON, "-c", TELL]
        ended = subprocess.run(command, capture_output=True, text=True)
        seen = json.loads(ended.stdout)
        assert seen["loaded"] and " " not in seen["LD_PRELOAD"]
        assert "ld.so" not in ended.stderr and "not in use" not in ended.stderr


# ---- The report ------------------------------------------------------------------------------------------


def test_the_report_is_printed_to_stderr() -> None:
    ended = snug("run", "--report", "--", PYTHON, "-c", f"{HOLD}; print('output')", COLUMNS="120")
    assert (ended.returncode, ended.stdout) == (0, "output\n")
    for line in (
        r"program +.*python.* -c a = \[bytes",
        r"time +\d+\.\d\d s, processor \d+\.\d\d s \(",
        r"resident +peak [\d.]+ MiB, mean [\d.]+ MiB, final [\d.]+ MiB",
        r"live +peak [\d.]+ MiB, final [\d.]+ [KM]iB in [\d,]+ blocks",
        r"heap +peak [\d.]+ MiB, final [\d.]+ MiB, of that [\d.]+ [KM]iB resident",
        r"returned +[\d.]+ MiB given back to the system in total",
        r"fragmentation +peak \d\.\d\d, final [\d.]+ \(heap / live\)",
        r"calls +[\d,]+ malloc, [\d,]+ realloc, [\d,]+ free",
        r"system calls +\d+ brk, \d+ mmap, \d+ munmap, \d+ mremap, \d+ madvise",
        r"proof +malloc of process \d+ came from ",
        r"128 bytes +[\d,]+ +[\d.]+ (bytes|KiB) +█",
    ):
        assert re.search(line, ended.stderr), f"{line}\n{ended.stderr}"
    assert Path(LIBRARY).name in ended.stderr


def test_the_report_as_json_agrees_with_what_the_program_did(tmp_path: Path) -> None:
    report = reported(tmp_path, "--", PYTHON, "-c", HOLD)
    assert report["program"] == [PYTHON, "-c", HOLD]
    assert report["library"]["in_use"] and report["library"]["version"] == snugmalloc.__version__
    assert Path(report["library"]["malloc_from"]).samefile(LIBRARY)
    assert (report["exit_status"], report["signal"]) == (0, None)
    assert report["peak_resident_bytes"] > report["final_resident_bytes"] > 0
    assert report["peak_resident_bytes"] > report["mean_resident_bytes"] > 0
    heap = report["heap"]
    assert heap["peak_live_bytes"] > 70 * 1000 * 1000
    assert heap["malloc_calls"] > 40000 and heap["free_calls"] <= heap["malloc_calls"]
    assert heap["returned_bytes"] > 30 * MIB
    assert report["fragmentation"]["peak"] > 0.9
    assert sum(size["bytes"] for size in report["sizes"]) == pytest.approx(heap["live_bytes"], rel=0.2, abs=MIB)
    assert report["children"] == []


def test_without_counting_the_calls_are_not_known(tmp_path: Path) -> None:
    assert reported(tmp_path, "--set", "stats=0", "--", "true")["heap"]["malloc_calls"] == 0


def test_children_that_ended_are_listed(tmp_path: Path) -> None:
    report = reported(tmp_path, "--", "bash", "-c", "cat /dev/null; true")
    (child,) = report["children"]
    assert child["command"] == "cat" and child["heap"]["live_bytes"] > 0
    assert child["pid"] != report["pid"]


def test_children_are_shown_by_program_and_the_largest_first(tmp_path: Path) -> None:
    script = f"for i in 1 2 3 4 5 6 7 8 9 10 11 12; do cat /dev/null; (:); done; {PYTHON} -c ''; true"
    ended = snug("run", "--report", "--", "bash", "-c", script, COLUMNS="100")
    rows = ended.stderr.partition("children that ended")[2].splitlines()[2:]
    names = [row.split()[:2] for row in rows if " MiB " in row]
    assert sorted(names[1:]) == [["bash", "12"], ["cat", "12"]]
    assert names[0] == [Path(PYTHON).name, "1"]
    assert "Memory is that of the largest process of each program." in ended.stderr


def test_a_program_killed_by_a_signal_has_no_heap_to_report(tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    ended = snug("run", "--json", file, "--", "sh", "-c", "kill -TERM $$")
    assert ended.returncode == -signal.SIGTERM
    report = json.loads(file.read_text())
    assert report["signal"] == signal.SIGTERM and report["exit_status"] is None
    assert report["heap"] is None and report["library"]["in_use"] is None
    assert report["peak_resident_bytes"] > 0


def test_the_process_id_can_be_in_the_files_name(tmp_path: Path) -> None:
    ended = snug("run", "--json", tmp_path / "report-%p.json", "--", "sh", "-c", "echo $$")
    assert (tmp_path / f"report-{ended.stdout.strip()}.json").exists()


def test_a_report_that_cannot_be_written_does_not_change_the_status() -> None:
    ended = snug("run", "--json", "/nosuch/file", "--", "sh", "-c", "exit 5")
    assert ended.returncode == 5
    assert ended.stderr == "snug: /nosuch/file: No such file or directory\n"


REDIRECTIONS = ["2>/dev/full", "2>&-", "2> >(true)", ">&-", ">/dev/full", ">&- 2>&- <&-", "2>&1 >/dev/full"]


@pytest.mark.parametrize("redirection", REDIRECTIONS)
@pytest.mark.parametrize("ending", ["exit 7", "kill -TERM $$"])
@pytest.mark.parametrize("report", [["--report"], ["--json", "-"], ["--report", "--json", "-"]], ids=" ".join)
def test_a_stream_that_cannot_be_written_does_not_change_the_status(
    redirection: str, ending: str, report: list[str], tmp_path: Path
) -> None:
    line = f'"$0" run "$@" {redirection}'
    words: list[str | Path] = ["bash", "-c", line, SNUG, *report, "--", "sh", "-c", ending]
    ended = subprocess.run(words, env={**os.environ, "TMPDIR": str(tmp_path)}, capture_output=True, text=True)
    assert ended.returncode in (7, -signal.SIGTERM, 128 + signal.SIGTERM)
    assert (ended.returncode == 7) == (ending == "exit 7")
    assert "Traceback" not in ended.stderr and list(tmp_path.iterdir()) == []


def test_the_json_is_written_although_the_table_cannot_be(tmp_path: Path) -> None:
    line = f'"$0" run --report --json {tmp_path}/report.json -- sh -c "exit 7" 2>/dev/full'
    assert subprocess.run(["bash", "-c", line, SNUG]).returncode == 7
    assert json.loads((tmp_path / "report.json").read_text())["exit_status"] == 7


def test_what_cannot_be_written_is_told_in_one_line() -> None:
    line = '"$0" run --json - -- sh -c "exit 7" >/dev/full'
    ended = subprocess.run(["bash", "-c", line, SNUG], capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (7, "snug: standard output: No space left on device\n")


def test_closed_streams_are_closed_for_the_program_too() -> None:
    for report in ([], ["--report"]):
        line = """"$0" run "$@" -- sh -c 'ls /proc/$$/fd' <&- 2>&-"""
        ended = subprocess.run(["bash", "-c", line, SNUG, *report], capture_output=True, text=True)
        assert {"0", "2"} & set(ended.stdout.split()) == set()
        assert "1" in ended.stdout.split()


def test_without_descriptors_it_runs_without_a_report(tmp_path: Path) -> None:
    for count in range(6, 12):
        line = f'ulimit -n {count}; "$0" run --report -- echo there'
        ended = subprocess.run(
            ["bash", "-c", line, SNUG],
            env={**os.environ, "TMPDIR": str(tmp_path)},
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
        )
        assert (ended.returncode, ended.stdout) == (0, "there\n")
        without = "snug: the program runs without a report: Too many open files\n"
        assert ended.stderr == without or "malloc of process" in ended.stderr.replace("\n", " ")
        assert (ended.stderr == without) == (count < 8)
        assert list(tmp_path.iterdir()) == []


def test_without_a_temporary_folder_it_runs_without_a_report() -> None:
    program = "import tempfile, sys; tempfile.tempdir = '/nosuch'; from snugcommand import main; main()"
    words = [sys.executable, "-c", program, "run", "--report", "--", "sh", "-c", "exit 7"]
    ended = subprocess.run(words, capture_output=True, text=True)
    assert ended.returncode == 7
    assert ended.stderr == "snug: the program runs without a report: No such file or directory\n"


def test_what_does_not_fit_into_a_file_is_no_report(tmp_path: Path) -> None:
    line = 'ulimit -f 1; "$0" run --report -- sh -c "exit 7" "$1"'
    ended = subprocess.run(
        ["bash", "-c", line, SNUG, "x" * 2000],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 7
    assert ended.stderr == "snug: the program runs without a report: File too large\n"
    assert list(tmp_path.iterdir()) == []


def test_a_program_that_removes_the_reports_is_reported_without_them(tmp_path: Path) -> None:
    ended = snug("run", "--report", "--", "sh", "-c", f"rm -r {tmp_path}/*; exit 7", TMPDIR=str(tmp_path))
    assert ended.returncode == 7 and "exit status 7" in ended.stderr and "Traceback" not in ended.stderr


def test_a_long_command_line_is_reported(tmp_path: Path) -> None:
    long = "x" * 120_000
    ended = snug("run", "--json", tmp_path / "report.json", "--", "true", long, long)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert json.loads((tmp_path / "report.json").read_text())["program"] == ["true", long, long]


def test_a_program_with_leak_sanitizer_is_not_traced(tmp_path: Path) -> None:
    program, file = make_leak_checked(tmp_path), tmp_path / "report.json"
    ended = snug("run", "--json", file, "--", program)
    assert (ended.returncode, ended.stderr.count("\n")) == (0, 1)
    assert "has LeakSanitizer" in ended.stderr and "--no-trace" in ended.stderr
    assert json.loads(file.read_text())["final_resident_bytes"] is None
    for asked in (
        snug("run", "--no-trace", "--json", file, "--", program),
        snug("run", "--json", file, "--", program, LSAN_OPTIONS="detect_leaks=0"),
        snug("run", "--", program),
    ):
        assert (asked.returncode, asked.stderr) == (0, "")


def test_without_tracing_the_final_memory_is_unknown(tmp_path: Path) -> None:
    assert reported(tmp_path, "--no-trace", "--", "true")["final_resident_bytes"] is None
    assert reported(tmp_path, "--", "true")["final_resident_bytes"] > 0


def test_an_interrupt_does_not_end_the_report(tmp_path: Path) -> None:
    # A module that only the report loads.
    (tmp_path / "resource.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n")
    ended = snug("run", "--report", "--", "sh", "-c", "exit 7", PYTHONPATH=str(tmp_path))
    assert ended.returncode == 7 and "exit status 7" in ended.stderr and "Traceback" not in ended.stderr


def test_nothing_is_left_behind(tmp_path: Path) -> None:
    snug("run", "--report", "--", "true", TMPDIR=str(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_while_the_program_runs_no_python_waits_for_it() -> None:
    with subprocess.Popen(
        [SNUG, "run", "--report", "--", "sh", "-c", "echo there; read line"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        assert process.stdout is not None and process.stdout.readline() == b"there\n"
        assert Path(os.readlink(f"/proc/{process.pid}/exe")).name == "snug-launch"
        process.communicate(b"\n")
    assert process.returncode == 0


def test_the_doctor_sees_the_allocator() -> None:
    with subprocess.Popen(
        [SNUG, "run", "--", "sh", "-c", "echo there; read line"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None and process.stdout.readline() == b"there\n"
        ended = snug("doctor", str(process.pid), "--json")
        process.communicate(b"\n")
    found = {finding["name"]: finding["value"] for finding in json.loads(ended.stdout)}
    assert Path(found["allocator"]).samefile(LIBRARY)
