"""The drop-in malloc: the engine of libsnugmalloc.so. FLOORS lists its modules in reading order."""

FLOORS = (
    "layout",
    "figures",
    "options",
    "pages",
    "block",
    "bins",
    "heap",
    "purge",
    "slab",
    "large",
    "walk",
    "vet",
    "transfer",
    "cache",
    "requests",
    "front",
)
