"""The nursery: loads what every job loads, listens, and forks.

Called ``python -m cdmrun.warm.nursery SOCKET READY_FD [IDLE]``. One thread and one loop; children are forked from a
process that has imported libraries and run none of them.
"""

from __future__ import annotations

import array
import contextlib
import ctypes
import importlib
import json
import os
import selectors
import signal
import socket
import sys
import traceback
from dataclasses import dataclass, field
from io import BufferedReader, BufferedWriter, FileIO, TextIOWrapper
from typing import Any, NoReturn

#: What jobs spend their time importing. Nothing of cdmrun: children read its source as it is when they start.
LIBRARIES = (
    *("typer", "numpy", "torch", "safetensors.torch"),
    *("pandas", "scipy.stats", "seaborn", "matplotlib.backends.backend_agg"),
)

#: Seconds without a job or a child after which the nursery ends.
IDLE = 15.0

_PR_SET_PDEATHSIG = 1


@dataclass
class Job:
    """A connection: first the request, then the child that answers it."""

    connection: socket.socket
    received: bytes = b""
    files: list[int] = field(default_factory=list)
    child: int = 0
    pidfd: int = -1


class Nursery:
    """Accepts requests, forks children, and tells each client how its child ended.

    A client that goes away takes its child with it, as a job that is killed outright should.
    """

    def __init__(self, listener: socket.socket, idle: float = IDLE) -> None:
        self.listener = listener
        self.idle = idle
        self.selector = selectors.DefaultSelector()
        self.selector.register(listener, selectors.EVENT_READ)
        self.jobs: list[Job] = []

    def serve(self) -> None:
        """Until nobody has come for ``idle`` seconds."""
        while True:
            events = self.selector.select(None if self.jobs else self.idle)
            if not events and not self.jobs:
                return
            for key, _ in events:
                if key.fileobj is self.listener:
                    self._accept()
                elif key.data.child and key.fd == key.data.pidfd:
                    self._ended(key.data)
                elif key.data in self.jobs:
                    self._read(key.data)

    def _accept(self) -> None:
        connection, _ = self.listener.accept()
        job = Job(connection)
        self.jobs.append(job)
        self.selector.register(connection, selectors.EVENT_READ, job)

    def _read(self, job: Job) -> None:
        try:
            chunk, ancillary, *_ = job.connection.recvmsg(65536, socket.CMSG_SPACE(3 * 4))
        except OSError:
            chunk, ancillary = b"", []
        for level, kind, data in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                job.files.extend(array.array("i", data))
        if not chunk:
            self._forget(job)
            return
        job.received += chunk
        length = int.from_bytes(job.received[:8], "big")
        if not job.child and len(job.received) >= 8 + length and len(job.files) == 3:
            self._fork(job, json.loads(job.received[8 : 8 + length]))

    def _fork(self, job: Job, request: dict[str, Any]) -> None:
        sys.stdout.flush()
        child = os.fork()
        if child == 0:
            self._become(job, request)
        for descriptor in job.files:
            os.close(descriptor)
        job.files.clear()
        job.child, job.pidfd = child, os.pidfd_open(child)
        self.selector.register(job.pidfd, selectors.EVENT_READ, job)
        with contextlib.suppress(OSError):
            job.connection.sendall(f"{child}\n".encode())

    def _become(self, job: Job, request: dict[str, Any]) -> NoReturn:
        """In the child: drop what is the nursery's, take on what is the job's, and run its command."""
        status = 1
        try:
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            for number, descriptor in enumerate(job.files):
                os.dup2(descriptor, number)
            self.selector.close()
            for other in self.jobs:
                other.connection.close()
            self.listener.close()
            os.chdir(request["folder"])
            os.environ.clear()
            os.environ.update(request["environment"])
            sys.argv = ["cdmrun", *request["arguments"]]
            status = _run_command()
        finally:
            with contextlib.suppress(Exception):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(status)

    def _ended(self, job: Job) -> None:
        status = os.waitstatus_to_exitcode(os.waitpid(job.child, 0)[1])
        self.selector.unregister(job.pidfd)
        os.close(job.pidfd)
        job.child = 0
        with contextlib.suppress(OSError):
            job.connection.sendall(f"{status if status >= 0 else 128 - status}\n".encode())
        self._forget(job)

    def _forget(self, job: Job) -> None:
        """The client is gone or served."""
        if job.child:
            with contextlib.suppress(ProcessLookupError):
                os.kill(job.child, signal.SIGKILL)
            os.waitpid(job.child, 0)
            self.selector.unregister(job.pidfd)
            os.close(job.pidfd)
            job.child = 0  # its end may be among the events that have been read already
        for descriptor in job.files:
            os.close(descriptor)
        self.selector.unregister(job.connection)
        job.connection.close()
        self.jobs.remove(job)


def _run_command() -> int:
    """The command line as a process of its own would run it; its exit status."""
    sys.stdin, sys.stdout, sys.stderr = _stream(0, "r"), _stream(1, "w"), _stream(2, "w")
    for name in [name for name in sys.modules if name.partition(".")[0] == "cdmrun"]:
        del sys.modules[name]  # the few that lead to this one: the source may have changed since
    try:
        importlib.import_module("cdmrun.cli").main()
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return end.code or 0
        print(end.code, file=sys.stderr)
        return 1
    except KeyboardInterrupt:  # so early that cdmrun was not there to say it
        print("interrupted; nothing had begun", file=sys.stderr)
        return 130
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def _stream(descriptor: int, mode: str) -> TextIOWrapper:
    """A standard stream anew: the old ones were opened on the nursery's files."""
    raw = FileIO(descriptor, mode, closefd=False)
    buffered = BufferedReader(raw) if mode == "r" else BufferedWriter(raw)
    return TextIOWrapper(buffered, encoding="utf-8", errors="replace", line_buffering=True)


def main(path: str, ready: int, idle: float = IDLE) -> None:
    """Load, listen, say so, serve."""
    for name in LIBRARIES:
        importlib.import_module(name)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)  # left by one that was killed; the starter holds the lock
    listener.bind(path)
    listener.listen(64)
    os.write(ready, b"!")
    os.close(ready)
    try:
        Nursery(listener, idle).serve()
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), *map(float, sys.argv[3:]))
