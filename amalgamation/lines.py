"""Leads the ``#line`` directives of the C that Cython made of a unit back to the engine's own modules.

    python -m amalgamation.lines --engine DIR --unit UNIT.pyx C_FILE

rewrites C_FILE (made with ``cython --line-directives``) in place, so that debuggers and
profilers show the engine.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

MARK = re.compile(r"\s*#@ (\S+) (\d+)$")
DIRECTIVE = re.compile(r'^#line (\d+) "([^"]*)"$', re.MULTILINE)


def read_marks(unit: str) -> dict[int, tuple[str, int]]:
    """For each line number of the unit that comes from the engine: its file and its line there."""
    origin: dict[int, tuple[str, int]] = {}
    place: tuple[str, int] | None = None
    for number, line in enumerate(unit.splitlines(), 1):
        if mark := MARK.match(line):
            place = (mark[1], int(mark[2]))
        elif place is not None:
            origin[number] = place
            place = (place[0], place[1] + 1)
    return origin


def lead_back(c_source: str, unit_name: str, origin: dict[int, tuple[str, int]], engine: Path) -> str:
    """`c_source` with each directive that names the unit changed to name the engine's module."""

    def replace(directive: re.Match[str]) -> str:
        number, name = int(directive[1]), directive[2]
        if Path(name).name != unit_name or number not in origin:
            return directive[0]
        path, line = origin[number]
        return f'#line {line} "{(engine / path).as_posix()}"'

    return DIRECTIVE.sub(replace, c_source)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m amalgamation.lines", description=__doc__.splitlines()[0])
    parser.add_argument("--engine", type=Path, required=True, help="the folder of machine.py and the libraries")
    parser.add_argument("--unit", type=Path, required=True, help="the Cython unit")
    parser.add_argument("c_file", type=Path)
    options = parser.parse_args()
    origin = read_marks(options.unit.read_text())
    text = lead_back(options.c_file.read_text(), options.unit.name, origin, options.engine)
    options.c_file.write_text(text)


if __name__ == "__main__":
    main()
