"""The real machine: the interpreted engine on the memory of this very process, through ctypes.

For looking at real addresses while single-stepping. The interpreter's own malloc shares the break with the
engine here, as any foreign user of ``brk`` would. One engine at a time: two would not know of each other.
"""

from __future__ import annotations

import ctypes
import os
import threading

from .simulated import Fatal, Trap, fatal_line

PROT_READ_WRITE = 3
MAP_PRIVATE_ANONYMOUS = 0x22
MAP_FAILED = 2**64 - 1
AT_RANDOM = 25

_libc = ctypes.CDLL(None, use_errno=True)
_libc.brk.argtypes = [ctypes.c_uint64]
_libc.brk.restype = ctypes.c_int
_libc.sbrk.argtypes = [ctypes.c_int64]
_libc.sbrk.restype = ctypes.c_uint64
_libc.mmap.argtypes = [ctypes.c_uint64, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_int64]
_libc.mmap.restype = ctypes.c_uint64
_libc.munmap.argtypes = [ctypes.c_uint64, ctypes.c_size_t]
_libc.munmap.restype = ctypes.c_int
_libc.mincore.argtypes = [ctypes.c_uint64, ctypes.c_size_t, ctypes.c_char_p]
_libc.mincore.restype = ctypes.c_int
_libc.getauxval.argtypes = [ctypes.c_ulong]
_libc.getauxval.restype = ctypes.c_ulong

Visitor = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_uint64, ctypes.c_size_t, ctypes.c_int, ctypes.c_uint64)


class RealMachine:
    """This process's memory and kernel. A bad address is a real one: it ends the process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._thread = threading.local()
        self._reserved: list[object] = []

    def load(self, address: int, width: int) -> int:
        return int.from_bytes(ctypes.string_at(address, width), "little")

    def store(self, address: int, width: int, value: int) -> None:
        ctypes.memmove(address, value.to_bytes(width, "little"), width)

    def copy(self, target: int, source: int, count: int) -> None:
        ctypes.memmove(target, source, count)

    def clear(self, address: int, count: int) -> None:
        ctypes.memset(address, 0, count)

    def reserve(self, count: int) -> int:
        buffer = ctypes.create_string_buffer(count + 64)
        self._reserved.append(buffer)
        return (ctypes.addressof(buffer) + 63) & ~63

    def system_break(self) -> int:
        _libc.brk(0)
        return self.known_break()

    def known_break(self) -> int:
        return int(_libc.sbrk(0))

    def move_break(self, address: int) -> bool:
        return int(_libc.brk(address)) == 0

    def map_memory(self, length: int) -> int:
        address = int(_libc.mmap(0, length, PROT_READ_WRITE, MAP_PRIVATE_ANONYMOUS, -1, 0))
        return 0 if address == MAP_FAILED else address

    def unmap_memory(self, address: int, length: int) -> bool:
        return int(_libc.munmap(address, length)) == 0

    def page_size(self) -> int:
        return os.sysconf("SC_PAGESIZE")

    def is_mapped(self, address: int) -> bool:
        return int(_libc.mincore(address & -self.page_size(), 1, b"\0")) == 0

    def random_word(self) -> int:
        return self.load(int(_libc.getauxval(AT_RANDOM)), 8)

    def set_errno(self, code: int) -> None:
        ctypes.set_errno(code)

    def get_errno(self) -> int:
        return ctypes.get_errno()

    def option(self, name: bytes) -> bytes | None:
        return os.environb.get(name)

    def lock(self) -> bool:
        return self._lock.acquire()

    def unlock(self, held: bool) -> None:
        if held:
            self._lock.release()

    def load_thread_word(self) -> int:
        return getattr(self._thread, "word", 0)

    def store_thread_word(self, value: int) -> None:
        self._thread.word = value

    def trap(self) -> None:
        raise Trap("an invariant is broken")

    def fatal(self, message: bytes, first: int, second: int) -> None:
        raise Fatal(fatal_line(message, first, second))

    def visit_block(self, visitor: int, address: int, size: int, status: int, context: int) -> bool:
        return int(Visitor(visitor)(address, size, status, context)) == 0
