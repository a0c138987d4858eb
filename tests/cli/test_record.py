"""`snug record`: the trace is there when the program has ended, and the program is otherwise as it would be."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from snugmalloc.trace import Operation, TraceReader
from snugmalloc.trace.following import read_history
from snugmalloc.trace.operations import ALLOCATIONS

from ..dropin.programs import C_SOURCE, LUA, NODE, PERL, SQLITE
from ..dropin.redis import running_redis
from .programs import PYTHON, SNUG, snug

SERVICE = Path(__file__).resolve().parents[2] / "examples" / "service.py"
HOLD = "a = [bytes(12_345) for _ in range(2_000)]; del a; print(len('done'))"
WORKERS = """
import multiprocessing, sys
def work(number): return len([bytes(20_000 + number) for _ in range(500)])
if __name__ == "__main__":
    with multiprocessing.get_context("fork").Pool(2) as pool:
        print(sum(pool.map(work, range(6))))
        pool.close()
        pool.join()
"""


def record(folder: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([SNUG, "record", *arguments], capture_output=True, text=True, cwd=folder)


def sizes_in(path: Path) -> Counter[int]:
    with TraceReader(path) as reader:
        assert reader.verify() == []
        return Counter(event.size for event in reader.events() if event.operation in ALLOCATIONS)


def only(folder: Path) -> Path:
    (path,) = folder.iterdir()
    return path


def test_the_trace_is_named_after_the_program_and_its_process(tmp_path: Path) -> None:
    ended = record(tmp_path, "--", PYTHON, "-c", HOLD)
    assert (ended.returncode, ended.stdout) == (0, "4\n")
    path = only(tmp_path)
    assert re.fullmatch(rf"{re.escape(Path(PYTHON).name)}\.[0-9]+\.snug", path.name)
    line = re.fullmatch(
        r"snug: recorded ([0-9,]+) calls, ([0-9.]+) bytes a call: snug report (\S+)\n", ended.stderr
    )
    assert line and line[3] == path.name
    assert int(line[1].replace(",", "")) > 10_000 and float(line[2]) < 5
    assert sizes_in(path)[12_345 + 33] == 2_000
    with TraceReader(path) as reader:
        assert reader.has_index and not reader.has_rows
        assert reader.about["program"] == f"{PYTHON} -c {HOLD}"
    assert subprocess.run([SNUG, "report", path], capture_output=True).returncode == 0


HEAPS = """
import ctypes, os, signal, sys
create = ctypes.CDLL(None).snug_heap_create
create.restype, create.argtypes = ctypes.c_void_p, (ctypes.c_size_t, ctypes.c_char_p)
made = [create(0, b"own") for _ in range(3)]
if "killed" in sys.argv:
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("how", ["whole", "sampled", "raw", "killed"])
def test_it_is_told_of_a_program_with_heaps_of_its_own(tmp_path: Path, how: str) -> None:
    options = {"sampled": ["--sample", "64K"], "raw": ["--raw"]}.get(how, [])
    ended = record(tmp_path, *options, "-o", "of.snug", PYTHON, "-c", HEAPS, how)
    assert " calls, without those of private heaps, " in ended.stderr
    shown = snug("report", tmp_path / "of.snug").stdout
    assert f"private heaps   {1 if how == 'killed' else 3} at least: what is in them is not recorded" in shown


def test_an_autopsy_tells_of_heaps_of_its_own(tmp_path: Path) -> None:
    record(tmp_path, "--ring", "1M", "-o", "of.ring", PYTHON, "-c", HEAPS, "killed")
    assert "private heaps   1 at least" in snug("autopsy", tmp_path / "of.ring").stdout


def test_raw_leaves_rows(tmp_path: Path) -> None:
    ended = record(tmp_path, "--raw", "-o", "of.snug", PYTHON, "-c", HOLD)
    assert ended.stderr.endswith(": snug report of.snug\n")
    with TraceReader(only(tmp_path)) as reader:
        assert reader.has_rows
    assert sizes_in(tmp_path / "of.snug")[12_345 + 33] == 2_000


def test_a_file_of_that_name_is_written_anew(tmp_path: Path) -> None:
    (tmp_path / "of.snug").write_text("old")
    ended = record(tmp_path, "-o", "of.snug", PYTHON, "-c", HOLD)
    assert ended.returncode == 0 and len(ended.stderr.splitlines()) == 1
    assert sizes_in(only(tmp_path))[12_345 + 33] == 2_000


def test_a_call_that_gives_back_more_than_a_buffer_tells_of_all(tmp_path: Path) -> None:
    """Twenty thousand holes go at one stroke: a row for each."""
    code = "a = [bytes(8000) for _ in range(40_000)]; del a[::2]; from snugmalloc import dropin; dropin.trim()"
    ended = record(tmp_path, "--set", "purge_delay=1G", "-o", "of.snug", "--", sys.executable, "-c", code)
    assert ended.returncode == 0
    with TraceReader(tmp_path / "of.snug") as reader:
        history = read_history(reader)
    assert history.lost == 0
    assert history.events[Operation.PURGE] > 10_000


@pytest.mark.parametrize("status", [0, 3])
def test_the_exit_status_is_the_programs(tmp_path: Path, status: int) -> None:
    assert record(tmp_path, PYTHON, "-c", f"raise SystemExit({status})").returncode == status


def test_a_program_that_a_signal_ended_ends_so_and_leaves_its_trace(tmp_path: Path) -> None:
    kill = "import os; a = [bytes(9_999) for _ in range(60_000)]; os.kill(os.getpid(), 9)"
    ended = record(tmp_path, "-o", "of.snug", PYTHON, "-c", kill)
    assert ended.returncode == -signal.SIGKILL
    assert 20_000 < sizes_in(tmp_path / "of.snug")[9_999 + 33] <= 60_000


def test_children_are_recorded_only_when_followed(tmp_path: Path) -> None:
    script = tmp_path / "workers.py"
    script.write_text(WORKERS)
    plain, followed = tmp_path / "plain", tmp_path / "followed"
    plain.mkdir()
    followed.mkdir()
    assert record(plain, "--", PYTHON, script).stdout == "3000\n"
    assert sum(sizes_in(only(plain))[20_033 + number] for number in range(6)) == 0
    ended = record(followed, "--follow", "--", PYTHON, script)
    assert ended.stdout == "3000\n"
    files = list(followed.iterdir())
    assert len(files) >= 3
    assert f"in {len(files)} files" in ended.stderr
    found = [sizes_in(path) for path in files]
    assert sum(sizes[20_033 + number] for sizes in found for number in range(6)) == 3_000


@pytest.mark.parametrize("name", ["of.%p.snug", "of.snug"])
def test_a_program_that_the_process_becomes_is_recorded_too(tmp_path: Path, name: str) -> None:
    ended = record(tmp_path, "-o", name, "--", "env", "A=1", PYTHON, "-c", HOLD)
    assert (ended.returncode, ended.stdout) == (0, "4\n")
    first, second = sorted(tmp_path.iterdir(), key=lambda path: path.stat().st_size)
    assert "-2" in second.name and "-2" not in first.name
    assert " calls in 2 files, " in ended.stderr
    assert ended.stderr.endswith(f": snug report {second.name}\n")
    assert sizes_in(second)[12_345 + 33] == 2_000


def test_followed_programs_need_names_of_their_own(tmp_path: Path) -> None:
    ended = record(tmp_path, "--follow", "-o", "of.snug", PYTHON, "-c", HOLD)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert len(ended.stderr.splitlines()) == 1 and "%p" in ended.stderr


@pytest.mark.parametrize("name", ["", "none/of.snug", "."])
def test_a_name_that_cannot_be_written_is_told_before_anything_runs(tmp_path: Path, name: str) -> None:
    ended = record(tmp_path, "-o", name, PYTHON, "-c", HOLD)
    assert ended.returncode in (1, 2) and ended.stdout == ""
    assert len(ended.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_no_such_program(tmp_path: Path) -> None:
    ended = record(tmp_path, "no-such-program")
    assert (ended.returncode, len(ended.stderr.splitlines())) == (127, 1)
    assert list(tmp_path.iterdir()) == []


def test_an_option_that_switches_the_allocator_off_does_not_count(tmp_path: Path) -> None:
    ended = subprocess.run(
        [SNUG, "record", "-o", "of.snug", PYTHON, "-c", HOLD],
        cwd=tmp_path,
        env={**os.environ, "SNUG_DISABLE": "1"},
        capture_output=True,
    )
    assert ended.returncode == 0
    assert sizes_in(tmp_path / "of.snug")[12_345 + 33] == 2_000


# ---- Real programs ----


def assert_every_block_is_known(path: Path, least: int) -> int:
    """Each pointer that was freed is of a block of the trace; nothing is left out. What is live at the end."""
    with TraceReader(path) as reader:
        assert (reader.verify(), reader.damage) == ([], None)
        history = read_history(reader)
    assert history.call_count > least
    assert (history.missing_frees, history.lost) == (0, 0)
    assert history.unknown_frees < 10  # blocks of the dynamic loader
    return history.live[-1]


def assert_sound(path: Path, least: int) -> None:
    """The trace is whole, its report can be made, and a replay ends with what was live on each allocator."""
    live = assert_every_block_is_known(path, least)
    assert snug("trace", "verify", path).returncode == 0
    report = json.loads(snug("report", "--json", "-", path).stdout)
    assert report["total"]["end_bytes"] == live
    played = json.loads(snug("replay", "-n", "1", "--allocators", "snugmalloc", "--json", "-", path).stdout)
    assert [series["samples"][-1]["live_bytes"] for series in played["allocators"]] == [live, live]


REAL: dict[str, tuple[list[str], str, int]] = {
    "sqlite3": (["sqlite3"], SQLITE, 100_000),
    "perl": (["perl", "-"], PERL, 100_000),
    "node": (["node", "-"], NODE, 100_000),
    "lua": (["lua5.4", "-"], LUA, 50_000),
    "service": ([sys.executable, str(SERVICE), "--rushes", "1"], "", 50_000),
}


@pytest.mark.parametrize("name", REAL)
def test_real_programs_are_recorded_and_played(tmp_path: Path, name: str) -> None:
    words, text, least = REAL[name]
    plain = subprocess.run(words, input=text, capture_output=True, text=True)
    trace = tmp_path / "of.snug"
    command = [str(SNUG), "record", "--keep-pymalloc", "-o", str(trace), "--", *words]
    ended = subprocess.run(command, input=text, capture_output=True, text=True)
    assert (ended.returncode, ended.stdout) == (0, plain.stdout)
    assert_sound(trace, least)


def test_redis_is_recorded_and_played(tmp_path: Path) -> None:
    """With its threads, a child that saves, and a load that is dropped again."""
    trace = tmp_path / "of.snug"
    with running_redis(tmp_path, "redis", [SNUG, "record", "-o", trace, "--"]) as server:
        server.benchmark(2000)
        server.fill_and_save()
        server.cli("FLUSHALL")
    assert_sound(trace, 20_000)
    with TraceReader(trace) as reader:
        assert {Operation.FORK, Operation.THREAD_BEGIN} <= {event.operation for event in reader.events()}


def test_a_compiler_and_what_it_starts_are_followed(tmp_path: Path) -> None:
    (tmp_path / "program.c").write_text(C_SOURCE)
    traces = tmp_path / "traces"
    traces.mkdir()
    ended = record(traces, "--follow", "--", "gcc", "-O1", "-o", "../program", "../program.c")
    assert ended.returncode == 0
    programs = {}
    for path in traces.iterdir():
        assert_every_block_is_known(path, -1)
        with TraceReader(path) as reader:
            programs[Path(reader.about["program"].split()[0]).name] = path
    assert programs.keys() >= {"gcc", "cc1", "as", "ld"}
    assert_sound(programs["cc1"], 10_000)


def test_python_with_threads_is_recorded_and_every_block_is_known(tmp_path: Path) -> None:
    program = """
import threading, json
def work():
    kept = [json.loads(json.dumps({"number": i, "text": "x" * (i % 100)})) for i in range(3000)]
threads = [threading.Thread(target=work) for _ in range(4)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
"""
    ended = record(tmp_path, "-o", "of.snug", "--", sys.executable, "-c", program)
    assert ended.returncode == 0
    with TraceReader(tmp_path / "of.snug") as reader:
        assert len(read_history(reader).thread_ids) >= 5
    assert_every_block_is_known(tmp_path / "of.snug", 50_000)


# ---- Stacks ----


LINES = """
import json
kept = []

def load():
    return json.loads('[' + ','.join('{"key": %d}' % number for number in range(2000)) + ']')

def keep(rows):
    for row in rows[::40]:
        kept.append(bytes(70_001))

keep(load())
"""


def innermost_in(path: Path, size: int) -> Counter[str]:
    """The innermost frames of the blocks of one size."""
    with TraceReader(path) as reader:
        stacks = [event.stack for event in reader.events() if event.size == size and event.block >= 0]
        return Counter(str(reader.tables.frames_of(stack)[0]) for stack in stacks)


@pytest.mark.parametrize("raw", [[], ["--raw"]])
def test_stacks_are_in_the_trace_and_in_the_report(tmp_path: Path, raw: list[str]) -> None:
    program = tmp_path / "program.py"
    program.write_text(LINES)
    ended = record(tmp_path, "--stacks", "python", *raw, "-o", "of.snug", "--", PYTHON, program)
    assert ended.returncode == 0
    trace = tmp_path / "of.snug"
    line = f"keep ({program}:10)"
    assert innermost_in(trace, 70_001 + 33) == {line: 50}
    told = subprocess.run([SNUG, "report", "--json", "-", trace], capture_output=True, text=True)
    figures = json.loads(told.stdout)
    assert figures["origin"] == "line"
    assert figures["at_peak"][0]["origin"] == line
    assert figures["stacks_at_peak"][0]["frames"] == [line, f"<module> ({program}:12)"]
    shown = subprocess.run(
        [SNUG, "report", trace], capture_output=True, text=True, env={**os.environ, "COLUMNS": "400"}
    )
    assert "Live at the peak, by stack" in shown.stdout and f"{line} < <module> ({program}:12)" in shown.stdout
    collapsed = tmp_path / "of.txt"
    assert subprocess.run([SNUG, "export", trace, "--to", "collapsed", "-o", collapsed]).returncode == 0
    assert any(f"<module> ({program}:12);{line} " in text for text in collapsed.read_text().splitlines())


def test_stacks_of_followed_children(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(WORKERS)
    ended = record(tmp_path, "--stacks", "python", "--follow", "-o", "of.%p.snug", PYTHON, program)
    assert ended.returncode == 0
    traces = list(tmp_path.glob("of.*.snug"))
    assert len(traces) == 3
    found: Counter[str] = Counter()
    for path in traces:
        for number in range(6):
            found += innermost_in(path, 20_033 + number)
    assert found == {f"work.<locals>.<listcomp> ({program}:3)": 3000}


@pytest.mark.parametrize(
    ("stacks", "said"),
    [("lines", "'lines' is not a kind of stacks"), ("none,python", "none"), ("", "not a kind of stacks")],
)
def test_kinds_of_stacks_that_there_are_not(tmp_path: Path, stacks: str, said: str) -> None:
    ended = record(tmp_path, "--stacks", stacks, PYTHON, "-c", "")
    assert ended.returncode == 2 and said in ended.stderr
    assert list(tmp_path.iterdir()) == []


def test_python_stacks_need_its_objects_in_the_heap(tmp_path: Path) -> None:
    ended = record(tmp_path, "--stacks", "python", "--keep-pymalloc", PYTHON, "-c", "")
    assert ended.returncode == 2 and "--keep-pymalloc" in ended.stderr
