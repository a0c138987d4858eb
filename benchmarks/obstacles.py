"""Owns the reasons for missed goals: texts of docs/figures.md."""

from __future__ import annotations

SHARED_HEAP = """Blocks above 16 KiB, and lists that run full or empty, go through their heap's lock. Two
threads with occasional contention share one heap: a heap for each is faster and takes up to a half more
memory (docs/design.md, "Threads that wait for each other")."""

QUEUES = """The pattern's own queues sleep and wake by futex, for every allocator alike, and are included in
the figure; with more threads than cores, a thread that is preempted while it holds a lock makes the others
sleep as well."""

TWO_CORES = """Eight threads on two cores wait for a core; together they are as fast as two. No allocator is
below 0.99 here."""

FAST_PATH = """malloc is 17 instructions and free 21. Two of them are the cost of a page map for all
addresses, two update the room left in a list. mimalloc finds a page by rounding the address down, which needs
aligned segments of many MiB. Unless stated otherwise the figure includes the loop's 12 to 38 instructions."""

LISTS = """Blocks that do not fit into a thread's lists go to the heap, where they are split and coalesced. A
list holds at most 8 KiB and a 1024th of the heap: longer ones take fewer instructions and more memory."""

TAGGED = """Above 512 bytes objects are blocks of the heap: free reads their tag beside the page map. Slabs
for them would hold pages for each size class."""

SPLIT = """Blocks of 40,000 bytes have no list in the thread cache. Each of the two calls takes the lock,
finds the owning heap, updates figures and policy, and marks eleven pages; glibc and mimalloc keep no marks,
and tcmalloc has a list for the size. A list would keep such a block for each thread."""

PINNED = """One live block keeps its page resident, and blocks do not move: 90 % were freed at random, and
only whole pages can be given back. At full speed memory that was given back is needed again at once, so the
policy stops after the first drop (docs/design.md, "What happens to free memory"; without a bound it took 32 %
of the time)."""

GIVING_BACK = """Memory that is given back and needed again costs a page fault per 4 KiB. buffers fills and
drops half a gigabyte ten times within five seconds, and takes as long as on the system's malloc, which gives
back as well; the column `snugmalloc-keeping` is without purging."""

WARM_PAGES = """python-arrays takes 0.5 to 1.4 s on any allocator, depending on whether the virtual machine's
host has its pages warm. The system's malloc found them warm in both rounds of this run, and in none of the
run before, in which the goal was met. Without that workload the mean is 0.74."""

MOSTLY_LIVE = """At the peak most of a program's memory is live on any allocator (see
benchmarks/results/suite.md)."""

SPARSE_TABLES = """calloc clears runs of dirty pages below 4 MiB by writing them, which costs a dense program
less than new pages; jemalloc always takes new pages, most of which are never touched in sparse tables."""

ALREADY_FAST = """The earlier library had only one heap. On two cores few programs wait for a lock, so several
heaps save little time, and they must not cost memory."""

PYTHON_TIME = """Python's own allocator is part of the interpreter, without a call through the dynamic linker;
where programs keep and drop memory, purging takes the rest (see `snugmalloc-keeping`)."""

PYTHON_FLOOR = """The goal is close to the floor without any free page resident (benchmarks/results/floor.md):
most of these programs' memory is in use, and the interpreter and its modules are not the allocator's."""

SERVICE_END = """It builds up and drops its caches within seconds, and by then the purge budget is spent: some
45 MB of free pages are left. They would be given back after two seconds of calls, or eight in debt."""

ROUNDING = """A block's size is rounded up to 16 bytes and more, and it has a tag of 8 bytes or is in a slab
of its class: some 9 % of log-normal sizes with a median of 256."""

LARGE_IN_ONE_LOCK = """Blocks of 16 to 64 KiB take the lock of their heap for each call, and there are at most
as many heaps as cores; one that serves two threads makes both wait."""

CACHE_MISSES = """10^7 objects do not fit into the processor's caches: each call misses on the object itself,
and a program with 10^3 never does. No allocator comes near."""
