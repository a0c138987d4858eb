"""Python, ctypes, C and Cython code in one process have one heap."""

from __future__ import annotations

import ctypes
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

import snugmalloc


def build_and_run(source: Path, code: str) -> str:
    """Compile `source`, the C of an extension module, as a user of snugmalloc would, and run Python `code`."""
    library = Path(snugmalloc.get_library("osmem"))
    module = source.parent / f"{source.stem}{sysconfig.get_config_var('EXT_SUFFIX')}"
    subprocess.run(
        [
            *("gcc", "-shared", "-fPIC", "-o", module, source),
            *("-I", sysconfig.get_path("include"), "-I", snugmalloc.get_include()),
            *("-L", library.parent, "-losmem", f"-Wl,-rpath,{library.parent}"),
        ],
        check=True,
    )
    outcome = subprocess.run(
        [sys.executable, "-c", code], cwd=source.parent, capture_output=True, text=True, check=True
    )
    return outcome.stdout


def test_ctypes_on_the_same_library_sees_the_same_blocks() -> None:
    library = ctypes.CDLL(snugmalloc.get_library("osmem"))
    library.os_malloc.restype = ctypes.c_void_p
    library.os_free.argtypes = [ctypes.c_void_p]
    theirs = library.os_malloc(ctypes.c_size_t(1000))
    assert theirs in {block.address for block in snugmalloc.blocks() if block.status}
    snugmalloc.os_free(theirs)
    ours = snugmalloc.os_malloc(1000)
    assert ours == theirs
    library.os_free(ours)
    assert ours not in {block.address for block in snugmalloc.blocks() if block.status}


C_EXTENSION = """
#include <Python.h>
#include "osmem.h"

static PyObject *take(PyObject *self, PyObject *size) {
    return PyLong_FromVoidPtr(os_malloc(PyLong_AsSize_t(size)));
}
static PyMethodDef methods[] = {{"take", take, METH_O, NULL}, {0}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "taker", NULL, 0, methods};
PyMODINIT_FUNC PyInit_taker(void) { return PyModule_Create(&module); }
"""

CYTHON_EXTENSION = """
from snugmalloc cimport osmem

def take(size_t size):
    return <size_t>osmem.os_malloc(size)
"""

USE = """
import taker, snugmalloc
address = taker.take(100)
print(snugmalloc.Block(address, 104, snugmalloc.Status.LIVE) in snugmalloc.walk())
snugmalloc.os_free(address)
"""


def test_a_c_extension_built_with_the_given_paths_uses_the_same_heap(tmp_path: Path) -> None:
    source = tmp_path / "taker.c"
    source.write_text(C_EXTENSION)
    assert build_and_run(source, USE) == "True\n"


def test_a_cython_extension_can_cimport_the_functions(tmp_path: Path) -> None:
    (tmp_path / "taker.pyx").write_text(CYTHON_EXTENSION)
    packages = Path(snugmalloc.__file__).parents[1]
    subprocess.run([sys.executable, "-m", "cython", "-3", "-I", packages, tmp_path / "taker.pyx"], check=True)
    assert build_and_run(tmp_path / "taker.c", USE) == "True\n"


def test_the_paths_are_those_of_files_that_are_there() -> None:
    assert (Path(snugmalloc.get_include()) / "osmem.h").is_file()
    assert Path(snugmalloc.get_library("osmem")).name == "libosmem.so"
    assert Path(snugmalloc.get_library("osmem")).is_file()


def test_an_unknown_library_is_a_value_error_that_names_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"there is no library 'jemalloc'; there is: .*osmem"):
        snugmalloc.get_library("jemalloc")
