"""Playing traces on real allocators, each in a process of its own.

`plan` makes a flat file of a trace, which the small C program `snug-play` maps and plays; `player` runs that
program and reads its figures; `contest` lets several allocators take turns; `tuning` searches for options, and
`meter` measures them for it.
"""
