"""Have the C library keep memory that PyTorch frees, for the tensors that come next.

glibc gives every large block back to the kernel when it is freed, so each large tensor begins with one page fault for
every 4 kB of it; where faults are dear (virtual machines), a sampling loop spends a quarter of its time on
them. A stage that keeps its peak until it ends takes no more memory than its peak.
"""

from __future__ import annotations

import ctypes
import platform

# Names and numbers of <malloc.h>.
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4

#: Bytes by which the heap grows at once; pages that nobody has touched take no memory.
_STEP = 256 * 2**20


def keep_freed_memory() -> bool:
    """Never map a block by itself, and never shrink the heap; False where the C library is not glibc.

    Call it before the large tensors come. It changes where memory comes from, not one number that is computed.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    settings = ((_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, 2**31 - 1), (_M_TOP_PAD, _STEP))
    return all(mallopt(name, value) == 1 for name, value in settings)
