# cython: language_level=3, annotation_typing=False, embedsignature=False
"""The four functions and what the heap reports of itself, called from Python in the manners of Python.

Linked to libosmem.so: the heap is the one that C code in this process has.
"""

from operator import index

from libc cimport errno
from libc.stdlib cimport free as libc_free, realloc as libc_realloc

from snugmalloc cimport osmem

from snugmalloc.heap import Block, HeapError, Stats, Status

cdef extern from "Python.h":
    const int PyBUF_WRITE
    size_t PyLong_AsSize_t(object number) except? <size_t>-1
    object PyMemoryView_FromMemory(char *memory, Py_ssize_t size, int flags)

cdef extern from *:
    const Py_ssize_t PY_SSIZE_T_MAX

cdef tuple STATUS = tuple(Status)


cdef size_t as_word(object value, str name) except? <size_t>-1:
    """`value`, an argument called `name`, as a word."""
    try:
        return PyLong_AsSize_t(value)
    except TypeError:
        value = index(value)
    except OverflowError:
        if value < 0:
            raise ValueError(f"{name} must not be negative: {value}") from None
        raise OverflowError(f"{name} does not fit in a word: {value}") from None
    return as_word(value, name)


def os_malloc(size, /):
    """Allocate `size` bytes and return their address, a multiple of 8. What they hold is not defined.

    A request of 0 bytes gives 0, the C function's NULL.

    Raises MemoryError when the system refuses or `size` is above PTRDIFF_MAX, ValueError if `size` is
    negative, OverflowError if it does not fit in a word.
    """
    cdef size_t wanted = as_word(size, "size")
    cdef void *address = osmem.os_malloc(wanted)
    if address is NULL and wanted:
        raise MemoryError(f"os_malloc({wanted}) was refused")
    return <size_t>address


def os_calloc(nmemb, size, /):
    """Allocate `nmemb` times `size` bytes that read as zero and return their address.

    If either is 0 the result is 0, the C function's NULL.

    Raises MemoryError when the system refuses or the product is above PTRDIFF_MAX, ValueError if an argument
    is negative, OverflowError if one does not fit in a word.
    """
    cdef size_t count = as_word(nmemb, "nmemb"), wanted = as_word(size, "size")
    cdef void *address = osmem.os_calloc(count, wanted)
    if address is NULL and count and wanted:
        raise MemoryError(f"os_calloc({count}, {wanted}) was refused")
    return <size_t>address


def os_realloc(address, size, /):
    """Give the block at `address` room for `size` bytes and return its address, old or new.

    What it held stays, up to the smaller size. If the block moved, the old address and every view of it are
    no longer to be used.

    As in C: address 0 makes it `os_malloc(size)`; size 0 makes it `os_free(address)` and gives 0; a heap block
    that is free already gives 0 and nothing changes.

    Raises MemoryError when the system refuses or `size` is above PTRDIFF_MAX (the old block stays as it was),
    ValueError if an argument is negative, OverflowError if one does not fit in a word. An address that no
    function here gave is not detected: it corrupts the heap or ends the process.
    """
    cdef size_t old = as_word(address, "address"), wanted = as_word(size, "size")
    errno.errno = 0
    cdef void *moved = osmem.os_realloc(<void *>old, wanted)
    if moved is NULL and wanted and errno.errno == errno.ENOMEM:
        raise MemoryError(f"os_realloc({old:#x}, {wanted}) was refused")
    return <size_t>moved


def os_free(address, /):
    """Free the block at `address`; 0 does nothing, a heap block that is free already does nothing.

    The address and every view of it are no longer to be used.

    Raises ValueError if `address` is negative, OverflowError if it does not fit in a word. An address that no
    function here gave is not detected: it corrupts the heap or ends the process.
    """
    osmem.os_free(<void *>as_word(address, "address"))


def view(address, size, /):
    """A writable memoryview of the `size` bytes at `address` (format ``B``): raw memory, nothing is copied.

    The view does not own the memory and does not keep it alive. Whoever allocated it keeps it allocated as
    long as this view, a slice of it, or an array made from it is in use. After `os_free`, or an `os_realloc`
    that moved the block, reading it gives other blocks' bytes and writing it corrupts them; after the free of
    a mapped block either ends the process. Nothing checks that the memory is there.

    Raises ValueError if an argument is negative or `address` is 0 with a size above 0, OverflowError if
    `address` does not fit in a word or `size` in a signed one.
    """
    cdef size_t start = as_word(address, "address"), length = as_word(size, "size")
    if length > <size_t>PY_SSIZE_T_MAX:
        raise OverflowError(f"size does not fit in a signed word: {length}")
    if not start:
        if length:
            raise ValueError(f"address 0 is NULL and has no {length} bytes to view")
        return memoryview(bytearray())
    return PyMemoryView_FromMemory(<char *>start, length, PyBUF_WRITE)


cdef struct Found:
    size_t address
    size_t size
    int status


cdef struct Walk:
    Found *found
    size_t count
    size_t room


cdef int note_block(void *address, size_t size, int status, void *context) noexcept nogil:
    """Append one block to the Walk at `context`. The heap is locked here: no Python, none of its functions."""
    cdef Walk *walk = <Walk *>context
    cdef Found *larger
    if walk.count == walk.room:
        larger = <Found *>libc_realloc(walk.found, (2 * walk.room + 1024) * sizeof(Found))
        if larger is NULL:
            return 1
        walk.found = larger
        walk.room = 2 * walk.room + 1024
    walk.found[walk.count] = Found(<size_t>address, size, status)
    walk.count += 1
    return 0


cdef note_to_block(Found *found):
    if not 0 <= found.status < 3:
        raise HeapError(osmem.OS_CHECK_STATUS)
    return Block(found.address, found.size, STATUS[found.status])


def walk():
    """Every block as it stands now, a list of `Block`: the heap, then the blocks with mappings of their own.

    The heap comes segment by segment, in the order in which they were begun, and by address within each. The
    heap has one segment unless others used the break too. The mappings come newest first.

    Raises MemoryError if there is no room for the list, HeapError if a block has no status that there is.
    """
    cdef Walk gathered = Walk(NULL, 0, 0)
    cdef size_t i
    try:
        if osmem.os_walk(note_block, &gathered):
            raise MemoryError("no room to list the blocks")
        return [note_to_block(&gathered.found[i]) for i in range(gathered.count)]
    finally:
        libc_free(gathered.found)


def stats():
    """What the heap holds and what it did, as a `Stats`. Cheap: nothing is walked, no system call is made."""
    cdef osmem.os_stats_t now
    cdef size_t *figures = <size_t *>&now
    osmem.os_stats(&now, sizeof(now))
    return Stats._make([figures[i] for i in range(sizeof(now) // sizeof(size_t))])


def check():
    """Check every invariant of the heap; the time it takes grows with the number of blocks.

    Raises HeapError for the first invariant that is broken.
    """
    cdef int broken = osmem.os_check()
    if broken != osmem.OS_CHECK_OK:
        raise HeapError(broken)
