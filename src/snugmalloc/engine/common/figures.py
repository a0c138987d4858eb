"""Owns figures, words that count something: one is named by its offset, as ``Figures.live_bytes``."""

from __future__ import annotations

from ..machine import Word, load_word, store_word


def figure(figures: Word, which: Word) -> Word:
    """The figure's value."""
    return load_word(figures + which)


def set_figure(figures: Word, which: Word, value: Word) -> None:
    """Write the figure."""
    store_word(figures + which, value)


def raise_figure(figures: Word, which: Word, by: Word) -> None:
    """Add to the figure."""
    store_word(figures + which, load_word(figures + which) + by)


def lower_figure(figures: Word, which: Word, by: Word) -> None:
    """Subtract from the figure."""
    store_word(figures + which, load_word(figures + which) - by)
