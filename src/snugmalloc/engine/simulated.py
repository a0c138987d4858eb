"""A simulated machine: memory in bytearrays, a kernel that can be told to refuse, every access checked.

    0x10000                 the library's own reserved memory (`reserve`)
    0x555500000000          the program break at the start; the heap grows up from here
    0x6f0000000000          what libc's malloc gives, to the byte; never the same address twice
    0x7f0000000000          mappings, each below the one before, with an unmapped page between them

An access must lie within one of these, to the byte: beyond the break, or past the length asked of `mmap`, is an
error. The kernel refuses what is not aligned to its pages, as a real one does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

PAGE = 4096
RESERVED = 0x10000
BREAK = 0x5555_0000_0000
LIBC = 0x6F00_0000_0000
LIBC_ALIGNMENT = 16
MAPPINGS = 0x7F00_0000_0000
PLENTY = 1 << 16  # bytes; to clear more takes longer than a lock should be held


class SystemCall(NamedTuple):
    """One system call as a tracer shows it; `result` is None when it was refused."""

    name: str
    arguments: tuple[int, ...]
    result: int | None


class BadAccess(Exception):
    """The engine touched memory that it does not have, or stored a value that does not fit."""


class Trap(Exception):
    """The engine found one of its invariants broken."""


class Fatal(Exception):
    """The engine proved that its memory was corrupted; the message is the line it would write."""


@dataclass
class Region:
    """`len(memory)` bytes from `start`."""

    start: int
    memory: bytearray

    @property
    def end(self) -> int:
        return self.start + len(self.memory)


@dataclass
class SimulatedMachine:
    """One process. `log` holds its system calls, `refuse` decides which the kernel refuses.

    One thread runs the engine; `threads` says that the process has others, `process_malloc` that the engine's
    malloc is the only one, `secure` that it may more than those who started it; `libc_blocks` is what libc's
    has given, by address. `program` has the names that `program_name` returns. With `lock_is_short` a slow call
    under the lock is an error: to clear much memory, ``madvise``, ``munmap`` but of addresses that were only
    reserved, ``mremap``.
    """

    page: int = PAGE
    environment: dict[bytes, bytes] = field(default_factory=dict)
    secure: bool = False
    refuse: Callable[[str, tuple[int, ...]], bool] = lambda name, arguments: False
    log: list[SystemCall] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    errno: int = 0
    threads: bool = False
    cores: int = 2
    process_malloc: bool = True
    lock_is_short: bool = False
    program: tuple[bytes, bytes, bytes] = (b"program", b"program", b"program")
    host: bytes = b"host"
    started: int = 1
    files: set[bytes] = field(default_factory=set)
    folders: set[bytes] = field(default_factory=set)
    own_files: list[int] = field(default_factory=list)
    parent_told: set[bytes] = field(default_factory=set)
    published: int = 0
    published_shards: int = 0
    published_outside: int = 0
    refusal: int = 0
    libc_calls: list[str] = field(default_factory=list)
    forks: int = 0
    helpers: int = 0
    secret: int = 0x9E37_79B9_7F4A_7C15
    visitors: dict[int, Callable[[int, int, int, int], int]] = field(default_factory=dict)
    records: dict[bytes, bytearray] = field(default_factory=dict)
    """The files that were recorded to, by path."""
    rings: dict[bytes, tuple[int, int]] = field(default_factory=dict)
    """The rings, by path: where each is mapped, and its bytes."""
    guard: int = 0
    """What `map_until_fork` gave last: a test makes it zero in a child."""
    process: int = 1000
    children: int = 0
    """How many children this process has forked."""
    thread_is_ending: bool = False
    symbols: dict[bytes, int] = field(default_factory=dict)
    """What modules export: addresses by name."""
    functions: dict[int, Callable[[], int]] = field(default_factory=dict)
    """The C functions that `call_function` may call, by address."""
    modules: list[tuple[int, ...]] = field(default_factory=list)
    """The modules of the process: the six words of each."""
    stack: tuple[int, int] = (0, 0)
    """Where the thread is on its stack, and the end of that."""

    def __post_init__(self) -> None:
        self._reserved = Region(RESERVED, bytearray())
        self._heap = Region(BREAK, bytearray())
        self._mappings: list[Region] = []
        self._only_reserved: set[int] = set()
        self._break_was_asked = False
        self._held: list[int] = []
        self._time = 0
        self.libc_blocks: dict[int, Region] = {}
        self._libc_end = LIBC
        self._entries: list[int] | None = None
        self._nothing = self.reserve(2048)
        self._thread_word = self._nothing
        self._thread_state = 0
        self._thread_reason = 0
        self._thread_recorder = 0
        self._thread_gap = 0
        self._ticks = 0
        self._record: bytearray | None = None

    # ---- Memory ----

    def _place(self, address: int, count: int) -> tuple[bytearray, int]:
        """The region that holds all `count` bytes at `address`, and where in it they begin."""
        for region in (self._heap, self._reserved, *self._mappings, *self.libc_blocks.values()):
            if region.start <= address and address + count <= region.end:
                return region.memory, address - region.start
        raise BadAccess(f"{count} bytes at {address:#x} are not mapped")

    def load(self, address: int, width: int) -> int:
        memory, at = self._place(address, width)
        return int.from_bytes(memory[at : at + width], "little")

    def store(self, address: int, width: int, value: int) -> None:
        memory, at = self._place(address, width)
        if not 0 <= value < 1 << 8 * width:
            raise BadAccess(f"{value:#x} does not fit in the {width} bytes at {address:#x}")
        memory[at : at + width] = value.to_bytes(width, "little")

    def copy(self, target: int, source: int, count: int) -> None:
        self.write(target, self.read(source, count))

    def clear(self, address: int, count: int) -> None:
        if count > PLENTY:
            self._expect_no_lock("clear")
        self.write(address, bytes(count))

    def fill(self, address: int, count: int, value: int) -> None:
        self.write(address, bytes([value]) * count)

    def read(self, address: int, count: int) -> bytes:
        """The `count` bytes at `address`."""
        memory, at = self._place(address, count)
        return bytes(memory[at : at + count])

    def write(self, address: int, data: bytes) -> None:
        """Put `data` at `address`."""
        memory, at = self._place(address, len(data))
        memory[at : at + len(data)] = data

    def reserve(self, count: int) -> int:
        address = self._reserved.end
        self._reserved.memory.extend(bytes((count + 63) & ~63))
        return address

    # ---- The kernel ----

    def _call(self, name: str, arguments: tuple[int, ...], result: int | None) -> bool:
        """Log a system call that would give `result`; returns whether the kernel does it."""
        if result is not None and self.refuse(name, arguments):
            result = None
        self.log.append(SystemCall(name, arguments, result))
        return result is not None

    def _expect_no_lock(self, what: str) -> None:
        """A call that takes long is made."""
        if self.lock_is_short and self._held:
            raise Trap(f"{what} under the lock")

    def _done(self, *aligned: int) -> int | None:
        """The result of a call about whole pages at these addresses: 0, or None if the kernel refuses one."""
        return None if any(address % self.page for address in aligned) else 0

    @property
    def break_address(self) -> int:
        """The program break."""
        return self._heap.end

    def system_break(self) -> int:
        self._break_was_asked = True
        self.log.append(SystemCall("brk", (0,), self._heap.end))
        return self._heap.end

    def known_break(self) -> int:
        return self._heap.end if self._break_was_asked else self.system_break()

    def move_break(self, address: int) -> bool:
        possible = BREAK <= address < self._lowest_mapping()
        if not self._call("brk", (address,), address if possible else None):
            return False
        self._resize(address)
        return True

    def _resize(self, address: int) -> None:
        size = address - self._heap.start
        del self._heap.memory[size:]
        self._heap.memory.extend(bytes(size - len(self._heap.memory)))

    def foreign_break(self, count: int) -> int:
        """Somebody else moves the break by `count` bytes, as libc's ``sbrk``. Where it was."""
        before = self._heap.end
        self._break_was_asked = True
        self._resize(before + count)
        return before

    def _lowest_mapping(self) -> int:
        return min((region.start for region in self._mappings), default=MAPPINGS)

    def _pages(self, length: int) -> int:
        """`length`, rounded up to whole pages."""
        return -(-length // self.page) * self.page

    def map_memory(self, length: int, alignment: int = 1) -> int:
        address = self._lowest_mapping() - self._pages(length) - self.page
        address -= address % max(alignment, self.page)
        possible = length > 0 and self._heap.end < address
        if not self._call("mmap", (length,), address if possible else None):
            return 0
        self._mappings.append(Region(address, bytearray(length)))
        return address

    def why_refused(self, length: int) -> int:
        """What a test says."""
        return self.refusal

    def _cut(self, start: int, end: int) -> None:
        """Unmap the pages from `start` to `end`; mappings that lie across an edge stay in part."""
        for region in list(self._mappings):
            if region.start < end and start < region.start + self._pages(len(region.memory)):
                self._mappings.remove(region)
                if region.start < start:
                    self._mappings.append(Region(region.start, region.memory[: start - region.start]))
                if end < region.end:
                    self._mappings.append(Region(end, region.memory[end - region.start :]))

    def _is_ours(self, start: int, end: int) -> bool:
        """Whether all pages from `start` to `end` are mapped."""
        for region in sorted(self._mappings, key=lambda region: region.start):
            if region.start <= start < region.start + self._pages(len(region.memory)):
                start = region.start + self._pages(len(region.memory))
        return start >= end

    def unmap_memory(self, address: int, length: int) -> bool:
        if address not in self._only_reserved:
            self._expect_no_lock("munmap")
        end = address + self._pages(length)
        if not self._is_ours(address, end):
            raise BadAccess(f"munmap({address:#x}, {length}) is about pages that are not mapped")
        if not self._call("munmap", (address, length), self._done(address)):
            return False
        self._cut(address, end)
        self._only_reserved.discard(address)
        return True

    def forbid_huge_pages(self, address: int, length: int) -> None:
        """There are none."""

    def clock(self) -> int:
        """Time goes on by a tenth of a millisecond whenever somebody looks."""
        self._time += 100_000
        return self._time

    def pass_time(self, nanoseconds: int) -> None:
        """Nothing happens for so long."""
        self._time += nanoseconds

    def resize_mapping(self, address: int, before: int, length: int) -> bool:
        self._expect_no_lock("mremap")
        start, old_end, end = address, address + self._pages(before), address + self._pages(length)
        taken = any(region.start < end and old_end < region.end for region in self._mappings)
        if not self._call("mremap", (start, before, length), None if taken else self._done(start)):
            return False
        content = self.read(start, min(before, length))
        self._cut(start, old_end)
        self._mappings.append(Region(start, bytearray(content.ljust(length, b"\0"))))
        return True

    def move_mapping(self, address: int, before: int, target: int, length: int) -> bool:
        self._expect_no_lock("mremap")
        if not self._call("mremap", (address, before, length, target), self._done(address, target)):
            return False
        content = self.read(address, min(before, length))
        self._cut(address, address + self._pages(before))
        self._cut(target, target + self._pages(length))
        self._mappings.append(Region(target, bytearray(content.ljust(length, b"\0"))))
        return True

    def reserve_range(self, length: int, alignment: int) -> int:
        """As a mapping; what `commit_range` has not made memory yet can be touched all the same."""
        start = self.map_memory(length, alignment)
        self._only_reserved.add(start)
        return start

    def commit_range(self, address: int, length: int) -> bool:
        self._place(address, length)
        if not self._call("mprotect", (address, length), self._done(address)):
            return False
        self._only_reserved -= {
            region.start for region in self._mappings if region.start <= address < region.end
        }
        return True

    def purge_memory(self, address: int, length: int) -> bool:
        self._expect_no_lock("madvise")
        if not self._call("madvise", (address, length), self._done(address)):
            return False
        self.write(address, bytes(self._pages(length)))
        return True

    def page_size(self) -> int:
        return self.page

    def is_mapped(self, address: int) -> bool:
        try:
            self._place(address, 1)
        except BadAccess:
            return False
        return True

    def random_word(self) -> int:
        return self.secret

    def is_process_malloc(self) -> bool:
        return self.process_malloc

    def set_errno(self, code: int) -> None:
        self.errno = code

    def get_errno(self) -> int:
        return self.errno

    def option(self, name: bytes) -> bytes | None:
        return self.environment.get(name)

    def _text(self, data: bytes) -> int:
        """The address of a new text."""
        address = self.reserve(len(data) + 1)
        self.write(address, data + b"\0")
        return address

    def _read_text(self, address: int) -> bytes:
        letters = b""
        while letter := self.load(address + len(letters), 1):
            letters += bytes([letter])
        return letters

    def file_exists(self, path: int) -> bool:
        return self._read_text(path) in {*self.files, *self.records, *self.rings}

    def program_name(self, which: int) -> int:
        return self._text(self.program[which])

    def host_name(self) -> int:
        return self._text(self.host)

    def start_time(self) -> int:
        return self.started

    def parent_has_told(self, entry: int) -> bool:
        return self._read_text(entry) in self.parent_told

    def publish(self, address: int) -> None:
        self.published = address

    def publish_shards(self, address: int) -> None:
        self.published_shards = address

    def publish_outside(self, address: int) -> None:
        self.published_outside = address

    def map_own_file(self, folder: int, length: int) -> int:
        if self._read_text(folder) not in self.folders:
            return 0
        self.own_files.append(self.reserve(length))
        return self.own_files[-1]

    def loader_base(self) -> int:
        return 0

    def is_traceable(self) -> bool:
        return not self.secure

    def is_secure(self) -> bool:
        return self.secure

    def environment_entry(self, index: int) -> int | None:
        if self._entries is None:
            self._entries = []
            for name, value in self.environment.items():
                self._entries.append(self._text(name + b"=" + value))
        return self._entries[index] if index < len(self._entries) else 0

    def warn(self, message: bytes, text: int) -> None:
        self.warnings.append((message + self._read_text(text)).decode())

    # ---- The C library's malloc ----

    def has_libc_malloc(self) -> bool:
        return True

    def _take(self, name: str, size: int, alignment: int = LIBC_ALIGNMENT) -> int:
        """A block of exactly so many bytes, full of what malloc may leave there."""
        self._expect_no_lock(name)
        self.libc_calls.append(name)
        address = -(-self._libc_end // alignment) * alignment
        self._libc_end = address + size + LIBC_ALIGNMENT
        self.libc_blocks[address] = Region(address, bytearray(b"\xbe" * size))
        return address

    def _expect_block(self, pointer: int) -> Region:
        if pointer not in self.libc_blocks:
            raise BadAccess(f"{pointer:#x} is no block of libc's malloc")
        return self.libc_blocks[pointer]

    def libc_malloc(self, size: int) -> int:
        return self._take("malloc", size)

    def libc_calloc(self, count: int, size: int) -> int:
        address = self._take("calloc", count * size)
        self.write(address, bytes(count * size))
        return address

    def libc_realloc(self, pointer: int, size: int) -> int:
        before = self._expect_block(pointer).memory
        address = self._take("realloc", size)
        kept = min(size, len(before))
        self.libc_blocks[address].memory[:kept] = before[:kept]
        del self.libc_blocks[pointer]
        return address

    def libc_memalign(self, alignment: int, size: int) -> int:
        return self._take("memalign", size, alignment)

    def libc_free(self, pointer: int) -> None:
        self._expect_block(pointer)
        self.libc_calls.append("free")
        del self.libc_blocks[pointer]

    def libc_usable_size(self, pointer: int) -> int:
        return len(self._expect_block(pointer).memory)

    def libc_trim(self, pad: int) -> int:
        self.libc_calls.append("malloc_trim")
        return 0

    def libc_mallopt(self, parameter: int, value: int) -> int:
        self.libc_calls.append("mallopt")
        return 1

    # ---- Threads: there is one ----

    def processors(self) -> int:
        return self.cores

    def has_threads(self) -> bool:
        return self.threads

    def process_lock(self) -> int:
        return 0

    def lock(self, address: int) -> bool:
        if address in self._held:
            raise Trap("a lock is taken twice")
        self._held.append(address)
        return True

    def unlock(self, address: int, held: bool) -> None:
        if address not in self._held:
            raise Trap("a lock is released but not held")
        if held:
            self._held.remove(address)

    def thread_without_cache(self) -> int:
        return self._nothing

    def load_thread_word(self) -> int:
        return self._thread_word

    def store_thread_word(self, value: int) -> None:
        self._thread_word = value

    def load_thread_state(self) -> int:
        return self._thread_state

    def store_thread_state(self, value: int) -> None:
        self._thread_state = value

    def load_thread_reason(self) -> int:
        return self._thread_reason

    def store_thread_reason(self, value: int) -> None:
        self._thread_reason = value

    def load_thread_recorder(self) -> int:
        return self._thread_recorder

    def store_thread_recorder(self, value: int) -> None:
        self._thread_recorder = value

    def load_thread_gap(self) -> int:
        return self._thread_gap

    def store_thread_gap(self, value: int) -> None:
        self._thread_gap = value

    def watch_thread_end(self) -> None:
        """There is one thread; a test ends it by hand."""

    def is_thread_ending(self) -> bool:
        return self.thread_is_ending

    def fork_generation(self) -> int:
        return self.forks

    def forks_seen(self) -> int:
        return self.forks + self.children

    def forked_child(self, fork: int) -> int:
        return self.process + fork - self.forks

    def start_helper(self) -> bool:
        """There is one thread; a test calls ``snug_background_step`` in the helper's place."""
        self.helpers += 1
        return True

    def watch_forks(self, first_lock: int) -> None:
        """Nor does it fork."""

    # ---- A recording ----

    def start_ticks(self) -> int:
        return 1_000_000_000

    def tick(self) -> int:
        self._ticks += 100
        return self._ticks

    def real_time(self) -> int:
        return 1_700_000_000_000_000_000

    def process_id(self) -> int:
        return self.process

    def parent_id(self) -> int:
        return 1

    def thread_id(self) -> int:
        return self.process

    def thread_name(self, thread: int, address: int) -> int:
        self.write(address, self.program[1][:16])
        return len(self.program[1][:16])

    def command_line(self, address: int, count: int) -> int:
        words = (self.program[0] + b"\0")[:count]
        self.write(address, words)
        return len(words)

    def hide_entry(self, entry: int) -> None:
        if self._entries and entry in self._entries:
            self._entries.remove(entry)

    def open_record(self, path: int) -> bool:
        """A refused ``open`` or ``write`` is given the address of the name, and the place and the count."""
        name = self._read_text(path)
        if name in self.records or not self._call("open", (path,), 0):
            return False
        self._record = self.records[name] = bytearray()
        return True

    def append_record(self, address: int, count: int) -> bool:
        if self._record is None or not self._call("write", (len(self._record), count), 0):
            return False
        self._record += self.read(address, count)
        return True

    def close_record(self) -> None:
        self._record = None

    def map_ring(self, path: int, length: int) -> int:
        """A refused one is given the address of the name, and the length."""
        name = self._read_text(path)
        if name in self.rings or not self._call("fallocate", (path, length), 0):
            return 0
        address = self.reserve(length)
        self.rings[name] = (address, length)
        return address

    def map_until_fork(self) -> int:
        self.guard = self.reserve(self.page)
        self.store(self.guard, 8, 1)
        return self.guard

    def resident_bytes(self) -> int:
        return len(self._heap.memory) + sum(len(region.memory) for region in self._mappings)

    def watch_exit(self) -> None:
        """A test calls ``snug_record_end``."""

    # ---- Stacks of calls ----

    def frame_address(self) -> int:
        return self.stack[0]

    def own_stack_top(self) -> int:
        return self.stack[1]

    def readable_from(self, begin: int, end: int) -> int:
        here, top = self.stack
        return max(begin, here & -4096) if end <= top else end

    def read_memory(self, address: int, count: int, target: int) -> bool:
        try:
            self.copy(target, address, count)
        except BadAccess:
            return False
        return True

    def find_symbol(self, name: bytes) -> int:
        return self.symbols.get(name, 0)

    def guard_forks(self, address: int) -> None:
        """There is one thread."""

    def find_module(self, address: int, target: int) -> bool:
        found = next((module for module in self.modules if module[0] <= address < module[1]), None)
        for at, word in enumerate(found or ()):
            self.store(target + 8 * at, 8, word)
        return found is not None

    def modules_changed(self) -> int:
        return len(self.modules)

    def list_modules(self, target: int, most: int) -> int:
        for at, word in enumerate(word for module in self.modules[:most] for word in (*module, 0)):
            self.store(target + 8 * at, 8, word)
        return min(most, len(self.modules))

    def is_behind_call(self, address: int) -> bool:
        return False

    def call_function(self, address: int) -> int:
        return self.functions[address]()

    # ---- The end ----

    def trap(self) -> None:
        raise Trap("an invariant is broken")

    def fatal(self, message: bytes, first: int, second: int) -> None:
        self._held.clear()
        raise Fatal(fatal_line(message, first, second))

    def visit_block(self, visitor: int, address: int, size: int, status: int, context: int) -> bool:
        return self.visitors[visitor](address, size, status, context) == 0


def fatal_line(message: bytes, first: int, second: int) -> str:
    """`message` with its ``%x`` and ``%d`` filled in from the two values in turn."""
    values = iter((first, second))
    text = message.decode()
    for _ in range(text.count("%")):
        at = text.index("%")
        value = next(values)
        text = text[:at] + (hex(value) if text[at + 1] == "x" else str(value)) + text[at + 2 :]
    return text
