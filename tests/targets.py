"""Where compiled programs run: on this machine, or on another processor that is emulated."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

TOO_LONG = 600  # seconds: a program that takes longer hangs, on a slow machine too


class Run(Protocol):
    """Runs a program to its end with `on` preloaded (a library, or a list of them as in LD_PRELOAD) and with
    `settings` in its environment.

    Fails the test if the program does not end with the status that it should.
    """

    def __call__(
        self, program: str | Path, *arguments: str, on: Path | str | None = None, **settings: str
    ) -> subprocess.CompletedProcess[str]: ...


@dataclass(frozen=True)
class Target:
    """A kind of machine that programs are compiled for and run on."""

    toolchain: str | None = None
    """The file of cmake/toolchains for it."""
    compiler_prefix: str = ""
    """What the names of its compilers begin with."""
    compiler_flags: tuple[str, ...] = ()
    """What programs are compiled with beside what they need themselves."""
    emulator: tuple[str, ...] = ()
    """The command that runs its programs."""
    emulator_says: str = "(?!)"
    """What that command itself says on stderr, as a pattern of lines."""

    def run(
        self, program: str | Path, *arguments: str, on: Path | str | None = None, **settings: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a program that ends with status 0."""
        return self._run(0, [str(program), *arguments], on, settings)

    def abort(
        self, program: str | Path, *arguments: str, on: Path | str | None = None, **settings: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a program that is aborted."""
        return self._run(-signal.SIGABRT, [str(program), *arguments], on, settings)

    def _run(
        self, status: int, words: list[str], on: Path | str | None, settings: Mapping[str, str]
    ) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, **settings, "LD_PRELOAD": str(on) if on else ""}
        command = [*self.emulator, *words]
        ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=TOO_LONG)
        ended.stderr = re.sub(self.emulator_says, "", ended.stderr, flags=re.MULTILINE)
        said = f"{command} on {on}: {ended.returncode}\n{ended.stdout}{ended.stderr}"
        assert ended.returncode == status, said
        return ended


HERE = Target()
AARCH64 = Target(
    toolchain="aarch64-linux-gnu",
    compiler_prefix="aarch64-linux-gnu-",
    compiler_flags=("-no-pie",),  # or newer qemus put other things right behind the break
    emulator=("qemu-aarch64-static", "-L", "/usr/aarch64-linux-gnu"),
    emulator_says=r"^qemu: uncaught target signal .*\n",
)
