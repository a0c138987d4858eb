"""The options of the drop-in malloc, in one table.

Each is a variable of the environment, ``SNUG_LIMIT=64M``, and a setting of the command, ``snug run --set
limit=64M``. The figures are those of the engine; the library reads the environment once, at the first
allocation, and tells what it does not know.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from snugmalloc.engine.dropin import options as engine
from snugmalloc.engine.dropin.layout import GIB

PREFIX = "SNUG_"
SUFFIXES = {"": 0, "K": 10, "M": 20, "G": 30}
NUMBER = re.compile(r"([0-9]+)([KMG]?)", re.IGNORECASE | re.ASCII)


@dataclass(frozen=True)
class Option:
    """One option. Numbers may have a suffix K, M or G."""

    name: str
    unit: str
    default: int
    least: int
    most: int
    meaning: str
    cost: str
    step: int = 1
    """Values are multiples of it."""

    @property
    def variable(self) -> str:
        """Its name in the environment."""
        return PREFIX + self.name.upper()

    def value_of(self, text: str) -> int:
        """The number that `text` stands for. Raises ValueError if the option does not take it."""
        number = NUMBER.fullmatch(text)
        value = int(number[1]) << SUFFIXES[number[2].upper()] if number else -1
        if not self.least <= value <= self.most or value % self.step:
            raise ValueError(f"{self.name}={text}: {self.range}")
        return value

    @property
    def range(self) -> str:
        """The values that it takes, for people."""
        if self.most >= engine.MOST_BYTES:
            return f"{short_number(self.least)} and more {self.unit}"
        between = " or " if self.most - self.least == self.step else " to "
        return f"{short_number(self.least)}{between}{short_number(self.most)} {self.unit}".rstrip()


def short_number(number: int) -> str:
    """`number` with the largest suffix that leaves it whole."""
    whole = [suffix for suffix, shift in SUFFIXES.items() if number and number % (1 << shift) == 0]
    suffix = whole[-1] if whole else ""
    return f"{number >> SUFFIXES[suffix]}{suffix}"


OPTIONS: Mapping[str, Option] = MappingProxyType(
    {
        option.name: option
        for option in (
            Option(
                "limit",
                "bytes",
                0,
                0,
                engine.MOST_BYTES,
                "the most to take from the system, 0 for no limit; beyond it NULL and ENOMEM",
                "nothing",
            ),
            Option(
                "mmap_threshold",
                "bytes",
                engine.DEFAULT_THRESHOLD,
                engine.LEAST_THRESHOLD,
                engine.MOST_THRESHOLD,
                "requests from this size on get a mapping of their own",
                "lower: more system calls, one mapping for each such block; higher: larger blocks in the heap",
            ),
            Option(
                "prealloc",
                "bytes",
                engine.DEFAULT_PREALLOC,
                0,
                GIB,
                "the heap's first step",
                "more: more addresses at start, resident only when used",
            ),
            Option(
                "purge_delay",
                "milliseconds",
                engine.DEFAULT_PURGE_DELAY,
                0,
                engine.MOST_DELAY,
                "free pages go back when they are most of the memory, or will not be needed within that time;"
                " 1G: never",
                "lower: less memory, more page faults; 0: at once, for up to an eighth of the time",
            ),
            Option(
                "thread_cache",
                "bytes",
                engine.DEFAULT_THREAD_CACHE,
                0,
                engine.MOST_THREAD_CACHE,
                "what a thread keeps of each size class at most (8K and a 1024th of the heap), 0 for no caches",
                "more: more memory in each thread; 0: the lock at every call",
            ),
            Option(
                "align",
                "bytes",
                16,
                8,
                16,
                "the alignment that is promised to small requests",
                "nothing: blocks stand at multiples of 16 in either case",
                step=8,
            ),
            Option(
                "harden",
                "",
                0,
                0,
                1,
                "end with one line at a double free, a foreign pointer or overwritten tags",
                "no thread caches, and a close look at every pointer that comes back",
            ),
            Option(
                "fill",
                "",
                0,
                0,
                1,
                "fill memory with 0xA5 when it is handed out and with 0x5A when it is freed",
                "every byte written twice more",
            ),
            Option(
                "background",
                "",
                0,
                0,
                1,
                "a helper thread gives memory back while the program sleeps, too",
                "a thread that wakes four times a second, once 4 MiB are taken, and locks as with threads",
            ),
            Option(
                "stats", "", 0, 0, 1, "count calls, and live bytes exactly", "a few instructions for each call"
            ),
        )
    }
)


def variables(settings: Mapping[str, str]) -> dict[str, str]:
    """`settings` by the names of the environment. Raises ValueError for an unknown name or a value out of
    range."""
    added = {}
    for name, text in settings.items():
        option = OPTIONS.get(name)
        if option is None:
            raise ValueError(f"{name}: no such option, there are {', '.join(OPTIONS)}")
        option.value_of(text)
        added[option.variable] = text
    return added


def complaint(variable: str, text: str) -> str | None:
    """Why the library ignores `variable`, a SNUG_ name, with the value `text`; None if it does not."""
    known = {option.variable: option for option in OPTIONS.values()}
    if variable in known:
        try:
            known[variable].value_of(text)
        except ValueError:
            return f"not a value of this option, ignored: it takes {known[variable].range}"
        return None
    alike = difflib.get_close_matches(variable.upper(), known, n=1)
    return "no such option, ignored" + (f": is {alike[0]} meant?" if alike else "")


def complaints(environment: Mapping[str, str]) -> dict[str, str]:
    """For each variable in `environment` that the library ignores, why."""
    ours = (item for item in sorted(environment.items()) if item[0].startswith(PREFIX))
    return {variable: why for variable, text in ours if (why := complaint(variable, text)) is not None}
