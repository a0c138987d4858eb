"""./run installs what is missing, and only that, then calls make; dpkg, apt, sudo and make are stand-ins."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

import pytest

from ..builds import ROOT

TOOLS = ("sh", "dirname", "sed", "grep", "env", "cat", "true")
STAND_INS = {
    "dpkg-query": 'grep -qx "$3" "$STATE/installed" && echo installed',
    "apt-cache": '! grep -qx "$3" "$STATE/offered" || echo "Package: $3"',  # 0 for a name that it only knows
    "apt-get": 'echo "apt-get $*" >>"$STATE/log"',
    "make": 'echo "make $*" >>"$STATE/log"',
    "id": 'cat "$STATE/user"',
    "sudo": '[ "$1" = -n ] && [ -e "$STATE/sudo" ] && shift && echo sudo >>"$STATE/log" && exec "$@"',
}
MAKE = {target: f"make --no-print-directory {target}" for target in ("demo", "test")}
NONE = "-"  # of a line: what may be left out
UPDATE = "apt-get update -qq"
INSTALL = "apt-get install -qq -y --no-install-recommends"


def listed(*names: str) -> list[list[str]]:
    """The alternatives of each line of the package lists."""
    lines = "\n".join((ROOT / "packages" / name).read_text() for name in names).splitlines()
    wanted = (line.partition("#")[0].replace("|", " ").split() for line in lines)
    return [alternatives for alternatives in wanted if alternatives]


def first(*names: str) -> list[str]:
    """The first alternative of each line."""
    return [alternatives[0] for alternatives in listed(*names)]


LISTED = listed("demo", "test")
FIRST = set(first("demo", "test"))


class Machine:
    """A machine with nothing on it but the stand-ins and what they look at."""

    def __init__(self, folder: Path) -> None:
        self.state = folder / "state"
        self.path = folder / "bin"
        self.state.mkdir()
        self.path.mkdir()
        for name in TOOLS:
            found = shutil.which(name)
            assert found
            (self.path / name).symlink_to(found)
        for name, does in STAND_INS.items():
            (self.path / name).write_text(f"#!/bin/sh\n{does}\n")
            (self.path / name).chmod(0o755)
        self.has(installed=[], offered=[package for line in LISTED for package in line])
        self.is_user(0)

    def has(self, *, installed: Iterable[str], offered: Iterable[str] | None = None) -> None:
        """Set what is installed, and what apt offers."""
        (self.state / "installed").write_text("".join(f"{name}\n" for name in installed))
        if offered is not None:
            (self.state / "offered").write_text("".join(f"{name}\n" for name in offered))

    def is_user(self, number: int, *, sudo: bool = False) -> None:
        """Set who runs the script, and whether sudo works for them without asking."""
        (self.state / "user").write_text(f"{number}\n")
        if sudo:
            (self.state / "sudo").touch()

    def run(self, *arguments: str) -> tuple[int, str, list[str]]:
        """Exit status and errors of the script, and the commands that it called."""
        (self.state / "log").write_text("")
        environment = {"PATH": str(self.path), "STATE": str(self.state)}
        ended = subprocess.run([ROOT / "run", *arguments], env=environment, capture_output=True, text=True)
        return ended.returncode, ended.stderr, (self.state / "log").read_text().splitlines()


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A fresh machine whose user is root."""
    return Machine(tmp_path)


def test_on_a_fresh_machine_root_installs_the_list_of_the_target(machine: Machine) -> None:
    assert machine.run("demo") == (0, "", [UPDATE, " ".join([INSTALL, *first("demo")]), MAKE["demo"]])
    assert machine.run("test") == (0, "", [UPDATE, " ".join([INSTALL, *first("demo", "test")]), MAKE["test"]])


@pytest.mark.parametrize("user", [0, 1000])
def test_where_nothing_is_missing_nothing_but_make_is_called(user: int, machine: Machine) -> None:
    machine.is_user(user)
    machine.has(installed=[[name for name in line if name != NONE][-1] for line in LISTED])
    assert machine.run("test") == (0, "", [MAKE["test"]])


def test_only_what_is_missing_is_installed(machine: Machine) -> None:
    machine.has(installed=[name for name in first("demo", "test") if name not in ("make", "strace")])
    assert machine.run("test") == (0, "", [UPDATE, f"{INSTALL} make strace", MAKE["test"]])


@pytest.mark.parametrize("alternatives", [line for line in LISTED if len(line) > 1], ids="|".join)
def test_the_first_alternative_that_apt_offers_is_installed(alternatives: list[str], machine: Machine) -> None:
    for choice in alternatives:
        machine.has(installed=FIRST - set(alternatives), offered=[choice])
        called = [UPDATE, f"{INSTALL} {choice}"] if choice != NONE else []
        assert machine.run("test") == (0, "", [*called, MAKE["test"]])


def test_a_user_installs_by_sudo_where_it_does_not_ask(machine: Machine) -> None:
    machine.is_user(1000, sudo=True)
    machine.has(installed=first("demo")[1:])
    status, said, called = machine.run("demo")
    assert (status, said) == (0, "")
    assert [call for call in called if call != "sudo"] == [
        UPDATE,
        f"{INSTALL} {first('demo')[0]}",
        MAKE["demo"],
    ]
    assert called.count("sudo") >= 2


def test_a_user_without_sudo_is_told_one_line_that_installs_the_same(machine: Machine) -> None:
    machine.is_user(1000)
    machine.has(installed=first("demo")[2:])
    status, said, called = machine.run("demo")
    assert (status, called) == (1, [])
    heading, command = said.splitlines()
    assert "As root" in heading
    subprocess.run(
        ["sh", "-c", command], env={"PATH": str(machine.path), "STATE": str(machine.state)}, check=True
    )
    assert (machine.state / "log").read_text().splitlines() == [
        "apt-get update",
        f"apt-get install --no-install-recommends {' '.join(first('demo')[:2])}",
    ]


@pytest.mark.parametrize("failing", ["update", "install"])
def test_make_is_not_called_when_apt_fails(failing: str, machine: Machine) -> None:
    (machine.path / "apt-get").write_text(
        f'#!/bin/sh\necho "apt-get $1" >>"$STATE/log"\n[ "$1" != {failing} ]\n'
    )
    status, _, called = machine.run("demo")
    assert status != 0
    assert called[-1] == f"apt-get {failing}"


def test_without_dpkg_the_lists_are_named_and_make_is_called(machine: Machine) -> None:
    (machine.path / "dpkg-query").unlink()
    status, said, called = machine.run("test")
    assert (status, called) == (0, [MAKE["test"]])
    assert "packages/demo packages/test" in said


@pytest.mark.parametrize("arguments", [(), ("build",)])
def test_anything_else_is_refused_with_the_two_commands(arguments: tuple[str, ...], machine: Machine) -> None:
    status, said, called = machine.run(*arguments)
    assert (status, said, called) == (2, "usage: ./run demo | ./run test\n", [])


def test_no_package_is_named_twice() -> None:
    names = [name for line in LISTED for name in line if name != NONE]
    assert len(names) == len(set(names))


def test_ci_runs_the_same_command() -> None:
    commands = [line for line in (ROOT / ".ci" / "run").read_text().splitlines() if not line.startswith("#")]
    assert commands == ['exec "$(dirname "$0")/../run" test']
