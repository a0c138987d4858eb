"""Owns the errors about traces."""

from __future__ import annotations


class TraceError(ValueError):
    """The file is not a readable trace; the message names the file, the place and the error."""


class CutOff(TraceError):
    """A packed file cannot be unpacked any further."""
