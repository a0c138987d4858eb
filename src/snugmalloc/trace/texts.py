"""Owns text files of traces: plain, in a .zip, or compressed by gzip or zstd, streamed line by line."""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from snugmalloc.trace.errors import CutOff, TraceError

GZIP_MAGIC = b"\x1f\x8b"
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"


@contextmanager
def open_text(path: Path) -> Iterator[tuple[Iterable[bytes], int]]:
    """The lines of the text at `path`, and how many bytes they are in all; 0 where that is not known.

    Raises TraceError where it cannot be unpacked, CutOff behind the last line that could be, and OSError where
    the file cannot be read.
    """
    with path.open("rb") as file:
        beginning = file.peek(len(ZSTD_MAGIC)) if path.is_file() else b""
        if path.suffix == ".zip":
            with _open_zip(file, path.name) as text:
                yield text
        elif beginning.startswith(GZIP_MAGIC):
            with gzip.GzipFile(fileobj=file) as unpacked:
                yield _lines_of_gzip(unpacked, path.name), 0
        elif beginning.startswith(ZSTD_MAGIC):
            os.lseek(file.fileno(), 0, os.SEEK_SET)
            with _open_zstd(file, path.name) as lines:
                yield lines, 0
        else:
            yield file, path.stat().st_size


def _lines_of_gzip(unpacked: gzip.GzipFile, name: str) -> Iterator[bytes]:
    try:
        yield from unpacked
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise CutOff(f"{name}: {error}") from None


@contextmanager
def _open_zip(file: IO[bytes], name: str) -> Iterator[tuple[Iterable[bytes], int]]:
    try:
        with zipfile.ZipFile(file) as archive:
            inside = [entry for entry in archive.infolist() if not entry.is_dir()]
            if len(inside) != 1:
                raise TraceError(f"{name}: holds {len(inside)} files where one trace was expected")
            with archive.open(inside[0]) as text:
                yield text, inside[0].file_size
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise TraceError(f"{name}: {error}") from None


@contextmanager
def _open_zstd(file: IO[bytes], name: str) -> Iterator[Iterable[bytes]]:
    """By the program zstd: the standard library unpacks it from Python 3.14 on only."""
    program = shutil.which("zstd")
    if program is None:
        raise TraceError(f"{name}: is packed by zstd: install the program zstd, or unpack it first")
    with subprocess.Popen(
        [program, "-dcq"], stdin=file, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as unpacker:
        try:
            yield _lines_of_zstd(unpacker, name)
        finally:
            unpacker.kill()


def _lines_of_zstd(unpacker: subprocess.Popen[bytes], name: str) -> Iterator[bytes]:
    assert unpacker.stdout is not None and unpacker.stderr is not None
    yield from unpacker.stdout
    complaint = unpacker.stderr.read().decode(errors="replace").strip().split("\n")[0]
    if complaint:
        raise CutOff(f"{name}: {complaint}")
