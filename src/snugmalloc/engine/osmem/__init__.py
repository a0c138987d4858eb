"""The engine of the four functions: os_malloc, os_calloc, os_realloc, os_free (`osmem.h`, `libosmem.so`).

LAYERS names its modules from the lowest up. That is the order to read them in; a module imports only from
those before it, and from `machine`. Those of `common` are shared with the other library.
"""

LAYERS = (
    "common.sizes",
    "common.bitmap",
    "common.brk",
    "common.figures",
    "common.links",
    "block",
    "figures",
    "kernel",
    "seal",
    "chain",
    "tree",
    "index",
    "heap",
    "mapping",
    "walk",
    "calls",
    "front",
)
