"""The ring: what outlives a process, and what `snug autopsy` says of it."""
