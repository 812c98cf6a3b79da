"""Freed memory stays with the process: counted in page faults."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

SECOND_BLOCK = """
import ctypes, resource, sys
from cdmrun.stages.heap import keep_freed_memory

if "keep" in sys.argv:
    assert keep_freed_memory()
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
libc.free.argtypes, libc.memset.argtypes = [ctypes.c_void_p], [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]

def faults(size=64 * 2**20):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    block = libc.malloc(size)
    libc.memset(block, 1, size)
    libc.free(block)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

faults()
print(faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has these settings")
def test_a_block_as_large_as_one_freed_costs_no_new_pages() -> None:
    def second(*words: str) -> int:
        command = [sys.executable, "-c", SECOND_BLOCK, *words]
        return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    kept, given_back = second("keep"), second()
    assert 4 * kept < given_back  # huge pages make both numbers small
