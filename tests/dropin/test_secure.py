"""Processes that may more than those who started them: nothing that is in their environment is obeyed."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

import snugmalloc
from snugmalloc.engine import SimulatedMachine
from snugmalloc.launch.launcher import launcher_path
from snugmalloc.options import OPTIONS

from .conftest import Compile, numbers
from .heaps import InterpretedHeap

NOBODY = 65534
COMPANION = launcher_path().with_name("libsnug-run.so")
VALUES = {
    "limit": "500M",
    "mmap_threshold": "1M",
    "prealloc": "64M",
    "purge_delay": "1G",
    "thread_cache": "0",
    "align": "8",
    "harden": "1",
    "fill": "1",
    "background": "1",
    "heaps": "1",
    "stats": "1",
    "disable": "1",
    "disable_file": "/dev/null",
    "except": "secure",
    "canary": "0",
    "publish": "{folder}",
    "deepbind": "1",
    "record": "{folder}/of.snug",
    "record_follow": "1",
    "record_sample": "512K",
    "record_stacks": "python",
}
UNSEEN = {"align", "deepbind", "heaps", "prealloc", "record_follow", "record_sample", "record_stacks"}
"""What they do alone is not among what the program tells (the loader asks for the heap's first step)."""


def set_group_id(program: Path) -> Path:
    """A copy of the program that runs with a group that its caller has not; else the test is skipped."""
    copy = program.with_name(f"{program.name}-set-group-id")
    if not copy.exists():
        others = [NOBODY] if os.geteuid() == 0 else [group for group in os.getgroups() if group != os.getgid()]
        if not others:
            pytest.skip("needs root, or a second group")
        copy.write_bytes(program.read_bytes())
        os.chown(copy, -1, others[0])
        copy.chmod(0o2755)
    return copy


def run(program: Path, *words: str | Path, **settings: str) -> subprocess.CompletedProcess[str]:
    command = ["secure", *words]
    return subprocess.run(command, executable=program, env=settings, capture_output=True, text=True, check=True)


def linked_to(compile_program: Compile, name: str, *libraries: Path) -> Path:
    """A program with the libraries, which needs no LD_PRELOAD: the loader would not heed it."""
    include = f"-I{snugmalloc.get_include()}"
    paths = [f"-Wl,-rpath,{library.parent}" for library in libraries]
    return compile_program(name, include, "-Wl,--no-as-needed", *libraries, *paths)


def told_by(program: Path, folder: Path, **settings: str) -> dict[str, int]:
    """What the program tells of its options; `files` is how many it has left."""
    folder.mkdir()
    ended = run(program, folder, **{name: value.format(folder=folder) for name, value in settings.items()})
    assert ended.stderr == ""
    return numbers(ended) | {"files": len(list(folder.iterdir()))}


@pytest.fixture
def secure(compile_program: Compile, library: Path) -> Path:
    """The program that tells, with a group of its own."""
    program = set_group_id(linked_to(compile_program, "secure.c", library))
    if not numbers(run(program))["secure"]:
        pytest.skip("set-group-id programs are ordinary ones here")
    return program


def test_each_option_has_a_value_here() -> None:
    assert VALUES.keys() == OPTIONS.keys()


@pytest.mark.parametrize("option", OPTIONS)
def test_an_option_counts_for_nothing(
    option: str, secure: Path, compile_program: Compile, library: Path, tmp_path: Path
) -> None:
    plain = linked_to(compile_program, "secure.c", library)
    setting = {OPTIONS[option].variable: VALUES[option]}
    without = told_by(plain, tmp_path / "without")
    assert without.items() >= {"secure": 0, "state": 1, "published": 0, "files": 0}.items()
    if option not in UNSEEN:
        assert told_by(plain, tmp_path / "obeyed", **setting) != without
    assert told_by(secure, tmp_path / "secure", **setting) == without | {"secure": 1}


def test_so_do_all_together_and_what_is_no_option(
    secure: Path, compile_program: Compile, library: Path, tmp_path: Path
) -> None:
    settings = {OPTIONS[option].variable: value for option, value in VALUES.items()}
    told = told_by(secure, tmp_path / "all", **settings, SNUG_NONE="1", _SNUG_RECORD_PROCESS="1")
    assert told == told_by(secure, tmp_path / "none")


def test_no_report_is_written_for_the_launcher(
    compile_program: Compile, library: Path, secure: Path, tmp_path: Path
) -> None:
    program = linked_to(compile_program, "secure.c", library, COMPANION)
    run(program, _SNUG_RUN_REPORT=str(tmp_path))
    (report,) = tmp_path.iterdir()
    report.unlink()
    run(set_group_id(program), _SNUG_RUN_REPORT=str(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_the_four_functions_are_not_hardened(secure: Path, tmp_path: Path) -> None:
    source, program = tmp_path / "twice.c", tmp_path / "twice"
    source.write_text(
        "#include <osmem.h>\nint main(void) { void *p = os_malloc(9); os_free(p); os_free(p); }\n"
    )
    library = Path(snugmalloc.get_library("osmem"))
    flags = [f"-I{snugmalloc.get_include()}", f"-Wl,-rpath,{library.parent}"]
    subprocess.run(["gcc", *flags, "-o", program, source, library], check=True)
    assert subprocess.run([program], env={"SNUG_HARDEN": "1"}, capture_output=True).returncode < 0
    run(set_group_id(program), SNUG_HARDEN="1")


# ---- Interpreted ----


def test_interpreted_nothing_is_read_or_told() -> None:
    environment = {OPTIONS[option].variable: value for option, value in VALUES.items()} | {"SNUG_NONE": "1"}
    machine = SimulatedMachine(
        environment={name.encode(): value.encode() for name, value in environment.items()},
        secure=True,
        folders={b"{folder}"},
        files={b"/dev/null"},
    )
    heap, other = InterpretedHeap(machine), InterpretedHeap(SimulatedMachine())
    for one in (heap, other):
        one.free(one.malloc(100))
    engine = heap.engine
    for name in (
        "mmap_threshold",
        "prealloc",
        "purge_delay",
        "thread_cache",
        "max_heaps",
        "is_hardened",
        "fills_memory",
        "wants_helper",
        "is_recording",
        "is_publishing",
        "is_off",
    ):
        assert getattr(engine, name)() == getattr(other.engine, name)(), name
    assert heap.figure("limit_bytes") == 0 and heap.figure("counting") == 0 and heap.figure("state") == 1
    assert (machine.warnings, machine.records, machine.own_files) == ([], {}, [])
