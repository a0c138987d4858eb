"""The machine: the only layer below the engine, and its only functions for memory and the kernel.

The engine uses the functions of this module and nothing else. A backend implements them:

* compiled, each one is a static function of ``machine.h`` (the only C of the engine) and costs what the
  instruction costs. The amalgamation derives the declarations from the annotations here, so that they are
  written once;
* interpreted, each one goes to ``backend``: a simulated machine whose memory is a ``bytearray``
  (``simulated.py``), or the real memory of this process through ctypes (``real.py``).

Types: a ``Word`` is an unsigned 64-bit integer, and an address is a ``Word``; a ``Half`` is 32 bits, a
``Byte`` 8 bits, both unsigned; an ``Int`` is a C ``int``; a ``Text`` is a constant byte string.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias, TypeVar

from .backend import Backend
from .records import Array as Array
from .records import Line as Line
from .records import MemoryRecord
from .records import array as array
from .simulated import SimulatedMachine

Word: TypeAlias = int
Half: TypeAlias = int
Byte: TypeAlias = int
Int: TypeAlias = int
Text: TypeAlias = bytes

Callee = TypeVar("Callee", bound=Callable[..., object])

ENOMEM = 12
EINVAL = 22

backend: Backend = SimulatedMachine()


# ---- Memory ----------------------------------------------------------------------------------------------


def load_word(address: Word) -> Word:
    """The 8 bytes at `address`."""
    return backend.load(address, 8)


def store_word(address: Word, value: Word) -> None:
    """Write `value` into the 8 bytes at `address`."""
    backend.store(address, 8, value)


def load_half(address: Word) -> Half:
    """The 4 bytes at `address`."""
    return backend.load(address, 4)


def store_half(address: Word, value: Half) -> None:
    """Write `value` into the 4 bytes at `address`."""
    backend.store(address, 4, value)


def load_byte(address: Word) -> Byte:
    """The byte at `address`."""
    return backend.load(address, 1)


def store_byte(address: Word, value: Byte) -> None:
    """Write `value` into the byte at `address`."""
    backend.store(address, 1, value)


def copy_bytes(target: Word, source: Word, count: Word) -> None:
    """Copy `count` bytes from `source` to `target`; the two do not overlap."""
    backend.copy(target, source, count)


def clear_bytes(address: Word, count: Word) -> None:
    """Set `count` bytes at `address` to zero."""
    backend.clear(address, count)


def fill_bytes(address: Word, count: Word, value: Byte) -> None:
    """Set `count` bytes at `address` to `value`."""
    backend.fill(address, count, value)


def reserve(count: Word) -> Word:
    """The address of `count` bytes of the library's own zeroed memory, aligned to 64 bytes.

    Only at module level, with a constant: ``BINS = reserve(4096)``.
    """
    return backend.reserve(count)


def inline(function: Callee) -> Callee:
    """Ask the C compiler to inline the function; the interpreter calls it as usual."""
    return function


class Record(MemoryRecord):
    """What records are declared with: see docs/language.md. Compiled, each use is a load or a store."""

    @staticmethod
    def _load(address: int, width: int) -> int:
        return backend.load(address, width)

    @staticmethod
    def _store(address: int, width: int, value: int) -> None:
        backend.store(address, width, value)


# ---- Arithmetic ------------------------------------------------------------------------------------------


def lowest_bit(word: Word) -> Int:
    """The number of the lowest bit that is set in `word`, from 0; `word` is not 0."""
    return (word & -word).bit_length() - 1


def highest_bit(word: Word) -> Int:
    """The number of the highest bit that is set in `word`, from 0; `word` is not 0."""
    return word.bit_length() - 1


def multiply(a: Word, b: Word) -> Word:
    """The low 64 bits of `a` times `b`."""
    return (a * b) & 0xFFFF_FFFF_FFFF_FFFF


def product_overflows(a: Word, b: Word) -> bool:
    """Whether `a` times `b` does not fit in a word."""
    return a * b > 0xFFFF_FFFF_FFFF_FFFF


def likely(condition: bool) -> bool:
    """`condition`, and a hint to the compiler that it is usually true."""
    return condition


def unlikely(condition: bool) -> bool:
    """`condition`, and a hint to the compiler that it is usually false."""
    return condition


# ---- The kernel ------------------------------------------------------------------------------------------


def system_break() -> Word:
    """Ask the kernel for the program break: one ``brk(0)``."""
    return backend.system_break()


def known_break() -> Word:
    """The program break as the C library remembers it: no system call, once there was one.

    Whoever moves the break through libc (its own malloc, a foreign ``sbrk``) is seen here.
    """
    return backend.known_break()


def move_break(address: Word) -> bool:
    """Move the program break to `address`: one ``brk(address)``. Returns True on success."""
    return backend.move_break(address)


def map_memory(length: Word) -> Word:
    """One ``mmap`` of `length` private zeroed bytes. Returns its address, or 0 if refused."""
    return backend.map_memory(length)


def why_refused(length: Word) -> Word:
    """Why `map_memory` was just refused `length` bytes, determined by smaller requests.

    1: not enough address space, by RLIMIT_AS or at all; 2: the maximum number of mappings is reached; 3: all
    its memory is locked and RLIMIT_MEMLOCK reached; 0: there is no memory, in RLIMIT_DATA or by the kernel's
    accounting.
    """
    return backend.why_refused(length)


def unmap_memory(address: Word, length: Word) -> bool:
    """One ``munmap`` of `length` bytes at `address`. Returns True on success."""
    return backend.unmap_memory(address, length)


def resize_mapping(address: Word, before: Word, length: Word) -> bool:
    """One ``mremap`` of a mapping from `before` to `length` bytes in place. Returns True on success."""
    return backend.resize_mapping(address, before, length)


def move_mapping(address: Word, before: Word, target: Word, length: Word) -> bool:
    """One ``mremap`` that moves the pages of a mapping onto the mapping at `target`, which it replaces.

    `target` has `length` bytes and is page-aligned. Returns True on success; otherwise both are unchanged.
    """
    return backend.move_mapping(address, before, target, length)


def reserve_range(length: Word, alignment: Word) -> Word:
    """Reserve `length` bytes of addresses at a multiple of `alignment`, without memory: the start, or 0."""
    return backend.reserve_range(length, alignment)


def commit_range(address: Word, length: Word) -> bool:
    """Make whole pages of a reserved range memory that reads as zero. Returns True on success."""
    return backend.commit_range(address, length)


def purge_memory(address: Word, length: Word) -> bool:
    """Give whole pages back to the kernel; their addresses then read as zero. Returns True on success."""
    return backend.purge_memory(address, length)


def forbid_huge_pages(address: Word, length: Word) -> None:
    """Exclude these whole pages from huge pages."""
    backend.forbid_huge_pages(address, length)


def clock() -> Word:
    """Nanoseconds since some moment in the past."""
    return backend.clock()


def page_size() -> Word:
    """The page size of the running system, in bytes."""
    return backend.page_size()


def is_mapped(address: Word) -> bool:
    """Whether the page that holds `address` is mapped in this process (one ``mincore``)."""
    return backend.is_mapped(address)


def random_word() -> Word:
    """A secret word of this process, the same at each call (``AT_RANDOM``)."""
    return backend.random_word()


def is_process_malloc() -> bool:
    """Whether this library's ``malloc`` is the process's; otherwise libc's is, and may move the break."""
    return backend.is_process_malloc()


def set_errno(code: Int) -> None:
    """Set this thread's ``errno``."""
    backend.set_errno(code)


def get_errno() -> Int:
    """This thread's ``errno``."""
    return backend.get_errno()


def option_is_set(name: Text) -> bool:
    """Whether the environment variable `name` has the value ``1``. In a secure process it has none."""
    return not backend.is_secure() and backend.option(name) == b"1"


def file_exists(path: Word) -> bool:
    """Whether there is a file at the zero-terminated `path`: one system call."""
    return backend.file_exists(path)


def program_name(which: Int) -> Word:
    """A name of this program, zero-terminated and without folders; 0 if it is not known.

    0: of the file that was executed, a script too; 1: of the binary that runs; 2: what its first argument says.
    """
    return backend.program_name(which)


def host_name() -> Word:
    """The zero-terminated name of this machine."""
    return backend.host_name()


def start_time() -> Word:
    """When this process began, as /proc/self/stat has it; 0 if there is none."""
    return backend.start_time()


def parent_has_told(entry: Word) -> bool:
    """Whether the parent process has this library, and had `entry` in its environment at its start."""
    return backend.parent_has_told(entry)


def publish(address: Word) -> None:
    """Publish the address of the figures for other processes."""
    backend.publish(address)


def publish_shards(address: Word) -> None:
    """Publish a list of the shards: their number, and the address of each."""
    backend.publish_shards(address)


def publish_outside(address: Word) -> None:
    """Publish the record of `outside`: what else others can read, and their commands."""
    backend.publish_outside(address)


def map_own_file(folder: Word, length: Word) -> Word:
    """Make the file PID.snugstats in the folder of that name, `length` zero bytes, and map it; or 0.

    It is removed when the process exits normally. An earlier or inherited mapping is unmapped.
    """
    return backend.map_own_file(folder, length)


def environment_is_known() -> bool:
    """Whether the C library has its environment: not yet in calls of the dynamic loader."""
    return backend.environment_entry(0) is not None


def loader_base() -> Word:
    """The address of the dynamic loader; 0 in a process without one."""
    return backend.loader_base()


def is_traceable() -> bool:
    """Whether this user's other processes may trace this one: it is dumpable, and has no capabilities."""
    return backend.is_traceable()


def is_secure() -> bool:
    """Whether this process has more privileges than its caller (set-user-id and the like: AT_SECURE).

    Then the environment is not trusted.
    """
    return backend.is_secure()


def environment_entry(index: Word) -> Word:
    """The address of this entry ``NAME=value`` of the environment, zero-terminated; 0 behind the last."""
    return backend.environment_entry(index) or 0


def text_after(address: Word, prefix: Text) -> Word:
    """The address behind `prefix` if the zero-terminated text at `address` begins with it, else 0."""
    for at, letter in enumerate(prefix):
        if load_byte(address + at) != letter:
            return 0
    return address + len(prefix)


def warn(message: Text, text: Word) -> None:
    """Write one line to stderr: `message` and the zero-terminated text at `text`."""
    backend.warn(message, text)


# ---- The C library's own malloc, where calls are handed over to it -----------------------------------------


def has_libc_malloc() -> bool:
    """Whether the C library's own malloc can be called beside ours."""
    return backend.has_libc_malloc()


def libc_malloc(size: Word) -> Word:
    """The C library's malloc."""
    return backend.libc_malloc(size)


def libc_calloc(count: Word, size: Word) -> Word:
    """The C library's calloc."""
    return backend.libc_calloc(count, size)


def libc_realloc(pointer: Word, size: Word) -> Word:
    """The C library's realloc."""
    return backend.libc_realloc(pointer, size)


def libc_memalign(alignment: Word, size: Word) -> Word:
    """The C library's memalign."""
    return backend.libc_memalign(alignment, size)


def libc_free(pointer: Word) -> None:
    """The C library's free."""
    backend.libc_free(pointer)


def libc_usable_size(pointer: Word) -> Word:
    """The C library's malloc_usable_size."""
    return backend.libc_usable_size(pointer)


def libc_trim(pad: Word) -> Int:
    """The C library's malloc_trim."""
    return backend.libc_trim(pad)


def libc_mallopt(parameter: Int, value: Int) -> Int:
    """The C library's mallopt."""
    return backend.libc_mallopt(parameter, value)


# ---- Threads ---------------------------------------------------------------------------------------------


def processors() -> Word:
    """The number of processors that this process may use, by its affinity and its control group's quota."""
    return backend.processors()


def has_threads() -> bool:
    """Whether the process may have more than one thread."""
    return backend.has_threads()


def process_lock() -> Word:
    """The address of a lock of the library's own."""
    return backend.process_lock()


def lock(address: Word) -> bool:
    """Take the lock at `address`, unless the process has one thread; pass the result to `unlock`.

    A lock has four words: its owner; the next in the list that `watch_forks` gets, or 0; one that is for fork;
    and how often a thread had to wait for it for long.
    """
    return backend.lock(address)


def unlock(address: Word, held: bool) -> None:
    """Release the lock; `held` is the result of `lock`."""
    backend.unlock(address, held)


def thread_without_cache() -> Word:
    """The address of 2 KiB that always read as zero."""
    return backend.thread_without_cache()


def load_thread_word() -> Word:
    """This thread's own word; `thread_without_cache` in a new thread."""
    return backend.load_thread_word()


def store_thread_word(value: Word) -> None:
    """Set this thread's own word."""
    backend.store_thread_word(value)


def load_thread_state() -> Word:
    """This thread's second word: 0 in a new thread, 1 in one whose destructors have run."""
    return backend.load_thread_state()


def store_thread_state(value: Word) -> None:
    """Set this thread's second word."""
    backend.store_thread_state(value)


def load_thread_reason() -> Word:
    """This thread's third word: 0 in a new thread."""
    return backend.load_thread_reason()


def store_thread_reason(value: Word) -> None:
    """Set this thread's third word."""
    backend.store_thread_reason(value)


def load_thread_recorder() -> Word:
    """This thread's fourth word: 0 in a new thread."""
    return backend.load_thread_recorder()


def store_thread_recorder(value: Word) -> None:
    """Set this thread's fourth word."""
    backend.store_thread_recorder(value)


def load_thread_gap() -> Word:
    """This thread's fifth word: 0 in a new thread."""
    return backend.load_thread_gap()


def store_thread_gap(value: Word) -> None:
    """Set this thread's fifth word."""
    backend.store_thread_gap(value)


def watch_thread_end() -> None:
    """At the end of this thread call ``snug_thread_idle`` and make its state 1. May call malloc."""
    backend.watch_thread_end()


def is_thread_ending() -> bool:
    """Whether ``snug_thread_idle`` is called because this thread ends."""
    return backend.is_thread_ending()


def fork_generation() -> Word:
    """The number of forks between the process that loaded the library and this one."""
    return backend.fork_generation()


def forks_seen() -> Word:
    """How often this process forked, or was forked, since it loaded the library."""
    return backend.forks_seen()


def forked_child(fork: Word) -> Word:
    """The process id of the child of a fork, by its number in `forks_seen`; 0 if that is not known.

    It is known for the last 16 during a recording, unless the child has ended and was reaped.
    """
    return backend.forked_child(fork)


def start_helper() -> bool:
    """Start a thread that calls ``snug_background_step`` every quarter of a second. Returns True on success.

    It takes no signals. A forked child has none. May call malloc.
    """
    return backend.start_helper()


def watch_forks(first_lock: Word) -> None:
    """Hold all locks of this list during each fork from now on. Idempotent; may call malloc."""
    backend.watch_forks(first_lock)


def atomic_load(address: Word) -> Word:
    """The word at `address`, with acquire order."""
    return backend.load(address, 8)


def atomic_store(address: Word, value: Word) -> None:
    """Write the word at `address`, with release order."""
    backend.store(address, 8, value)


def atomic_exchange(address: Word, value: Word) -> Word:
    """Write the word at `address` and return its old value, atomically."""
    before = backend.load(address, 8)
    backend.store(address, 8, value)
    return before


def atomic_add(address: Word, value: Word) -> Word:
    """Add `value` to the word at `address`, modulo 2**64, and return its old value, atomically."""
    before = backend.load(address, 8)
    backend.store(address, 8, (before + value) & 0xFFFF_FFFF_FFFF_FFFF)
    return before


def atomic_replace(address: Word, expected: Word, value: Word) -> bool:
    """Write `value` at `address` if `expected` is there, atomically. Returns True on success."""
    if backend.load(address, 8) != expected:
        return False
    backend.store(address, 8, value)
    return True


# ---- A recording -----------------------------------------------------------------------------------------


def start_ticks() -> Word:
    """Choose the clock of `tick`, and measure its ticks per second in a millisecond."""
    return backend.start_ticks()


def tick() -> Word:
    """The time in ticks, the same for all threads; read after all earlier memory accesses."""
    return backend.tick()


def tick_or_so() -> Word:
    """The same, without that guarantee."""
    return backend.tick()


def real_time() -> Word:
    """Nanoseconds since 1970."""
    return backend.real_time()


def process_id() -> Word:
    """The id of this process, from the kernel."""
    return backend.process_id()


def parent_id() -> Word:
    """The id of the parent process."""
    return backend.parent_id()


def thread_id() -> Word:
    """The system's id of this thread."""
    return backend.thread_id()


def thread_name(thread: Word, address: Word) -> Word:
    """Write the name of a thread of this process, at most 16 bytes, to `address`. Returns how many."""
    return backend.thread_name(thread, address)


def command_line(address: Word, count: Word) -> Word:
    """Write the first `count` bytes of the command line to `address`, words ending in 0. Returns how many."""
    return backend.command_line(address, count)


def hide_entry(entry: Word) -> None:
    """Remove an entry from the environment, so that executed programs do not have it."""
    backend.hide_entry(entry)


def open_record(path: Word) -> bool:
    """Make the file of the recording at the zero-terminated `path`, which must be new."""
    return backend.open_record(path)


def append_record(address: Word, count: Word) -> bool:
    """Append `count` bytes to the recording's file, by one ``write``. Returns True on success."""
    return backend.append_record(address, count)


def close_record() -> None:
    """Close the file of the recording."""
    backend.close_record()


def map_ring(path: Word, length: Word) -> Word:
    """Make the file at `path`, which must be new, for this user alone: `length` bytes, mapped and shared; or 0.

    All its memory is allocated at once; if that fails, there is no file. A child that the C library forks has
    private memory in place of the mapping.
    """
    return backend.map_ring(path, length)


def map_until_fork() -> Word:
    """A page of memory that begins with a word that is 1, and 0 in every forked child; or 0."""
    return backend.map_until_fork()


def resident_bytes() -> Word:
    """The resident bytes of this process, from /proc/self/statm; 0 if unknown."""
    return backend.resident_bytes()


def watch_exit() -> None:
    """When ``exit`` has done everything else, call ``snug_record_end``. Once is enough; may call malloc."""
    backend.watch_exit()


# ---- Stacks of calls -------------------------------------------------------------------------------------


def frame_address() -> Word:
    """The frame of the calling function: its caller's frame pointer, followed by the return address."""
    return backend.frame_address()


def own_stack_top() -> Word:
    """Where the stack that this thread began on has its end, as far as it is needed; 0 if that is not known."""
    return backend.own_stack_top()


def readable_from(begin: Word, end: Word) -> Word:
    """The lowest address, at least `begin`, from which on all memory up to `end` can be read.

    Pages are probed from the end down to the first that cannot be read.
    """
    return backend.readable_from(begin, end)


def read_memory(address: Word, count: Word, target: Word) -> bool:
    """Copy `count` bytes from `address`, which may be unmapped: one system call. Returns True on success."""
    return backend.read_memory(address, count, target)


def find_symbol(name: Text) -> Word:
    """The address of a symbol that a module of this process exports, or 0. Does not allocate."""
    return backend.find_symbol(name)


def guard_forks(address: Word) -> None:
    """Delay forks while this word is not 0, up to a maximum time. It is 1 during a fork."""
    backend.guard_forks(address)


def find_module(address: Word, target: Word) -> bool:
    """Write six words about the module that contains an address to `target`. Returns False if there is none.

    They are: its begin and end, the load bias, the zero-terminated name of the file, and where its build-id is
    and how many bytes that has. Name and build-id stay until the next search: only one thread may search.
    """
    return backend.find_module(address, target)


def modules_changed() -> Word:
    """How often this process loaded a module, or unloaded one."""
    return backend.modules_changed()


def list_modules(target: Word, most: Word) -> Word:
    """Write the words of `find_module` for all modules, each followed by a 0, to `target`. Returns how many.

    A name or a build-id may be gone by the time it is read.
    """
    return backend.list_modules(target, most)


def is_behind_call(address: Word) -> bool:
    """Whether a call instruction precedes an address, which may be unmapped."""
    return backend.is_behind_call(address)


def call_function(address: Word) -> Word:
    """Call a C function without parameters that returns an address."""
    return backend.call_function(address)


# ---- The end ---------------------------------------------------------------------------------------------


def trap() -> None:
    """A broken invariant: stop the process here."""
    backend.trap()


def fatal(message: Text, first: Word, second: Word) -> None:
    """Write one line to stderr and abort.

    In `message`, ``%x`` and ``%d`` stand for the next of the two values, in hexadecimal or decimal.
    """
    backend.fatal(message, first, second)


def visit_block(visitor: Word, address: Word, size: Word, status: Int, context: Word) -> bool:
    """Call the C function at `visitor` with (address, size, status, context). Returns True if it returned 0."""
    return backend.visit_block(visitor, address, size, status, context)
