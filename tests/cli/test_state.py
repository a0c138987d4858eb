"""`snug doctor` and the report say whether a process is on the heap, and why its requests were refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import snugmalloc
from snugmalloc.engine.dropin import switch
from snugmalloc.engine.dropin.figures import STATS_VERSION
from snugmalloc.launch.diagnosis import Finding, bytes_text, diagnose, read_process
from snugmalloc.launch.inside import REASONS, STATES, UNDECIDED
from snugmalloc.options import OPTIONS, SWITCHED_ON

from ..builds import build_library
from .programs import PYTHON, snug

LIBRARY = snugmalloc.get_library("snugmalloc")
MIB = 1 << 20
REFUSED = """
import ctypes
libc = ctypes.CDLL(None)
libc.malloc.argtypes = [ctypes.c_size_t]
libc.malloc.restype = ctypes.c_void_p
for size, times in ((1 << 63, 3), (1 << 50, 2), (1 << 24, LIMITED)):
    for _ in range(times):
        assert libc.malloc(size) is None
"""
OFF = [
    ({"SNUG_DISABLE": "1"}, "off by SNUG_DISABLE"),
    ({"SNUG_DISABLE_FILE": "/dev/null"}, "off by SNUG_DISABLE_FILE"),
    ({"SNUG_EXCEPT": Path(PYTHON).name}, "off by SNUG_EXCEPT"),
    ({"SNUG_CANARY": "0"}, "off by SNUG_CANARY"),
]


@contextmanager
def running(code: str, python: str = PYTHON, **settings: str) -> Iterator[int]:
    """The process id of a preloaded Python that has run `code` and waits."""
    environment = {**os.environ, "LD_PRELOAD": LIBRARY, "PYTHONMALLOC": "malloc", **settings}
    with subprocess.Popen(
        [python, "-c", f"{code}\nprint('there', flush=True)\ninput()"],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None and process.stdout.readline() == b"there\n"
        yield process.pid
        process.communicate(b"\n")


def findings(pid: int) -> dict[str, list[Finding]]:
    """What the doctor finds, by name."""
    found: dict[str, list[Finding]] = {}
    for finding in diagnose(read_process(pid)):
        found.setdefault(finding.name, []).append(finding)
    return found


# ---- The doctor ----


def test_a_process_that_is_on_is_seen_with_what_it_keeps() -> None:
    code = "kept = [bytes(5000) for _ in range(20000)]; del kept[1::2]"
    with running(code, SNUG_PURGE_DELAY="1G") as pid:
        found = findings(pid)
    assert found["allocator"][0] == Finding("allocator", str(Path(LIBRARY).resolve()))
    assert found["snugmalloc"] == [Finding("snugmalloc", "on")]
    assert "refused" not in found
    (heap,) = found["heap"]
    assert " MiB in use or cached by threads, " in heap.value and " MiB free but kept, of " in heap.value


@pytest.mark.parametrize("free", [False, True])
def test_what_is_free_but_kept_is_what_the_heap_itself_says(free: bool) -> None:
    code = "kept = [bytes(5000) for _ in range(30000)]\n" + ("del kept[::2]" if free else "")
    code += "\nfrom snugmalloc import dropin\ns = dropin.stats()\nimport sys\n"
    code += (
        "sys.stderr.write(f'{s.free_bytes - s.purged_bytes + s.kept_bytes} {s.live_bytes + s.cached_bytes}')"
    )
    environment = {**os.environ, "LD_PRELOAD": LIBRARY, "PYTHONMALLOC": "malloc", "SNUG_PURGE_DELAY": "1G"}
    with subprocess.Popen(
        [sys.executable, "-c", f"{code}\nsys.stderr.flush(); print('there', flush=True)\ninput()"],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None and process.stdout.readline() == b"there\n"
        inside = read_process(process.pid).inside
        _, said = process.communicate(b"\n")
    free_bytes, live_bytes = map(int, said.split())
    assert inside is not None
    assert abs(inside.kept_free_bytes - free_bytes) < MIB
    assert abs(inside.live_bytes - live_bytes) < MIB
    assert (inside.kept_free_bytes > 60 * MIB) == free


def test_of_several_heaps_the_sum_is_seen() -> None:
    code = (
        "import threading\nkept = []\n"
        "def work(): kept.append([bytes(20_000) for _ in range(1000)])\n"
        "threads = [threading.Thread(target=work) for _ in range(4)]\n"
        "for thread in threads: thread.start()\n"
        "for thread in threads: thread.join()\n"
    )
    moving = str(build_library("snugmalloc", "shards"))  # threads move as if they always waited
    with running(code, LD_PRELOAD=moving, SNUG_HEAPS="4") as pid:
        inside = read_process(pid).inside
    assert inside is not None and inside.version == STATS_VERSION and inside.state == switch.ON
    assert inside.live_bytes > 80_000_000 and inside.system_bytes >= inside.heap_bytes > 80_000_000


@pytest.mark.parametrize(("settings", "state"), OFF)
def test_a_process_that_is_off_is_told_with_the_option(settings: dict[str, str], state: str) -> None:
    with running("", **settings) as pid:
        found = findings(pid)
    (allocator,) = found["allocator"]
    assert allocator.value.endswith(f", {state}: every call goes to the system's malloc")
    assert allocator.advice is not None and next(iter(settings)) in allocator.advice
    assert found["snugmalloc"] == [Finding("snugmalloc", state)]
    assert "heap" not in found


def test_refusals_are_told_by_reason() -> None:
    with running(REFUSED.replace("LIMITED", "1"), SNUG_LIMIT="16M") as pid:
        found = findings(pid)
    assert [finding.value for finding in found["refused"]] == [
        "1 request: the limit of SNUG_LIMIT",
        "3 requests: more than any program can have",
        "2 requests: no addresses for so many bytes",
    ]
    assert all(finding.advice for finding in found["refused"])


def test_a_library_that_is_only_imported_is_looked_into_too() -> None:
    code = "from snugmalloc import dropin\ndropin.malloc(5000)"
    with running(code, sys.executable, LD_PRELOAD="") as pid:
        found = findings(pid)
    assert "second heap" in found["allocator"][0].value and found["snugmalloc"][0].value == "on"


def test_the_command_tells_it() -> None:
    ended = snug("doctor", "--json", LD_PRELOAD=LIBRARY, SNUG_DISABLE="1")
    values = {finding["name"]: finding["value"] for finding in json.loads(ended.stdout)}
    assert values["snugmalloc"] == "off by SNUG_DISABLE" and values["setting"] == "SNUG_DISABLE=1"


def fake_process(root: Path, memory: bytes | None) -> Path:
    """A /proc with process 7, which has a file called as the library, and `memory` in that place."""
    folder = root / "proc/7"
    folder.mkdir(parents=True)
    (folder / "maps").write_text("10000-20000 r--p 00000000 08:01 2 /usr/lib/libsnugmalloc.so.0\n")
    (folder / "environ").write_text("LD_PRELOAD=/usr/lib/libsnugmalloc.so.0\0")
    (folder / "exe").symlink_to("/opt/bin/server")
    if memory is not None:
        (folder / "mem").write_bytes(bytes(0x10000) + memory)
    return root


@pytest.mark.parametrize(
    ("memory", "words"), [(None, "No such file or directory"), (b"\x7fELF", "the memory ends there")]
)
def test_memory_that_may_not_be_read_is_told(memory: bytes | None, words: str, tmp_path: Path) -> None:
    root = fake_process(tmp_path, memory)
    found = {finding.name: finding for finding in diagnose(read_process(7, root), root)}
    assert found["snugmalloc"].value == f"unknown: {words}"
    assert "try sudo" in (found["snugmalloc"].advice or "")


@pytest.mark.parametrize(
    "memory", [bytes(8192), b"\x7fELF\x02\x01" + bytes(8192), b"\x7fELF\x01\x01" + bytes(90)]
)
def test_another_file_of_that_name_is_no_trouble(memory: bytes, tmp_path: Path) -> None:
    process = read_process(7, fake_process(tmp_path, memory))
    assert (process.inside, process.obstacle) == (None, "")


def test_free_memory_beyond_what_is_used_is_worth_a_word() -> None:
    with running("") as pid:
        process = read_process(pid)
    for kept, advised in ((5 * MIB, False), (30 * MIB, False), (50 * MIB, True)):
        inside = UNDECIDED._replace(
            state=1, heap_bytes=40 * MIB, live_bytes=40 * MIB, kept_bytes=kept, system_bytes=100 * MIB
        )
        told = type(process)(**{**vars(process), "inside": inside})
        (heap,) = (finding for finding in diagnose(told) if finding.name == "heap")
        assert bytes_text(kept) in heap.value
        assert (heap.advice is not None) == advised


# ---- The report ----


def reported(tmp_path: Path, code: str, **settings: str) -> tuple[dict[str, Any], str]:
    """The report on a Python that runs `code`, as JSON and as text."""
    file = tmp_path / "report.json"
    ended = snug("run", "--report", "--json", file, "--", PYTHON, "-c", code, **settings, COLUMNS="200")
    assert ended.returncode == 0, ended.stderr
    return json.loads(file.read_text()), ended.stderr


@pytest.mark.parametrize(("settings", "state"), OFF)
def test_the_report_tells_that_a_process_was_off(settings: dict[str, str], state: str, tmp_path: Path) -> None:
    report, text = reported(tmp_path, "print()", **settings)
    assert f"{state}: every call went to the system's malloc" in text
    assert "snugmalloc was not in use in process" in text and "fragmentation" not in text
    assert report["library"]["in_use"] is False and report["library"]["state"] == state


def test_the_report_tells_refusals_by_reason(tmp_path: Path) -> None:
    report, text = reported(tmp_path, REFUSED.replace("LIMITED", "4"), SNUG_LIMIT="16M")
    heap = report["heap"]
    assert report["library"]["state"] == "on"
    assert (heap["refused_limit"], heap["refused_size"], heap["refused_addresses"]) == (4, 3, 2)
    assert sum(heap[reason.figure] for reason in REASONS) == heap["refused_requests"] == 9
    assert "3 returned NULL: more than any program can have" in text
    assert "vm.max_map_count" not in text


def test_without_refusals_there_is_no_line(tmp_path: Path) -> None:
    report, text = reported(tmp_path, "print()")
    assert report["heap"]["refused_requests"] == 0 and "refused" not in text


def test_a_child_that_was_off_is_not_counted_as_one_on_the_heap(tmp_path: Path) -> None:
    _, text = reported(tmp_path, "import subprocess; subprocess.run(['cat', '/dev/null'])", SNUG_EXCEPT="cat")
    (line,) = (line for line in text.splitlines() if line.strip().startswith("cat "))
    assert "not on snugmalloc" in line


# ---- The options that decide ----


def test_compare_measures_the_allocator_whatever_the_environment_says(tmp_path: Path) -> None:
    code = f"import ctypes, sys; f = (ctypes.c_size_t * 30)(); l = ctypes.CDLL({LIBRARY!r}); "
    code += "l.snug_stats(f, 240); sys.exit(f[29] != 1)"
    file = tmp_path / "comparison.json"
    settings = {"SNUG_DISABLE": "1", "SNUG_CANARY": "0", "SNUG_EXCEPT": Path(PYTHON).name}
    settings["SNUG_DISABLE_FILE"] = "/dev/null"
    command = [
        "compare",
        "-n",
        "1",
        "--allocators",
        "snugmalloc",
        "--json",
        str(file),
        "--",
        PYTHON,
        "-c",
        code,
    ]
    ended = snug(*command, **settings)
    assert ended.returncode == 0, ended.stderr
    assert all("error" not in series for series in json.loads(file.read_text())["allocators"])


def test_the_values_that_switch_on_are_taken() -> None:
    names = {option.variable: option for option in OPTIONS.values()}
    for variable, value in SWITCHED_ON.items():
        names[variable].check(value)


def test_every_state_has_words() -> None:
    header = Path(snugmalloc.get_include(), "snugmalloc.h").read_text()
    assert header.count("#define SNUG_STATE_") == len(STATES)
