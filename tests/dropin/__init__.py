"""The drop-in malloc under C programs and under real programs."""
