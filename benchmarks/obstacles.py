"""Owns what stands in the way of the goals that were missed: the texts of docs/figures.md."""

from __future__ import annotations

SHARED_HEAP = """Blocks above 16 KiB, and lists that run full or empty, go through their heap's lock. Two
threads that meet now and then share one heap: to give each its own is faster and takes up to a half more
memory (docs/design.md, "Threads that wait for each other")."""

QUEUES = """The pattern's own queues sleep and wake by futex, for every allocator alike, and are in the
figure; where more threads than cores run, one that is preempted inside a lock makes the others sleep as
well."""

TWO_CORES = """Eight threads on two cores wait for a core; what they take together is what two can do. No
allocator comes below 0.99 here."""

FAST_PATH = """malloc is 17 instructions and free 21. Two of them are the price of a page map for all
addresses, two keep the room that a list has left. mimalloc finds a page by rounding the address down, which
needs aligned segments of many MiB. Where it is not said otherwise the loop's 12 to 38 instructions are in
the figure."""

LISTS = """What does not fit into a thread's lists goes to the heap, where it is split and coalesced. A list
holds at most 8 KiB and a 1024th of the heap: longer ones take fewer instructions and more memory."""

TAGGED = """Above 512 bytes objects are blocks of the heap: free reads their tag beside the page map. Slabs
for them would hold pages for each size class."""

SPLIT = """40,000 bytes are in no list of a thread. Each of the two calls takes the lock, looks for the heap
that the block is of, keeps figures, marks and policy, and marks eleven pages; glibc and mimalloc keep no
marks, and tcmalloc has a list for the size. A list would keep such a block for each thread."""

PINNED = """One live block keeps its page resident, and blocks do not move: 90 % were freed at random, and
what goes back is whole pages. At full speed memory that was given back is needed again at once, so the
policy stops after the first drop (docs/design.md, "What happens to free memory"; without a bound it took 32
% of the time)."""

GIVING_BACK = """Memory that is given back and needed again costs a page fault each 4 KiB. buffers fills and
drops half a gigabyte ten times within five seconds, and takes the time that it takes on the system's
malloc, which gives back as well; the column `snugmalloc-keeping` keeps all."""

WARM_PAGES = """python-arrays takes 0.5 to 1.4 s on any allocator, by whether the pages that it gets from the
virtual machine's host were in use just before. The system's malloc found them warm in both rounds of this run,
and in none of the run before, in which the goal was reached. Without that workload the mean is 0.74."""

MOSTLY_LIVE = """At their peak most of what programs hold is live, whoever allocates it
(benchmarks/results/suite.md has each)."""

SPARSE_TABLES = """calloc clears runs of dirty pages below 4 MiB by writing them, which a dense program pays
less for than for new pages; jemalloc takes new pages always, and in sparse tables most of them are never
touched."""

ALREADY_FAST = """The library as it was had no heaps beside the first. On two cores few programs wait for a
lock, so several heaps win little time, and they may not cost memory."""

PYTHON_TIME = """Python's own allocator is part of the interpreter, without a call through the dynamic
linker; where programs keep and drop memory, giving it back takes the rest (`snugmalloc-keeping` has the
price)."""

PYTHON_FLOOR = """The goal is about what would be left with no free page resident at all
(benchmarks/results/floor.md): most of what these programs hold is in use, and the interpreter and its modules
are not the allocator's."""

SERVICE_END = """It builds up and drops its caches within seconds, and by then the budget for giving back is
spent: some 45 MB of free pages are left. They would go back after two seconds of calls, or eight in
debt."""

ROUNDING = """A block's size is rounded up to 16 bytes and more, and it has a tag of 8 bytes or stands in a
slab of its class: some 9 % of log-normal sizes with a median of 256."""

LARGE_IN_ONE_LOCK = """Blocks of 16 to 64 KiB take the lock of their heap for each call, and there are at
most as many heaps as cores; one that serves two threads makes both wait."""

CACHE_MISSES = """10^7 objects do not fit into the processor's caches: each call misses on the object
itself, and a program with 10^3 never does. No allocator comes near."""
