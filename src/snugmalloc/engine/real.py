"""The real machine: the interpreted engine on the memory of this very process, through ctypes.

For looking at real addresses while single-stepping. The interpreter's own malloc shares the break with the
engine here, as any foreign user of ``brk`` would. One engine at a time: two would not know of each other.
"""

from __future__ import annotations

import ctypes
import os
import sys
import threading
import time
from collections import defaultdict

from .simulated import Fatal, Trap, fatal_line

PROT_NONE = 0
PROT_READ_WRITE = 3
MAP_PRIVATE_ANONYMOUS = 0x22
MAP_NORESERVE = 0x4000
MREMAP_MAYMOVE = 1
MREMAP_FIXED = 2
MADV_DONTNEED = 4
MADV_NOHUGEPAGE = 15
MAP_FAILED = 2**64 - 1
AT_SECURE = 23
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
_libc.mremap.argtypes = [ctypes.c_uint64, ctypes.c_size_t, ctypes.c_size_t, ctypes.c_int, ctypes.c_uint64]
_libc.mremap.restype = ctypes.c_uint64
_libc.mprotect.argtypes = [ctypes.c_uint64, ctypes.c_size_t, ctypes.c_int]
_libc.mprotect.restype = ctypes.c_int
_libc.madvise.argtypes = [ctypes.c_uint64, ctypes.c_size_t, ctypes.c_int]
_libc.madvise.restype = ctypes.c_int
_libc.mincore.argtypes = [ctypes.c_uint64, ctypes.c_size_t, ctypes.c_char_p]
_libc.mincore.restype = ctypes.c_int
_libc.getauxval.argtypes = [ctypes.c_ulong]
_libc.getauxval.restype = ctypes.c_ulong

for _name, _count in (
    ("malloc", 1),
    ("calloc", 2),
    ("realloc", 2),
    ("memalign", 2),
    ("free", 1),
    ("malloc_usable_size", 1),
    ("malloc_trim", 1),
):
    _function = getattr(_libc, _name)
    _function.argtypes = [ctypes.c_uint64] * _count
    _function.restype = ctypes.c_int if _name == "malloc_trim" else ctypes.c_uint64
_libc.mallopt.argtypes = [ctypes.c_int, ctypes.c_int]

Visitor = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_uint64, ctypes.c_size_t, ctypes.c_int, ctypes.c_uint64)


class RealMachine:
    """This process's memory and kernel. A bad address is a real one: it ends the process."""

    def __init__(self) -> None:
        self._locks: dict[int, threading.Lock] = defaultdict(threading.Lock)
        self._thread = threading.local()
        self._reserved: list[object] = []
        self._entries: list[int] | None = None
        self._texts: list[ctypes.Array[ctypes.c_char]] = []
        self._nothing = self.reserve(2048)
        self._record = -1

    def load(self, address: int, width: int) -> int:
        return int.from_bytes(ctypes.string_at(address, width), "little")

    def store(self, address: int, width: int, value: int) -> None:
        ctypes.memmove(address, value.to_bytes(width, "little"), width)

    def copy(self, target: int, source: int, count: int) -> None:
        ctypes.memmove(target, source, count)

    def clear(self, address: int, count: int) -> None:
        ctypes.memset(address, 0, count)

    def fill(self, address: int, count: int, value: int) -> None:
        ctypes.memset(address, value, count)

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

    def why_refused(self, length: int) -> int:
        """Not looked into."""
        return 0

    def unmap_memory(self, address: int, length: int) -> bool:
        return int(_libc.munmap(address, length)) == 0

    def resize_mapping(self, address: int, before: int, length: int) -> bool:
        return int(_libc.mremap(address, before, length, 0, 0)) != MAP_FAILED

    def move_mapping(self, address: int, before: int, target: int, length: int) -> bool:
        flags = MREMAP_MAYMOVE | MREMAP_FIXED
        return int(_libc.mremap(address, before, length, flags, target)) != MAP_FAILED

    def reserve_range(self, length: int, alignment: int) -> int:
        address = int(
            _libc.mmap(0, length + alignment, PROT_NONE, MAP_PRIVATE_ANONYMOUS | MAP_NORESERVE, -1, 0)
        )
        return 0 if address == MAP_FAILED else -(-address // alignment) * alignment

    def commit_range(self, address: int, length: int) -> bool:
        return int(_libc.mprotect(address, length, PROT_READ_WRITE)) == 0

    def purge_memory(self, address: int, length: int) -> bool:
        return int(_libc.madvise(address, length, MADV_DONTNEED)) == 0

    def forbid_huge_pages(self, address: int, length: int) -> None:
        _libc.madvise(address, length, MADV_NOHUGEPAGE)

    def clock(self) -> int:
        return time.monotonic_ns()

    def page_size(self) -> int:
        return os.sysconf("SC_PAGESIZE")

    def is_mapped(self, address: int) -> bool:
        return int(_libc.mincore(address & -self.page_size(), 1, b"\0")) == 0

    def random_word(self) -> int:
        return self.load(int(_libc.getauxval(AT_RANDOM)), 8)

    def is_process_malloc(self) -> bool:
        return False

    def set_errno(self, code: int) -> None:
        ctypes.set_errno(code)

    def get_errno(self) -> int:
        return ctypes.get_errno()

    def option(self, name: bytes) -> bytes | None:
        return os.environb.get(name)

    def _text(self, data: bytes) -> int:
        """The address of a text that stays."""
        self._texts.append(ctypes.create_string_buffer(data))
        return ctypes.addressof(self._texts[-1])

    def file_exists(self, path: int) -> bool:
        return os.path.exists(ctypes.string_at(path))

    def program_name(self, which: int) -> int:
        names = (sys.argv[0], os.readlink("/proc/self/exe"), sys.executable)
        return self._text(os.fsencode(os.path.basename(names[which])))

    def host_name(self) -> int:
        return self._text(os.fsencode(os.uname().nodename))

    def start_time(self) -> int:
        with open("/proc/self/stat") as file:
            return int(file.read().rpartition(")")[2].split()[19])

    def parent_has_told(self, entry: int) -> bool:
        return False

    def publish(self, address: int) -> None:
        """Nobody looks at an interpreted heap from outside."""

    def publish_shards(self, address: int) -> None:
        """Nor at those beside it."""

    def publish_outside(self, address: int) -> None:
        """Nor does anybody ask for anything."""

    def map_own_file(self, folder: int, length: int) -> int:
        """Nor is there a file of it."""
        return 0

    def loader_base(self) -> int:
        return 0

    def is_traceable(self) -> bool:
        return not self.is_secure()

    def is_secure(self) -> bool:
        return bool(_libc.getauxval(AT_SECURE))

    def environment_entry(self, index: int) -> int | None:
        if self._entries is None:
            self._entries = []
            for name, value in os.environb.items():
                self._entries.append(self._text(name + b"=" + value))
        return self._entries[index] if index < len(self._entries) else 0

    def warn(self, message: bytes, text: int) -> None:
        os.write(2, message + ctypes.string_at(text) + b"\n")

    def has_libc_malloc(self) -> bool:
        return True

    def libc_malloc(self, size: int) -> int:
        return int(_libc.malloc(size))

    def libc_calloc(self, count: int, size: int) -> int:
        return int(_libc.calloc(count, size))

    def libc_realloc(self, pointer: int, size: int) -> int:
        return int(_libc.realloc(pointer, size))

    def libc_memalign(self, alignment: int, size: int) -> int:
        return int(_libc.memalign(alignment, size))

    def libc_free(self, pointer: int) -> None:
        _libc.free(pointer)

    def libc_usable_size(self, pointer: int) -> int:
        return int(_libc.malloc_usable_size(pointer))

    def libc_trim(self, pad: int) -> int:
        return int(_libc.malloc_trim(pad))

    def libc_mallopt(self, parameter: int, value: int) -> int:
        return int(_libc.mallopt(parameter, value))

    def processors(self) -> int:
        return len(os.sched_getaffinity(0))

    def has_threads(self) -> bool:
        return threading.active_count() > 1

    def process_lock(self) -> int:
        return 0

    def lock(self, address: int) -> bool:
        return self._locks[address].acquire()

    def unlock(self, address: int, held: bool) -> None:
        if held:
            self._locks[address].release()

    def thread_without_cache(self) -> int:
        return self._nothing

    def load_thread_word(self) -> int:
        return getattr(self._thread, "word", self._nothing)

    def store_thread_word(self, value: int) -> None:
        self._thread.word = value

    def load_thread_state(self) -> int:
        return getattr(self._thread, "state", 0)

    def store_thread_state(self, value: int) -> None:
        self._thread.state = value

    def load_thread_reason(self) -> int:
        return getattr(self._thread, "reason", 0)

    def store_thread_reason(self, value: int) -> None:
        self._thread.reason = value

    def load_thread_recorder(self) -> int:
        return getattr(self._thread, "recorder", 0)

    def store_thread_recorder(self, value: int) -> None:
        self._thread.recorder = value

    def load_thread_gap(self) -> int:
        return getattr(self._thread, "gap", 0)

    def store_thread_gap(self, value: int) -> None:
        self._thread.gap = value

    def is_thread_ending(self) -> bool:
        return False

    def watch_thread_end(self) -> None:
        """A thread's cache stays behind when it ends."""

    def fork_generation(self) -> int:
        return 0

    def forks_seen(self) -> int:
        return 0

    def forked_child(self, fork: int) -> int:
        return 0

    def start_helper(self) -> bool:
        """An interpreted heap has none."""
        return False

    def watch_forks(self, first_lock: int) -> None:
        """An interpreted heap is not used across a fork."""

    def start_ticks(self) -> int:
        return 1_000_000_000

    def tick(self) -> int:
        return time.monotonic_ns()

    def real_time(self) -> int:
        return time.time_ns()

    def process_id(self) -> int:
        return os.getpid()

    def parent_id(self) -> int:
        return os.getppid()

    def thread_id(self) -> int:
        return threading.get_native_id()

    def thread_name(self, thread: int, address: int) -> int:
        """Not looked into."""
        return 0

    def command_line(self, address: int, count: int) -> int:
        words = b"".join(os.fsencode(word) + b"\0" for word in sys.argv)[:count]
        ctypes.memmove(address, words, len(words))
        return len(words)

    def hide_entry(self, entry: int) -> None:
        """The environment of the interpreter stays as it is."""

    def open_record(self, path: int) -> bool:
        try:
            self._record = os.open(ctypes.string_at(path), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND)
        except OSError:
            return False
        return True

    def append_record(self, address: int, count: int) -> bool:
        try:
            return os.write(self._record, ctypes.string_at(address, count)) == count
        except OSError:
            return False

    def close_record(self) -> None:
        os.close(self._record)

    def map_ring(self, path: int, length: int) -> int:
        """An interpreted heap has no ring."""
        return 0

    def map_until_fork(self) -> int:
        return 0

    def resident_bytes(self) -> int:
        return 0

    def watch_exit(self) -> None:
        """An interpreted recording ends by ``snug_record_end``."""

    def frame_address(self) -> int:
        """An interpreted recording has no stacks."""
        return 0

    def own_stack_top(self) -> int:
        return 0

    def readable_from(self, begin: int, end: int) -> int:
        return end

    def read_memory(self, address: int, count: int, target: int) -> bool:
        return False

    def find_symbol(self, name: bytes) -> int:
        return 0

    def guard_forks(self, address: int) -> None:
        """An interpreted engine is not there after a fork."""

    def find_module(self, address: int, target: int) -> bool:
        return False

    def modules_changed(self) -> int:
        return 0

    def list_modules(self, target: int, most: int) -> int:
        return 0

    def is_behind_call(self, address: int) -> bool:
        return False

    def call_function(self, address: int) -> int:
        return 0

    def trap(self) -> None:
        raise Trap("an invariant is broken")

    def fatal(self, message: bytes, first: int, second: int) -> None:
        raise Fatal(fatal_line(message, first, second))

    def visit_block(self, visitor: int, address: int, size: int, status: int, context: int) -> bool:
        return int(Visitor(visitor)(address, size, status, context)) == 0
