"""A process that takes a lease on one of some made-up GPUs, says which, and keeps it until its input ends."""

from __future__ import annotations

import sys

from cdmrun.errors import UserError
from cdmrun.stages.lease import Gpu, leased

if __name__ == "__main__":
    try:
        with leased("cuda", [Gpu(index, uuid) for index, uuid in enumerate(sys.argv[1:])]) as device:
            print(device, flush=True)
            sys.stdin.read()
    except UserError as error:
        sys.exit(str(error))
