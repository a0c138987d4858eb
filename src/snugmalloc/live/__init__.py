"""Observing processes that run on the drop-in malloc: their statistics, as metrics and on a screen."""
