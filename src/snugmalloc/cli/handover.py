"""The state that `snug run` passes through the launcher to the report: a file in memory that begins with JSON.

The launcher, which knows nothing of that one line, writes its figures behind it.
"""

from __future__ import annotations

import json
import os
from typing import Any

from snugmalloc.launch.launcher import Figures, read_figures


def hand_over(state: dict[str, Any]) -> int:
    """A descriptor of a new file that begins with `state`; it stays open in what this process becomes."""
    descriptor = os.memfd_create("snug-run")
    with os.fdopen(os.dup(descriptor), "w") as file:
        file.write(json.dumps(state) + "\n")
    os.set_inheritable(descriptor, True)
    return descriptor


def take_over(descriptor: int) -> tuple[dict[str, Any], Figures]:
    """The state in the file open as `descriptor`, and the figures behind it."""
    os.lseek(descriptor, 0, os.SEEK_SET)
    with os.fdopen(descriptor) as file:
        state: dict[str, Any] = json.loads(file.readline())
        return state, read_figures(file.read())
