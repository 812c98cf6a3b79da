"""The one door: what a person types (validate, plan, status, table, report, …) and what a job calls (the stages).

Imports nothing heavy before a command needs it, so that help is instant. Whatever a user can cause ends in a message
on stderr and exit status 1, without a traceback.
"""

from __future__ import annotations

import os
import sys

from cdmrun.commands import asking, data_sets, handling, jobs, showing
from cdmrun.commands.common import app
from cdmrun.errors import UserError
from cdmrun.warm import client

# importing a module registers its commands
__all__ = ["app", "asking", "data_sets", "handling", "jobs", "main", "showing"]

#: What the Snakefile calls, one process each: these may start warm.
JOBS = (
    *("fetch", "judge", "features", "anchor", "train", "draw", "label", "distill", "optimise", "sample", "evaluate"),
    *("table", "report"),
)


def main() -> None:
    """Run the command line; what a user caused is a message on stderr and exit status 1."""
    if sys.argv[1:2] and sys.argv[1] in JOBS and client.wanted():
        status = client.run(sys.argv[1:])
        if status is not None:
            sys.exit(status)
    try:
        app()
    except UserError as error:
        _fail(str(error))
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        _fail(f"{place}{error.strerror or error}")
    except KeyboardInterrupt:
        _fail("interrupted; what is complete is kept, run it again to go on", 130)
    except MemoryError:
        _fail("out of memory: use a smaller batch, model or number of states")


def _fail(message: str, code: int = 1) -> None:
    print(message, file=sys.stderr)
    sys.exit(code)


if __name__ == "__main__":
    main()
