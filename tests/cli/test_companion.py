"""libsnug-run.so: takes the allocator out of the environment, and reports where malloc came from."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from snugmalloc.launch.launcher import launcher_path
from snugmalloc.launch.run_report import read_reports

COMPANION = launcher_path().with_name("libsnug-run.so")
SHOW = ["sh", "-c", 'printf "%s\n" "${LD_PRELOAD-unset}"; grep -c libsnug-run /proc/$$/maps >&2']


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("{own}", "unset"),
        ("libm.so.6:{own}", "unset"),
        ("libm.so.6 {own}", "unset"),
        ("{own}:libm.so.6", "libm.so.6"),
        ("libm.so.6:{own}:libdl.so.2:librt.so.1", "libdl.so.2:librt.so.1"),
    ],
)
def test_once_leaves_the_rest_of_the_environment(before: str, after: str) -> None:
    environment = {**os.environ, "LD_PRELOAD": before.format(own=COMPANION), "_SNUG_RUN_ONCE": "1"}
    shown = subprocess.run(SHOW, env=environment, capture_output=True, text=True)
    assert shown.stdout == f"{after}\n"
    assert int(shown.stderr) > 0


def test_without_once_the_environment_stays() -> None:
    environment = {**os.environ, "LD_PRELOAD": str(COMPANION)}
    assert subprocess.run(SHOW, env=environment, capture_output=True, text=True).stdout == f"{COMPANION}\n"


def test_what_the_command_has_told_comes_back_under_its_name() -> None:
    told = {"_SNUG_RUN_TOLD_SNUG_LIMT": "64M", "_SNUG_RUN_TOLD_SNUG_B": "", "SNUG_STATS": "1"}
    environment = {"LD_PRELOAD": str(COMPANION), **told}
    shown = subprocess.run(["env"], env=environment, capture_output=True, text=True, check=True).stdout
    assert set(shown.splitlines()) - {f"LD_PRELOAD={COMPANION}"} == {"SNUG_LIMT=64M", "SNUG_B=", "SNUG_STATS=1"}


def test_each_process_that_ends_regularly_reports(tmp_path: Path) -> None:
    environment = {**os.environ, "LD_PRELOAD": str(COMPANION), "_SNUG_RUN_REPORT": str(tmp_path)}
    subprocess.run(["bash", "-c", "cat /dev/null; sh -c 'kill $$'; true"], env=environment, check=True)
    reports = read_reports(tmp_path)
    assert sorted(report.command for report in reports.values()) == ["bash", "cat"]
    for report in reports.values():
        assert report.malloc_from is not None and "libc" in report.malloc_from
        assert report.peak_resident_bytes >= report.resident_bytes > 0
        assert report.heap is None and report.library is None


@pytest.mark.parametrize("flags", [["-fno-pic", "-no-pie"], ["-fPIE", "-pie"]], ids=["no-pie", "pie"])
def test_the_source_of_malloc_is_found_in_any_kind_of_program(flags: list[str], tmp_path: Path) -> None:
    """A program that is not position independent and takes malloc's address gives its own jump table for it."""
    source, library, folder = tmp_path / "program.c", tmp_path / "libother.so", tmp_path / "reports"
    folder.mkdir()
    source.write_text(
        "#include <stdlib.h>\nvoid *(*volatile take)(size_t);\n"
        "int main(void) { take = malloc; return take(1) == NULL; }\n"
    )
    (tmp_path / "other.c").write_text(
        "#include <stddef.h>\n"
        "void *__libc_malloc(size_t);\n"
        "void *malloc(size_t n) { return __libc_malloc(n); }\n"
    )
    subprocess.run(["gcc", *flags, "-o", tmp_path / "program", source], check=True)
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", library, tmp_path / "other.c"], check=True)
    environment = {"LD_PRELOAD": f"{library}:{COMPANION}", "_SNUG_RUN_REPORT": str(folder)}
    subprocess.run([tmp_path / "program"], env=environment, check=True)
    (report,) = read_reports(folder).values()
    assert report.malloc_from == str(library)


def test_a_report_that_was_cut_off_is_left_out(tmp_path: Path) -> None:
    environment = {**os.environ, "LD_PRELOAD": str(COMPANION), "_SNUG_RUN_REPORT": str(tmp_path)}
    subprocess.run([shutil.which("true") or "true"], env=environment, check=True)
    (file,) = tmp_path.iterdir()
    file.write_text(file.read_text()[:-5])
    assert read_reports(tmp_path) == {}
