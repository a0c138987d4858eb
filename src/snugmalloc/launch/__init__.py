"""Starting programs on an allocator: what a program is, what to preload, and the cost of its run.

`program` reads executables, `preload` makes the environment, `allocators` finds what can be preloaded,
`launcher` starts a program through the small C program ``snug-launch`` and brings back its figures.
"""
