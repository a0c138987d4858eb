"""The wheel in an environment of its own, without a compiler: the README's examples run there as they stand.

The libraries in the wheels for both processors are what they should be.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from platform import machine

import pytest

from distribution.wheels import GLIBC, PROCESSORS
from snugmalloc.launch.recipes import settings_of

from ..conftest import WheelFor
from ..deployed import INSTALL_LINE, ask_doctor, carry_out, check_findings
from ..docs.documents import blocks_of, demo_shape, with_outputs
from ..docs.test_documents import README
from ..dropin.conftest import compile_program
from ..dropin.test_plugins import HOW, program
from ..targets import Run
from .test_libraries import PYTHON, output_of

__all__ = ["compile_program", "program"]  # fixtures

GLIBC_LIBRARIES = {"libc.so.6", "libpthread.so.0", "libdl.so.2"}
ENGINE = ("libosmem.so", "libsnugmalloc.so")
# What stands for the programs of the README's commands, where they are no more than names.
STANDING_FOR = {"app.py": "print(len([0] * 1000))", "server": "print(1)", "redis-server": "print(1)"}


class Installed:
    """An environment with the wheel and what it and its pictures require."""

    def __init__(self, folder: Path, wheel: Path) -> None:
        self.bin = folder / "bin"
        self.python = self.bin / "python"
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        subprocess.run([self.python, "-m", "pip", "install", "--quiet", f"{wheel}[plot]"], check=True)

    def run(self, command: str, folder: Path) -> subprocess.CompletedProcess[str]:
        """Run a command line in `folder`, whose programs and those of the environment are alone on PATH."""
        environment = {"PATH": f"{self.bin}:{folder}", "LANG": "C.UTF-8"}
        return subprocess.run(
            ["/bin/sh", "-c", command], cwd=folder, env=environment, capture_output=True, text=True, timeout=600
        )


@pytest.fixture(scope="module")
def installed(wheel_for: WheelFor, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """The wheel for this machine, installed."""
    return Installed(tmp_path_factory.mktemp("installed"), wheel_for(machine()))


@pytest.fixture
def programs(installed: Installed, tmp_path: Path) -> Path:
    """A folder with the programs that the README's commands name."""
    for name, code in STANDING_FOR.items():
        (tmp_path / name).write_text(f"#!{installed.python}\n{code}\n")
        (tmp_path / name).chmod(0o755)
    return tmp_path


def readme_commands() -> list[str]:
    """The commands that the README shows in a row, under `Under any program`."""
    section = README.read_text().partition("## Under any program\n")[2].partition("\n## ")[0]
    return re.findall(r"^    (snug .*?)(?: +#.*)?$", section, re.MULTILINE)


def test_it_is_the_wheel_that_is_installed(installed: Installed, tmp_path: Path) -> None:
    ended = installed.run(
        "python -c 'import snugmalloc._osmem as it; print(it.__file__)'; which gcc cc zig", tmp_path
    )
    assert ended.stdout.startswith(str(installed.bin.parent)) and ended.stdout.endswith("_osmem.abi3.so\n")


@pytest.mark.parametrize("library", ["osmem", "dropin"])
def test_the_interpreted_engine_is_whole(library: str, installed: Installed, tmp_path: Path) -> None:
    code = (
        "from snugmalloc.engine import FreshEngine, SimulatedMachine\n"
        f'engine = FreshEngine("{library}", SimulatedMachine())\n'
        "print([layer for layer in engine.layers if layer.startswith('common.')])"
    )
    (tmp_path / "whole.py").write_text(code)
    ended = installed.run("python whole.py", tmp_path)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "'common.bitmap'" in ended.stdout


def test_the_readmes_python_examples_print_what_is_shown(installed: Installed) -> None:
    assert with_outputs(README, str(installed.python)) == README.read_text()


def test_the_demo_prints_what_the_readme_shows(installed: Installed, tmp_path: Path) -> None:
    (shown,) = [block.text for block in blocks_of(README.read_text()) if block.language == "demo"]
    ended = installed.run("snug demo", tmp_path)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert demo_shape(ended.stdout) == demo_shape(shown)


@pytest.mark.parametrize("command", readme_commands())
def test_the_readmes_commands_run(command: str, installed: Installed, programs: Path) -> None:
    ended = installed.run(command.replace("1234", str(os.getpid())), programs)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "snug compare" not in command or (programs / "memory.svg").exists()


def test_the_drop_in_malloc_of_the_wheel_is_the_process_malloc(installed: Installed, tmp_path: Path) -> None:
    ask = "from snugmalloc import dropin; print(dropin.is_process_malloc())"
    assert installed.run(f"snug run -- python -c '{ask}'", tmp_path).stdout == "True\n"


def test_the_lines_for_an_image_work_with_the_wheel(installed: Installed, tmp_path: Path) -> None:
    (line,) = INSTALL_LINE.findall(installed.run("snug install docker", tmp_path).stdout)
    check_findings(
        carry_out(f"{line}\n{ask_doctor(settings_of({}, plain_python=True))}", tmp_path, installed.bin.parent)
    )


def test_the_doctor_reads_the_figures_of_the_wheels_library(installed: Installed, tmp_path: Path) -> None:
    for option, state in (("", "on"), ("--set disable=1", "off by SNUG_DISABLE")):
        told = installed.run(f"snug run {option} -- snug doctor --json", tmp_path).stdout
        assert {finding["name"]: finding["value"] for finding in json.loads(told)}["snugmalloc"] == state


@pytest.mark.parametrize("how", HOW)
def test_plugins_are_opened_as_by_their_own_caller(
    how: str, program: Path, run: Run, wheel_for: WheelFor, tmp_path: Path
) -> None:
    zipfile.ZipFile(wheel_for(machine())).extractall(tmp_path)
    library = tmp_path / "snugmalloc" / "lib" / "libsnugmalloc.so"
    run(program, how, "0" if how == "apart" else "1", on=library, MIXED="1")


def test_libc_tells_the_library_of_the_wheel_whether_there_are_threads(
    installed: Installed, tmp_path: Path
) -> None:
    """The word is newer than the libc that it was linked to: without it every call would take the lock."""
    bindings = installed.run("LD_DEBUG=bindings snug run -- python -c ''", tmp_path).stderr
    assert re.search(r"libsnugmalloc\.so \[\d+\] to \S*/libc\.so\.6 .*`__libc_single_threaded'", bindings)


@pytest.fixture(params=PROCESSORS)
def libraries(request: pytest.FixtureRequest, wheel_for: WheelFor, tmp_path: Path) -> Path:
    """The folder of the libraries in the wheel for a processor."""
    zipfile.ZipFile(wheel_for(request.param)).extractall(tmp_path)
    return tmp_path / "snugmalloc" / "lib"


def test_the_wheels_programs_need_glibc_alone_and_none_newer(libraries: Path) -> None:
    files = [*libraries.iterdir(), *libraries.parent.glob("*.so")]
    for file in files:
        needed = set(re.findall(r"NEEDED.*\[(.*)\]", output_of("readelf", "-d", file)))
        assert needed - {"libosmem.so"} <= GLIBC_LIBRARIES
        versions = set(re.findall(r"GLIBC_([\d.]+)", output_of("readelf", "-V", file)))
        assert versions and max(map(version, versions)) <= version(GLIBC)


def version(text: str) -> tuple[int, ...]:
    """`2.17` in the order of versions."""
    return tuple(map(int, text.split(".")))


@pytest.mark.parametrize("name", ENGINE)
def test_the_engine_in_a_wheel_holds_no_python(name: str, libraries: Path) -> None:
    assert not PYTHON.findall(output_of("nm", libraries / name))
