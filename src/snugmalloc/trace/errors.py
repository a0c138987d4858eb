"""Owns the error that says what is wrong with a trace."""

from __future__ import annotations


class TraceError(ValueError):
    """The file is no trace that can be read; the message names the file, the place and what is wrong."""


class CutOff(TraceError):
    """A packed file cannot be unpacked any further."""
