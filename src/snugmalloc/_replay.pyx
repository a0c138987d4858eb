# cython: language_level=3, annotation_typing=False, boundscheck=False, wraparound=False
"""The inner loop of `replay.py`: runs the calls of a trace through the four functions and uses the memory.

Every byte of a block is written when the block is obtained and compared before it is given back.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc as libc_calloc, free as libc_free
from libc.string cimport memcmp, memset
from posix.time cimport CLOCK_MONOTONIC, clock_gettime, timespec

from snugmalloc cimport osmem

cdef extern from "<time.h>":  # posix.time includes another header, and Python.h of 3.13 this one no more
    pass

cdef enum:
    MALLOC = 0
    CALLOC = 1
    REALLOC = 2
    MEMALIGN = 3
    FREE = 4
    FREE_NULL = 5

cdef enum:
    # Only a block this large can be a mapping of its own; os_calloc maps from a page on. Around the smaller
    # ones the bytes taken from the system do not fall, so that their highest value need not be looked for.
    PERHAPS_MAPPED = 4096 - 64


cdef struct Slot:
    void *block     # as the allocator gave it
    uint8_t *bytes  # aligned as memalign was asked to, else the same
    size_t size     # as the program asked


cdef uint8_t mark(size_t slot, size_t size) noexcept nogil:
    """The byte that fills the block in `slot`; never 0, which is what os_calloc gives."""
    return <uint8_t>((slot * 31 + size) % 255 + 1)


cdef bint holds(const uint8_t *bytes, size_t count, uint8_t byte) noexcept nogil:
    """Whether all `count` bytes are `byte`."""
    return count == 0 or (bytes[0] == byte and memcmp(bytes, bytes + 1, count - 1) == 0)


cdef class Player:
    """Plays the calls of one trace on this process's heap. Memory that is still live goes back with `close`.

    `seconds` is the time spent in the loop: the four functions, and writing and comparing the memory.
    `system_peak` is the most bytes that were taken from the system at once, as os_stats reports.
    """

    cdef const uint8_t[::1] kinds
    cdef const uint32_t[::1] places
    cdef const uint64_t[::1] numbers
    cdef const uint64_t[::1] sizes
    cdef Slot *slots
    cdef size_t slot_count
    cdef size_t position
    cdef readonly double seconds
    cdef readonly size_t system_peak

    def __cinit__(self, kinds, places, numbers, sizes, size_t slot_count):
        self.kinds, self.places, self.numbers, self.sizes = kinds, places, numbers, sizes
        self.slot_count = slot_count
        self.slots = <Slot *>libc_calloc(slot_count + 1, sizeof(Slot))
        if self.slots is NULL:
            raise MemoryError(f"no room for {slot_count} slots")

    def __dealloc__(self):
        self.close()

    def close(self):
        """Free what is still live, without comparing or counting it."""
        cdef size_t i
        if self.slots is NULL:
            return
        for i in range(self.slot_count):
            osmem.os_free(self.slots[i].block)
        libc_free(self.slots)
        self.slots = NULL

    def play(self, size_t count):
        """The next `count` calls; fewer at the end of the trace.

        Raises MemoryError when a call is refused, RuntimeError when memory does not hold what was written.
        """
        cdef size_t end = min(self.position + count, <size_t>self.kinds.shape[0])
        cdef timespec start, stop
        cdef int outcome = 0
        if self.slots is NULL:
            raise ValueError("the player is closed")
        with nogil:
            clock_gettime(CLOCK_MONOTONIC, &start)
            while self.position < end and outcome == 0:
                outcome = self.call(self.position)
                self.position += 1
            clock_gettime(CLOCK_MONOTONIC, &stop)
        self.seconds += <double>(stop.tv_sec - start.tv_sec) + 1e-9 * <double>(stop.tv_nsec - start.tv_nsec)
        self.note_system()
        if outcome == 1:
            raise MemoryError(f"call {self.position} of the trace was refused")
        if outcome == 2:
            raise RuntimeError(f"call {self.position} of the trace: the block does not hold what was written")

    cdef void note_system(self) noexcept nogil:
        cdef osmem.os_stats_t now
        osmem.os_stats(&now, sizeof(now))
        if now.system_bytes > self.system_peak:
            self.system_peak = now.system_bytes

    cdef int call(self, size_t i) noexcept nogil:
        """Call number `i`. 0; 1 if it was refused, 2 if the memory held something else than was written."""
        cdef uint8_t kind = self.kinds[i]
        cdef size_t place = self.places[i], size = self.sizes[i], number = self.numbers[i], kept
        cdef Slot *slot = &self.slots[place]
        cdef uint8_t byte = mark(place, slot.size)
        cdef void *block
        if kind == FREE_NULL:
            osmem.os_free(NULL)
            return 0
        if kind == FREE or kind == REALLOC:
            if not holds(slot.bytes, slot.size, byte):
                return 2
            if slot.size >= PERHAPS_MAPPED:
                self.note_system()
        if kind == FREE:
            osmem.os_free(slot.block)
            slot[0] = Slot(NULL, NULL, 0)
            return 0
        if kind == REALLOC:
            block = osmem.os_realloc(slot.block, size)
        elif kind == CALLOC:
            block = osmem.os_calloc(number, size)
            size *= number
        elif kind == MEMALIGN:
            block = osmem.os_malloc(size + number)
        else:
            block = osmem.os_malloc(size)
        if block is NULL and size:
            return 1
        kept = min(slot.size, size) if kind == REALLOC else size if kind == CALLOC else 0
        slot.block = block
        slot.bytes = <uint8_t *>block
        if kind == MEMALIGN:
            slot.bytes += -<size_t>block & (number - 1)
        if not holds(slot.bytes, kept, byte if kind == REALLOC else 0):
            return 2
        slot.size = size
        memset(slot.bytes, mark(place, size), size)
        if size >= PERHAPS_MAPPED:
            self.note_system()
        return 0
