"""Builds the Debian packages of the drop-in malloc, as debian/ says, of the source package.

    python -m distribution.deb [--output dist] [ARCHITECTURE...]

An architecture is named as Debian names it: amd64, arm64. For another one than this machine's its
cross compiler is needed (for arm64 g++-aarch64-linux-gnu, libc6-dev-arm64-cross).
Cython is that of this interpreter.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from .source import OUTPUT, build_source

BUILD = ["dpkg-buildpackage", "--build=binary", "--no-sign", "--no-check-builddeps"]


def build_debs(source: Path, architecture: str, output: Path) -> list[Path]:
    """The packages for `architecture` of the source package `source`, built into the folder `output`.

    Raises RuntimeError with what the build said.
    """
    with tempfile.TemporaryDirectory() as folder:
        shutil.unpack_archive(source, folder)
        (sources,) = Path(folder).iterdir()
        run_build(architecture, sources)
        return [Path(shutil.copy(made, output)) for made in sorted(Path(folder).glob("*.deb"))]


def run_build(architecture: str, sources: Path) -> None:
    """Build the packages, which come to lie beside the folder `sources`."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    built = subprocess.run(
        [*BUILD, f"--host-arch={architecture}"],
        cwd=sources,
        env={**os.environ, "PATH": path, "PYTHON": sys.executable},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if built.returncode:
        raise RuntimeError(f"no packages for {architecture}:\n{built.stdout}")


def own_architecture() -> str:
    """This machine's."""
    return subprocess.run(
        ["dpkg", "--print-architecture"], check=True, stdout=subprocess.PIPE, text=True
    ).stdout.strip()


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=OUTPUT)
    parser.add_argument("architectures", nargs="*", metavar="ARCHITECTURE")
    arguments = parser.parse_args()
    source = build_source(arguments.output)
    for architecture in arguments.architectures or [own_architecture()]:
        for made in build_debs(source, architecture, arguments.output):
            print(made)


if __name__ == "__main__":
    main()
