"""Owns pprof's profiles: protobuf messages packed by gzip, as `go tool pprof` and similar tools read them.

The numbers of the fields are those of pprof's profile.proto.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from snugmalloc.trace.export import VALUES, Request
from snugmalloc.trace.export.profile import Profile, clean, profile_of
from snugmalloc.trace.reader import TraceReader
from snugmalloc.trace.tables import Frame, NativeFrame, SourceFrame
from snugmalloc.trace.vectors import varint

BYTES_FOLLOW = 2
"""The wire type of a field of bytes, behind which its length stands; that of a number is 0."""
LARGEST = 2**63 - 1
BUILD_ID = re.compile("[0-9a-f]+")
"""A file of machine code is named by it, or by its path."""
UNITS = {"objects": "count", "space": "bytes"}


def write(reader: TraceReader, path: Path, request: Request) -> None:
    """Write what each stack allocated and what of it is live, in pprof's four values."""
    profile = profile_of(reader, request)
    packed = gzip.compress(_Packer().profile(reader, profile), mtime=0)
    path.write_bytes(packed)


class _Packer:
    """Numbers texts, functions and locations, and packs their messages."""

    def __init__(self) -> None:
        self.texts: dict[str, int] = {"": 0}
        self.functions: dict[tuple[str, str], int] = {}
        self.mappings: dict[tuple[str, str], int] = {}
        self.locations: dict[Frame, int] = {}

    def profile(self, reader: TraceReader, profile: Profile) -> bytes:
        """The whole message, Profile."""
        header = reader.header
        samples = [self.sample(profile, stack) for stack in profile.values]
        message = b"".join(
            (
                *(_part(1, self.value_type(name)) for name in VALUES),
                *(_part(2, sample) for sample in samples),
                *(_part(4, location) for location in self.packed_locations()),
                *(_part(5, function) for function in self.packed_functions()),
                *(_part(3, mapping) for mapping in self.packed_mappings()),
                _number(9, header.start_realtime),
                _number(10, profile.nanoseconds),
                _part(11, self.value_type("alloc_space")),
                _number(12, header.mean_gap or 1),
                _number(13, self.text(reader.about.get("program", reader.name))),
                _number(13, self.text(f"in use {profile.moment.name}")),
                _number(14, self.text("inuse_space")),
            )
        )
        return message + b"".join(_part(6, clean(text).encode()) for text in self.texts)

    def text(self, text: str) -> int:
        return self.texts.setdefault(text, len(self.texts))

    def value_type(self, name: str) -> bytes:
        unit = UNITS[name.split("_")[1]]
        return _number(1, self.text(name)) + _number(2, self.text(unit))

    def sample(self, profile: Profile, stack: int) -> bytes:
        places = [self.locations.setdefault(frame, len(self.locations) + 1) for frame in profile.frames[stack]]
        return _numbers(1, places) + _numbers(2, profile.values[stack])

    def packed_locations(self) -> Iterator[bytes]:
        for frame, number in self.locations.items():
            if isinstance(frame, SourceFrame):
                function, line, place = self.function(frame.function, frame.file), frame.line, b""
            else:
                function, line = self.function(frame.function or str(frame), ""), 0
                place = _number(2, self.mapping(frame)) + _number(3, frame.offset)
            yield _number(1, number) + place + _part(4, _number(1, function) + _number(2, line))

    def function(self, name: str, file: str) -> int:
        return self.functions.setdefault((name, file), len(self.functions) + 1)

    def mapping(self, frame: NativeFrame) -> int:
        return self.mappings.setdefault((frame.module, frame.file), len(self.mappings) + 1)

    def packed_functions(self) -> Iterator[bytes]:
        for (name, file), number in self.functions.items():
            text = self.text(name)
            yield _number(1, number) + _number(2, text) + _number(3, text) + _number(4, self.text(file))

    def packed_mappings(self) -> Iterator[bytes]:
        """The files of machine code, each as if it were mapped at address 0: offsets are addresses then."""
        for (module, file), number in self.mappings.items():
            name = _number(5, self.text(file or module))
            build_id = _number(6, self.text(module)) if BUILD_ID.fullmatch(module) else b""
            yield _number(1, number) + _number(3, LARGEST) + name + build_id


def _number(field: int, value: int) -> bytes:
    return varint(field << 3) + varint(min(value, LARGEST)) if value else b""


def _part(field: int, content: bytes) -> bytes:
    return varint(field << 3 | BYTES_FOLLOW) + varint(len(content)) + content


def _numbers(field: int, values: Iterable[int]) -> bytes:
    return _part(field, b"".join(varint(min(value, LARGEST)) for value in values))
