"""Looking at processes that run on the drop-in malloc: their figures, as metrics and on a screen."""
