# osmem.h for Cython: `from snugmalloc cimport osmem`, compiled with snugmalloc.get_include() and linked to
# snugmalloc.get_library("osmem"). Nothing of it is Python: the calls go straight to the library.

cdef extern from "osmem.h" nogil:
    enum:
        OS_FREE
        OS_LIVE
        OS_MAPPED
        OS_CHECK_OK
        OS_CHECK_STATUS

    ctypedef struct os_stats_t:
        size_t live_bytes
        size_t live_blocks
        size_t free_bytes
        size_t free_blocks
        size_t mapped_bytes
        size_t mapped_blocks
        size_t heap_bytes
        size_t system_bytes
        size_t brk_calls
        size_t mmap_calls
        size_t munmap_calls
        size_t splits
        size_t coalescings
        size_t ignored_frees

    void *os_malloc(size_t size)
    void *os_calloc(size_t nmemb, size_t size)
    void *os_realloc(void *ptr, size_t size)
    void os_free(void *ptr)
    void os_stats(os_stats_t *stats, size_t size)
    int os_walk(int (*visit)(void *address, size_t size, int status, void *context) noexcept nogil, void *context)
    int os_check()
