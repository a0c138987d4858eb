"""``python -m amalgamation``: writes LIBRARY.pyx, LIBRARY.map and LIBRARY_records.h to a folder.

The unit for Cython, the linker's version script, and the fields of the records for C.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from .emit import write_records, write_unit, write_version_script
from .language import read_library
from .model import NotInLanguage


def read_define(text: str) -> tuple[str, int]:
    """``NAME=VALUE``. Raises ValueError."""
    name, _, value = text.partition("=")
    return name, int(value, 0)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m amalgamation", description=__doc__)
    parser.add_argument("--engine", type=Path, required=True, help="the folder of machine.py and the libraries")
    parser.add_argument("--library", required=True, help="the library's folder in it")
    parser.add_argument("--output", type=Path, required=True, help="the folder to write to")
    parser.add_argument(
        "--define", type=read_define, action="append", default=[], metavar="NAME=VALUE", help="set a constant"
    )
    parser.add_argument("--export", action="append", default=[], metavar="PATTERN", help="export this too")
    options = parser.parse_args()
    try:
        unit = read_library(options.engine, options.library, dict(options.define))
    except (NotInLanguage, FileNotFoundError) as error:
        print(error, file=sys.stderr)
        return 1
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / f"{unit.library}.pyx").write_text(write_unit(unit, options.engine))
    (options.output / f"{unit.library}_records.h").write_text(write_records(unit))
    (options.output / f"{unit.library}.map").write_text(write_version_script(unit, options.export))
    return 0


if __name__ == "__main__":
    sys.exit(main())
