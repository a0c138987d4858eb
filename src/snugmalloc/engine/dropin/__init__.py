"""The drop-in malloc: the engine of libsnugmalloc.so. FLOORS lists its modules in reading order."""

FLOORS = (
    "layout",
    "figures",
    "options",
    "pages",
    "block",
    "bins",
    "marks",
    "coalesce",
    "segments",
    "heap",
    "slab",
    "large",
    "purge",
    "walk",
    "vet",
    "transfer",
    "cache",
    "clear",
    "requests",
    "front",
)
