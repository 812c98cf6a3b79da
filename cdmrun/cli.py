"""The one door: what a person types (validate, plan, status, table, report, …) and what a job calls (the stages).

Imports nothing heavy before a command needs it, so that help is instant. Whatever a user can cause ends in a message
on stderr and exit status 1, Ctrl-C in one and status 130, without a traceback.
"""

from __future__ import annotations

import sys

from cdmrun.commands import asking, data_sets, handling, jobs, showing
from cdmrun.commands.common import app
from cdmrun.errors import UserError
from cdmrun.spec.plan_types import STAGE_OF_KIND
from cdmrun.warm import client

# importing a module registers its commands
__all__ = ["app", "asking", "data_sets", "handling", "jobs", "main", "showing"]

#: What the Snakefile calls, one process each: these may start warm.
JOBS = (*STAGE_OF_KIND.values(), "table", "report")

#: The exit status of what Ctrl-C ends, as shells have it.
_INTERRUPTED = 130


def main() -> None:
    """Run the command line; what a user caused is a message on stderr and exit status 1."""
    status = None
    try:
        if sys.argv[1:2] and sys.argv[1] in JOBS and client.wanted():
            status = client.run(sys.argv[1:])
        if status is None:
            _run_here()
    except UserError as error:
        _fail(str(error))
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        _fail(f"{place}{error.strerror or error}")
    except KeyboardInterrupt:
        _fail("interrupted; what is complete is kept, run it again to go on", _INTERRUPTED)
    except MemoryError:
        _fail("out of memory: use a smaller batch, model or number of states")
    sys.exit(status)


def _run_here() -> None:
    """Run the command in this process. Typer ends it at Ctrl-C without a word, and at a closed pipe, as is right."""
    try:
        app()
    except SystemExit as end:
        if end.code == _INTERRUPTED:
            raise KeyboardInterrupt from None
        raise


def _fail(message: str, code: int = 1) -> None:
    print(message, file=sys.stderr)
    sys.exit(code)


if __name__ == "__main__":
    main()
