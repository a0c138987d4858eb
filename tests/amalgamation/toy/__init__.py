"""A whole engine in small: its own machine, one library, and what libraries share."""
