"""The drop-in malloc from Python: ``from snugmalloc import dropin``.

Where the process was started by ``snug run`` (or with the library in LD_PRELOAD) this is the heap that the
whole process uses, the interpreter included. Elsewhere it is a second heap beside libc's, which works the same
and holds only what is asked of it here.

    >>> from snugmalloc import dropin
    >>> dropin.trim()                        # give every free page back to the system now
    >>> dropin.stats().live_bytes
"""

from __future__ import annotations

import ctypes
from ctypes import c_int, c_size_t, c_void_p

from snugmalloc import get_library
from snugmalloc.heap import ProcessStats

__all__ = [
    "ProcessStats",
    "calloc",
    "check",
    "free",
    "is_process_malloc",
    "malloc",
    "realloc",
    "stats",
    "trim",
    "usable_size",
    "version",
]


_ON = 1  # SNUG_STATE_ON
_library = ctypes.CDLL(get_library("snugmalloc"), use_errno=True)
_Figures = c_size_t * len(ProcessStats._fields)
for _name, _result, _arguments in (
    ("snug_version", ctypes.c_char_p, []),
    ("snug_malloc", c_size_t, [c_size_t]),
    ("snug_calloc", c_size_t, [c_size_t, c_size_t]),
    ("snug_realloc", c_size_t, [c_size_t, c_size_t]),
    ("snug_free", None, [c_size_t]),
    ("snug_malloc_usable_size", c_size_t, [c_size_t]),
    ("snug_trim", c_int, [c_size_t]),
    ("snug_stats", None, [c_void_p, c_size_t]),
    ("snug_check", c_int, []),
):
    _function = getattr(_library, _name)
    _function.restype = _result
    _function.argtypes = _arguments


def _word(name: str, value: int) -> int:
    """`value`, an argument called `name`, if it is a word."""
    if value < 0:
        raise ValueError(f"{name} must not be negative: {value}")
    if value >= 1 << 64:
        raise OverflowError(f"{name} does not fit in a word: {value}")
    return value


def _granted(address: int, what: str) -> int:
    """The address of a block that was granted."""
    if not address:
        raise MemoryError(f"{what} was refused")
    return address


def version() -> str:
    """The version of the library that is loaded."""
    return bytes(_library.snug_version()).decode()


def is_process_malloc() -> bool:
    """Whether the whole process runs on this heap: ``malloc`` as any library finds it is the library's, and no
    option has switched it off."""
    found = ctypes.cast(ctypes.CDLL(None).pvalloc, c_void_p).value
    return found == ctypes.cast(_library.pvalloc, c_void_p).value and stats().state <= _ON


def malloc(size: int) -> int:
    """Allocate `size` bytes and return their address; 0 bytes give an address of their own, too.

    Raises MemoryError when refused, ValueError if `size` is negative, OverflowError if it does not fit in a
    word.
    """
    return _granted(_library.snug_malloc(_word("size", size)), f"malloc({size})")


def calloc(count: int, size: int) -> int:
    """Allocate `count` times `size` bytes that read as zero and return their address. Raises as `malloc`."""
    granted = _library.snug_calloc(_word("count", count), _word("size", size))
    return _granted(granted, f"calloc({count}, {size})")


def realloc(address: int, size: int) -> int:
    """Give the block at `address` room for `size` bytes, at least 1, and return its address, old or new.

    Raises as `malloc`; the old block is then as it was. ValueError if `size` is 0: use `free`.
    """
    if not size:
        raise ValueError("size must be at least 1: use free")
    granted = _library.snug_realloc(_word("address", address), _word("size", size))
    return _granted(granted, f"realloc({address:#x}, {size})")


def free(address: int) -> None:
    """Free the block at `address`, or nothing if it is 0. Raises ValueError, OverflowError as `malloc`."""
    _library.snug_free(_word("address", address))


def usable_size(address: int) -> int:
    """How many bytes the block at `address` has room for; 0 for address 0."""
    return int(_library.snug_malloc_usable_size(_word("address", address)))


def trim(pad: int = 0) -> bool:
    """Give every free page back to the system now, but `pad` bytes at the heap's top. Whether any went."""
    return bool(_library.snug_trim(_word("pad", pad)))


def stats() -> ProcessStats:
    """The statistics of the heap."""
    figures = _Figures()
    _library.snug_stats(ctypes.byref(figures), ctypes.sizeof(figures))
    return ProcessStats(*figures)


def check() -> int:
    """Check every invariant of the heap: 0, or the number of the first that is broken (``SNUG_CHECK_*``)."""
    return int(_library.snug_check())
