"""Processes that are off: every call goes to libc, and what came before that was known still goes back."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import snugmalloc
from snugmalloc.engine import SimulatedMachine

from ..targets import Run, Target
from .conftest import FLAGS, SOURCES, Compile, numbers
from .heaps import InterpretedHeap
from .test_family import GLIBC_ONLY, GROUPS
from .test_stress import MODES

UNDECIDED, ON, DISABLED, BY_FILE, EXCEPTED, NOT_CHOSEN = range(6)
INCLUDE = f"-I{snugmalloc.get_include()}"


@pytest.fixture(scope="session")
def switched(
    target: Target, compile_program: Compile, library: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """`switched.c` with blocks from before the environment was known: to preload into, and linked to the
    library."""
    folder = tmp_path_factory.mktemp("early")
    early = folder / "libearly.so"
    command = [f"{target.compiler_prefix}gcc", "-shared", "-fPIC", "-Wl,-z,initfirst", INCLUDE]
    subprocess.run([*command, *FLAGS, "-o", early, SOURCES / "early.c"], check=True)
    paths = [f"-Wl,-rpath,{early.parent}", f"-Wl,-rpath,{library.parent}"]
    return {
        "preloaded": compile_program("switched.c", INCLUDE, early, *paths),
        "linked": compile_program("switched.c", INCLUDE, library, early, *paths),
    }


@pytest.mark.parametrize("way", ["preloaded", "linked"])
@pytest.mark.parametrize(
    "others",
    [
        {},
        {"SNUG_HARDEN": "1"},
        {"SNUG_FILL": "1", "SNUG_STATS": "1", "SNUG_BACKGROUND": "1"},
        {"SNUG_LIMIT": "1M", "SNUG_THREAD_CACHE": "0"},
    ],
    ids=lambda others: "-".join(others) or "alone",
)
def test_calls_go_to_libc_and_early_blocks_to_the_heap(
    way: str, others: dict[str, str], switched: dict[str, Path], run: Run, library: Path
) -> None:
    on = library if way == "preloaded" else None
    run(switched[way], str(DISABLED), on=on, SNUG_DISABLE="1", **others)


def test_so_they_do_with_every_invariant_checked(
    switched: dict[str, Path], run: Run, checking_library: Path
) -> None:
    run(switched["preloaded"], str(DISABLED), on=checking_library, SNUG_DISABLE="1")


def test_a_program_that_is_executed_decides_anew(switched: dict[str, Path], run: Run, library: Path) -> None:
    run(switched["preloaded"], str(DISABLED), str(ON), on=library, SNUG_DISABLE="1")


@pytest.mark.parametrize("group", GROUPS)
def test_the_family_keeps_its_rules_when_off(
    group: str, compile_program: Compile, run: Run, library: Path
) -> None:
    run(compile_program("family.c"), group, on=library, SNUG_DISABLE="1")


@pytest.mark.parametrize("group", [group for group in GROUPS if group not in GLIBC_ONLY])
def test_so_do_the_twins(group: str, compile_program: Compile, run: Run, library: Path) -> None:
    program = compile_program("family.c", "-DTWINS", INCLUDE, library, f"-Wl,-rpath,{library.parent}")
    run(program, group, SNUG_DISABLE="1")


def test_operators_new_and_delete_hold_when_off(compile_program: Compile, run: Run, library: Path) -> None:
    run(compile_program("operators.cpp"), on=library, SNUG_DISABLE="1")
    run(compile_program("operators.cpp", library, f"-Wl,-rpath,{library.parent}"), SNUG_DISABLE="1")


# ---- Which option says so ----


TELL_STATE = """
import ctypes
figures = (ctypes.c_size_t * 30)()
ctypes.CDLL(None).snug_stats(figures, ctypes.sizeof(figures))
print("state", figures[29])
"""


def state_of(run: Run, library: Path, program: str | Path, *arguments: str, **settings: str) -> int:
    """What a Python program that ends with TELL_STATE says."""
    return numbers(run(program, *arguments, on=library, **settings))["state"]


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """A program that prints its state, by its own name of more than 15 letters."""
    path = tmp_path / "a-program-with-a-long-name.py"
    path.write_text(f"#!{sys.executable}\n{TELL_STATE}")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    ("settings", "state"),
    [
        ({}, ON),
        ({"SNUG_DISABLE": "0"}, ON),
        ({"SNUG_DISABLE": "1"}, DISABLED),
        ({"SNUG_DISABLE_FILE": "/nonexistent"}, ON),
        ({"SNUG_DISABLE_FILE": "/dev/null"}, BY_FILE),
        ({"SNUG_CANARY": "100"}, ON),
        ({"SNUG_CANARY": "0"}, NOT_CHOSEN),
        ({"SNUG_CANARY": "0", "SNUG_DISABLE_FILE": "/dev/null"}, BY_FILE),
        ({"SNUG_EXCEPT": ""}, ON),
        ({"SNUG_EXCEPT": "a-program-with-a-long-name.py"}, EXCEPTED),
        ({"SNUG_EXCEPT": "java,a-program-with-a-long-name.py,perl"}, EXCEPTED),
        ({"SNUG_EXCEPT": "java, a-program-with-a-long-name.py"}, EXCEPTED),
        ({"SNUG_EXCEPT": "a-program-with"}, ON),
        ({"SNUG_EXCEPT": "a-program-with-a-long-name.pyx"}, ON),
        ({"SNUG_EXCEPT": os.path.basename(sys.executable)}, EXCEPTED),
        ({"SNUG_EXCEPT": os.path.basename(os.path.realpath(sys.executable))}, EXCEPTED),
        ({"SNUG_EXCEPT": "java", "SNUG_CANARY": "0"}, NOT_CHOSEN),
    ],
    ids=lambda value: (
        "-".join(f"{name}-{text}" for name, text in value.items()).replace("/", "_")
        if isinstance(value, dict)
        else str(value)
    ),
)
def test_each_option_says_so(
    settings: dict[str, str], state: int, script: Path, run: Run, library: Path
) -> None:
    assert state_of(run, library, script, **settings) == state


@pytest.mark.parametrize(
    "setting",
    ["SNUG_DISABLE=2", "SNUG_DISABLE=yes", "SNUG_CANARY=101", "SNUG_CANARY=5%", "SNUG_EXCEPT=/bin/java"],
)
def test_a_value_that_is_none_is_told_and_ignored(setting: str, script: Path, run: Run, library: Path) -> None:
    name, value = setting.split("=")
    ended = run(script, on=library, **{name: value})
    assert ended.stderr == f"snugmalloc: not a value of this option, ignored: {setting}\n"
    assert numbers(ended)["state"] == ON


FORK_AND_EXECUTE = (
    f"import os, subprocess, sys\ntell = '''{TELL_STATE}'''\n"
    """
for path in sys.argv[1:]:
    os.rename(path, path + ".moved")
child = os.fork()
if child == 0:
    exec(tell.replace("state", "forked"))
    sys.stdout.flush()
    os._exit(0)
os.waitpid(child, 0)
subprocess.run([sys.executable, "-c", tell.replace("state", "executed")])
exec(tell)
"""
)


def test_a_forked_child_stays_and_an_executed_one_decides_anew(run: Run, library: Path, tmp_path: Path) -> None:
    switch = tmp_path / "off"
    switch.touch()
    ended = run(
        sys.executable, "-u", "-c", FORK_AND_EXECUTE, str(switch), on=library, SNUG_DISABLE_FILE=str(switch)
    )
    assert numbers(ended) == {"forked": BY_FILE, "executed": ON, "state": BY_FILE}


# ---- On the simulated machine ----


def state_on(**settings: str) -> int:
    """The state of a process with these options."""
    return switched_heap(**settings).figure("state")


def switched_heap(**settings: str) -> InterpretedHeap:
    machine = SimulatedMachine()
    machine.environment = {f"SNUG_{name}".encode(): text.encode() for name, text in settings.items()}
    return InterpretedHeap(machine)


def fnv(data: bytes) -> int:
    value = 0xCBF29CE484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 % 2**64
    return value


@pytest.mark.parametrize("share", [1, 5, 50, 99])
def test_the_canary_takes_its_share_by_the_hash_that_is_documented(share: int) -> None:
    taken = 0
    for started in range(0, 40_000, 97):
        machine = SimulatedMachine(host=b"web-1", program=(b"java", b"", b""), started=started)
        machine.environment[b"SNUG_CANARY"] = str(share).encode()
        is_on = InterpretedHeap(machine).figure("state") == ON
        assert is_on == (fnv(b"web-1\0java\0%d" % started) % 100 < share)
        taken += is_on
    assert abs(taken / (40_000 / 97) - share / 100) < 0.06


def test_what_the_canary_takes_depends_on_host_and_program() -> None:
    def chosen(host: bytes, program: bytes) -> list[bool]:
        states = []
        for started in range(60):
            machine = SimulatedMachine(host=host, program=(program, b"", b""), started=started)
            machine.environment[b"SNUG_CANARY"] = b"50"
            states.append(InterpretedHeap(machine).figure("state") == ON)
        return states

    assert len({tuple(chosen(host, name)) for host in (b"a", b"b") for name in (b"c", b"d")}) == 4


@pytest.mark.parametrize(
    "names", ["program", "java,program", "program,java", ",,program,", "java,  program", "interpreter", "arg"]
)
def test_any_name_of_the_program_counts(names: str) -> None:
    heap = switched_heap(EXCEPT=names)
    heap.machine.program = (b"program", b"interpreter", b"arg")
    assert heap.figure("state") == EXCEPTED


@pytest.mark.parametrize("names", ["", ",", "prog", "programs", "java", "pro,gram", "xprogram"])
def test_no_other_does(names: str) -> None:
    assert state_on(EXCEPT=names) == ON


def test_off_every_function_calls_libcs() -> None:
    heap = switched_heap(DISABLE="1", HARDEN="1", FILL="1", STATS="1", BACKGROUND="1")
    machine, engine = heap.machine, heap.engine
    pointers = [heap.malloc(size) for size in (0, 1, 24, 500, 5000, 200_000, 50 << 20)]
    pointers += [heap.calloc(1, size) for size in (0, 1, 24, 500, 5000, 200_000)]
    pointers += [heap.aligned_alloc(alignment, 100) for alignment in (16, 64, 8192)]
    assert set(pointers) == set(machine.libc_blocks)
    assert heap.usable(pointers[2]) == 24
    heap.write(pointers[2], b"x" * 24)
    pointers[2] = heap.realloc(pointers[2], 70_000)
    assert heap.read(pointers[2], 24) == b"x" * 24
    assert heap.realloc(pointers.pop(), 0) == 0
    for pointer in pointers:
        heap.free(pointer)
    assert not machine.libc_blocks
    heap.trim(0)
    engine.snug_mallopt(-3, 1 << 20)
    assert machine.libc_calls[-2:] == ["malloc_trim", "mallopt"]
    assert machine.helpers == 0 and heap.figure("malloc_calls") == 0
    assert [call.name for call in machine.log] == []


class EarlyMachine(SimulatedMachine):
    """A machine whose environment is not known at first."""

    is_early = True

    def environment_entry(self, index: int) -> int | None:
        return None if self.is_early else super().environment_entry(index)


@pytest.mark.parametrize("size", [1, 24, 500, 600, 5000, 200_000, 3 << 20])
@pytest.mark.parametrize("then", ["free", "grow", "shrink", "calloc"])
def test_early_blocks_are_the_heaps(size: int, then: str) -> None:
    machine = EarlyMachine(environment={b"SNUG_DISABLE": b"1"})
    heap = InterpretedHeap(machine)
    early = heap.malloc(size)
    heap.write(early, b"e" * size)
    assert heap.figure("state") == UNDECIDED and not machine.libc_blocks
    machine.is_early = False
    late = heap.calloc(1, size) if then == "calloc" else heap.malloc(size)
    assert late in machine.libc_blocks and heap.figure("state") == DISABLED
    assert heap.usable(early) >= size and heap.usable(late) == size
    if then in ("grow", "shrink"):
        new_size = size * 5 if then == "grow" else (size + 1) // 2
        early = heap.realloc(early, new_size)
        assert heap.read(early, min(size, new_size)) == b"e" * min(size, new_size)
    heap.free(early)
    heap.free(late)
    assert heap.check() == 0
    assert not machine.libc_blocks and heap.figure("live_blocks") == 0


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: "-".join(mode) or "plain")
def test_threads_and_forks_work_when_off(
    mode: list[str], compile_program: Compile, run: Run, library: Path
) -> None:
    run(compile_program("stress.c"), "4", "20000", "7", *mode, on=library, SNUG_DISABLE="1")


def test_allocation_works_at_the_edges_of_a_programs_life_when_off(
    compile_program: Compile, run: Run, library: Path
) -> None:
    assert run(compile_program("edges.c"), on=library, SNUG_DISABLE="1").stdout == "end\n"
