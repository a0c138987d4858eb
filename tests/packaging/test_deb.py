"""The Debian packages hold the drop-in malloc where the loader finds it by its name, on any architecture."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

import snugmalloc
from distribution.deb import build_debs, own_architecture
from snugmalloc.launch.preload import SONAME

from ..targets import AARCH64, HERE, Target
from .test_libraries import output_of

ARCHITECTURES = {"amd64": "x86_64-linux-gnu", "arm64": "aarch64-linux-gnu"}
NAMED = SONAME
PROGRAM = """
#include <snugmalloc.h>
#include <stdio.h>
int main(void) { puts(snug_version()); }
"""


class Installed:
    """The packages for an architecture, and a root folder in which dpkg has installed them."""

    def __init__(self, source: Path, architecture: str, folder: Path) -> None:
        self.architecture = architecture
        self.target: Target = HERE if architecture == own_architecture() else AARCH64
        self.packages = build_debs(source, architecture, folder)
        self.root = folder / "root"
        self.libraries = self.root / "usr" / "lib" / ARCHITECTURES[architecture]
        database = self.root / "var" / "lib" / "dpkg"
        for name in ("info", "updates"):
            (database / name).mkdir(parents=True)
        (database / "status").touch()
        forced = ["--force-depends", "--force-architecture", "--force-not-root"]  # there is no libc in the root
        options = [f"--root={self.root}", f"--log={folder / 'log'}", *forced]
        environment = {**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"}
        subprocess.run(["dpkg", *options, "--install", *self.packages], env=environment, check=True)


@pytest.fixture(scope="module", params=ARCHITECTURES)
def installed(
    request: pytest.FixtureRequest, source_package: Path, tmp_path_factory: pytest.TempPathFactory
) -> Installed:
    """The packages for each architecture, installed."""
    if request.param != own_architecture() == "arm64":
        pytest.skip("from an arm64 machine there are no packages for others")
    return Installed(source_package, request.param, tmp_path_factory.mktemp(request.param))


def test_the_files_are_where_debian_has_them(installed: Installed) -> None:
    files = {path.relative_to(installed.root).as_posix() for path in installed.root.glob("usr/[il]*/**/*.*")}
    folder = f"usr/lib/{ARCHITECTURES[installed.architecture]}"
    assert {file for file in files if not file.startswith("usr/lib/debug/")} == {
        f"{folder}/{NAMED}",
        f"{folder}/libsnugmalloc.so",
        "usr/include/snugmalloc.h",
    }


def test_the_name_to_the_loader_has_the_interfaces_number(installed: Installed) -> None:
    assert re.findall(r"SONAME.*\[(.*)\]", output_of("readelf", "-d", installed.libraries / NAMED)) == [NAMED]


def test_the_library_needs_libc_alone_and_is_of_this_version(installed: Installed) -> None:
    (package,) = (path for path in installed.packages if path.name.startswith("libsnugmalloc0_"))
    needs, version = (output_of("dpkg-deb", "--field", package, name) for name in ("Depends", "Version"))
    assert re.fullmatch(r"libc6(:arm64)? \(>= [\d.]+\)\n", needs)
    assert version.strip() == snugmalloc.__version__


def test_lintian_finds_nothing(installed: Installed) -> None:
    assert output_of("lintian", "--allow-root", "--fail-on", "none", *installed.packages) == ""


def test_a_program_runs_on_the_library_that_is_preloaded_by_name(installed: Installed, tmp_path: Path) -> None:
    source = tmp_path / "stats.c"
    source.write_text("#include <malloc.h>\nint main(void) { malloc_stats(); }\n")
    program = tmp_path / "stats"
    subprocess.run([f"{installed.target.compiler_prefix}gcc", source, "-o", program], check=True)
    ended = installed.target.run(program, on=NAMED, LD_LIBRARY_PATH=str(installed.libraries))
    assert ended.stderr.startswith("snugmalloc: ")


def test_a_program_links_with_what_the_dev_package_has(installed: Installed, tmp_path: Path) -> None:
    source = tmp_path / "version.c"
    source.write_text(PROGRAM)
    program = tmp_path / "version"
    paths = [f"-I{installed.root / 'usr/include'}", f"-L{installed.libraries}"]
    compiler = f"{installed.target.compiler_prefix}gcc"
    subprocess.run([compiler, source, "-o", program, *paths, "-lsnugmalloc"], check=True)
    ended = installed.target.run(program, LD_LIBRARY_PATH=str(installed.libraries))
    assert ended.stdout == f"{snugmalloc.__version__}\n"
