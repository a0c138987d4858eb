"""`snug replay`: a trace on allocators in turn, and on simple policies."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from snugmalloc.cli.replay import over_time
from snugmalloc.cli.report import CURVE
from snugmalloc.launch.allocators import installed_names
from snugmalloc.play.contest import METRICS, Contest, Contestant, Series
from snugmalloc.play.plan import Plan
from snugmalloc.play.player import Run, Sample

from ..play.programs import program, write_trace
from .programs import snug

SHORT = "1: malloc 0xa 1000\n1: memalign 0xb 64 100\n1: free 0xa\n1: free 0xdead\n"
FEW = ("-n", "2", "--allocators", "osmem,snugmalloc")


@pytest.fixture
def short(tmp_path: Path) -> Path:
    """A trace of four calls, one of which cannot be played."""
    path = tmp_path / "short.txt"
    path.write_text(SHORT)
    return path


@pytest.fixture
def long(tmp_path: Path) -> Path:
    """A program of four threads."""
    return write_trace(tmp_path / "long.snug", program(5, 20_000, threads=4))


def replayed(*arguments: str | Path) -> dict[str, Any]:
    ended = snug("replay", "--json", "-", *arguments)
    assert (ended.returncode, ended.stderr) == (0, "")
    result: dict[str, Any] = json.loads(ended.stdout)
    return result


def test_the_json_has_its_documented_form(long: Path) -> None:
    result = replayed(*FEW, long)
    assert (result["trace"], result["calls"], result["threads"]) == ("long.snug", 20_000, 4)
    assert (result["runs"], result["baseline"], result["played_by_threads"]) == (2, "system", False)
    assert [entry["name"] for entry in result["allocators"]] == ["system", "osmem", "snugmalloc"]
    system = result["allocators"][0]
    for entry in result["allocators"]:
        assert set(entry) == {"name", "path", "version", "settings", "system_calls", "samples", *METRICS}
        assert Path(entry["path"]).exists()
        for metric in METRICS:
            figure = entry[metric]
            assert figure["min"] <= figure["median"] <= figure["max"]
            expected = figure["median"] / system[metric]["median"]
            assert figure["ratio_to_baseline"] == pytest.approx(expected)
        assert entry["peak_live_bytes"] == system["peak_live_bytes"]
        assert [sample["live_bytes"] for sample in entry["samples"]] == [
            sample["live_bytes"] for sample in system["samples"]
        ]
        assert len(entry["samples"]) == 256 and entry["samples"][-1]["call"] == 20_000
        assert entry["final_resident_bytes"]["median"] >= entry["samples"][-1]["live_bytes"]
    assert system["system_calls"] is None
    assert set(result["allocators"][1]["system_calls"]) == {"brk", "mmap", "munmap"}
    assert result["allocators"][2]["system_calls"]["brk"] >= 1


def test_all_that_are_installed_play_by_default(short: Path) -> None:
    names = [entry["name"] for entry in replayed("-n", "1", short)["allocators"]]
    assert names == [*installed_names(), "osmem"]


def test_options_play_beside_the_defaults(long: Path) -> None:
    result = replayed(*FEW, "--set", "purge_delay=0", "--set", "heaps=1", long)
    assert [(entry["name"], entry["settings"]) for entry in result["allocators"][2:]] == [
        ("snugmalloc", {}),
        ("snugmalloc purge_delay=0 heaps=1", {"purge_delay": "0", "heaps": "1"}),
    ]


def test_strace_counts_what_the_allocators_count_themselves(long: Path) -> None:
    own = replayed(*FEW, long)["allocators"][1]["system_calls"]
    system, osmem, ours = (entry["system_calls"] for entry in replayed(*FEW, "--strace", long)["allocators"])
    assert {name: osmem.get(name, 0) for name in own} == own
    assert system["brk"] > 0 and ours["brk"] > 0


def test_threads_play_what_one_plays(long: Path) -> None:
    one, many = replayed(*FEW, long), replayed(*FEW, "--threads", long)
    assert many["played_by_threads"]
    for alone, together in zip(one["allocators"], many["allocators"], strict=True):
        assert together["samples"][-1]["live_bytes"] == alone["samples"][-1]["live_bytes"]


@pytest.fixture
def timed(tmp_path: Path) -> Path:
    """A program of four threads that takes 400 milliseconds."""
    return write_trace(tmp_path / "timed.snug", program(5, 4000, threads=4), range(0, 400_000_000, 100_000))


@pytest.mark.parametrize("words", [(), ("--threads",)], ids=["alone", "threads"])
def test_paced_the_calls_take_the_time_that_they_took(timed: Path, words: tuple[str, ...]) -> None:
    result = replayed(*FEW, *words, timed, "--paced", "2")
    assert result["pace"] == 2
    for entry in result["allocators"]:
        assert entry["wall_s"]["min"] >= 0.199
        times = [sample["time_s"] for sample in entry["samples"]]
        assert times == sorted(times) and times[-1] >= 0.199
        assert entry["samples"][-1]["live_bytes"] == result["allocators"][0]["samples"][-1]["live_bytes"]
    assert "time_s" not in replayed(*FEW, timed)["allocators"][0]["samples"][0]


def test_the_table_of_a_paced_replay_is_over_time(timed: Path) -> None:
    ended = snug("replay", *FEW, timed, "--paced")
    assert (ended.returncode, ended.stderr) == (0, "")
    said = " ".join(ended.stdout.split())
    assert "4,000 calls of 4 threads, played by one thread at the pace of the recording; peak live" in said
    assert "resident over time" in said and "over the calls" not in said
    assert "played by one thread at 20 times the pace of the recording;" in " ".join(
        snug("replay", *FEW, "--paced=20", timed).stdout.split()
    )


def test_the_table_says_what_was_played_and_what_was_not(short: Path) -> None:
    ended = snug("replay", *FEW, "--map", short)
    assert (ended.returncode, ended.stderr) == (0, "")
    for line in (
        r"short.txt: 3 calls of 1 thread, played by one thread; peak live 1.1 KiB\.",
        r"Median of 2 runs each, and \(the ratio to the system's malloc\): .*",
        r"live +[▁▂▃▄▅▆▇█ ]+",
        r"Left out: 1 call that failed, or freed blocks older than the trace\.",
        r"The heap after 2 calls, when most was live:",
    ):
        assert re.search(f"^ *{line} *$", ended.stdout, re.MULTILINE), line
    for name in ("system", "osmem", "snugmalloc"):
        assert len(re.findall(f"^ {name} ", ended.stdout, re.MULTILINE)) == 2
    assert max(map(len, ended.stdout.splitlines())) <= 80


@pytest.mark.parametrize("words", [FEW, ("--policy", "all")], ids=["allocators", "policies"])
def test_without_unicode_there_are_no_curves(short: Path, words: tuple[str, ...]) -> None:
    ended = snug("replay", *words, short, PYTHONIOENCODING="ascii")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.isascii() and "over the calls" not in ended.stdout


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (
            ["poem.txt"],
            1,
            "snug: poem.txt: is neither a .snug trace nor text of memory_replay, mtrace or heaptrack",
        ),
        (["bad.txt"], 1, "snug: bad.txt, line 2: not a call: '1: free'"),
        (["empty.txt"], 1, "snug: empty.txt: contains no calls that can be played"),
        (["empty.txt", "--policy", "buddy"], 1, "snug: empty.txt: contains no calls that can be played"),
        (["two.zip"], 1, "snug: two.zip: File is not a zip file"),
        (
            ["huge.txt"],
            1,
            f"snug: huge.txt: on the system's malloc: call 1 of the trace was refused: {2**60} bytes",
        ),
        (
            ["short.txt", "--allocators", "sbrk"],
            1,
            "snug: there is no allocator 'sbrk' (there are system, snugmalloc, jemalloc, mimalloc, tcmalloc); "
            "any library can be given as sbrk=PATH",
        ),
        (
            ["short.txt", "--allocators", "pymalloc"],
            1,
            "snug: pymalloc: a trace is played on a malloc, and this is Python's own allocator",
        ),
        (
            ["short.txt", "--allocators", "osmem", "--set", "heaps=1"],
            1,
            "snug: options are snugmalloc's, which is not among the allocators",
        ),
        (
            ["short.txt", "--allocators", ","],
            2,
            "snug replay: Invalid value for '--allocators': the list is empty (see: snug replay --help)",
        ),
        (["short.txt", "--paced"], 1, "snug: short.txt: has no times, and can only be played without --paced"),
        (
            ["--paced", "short.txt"],
            2,
            "snug replay: Invalid value for '--paced': short.txt is no factor from 0.001 to 1000; where "
            "--paced has none, put it behind TRACE (see: snug replay --help)",
        ),
        (
            ["short.txt", "--paced=nan"],
            2,
            "snug replay: Invalid value for '--paced': nan is no factor from 0.001 to 1000; where --paced "
            "has none, put it behind TRACE (see: snug replay --help)",
        ),
        (
            ["short.txt", "--policy", "all", "--paced"],
            2,
            "snug replay: --policy goes with --json only: no allocator plays (see: snug replay --help)",
        ),
        (
            ["short.txt", "--policy", "quick-fit"],
            2,
            "snug replay: no policy is called 'quick-fit': there are best-fit, first-fit, next-fit, worst-fit, "
            "buddy, no-coalescing, and all (see: snug replay --help)",
        ),
        (
            ["short.txt", "--policy", "all", "--threads"],
            2,
            "snug replay: --policy goes with --json only: no allocator plays (see: snug replay --help)",
        ),
    ],
)
def test_what_is_wrong_is_told_in_one_line(
    short: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], status: int, message: str
) -> None:
    monkeypatch.chdir(short.parent)
    for name, text in {
        "poem.txt": "Two roads diverged\n",
        "bad.txt": "1: malloc 0xa 1\n1: free\n",
        "empty.txt": "1: thread_done 0x0\n",
        "two.zip": "no zip\n",
        "huge.txt": f"1: malloc 0xa {2**60}\n",
    }.items():
        Path(name).write_text(text)
    ended = snug("replay", *arguments)
    assert (ended.returncode, ended.stdout, ended.stderr) == (status, "", f"{message}\n")


REFUSING = """
#include <errno.h>
#include <string.h>
static char room[64 << 20];
static size_t used;
void *malloc(size_t n)
{
    size_t *p = (size_t *)(room + used);
    used += (n + 31) / 16 * 16;
    *p = n;
    return p + 2;
}
void *calloc(size_t n, size_t m) { return malloc(n * m); }
void *realloc(void *p, size_t n)
{
    void *q = malloc(n);
    size_t old = p ? ((size_t *)p)[-2] : 0;
    return p ? memcpy(q, p, old < n ? old : n) : q;
}
void free(void *p) { (void)p; }
int posix_memalign(void **p, size_t a, size_t n) { (void)p; (void)a; (void)n; return ENOMEM; }
"""


@pytest.mark.parametrize("resident", [0, 10_000, 500_000])
def test_what_is_live_may_be_more_than_what_the_kernel_says_is_resident(resident: int) -> None:
    """The kernel adds up what is resident on each processor now and then only: small changes may be missing."""
    samples = tuple(Sample(step, 10_000, resident, 0.0) for step in range(8))
    run = Run(8, 1.0, 1.0, 0, samples, 10_000, None, None)
    table = over_time(Contest(Plan("a"), 1, (Series(Contestant("system", None), [run]),)), 8)
    names, curves = ([str(cell) for cell in column.cells] for column in table.columns[:2])
    assert names == ["live", "system"]
    assert set(curves[0]) == {CURVE[-1]} if resident <= 10_000 else {CURVE[0]}
    assert set(curves[1]) == {CURVE[-1]} if resident >= 10_000 else {CURVE[0]}


def test_an_allocator_that_fails_is_told_and_the_others_go_on(short: Path, tmp_path: Path) -> None:
    """Its malloc only grows, and its posix_memalign refuses."""
    source, library = tmp_path / "refusing.c", tmp_path / "librefusing.so"
    source.write_text(REFUSING)
    subprocess.run(["gcc", "-shared", "-fPIC", "-fno-builtin", "-o", library, source], check=True)
    ended = snug("replay", "-n", "2", "--allocators", f"refusing={library}", short)
    assert (ended.returncode, ended.stderr) == (1, "")
    assert "refusing failed: call 2 of the trace was refused: 100 bytes" in ended.stdout
    assert "Median of 2 runs each" in ended.stdout


def test_policies_play_as_a_table_and_as_json(long: Path) -> None:
    ended = snug("replay", "--policy", "all", long)
    assert (ended.returncode, ended.stderr) == (0, "")
    names = ["best-fit", "first-fit", "next-fit", "worst-fit", "buddy", "no-coalescing"]
    for name in names:
        assert len(re.findall(f"^ {name} ", ended.stdout, re.MULTILINE)) == 2
    assert max(map(len, ended.stdout.splitlines())) <= 80
    printed = json.loads(snug("replay", "--policy", "buddy,best-fit", "--json", "-", long).stdout)
    assert (printed["trace"], printed["calls"]) == ("long.snug", 20_000)
    assert [entry["name"] for entry in printed["policies"]] == ["buddy", "best-fit"]
    for entry in printed["policies"]:
        parts = ("peak_live_bytes", "rounding_at_peak_bytes", "holes_at_peak_bytes")
        assert entry["line_at_peak_bytes"] == sum(entry[part] for part in parts)
        assert len(entry["samples"]) == 256
