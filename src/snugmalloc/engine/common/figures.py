"""Owns figures, words that count something; a figure is given by its offset, as ``Figures.live_bytes``."""

from __future__ import annotations

from ..machine import Word, inline, load_word, store_word


@inline
def figure(figures: Word, which: Word) -> Word:
    """The figure's value."""
    return load_word(figures + which)


@inline
def set_figure(figures: Word, which: Word, value: Word) -> None:
    """Write the figure."""
    store_word(figures + which, value)


@inline
def raise_figure(figures: Word, which: Word, by: Word) -> None:
    """Add to the figure."""
    store_word(figures + which, load_word(figures + which) + by)


@inline
def lower_figure(figures: Word, which: Word, by: Word) -> None:
    """Subtract from the figure."""
    store_word(figures + which, load_word(figures + which) - by)
