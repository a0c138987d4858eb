"""A whole engine in small: its own machine, one library of two layers."""
