"""What can be preloaded into, which program is a Python, and what the loader can read."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from snugmalloc.launch.elf import read_dynamic_strings, read_elf
from snugmalloc.launch.launcher import launcher_path
from snugmalloc.launch.preload import additions, preload_entry, preload_list
from snugmalloc.launch.program import ProgramError, find_program

from .programs import (
    AARCH64,
    PYTHON,
    TRUE,
    make_foreign,
    make_python,
    make_python_binary,
    make_script,
    make_set_user_id,
    make_static,
)

LIBRARY = launcher_path().with_name("libsnug-run.so")


def refusal(*words: str) -> ProgramError:
    with pytest.raises(ProgramError) as raised:
        find_program(words).check_preload(LIBRARY)
    return raised.value


def test_an_ordinary_program_can_be_preloaded_into() -> None:
    find_program([str(TRUE)]).check_preload(LIBRARY)


def test_a_static_program_cannot(tmp_path: Path) -> None:
    error = refusal(str(make_static(tmp_path)))
    assert "statically linked" in str(error) and error.status == 126


def test_a_program_of_another_architecture_cannot(tmp_path: Path) -> None:
    error = refusal(str(make_foreign(tmp_path)))
    assert "aarch64, 64-bit" in str(error) and error.status == 126


def test_a_set_user_id_program_cannot(tmp_path: Path) -> None:
    error = refusal(str(make_set_user_id(tmp_path)))
    assert "privileges" in str(error) and error.status == 126


def test_a_script_of_a_static_interpreter_cannot(tmp_path: Path) -> None:
    assert "statically linked" in str(refusal(str(make_script(tmp_path, f"#!{make_static(tmp_path)}"))))


def test_a_text_without_an_interpreter_cannot(tmp_path: Path) -> None:
    assert "neither an ELF program nor a script" in str(refusal(str(make_script(tmp_path, "echo"))))


def test_what_is_not_there_or_not_a_program_is_told(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.write_text("x")
    assert refusal("nosuchprogram").status == 127
    assert (str(refusal(str(tmp_path))), refusal(str(tmp_path)).status) == (f"{tmp_path} is a folder", 126)
    assert (str(refusal(str(plain))), refusal(str(plain)).status) == (f"{plain} is not executable", 126)


def test_the_beginning_of_a_program_is_told_as_what_it_is(tmp_path: Path) -> None:
    cut = tmp_path / "cut"
    for length in range(4, 120):
        cut.write_bytes(TRUE.read_bytes()[:length])
        cut.chmod(0o755)
        error = refusal(str(cut))
        assert (str(error), error.status) == (f"{cut}: a truncated ELF file", 126)


def test_a_damaged_program_is_told_or_run_but_never_more(tmp_path: Path) -> None:
    whole, damaged = TRUE.read_bytes(), tmp_path / "damaged"
    for place in range(4, 64 + 13 * 56):
        damaged.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        damaged.chmod(0o755)
        try:
            find_program([str(damaged)]).check_preload(LIBRARY)
            read_dynamic_strings(damaged)
        except (ProgramError, OSError) as error:
            assert str(error)


def test_an_object_file_is_no_program(tmp_path: Path) -> None:
    subprocess.run(["gcc", "-c", "-x", "c", "/dev/null", "-o", tmp_path / "part.o"], check=True)
    (tmp_path / "part.o").chmod(0o755)
    assert "neither a program nor a library" in str(refusal(str(tmp_path / "part.o")))


def test_a_script_is_followed_as_far_as_linux_does(tmp_path: Path) -> None:
    shutil.copy(TRUE, tmp_path / "0")
    for depth in range(1, 7):
        make_script(tmp_path, f"#!{tmp_path}/{depth - 1}", str(depth))
    subprocess.run([tmp_path / "5"], check=True)
    find_program([str(tmp_path / "5")]).check_preload(LIBRARY)
    with pytest.raises(OSError, match="symbolic links"):
        subprocess.run([tmp_path / "6"], check=True)
    assert "Linux follows 5 of them" in str(refusal(str(tmp_path / "6")))


def test_a_script_that_is_its_own_interpreter_is_told(tmp_path: Path) -> None:
    loop = make_script(tmp_path, f"#!{tmp_path}/loop", "loop")
    error = refusal(str(loop))
    assert (str(error).startswith(f"{loop}: a script, its interpreter too"), error.status) == (True, 126)


def test_what_cannot_be_a_program_is_told(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o755)
    assert "not a regular file" in str(refusal(str(tmp_path / "pipe")))
    plain = make_script(tmp_path, "x", "plain")
    plain.chmod(0o644)
    assert f"{plain}: not executable" in str(refusal(str(make_script(tmp_path, f"#!{plain}"))))
    assert f"{tmp_path}: not a regular file" in str(refusal(str(make_script(tmp_path, f"#!{tmp_path}"))))
    assert str(refusal("")) == "'': no such program"


def test_the_loader_can_be_preloaded_into_and_what_it_runs_is_seen(tmp_path: Path) -> None:
    loader = str(read_loader(TRUE))
    find_program([loader]).check_preload(LIBRARY)
    find_program([loader, "--library-path", "/lib", str(TRUE)]).check_preload(LIBRARY)
    assert find_program([loader, PYTHON, "-c", ""]).is_python
    assert "statically linked" in str(refusal(loader, str(make_static(tmp_path))))
    ended = subprocess.run(
        [loader, shutil.which("cat") or "cat", "/proc/self/maps"],
        env={"LD_PRELOAD": str(LIBRARY)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert str(LIBRARY) in ended.stdout


def read_loader(program: Path) -> str:
    header = read_elf(program)
    assert header is not None and header.loader is not None
    return header.loader


def test_the_names_that_a_program_gives_to_the_loader() -> None:
    assert b"\0libc.so.6\0" in read_dynamic_strings(TRUE)
    assert b"__libc_start_main" in read_dynamic_strings(TRUE)


def test_an_interpreter_that_is_not_there_is_told(tmp_path: Path) -> None:
    assert "/nosuch/python: No such file" in str(refusal(str(make_script(tmp_path, "#!/nosuch/python"))))


@pytest.mark.parametrize(
    "first_line",
    [
        f"#!{sys.executable}",
        f"#! {sys.executable} -u",
        "#!/usr/bin/env python3",
        "#!/usr/bin/env -S PYTHONUNBUFFERED=1 python3 -X dev",
    ],
)
def test_a_script_of_python_is_a_python_program(first_line: str, tmp_path: Path) -> None:
    assert find_program([str(make_script(tmp_path, first_line))]).is_python


def test_python_by_a_link_of_another_name_is_a_python_program(tmp_path: Path) -> None:
    (tmp_path / "service").symlink_to(PYTHON)
    assert find_program([str(tmp_path / "service")]).is_python


def test_other_programs_are_not_python(tmp_path: Path) -> None:
    assert not find_program([str(make_script(tmp_path, "#!/bin/sh"))]).is_python
    assert not find_program(["sh"]).is_python


@pytest.mark.parametrize(
    ("name", "expected"),
    [("python3.13t", True), ("python3.14td", True), ("python3.13", False), ("python3", False)],
)
def test_a_free_threaded_python_is_known_by_its_file(name: str, expected: bool, tmp_path: Path) -> None:
    shutil.copy(TRUE, tmp_path / name)
    (tmp_path / "python").symlink_to(name)
    program = find_program([str(tmp_path / "python")])
    assert program.is_python
    assert program.is_free_threaded == expected


@pytest.mark.parametrize("library", [None, "libpython3.14t.so.1.0", "libpython3.14.so.1.0"])
@pytest.mark.parametrize("is_free_threaded", [True, False])
def test_a_free_threaded_python_is_known_by_what_it_exports_or_needs(
    is_free_threaded: bool, library: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_python_binary(tmp_path / "python3.14", is_free_threaded=is_free_threaded, library=library)
    (tmp_path / "python").symlink_to("python3.14")
    expected = is_free_threaded if library is None else library.startswith("libpython3.14t")
    monkeypatch.chdir(tmp_path)
    for name in (str(tmp_path / "python"), "./python", "./python3.14"):
        assert find_program([name]).is_free_threaded == expected


def test_a_script_in_the_place_of_python_is_asked_and_no_other_of_that_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_python(tmp_path, "python3", is_free_threaded=True)
    monkeypatch.chdir(tmp_path)
    assert find_program(["./python3"]).is_free_threaded


def test_the_pythons_of_this_machine_have_the_gil_as_they_say() -> None:
    interpreters = {
        shutil.which(name) for name in ("python3", "python", sys.executable, "/usr/bin/python3")
    } - {None}
    for interpreter in map(str, interpreters):
        ask = "import sysconfig; print(bool(sysconfig.get_config_var('Py_GIL_DISABLED')))"
        asked = subprocess.run([interpreter, "-c", ask], capture_output=True, text=True, check=True)
        assert str(find_program([interpreter]).is_free_threaded) == asked.stdout.strip()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("-I", True),
        ("-Es", True),
        ("-uE -c pass", True),
        ("-W ignore -I", True),
        ("-Wignore -X dev -E", True),
        ("-W E", False),
        ("-X dev app.py -I", False),
        ("-c I", False),
        ("-cI", False),
        ("-u", False),
        ("--version", False),
        ("- -I", False),
        ("", False),
    ],
)
def test_a_python_that_reads_no_settings_is_known(options: str, expected: bool, tmp_path: Path) -> None:
    words = options.split()
    assert find_program([PYTHON, *words]).ignores_python_settings == expected
    for first_line in (f"#!{PYTHON} {options}", f"#!/usr/bin/env -S A=b python3 {options}"):
        assert find_program([str(make_script(tmp_path, first_line)), "-I"]).ignores_python_settings == expected


def test_the_header_of_a_program_and_of_a_library(tmp_path: Path) -> None:
    program, library = read_elf(TRUE), read_elf(LIBRARY)
    assert program is not None and library is not None
    assert program.loader is not None and Path(program.loader).exists()
    assert library.loader is None and library.dynamic
    assert program.runs_with(library)
    foreign = read_elf(make_foreign(tmp_path))
    assert foreign is not None and foreign.machine == AARCH64 and not foreign.runs_with(library)
    assert read_elf(make_script(tmp_path, "#!/bin/sh")) is None


@pytest.mark.parametrize("name", ["with space", "with:colon", "with both : of them"])
def test_a_path_that_the_loader_would_split_is_named_by_a_link(name: str, tmp_path: Path) -> None:
    folder = tmp_path / name
    folder.mkdir()
    library = folder / "libsnug-run.so"
    shutil.copy(LIBRARY, library)
    entry = preload_entry(library)
    assert " " not in entry and ":" not in entry
    assert Path(entry).resolve() == library
    assert preload_entry(library) == entry
    assert os.lstat(Path(entry).parent).st_mode & 0o077 == 0
    maps = subprocess.run(
        ["cat", "/proc/self/maps"], env={"LD_PRELOAD": entry}, capture_output=True, text=True, check=True
    )
    assert (str(library) in maps.stdout, maps.stderr) == (True, "")


def test_an_ordinary_path_is_named_as_it_is() -> None:
    assert preload_entry(LIBRARY) == str(LIBRARY)


def test_other_allocators_leave_the_list_and_other_libraries_stay() -> None:
    present = "/usr/lib/libjemalloc.so.2 libfaketime.so:/x/libmimalloc.so.2.0:/opt/libtcmalloc_minimal.so.4"
    assert preload_list([LIBRARY], present) == f"{LIBRARY}:libfaketime.so"


def test_the_environment_of_a_python_program() -> None:
    added = additions([LIBRARY], {"SNUG_LIMIT": "64M"}, plain_python=True, environment={})
    assert added == {"LD_PRELOAD": str(LIBRARY), "SNUG_LIMIT": "64M", "PYTHONMALLOC": "malloc"}


def test_a_setting_that_already_means_malloc_stays() -> None:
    environment = {"PYTHONMALLOC": "malloc_debug"}
    assert "PYTHONMALLOC" not in additions([LIBRARY], {}, plain_python=True, environment=environment)
