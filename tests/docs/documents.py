"""Runs the examples in a Markdown document.

    python -m tests.docs.documents docs/four-functions.md      writes what the examples print into the document

The ```python blocks of a document are one program, run in order in a process of its own. A ```text block right
behind one is what it prints.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

PROGRAM = """
import contextlib, io, json, sys
names, printed = {"__name__": "__main__"}, []
for code, line, name in json.load(sys.stdin):
    with contextlib.redirect_stdout(io.StringIO()) as out:
        exec(compile("\\n" * line + code, name, "exec"), names)
    printed.append(out.getvalue())
print(json.dumps(printed))
"""


class Block(NamedTuple):
    """A fenced block: its language, its text, and where in the document the text begins and ends."""

    language: str
    text: str
    start: int
    end: int


def blocks_of(document: str) -> list[Block]:
    """All fenced blocks that name a language."""
    return [Block(found[1], found[2], found.start(2), found.end(2)) for found in FENCE.finditer(document)]


def run_examples(path: Path, python: str = sys.executable) -> list[str]:
    """What each ```python block in the document at `path` prints, run by the interpreter `python`."""
    document = path.read_text()
    examples = [
        (block.text, document[: block.start].count("\n"), path.name)
        for block in blocks_of(document)
        if block.language == "python"
    ]
    outcome = subprocess.run(
        [python, "-c", PROGRAM], input=json.dumps(examples), capture_output=True, text=True
    )
    if outcome.returncode:
        raise RuntimeError(outcome.stderr)
    printed: list[str] = json.loads(outcome.stdout)
    return printed


def with_outputs(path: Path, python: str = sys.executable) -> str:
    """The document at `path`, with what its examples really print, run by the interpreter `python`."""
    document = path.read_text()
    printed = iter(run_examples(path, python))
    changes = []
    for block, following in pairwise([*blocks_of(document), Block("", "", len(document), len(document))]):
        if block.language == "python":
            output = next(printed)
            if following.language == "text" and document[block.end : following.start] == "```\n```text\n":
                changes.append((following, output))
    for block, output in reversed(changes):
        document = document[: block.start] + output + document[block.end :]
    return document


def demo_shape(text: str) -> list[list[str]]:
    """The lines of the demo's figures, numbers and curves left out."""
    figures = text.partition("The heap after")[0]
    return [
        re.sub(r"[\d.,]+|[▁▂▃▄▅▆▇█]+ *[▁▂▃▄▅▆▇█]*", "N", line).split()
        for line in figures.splitlines()
        if line.strip()
    ]


if __name__ == "__main__":
    for name in sys.argv[1:]:
        Path(name).write_text(with_outputs(Path(name)))
