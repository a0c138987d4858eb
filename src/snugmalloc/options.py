"""The options of the drop-in malloc, in one table.

Each is a variable of the environment, ``SNUG_LIMIT=64M``, and a setting of the command, ``snug run --set
limit=64M``. The figures are those of the engine; the library reads the environment once, at the first
allocation, and reports what it does not know.
"""

from __future__ import annotations

import difflib
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from snugmalloc.engine.dropin import options as engine
from snugmalloc.engine.dropin import ring, switch
from snugmalloc.engine.dropin.layout import GIB
from snugmalloc.engine.dropin.sampling import MAX_GAP
from snugmalloc.engine.dropin.values import MAX_BYTES

PREFIX = "SNUG_"
SUFFIXES = {"": 0, "K": 10, "M": 20, "G": 30}
NUMBER = re.compile(r"([0-9]+)([KMG]?)", re.IGNORECASE | re.ASCII)
RING = re.compile(r"ring:(?P<size>[^:]*)(:.+)?", re.DOTALL)


@dataclass(frozen=True)
class Option(ABC):
    """One option."""

    name: str
    meaning: str = field(kw_only=True)
    cost: str = field(kw_only=True)

    @property
    def variable(self) -> str:
        """Its name in the environment."""
        return PREFIX + self.name.upper()

    @abstractmethod
    def check(self, text: str) -> None:
        """Raise ValueError if `text` is not a value of the option."""

    @property
    @abstractmethod
    def range(self) -> str:
        """The accepted values, in words."""

    @property
    @abstractmethod
    def default_text(self) -> str:
        """The default value, in words."""


@dataclass(frozen=True)
class NumberOption(Option):
    """A number, which may have a suffix K, M or G."""

    unit: str
    default: int
    least: int
    most: int
    step: int = 1
    """Values must be multiples of it."""

    def value_of(self, text: str) -> int:
        """The number in `text`. Raises ValueError if it is not a value of the option."""
        number = NUMBER.fullmatch(text)
        value = int(number[1]) << SUFFIXES[number[2].upper()] if number else -1
        if not self.least <= value <= self.most or value % self.step:
            raise ValueError(f"{self.name}={text}: {self.range}")
        return value

    def check(self, text: str) -> None:
        self.value_of(text)

    @property
    def range(self) -> str:
        if self.most >= MAX_BYTES:
            return f"{short_number(self.least)} and more {self.unit}"
        between = " or " if self.most - self.least == self.step else " to "
        return f"{short_number(self.least)}{between}{short_number(self.most)} {self.unit}".rstrip()

    @property
    def default_text(self) -> str:
        return short_number(self.default)


@dataclass(frozen=True)
class TextOption(Option):
    """A text that matches the pattern `form`; `words` describes it."""

    form: re.Pattern[str]
    words: str

    def check(self, text: str) -> None:
        if not self.form.fullmatch(text):
            raise ValueError(f"{self.name}={text}: {self.range}")

    @property
    def range(self) -> str:
        return self.words

    @property
    def default_text(self) -> str:
        return "none"


@dataclass(frozen=True)
class RecordOption(TextOption):
    """A path, or a ring: its size, and optionally a path."""

    def check(self, text: str) -> None:
        super().check(text)
        asked = RING.fullmatch(text)
        number = NUMBER.fullmatch(asked["size"]) if asked else None
        size = int(number[1]) << SUFFIXES[number[2].upper()] if number else 0
        if text.startswith("ring:") and not ring.LEAST_RING <= size <= ring.MOST_RING:
            least, most = short_number(ring.LEAST_RING), short_number(ring.MOST_RING)
            raise ValueError(f"{self.name}={text}: a ring has {least} to {most} bytes: ring:8M or ring:8M:PATH")


def short_number(number: int) -> str:
    """`number` with the largest suffix that keeps it an integer."""
    whole = [suffix for suffix, shift in SUFFIXES.items() if number and number % (1 << shift) == 0]
    suffix = whole[-1] if whole else ""
    return f"{number >> SUFFIXES[suffix]}{suffix}"


OPTIONS: Mapping[str, Option] = MappingProxyType(
    {
        option.name: option
        for option in (
            NumberOption(
                "limit",
                "bytes",
                0,
                0,
                MAX_BYTES,
                meaning="maximum to take from the system, 0: no limit; beyond it NULL with ENOMEM",
                cost="nothing",
            ),
            NumberOption(
                "mmap_threshold",
                "bytes",
                engine.DEFAULT_THRESHOLD,
                engine.MIN_THRESHOLD,
                engine.MAX_THRESHOLD,
                meaning="requests of this size or more, above 16K, get a mapping of their own",
                cost="lower: more system calls, one mapping for each such block;"
                " higher: larger blocks in the heap",
            ),
            NumberOption(
                "prealloc",
                "bytes",
                engine.DEFAULT_PREALLOC,
                0,
                GIB,
                meaning="how much the heap takes at its first growth",
                cost="more: more address space at the start, resident only when used",
            ),
            NumberOption(
                "purge_delay",
                "milliseconds",
                engine.DEFAULT_PURGE_DELAY,
                0,
                engine.MAX_DELAY,
                meaning="free pages are given back when they are most of the memory, or will not be needed"
                " within that time; 1G: never",
                cost="lower: less memory, more page faults; 0: at once, at up to several times the time",
            ),
            NumberOption(
                "thread_cache",
                "bytes",
                engine.DEFAULT_THREAD_CACHE,
                0,
                engine.MAX_THREAD_CACHE,
                meaning="maximum that a thread caches for each size class, and at most 8K and a 1024th of the"
                " heap; 0: no caches",
                cost="more: more memory in each thread; 0: every call takes the lock",
            ),
            NumberOption(
                "align",
                "bytes",
                16,
                8,
                16,
                meaning="the guaranteed alignment of small requests",
                cost="nothing: blocks are at multiples of 16 in either case",
                step=8,
            ),
            NumberOption(
                "harden",
                "",
                0,
                0,
                1,
                meaning="end the process with one line at a double free, a foreign pointer or overwritten tags",
                cost="no thread caches, and a check of every pointer passed to free or realloc",
            ),
            NumberOption(
                "fill",
                "",
                0,
                0,
                1,
                meaning="fill memory with 0xA5 when it is allocated and with 0x5A when it is freed",
                cost="every byte is written two more times",
            ),
            NumberOption(
                "background",
                "",
                0,
                0,
                1,
                meaning="a helper thread gives memory back while the program sleeps, too",
                cost="a thread that wakes four times a second, once 4 MiB are taken; locks as with threads",
            ),
            NumberOption(
                "heaps",
                "",
                0,
                0,
                engine.MAX_HEAPS,
                meaning="maximum number of heaps, added where threads wait for each other; 0: one for"
                " each processor that the process may use; with a limit there is one",
                cost="more: free memory in each; 1: threads wait",
            ),
            NumberOption(
                "stats",
                "",
                0,
                0,
                1,
                meaning="count calls, and live bytes exactly",
                cost="a few instructions for each call",
            ),
            NumberOption(
                "disable",
                "",
                0,
                0,
                1,
                meaning="off: every call goes to libc's malloc, as if the library were not there",
                cost="one jump for each call",
            ),
            TextOption(
                "disable_file",
                re.compile(".+", re.DOTALL),
                "a path",
                meaning="off in processes that start while there is a file at this path",
                cost="a system call when a process starts",
            ),
            TextOption(
                "except",
                re.compile("[^/]*"),
                "comma-separated names of programs",
                meaning="off in programs of these names: of the executed file, the interpreter of a script or"
                " the first argument",
                cost="a system call when a process starts",
            ),
            NumberOption(
                "canary",
                "percent",
                switch.ALL_OF_THEM,
                0,
                switch.ALL_OF_THEM,
                meaning="on in this percentage of the processes that start, off in the others",
                cost="four system calls when a process starts",
            ),
            TextOption(
                "publish",
                re.compile("/.*", re.DOTALL),
                "the absolute path of a folder",
                meaning="copy the statistics into a file there, PID.snugstats, for snug metrics, top and doctor"
                " where they have no permission to read the memory",
                cost="some 20 KiB, and a copy of 288 bytes every 128 operations of a heap",
            ),
            NumberOption(
                "deepbind",
                "",
                0,
                0,
                1,
                meaning="leave RTLD_DEEPBIND in dlopen: such plug-ins then use libc's malloc beside this one",
                cost="nothing",
            ),
            RecordOption(
                "record",
                re.compile(".+", re.DOTALL),
                "a path; %p in it is the process id; or ring:SIZE or ring:SIZE:PATH",
                meaning="record every call of the malloc family to a new file at this path, for `snug report`;"
                " or only the last calls to a ring of SIZE bytes that outlives the process, for `snug autopsy`",
                cost="some 20 ns for each call, and 3 to 7 bytes in the file",
            ),
            NumberOption(
                "record_follow",
                "",
                0,
                0,
                1,
                meaning="record forked children and executed programs, too, each to a file of its own",
                cost="the same for each of them",
            ),
            TextOption(
                "record_stacks",
                re.compile("(python|native|none)(,(python|native|none))*"),
                "python, native, python,native or none",
                meaning="record call stacks, too: lines of Python, functions in machine code",
                cost="some 30 ns more for each block, and 3 for each Python call in its stack",
            ),
            NumberOption(
                "record_sample",
                "bytes",
                0,
                0,
                MAX_GAP,
                meaning="record samples: on average one block for this many bytes; 0: every call",
                cost="next to nothing",
            ),
        )
    }
)

SWITCHED_ON = {
    "SNUG_DISABLE": "0",
    "SNUG_DISABLE_FILE": "/dev/null/none",
    "SNUG_EXCEPT": "",
    "SNUG_CANARY": str(switch.ALL_OF_THEM),
}


def variables(settings: Mapping[str, str]) -> dict[str, str]:
    """`settings` by the names of the environment. Raises ValueError for an unknown name or a value out of
    range."""
    added = {}
    for name, text in settings.items():
        option = OPTIONS.get(name)
        if option is None:
            raise ValueError(f"{name}: no such option; there are {', '.join(OPTIONS)}")
        option.check(text)
        added[option.variable] = text
    return added


def always_on(environment: Mapping[str, str]) -> dict[str, str]:
    """What to set so that no option in `environment` puts a process off the heap."""
    return {variable: value for variable, value in SWITCHED_ON.items() if variable in environment}


def complaint(variable: str, text: str) -> str | None:
    """Why the library ignores `variable`, a SNUG_ name, with the value `text`; None if it does not."""
    known = {option.variable: option for option in OPTIONS.values()}
    if variable in known:
        try:
            known[variable].check(text)
        except ValueError:
            return f"not a value of this option, ignored: it takes {known[variable].range}"
        return None
    alike = difflib.get_close_matches(variable.upper(), known, n=1)
    return "no such option, ignored" + (f"; did you mean {alike[0]}?" if alike else "")


def complaints(environment: Mapping[str, str]) -> dict[str, str]:
    """For each variable in `environment` that the library ignores, why."""
    ours = (item for item in sorted(environment.items()) if item[0].startswith(PREFIX))
    return {variable: why for variable, text in ours if (why := complaint(variable, text)) is not None}
