"""Starting programs on an allocator: what a program is, what to preload into it, and what its run cost.

`program` reads executables, `preload` makes the environment, `allocators` finds what can be preloaded,
`launcher` starts a program through the small C program ``snug-launch`` and brings back its figures.
"""
