"""The job's side: find or start the nursery, hand over what makes this process what it is, and stand in for the child.

Light: imports neither torch nor numpy.
"""

from __future__ import annotations

import array
import contextlib
import errno
import fcntl
import hashlib
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType

from cdmrun.errors import UserError

#: Set to 1 to start warm.
SWITCH = "CDMRUN_WARM"

#: What Snakemake or a cluster send to a job: the child writes its checkpoint. Snakemake itself starts jobs with these
#: ignored, so that they are left to the stage; so they are passed on even then.
FOR_STAGES = (signal.SIGTERM, signal.SIGUSR1)

#: What a terminal sends; whoever ignores these (nohup) wants the job to.
FROM_TERMINALS = (signal.SIGINT, signal.SIGHUP)

#: In the nursery's folder.
SOCKET = "socket"

#: Bytes of a socket's path, of which Linux keeps 108 with the zero at the end.
_LONGEST = 107

#: Places where processes that outlive their job are not welcome.
ELSEWHERE = ("SLURM_JOB_ID", "TORCHELASTIC_RUN_ID", "KUBERNETES_SERVICE_HOST")


def wanted() -> bool:
    """Whether this job is to start warm: asked for, on a machine of its own, with an operating system that can."""
    asked = os.environ.get(SWITCH) == "1" and not any(name in os.environ for name in ELSEWHERE)
    return asked and sys.platform == "linux" and hasattr(os, "pidfd_open")


def run(arguments: Sequence[str]) -> int | None:
    """Run ``cdmrun ARGUMENTS`` in a child of the nursery with this process's folder, environment and files.

    Returns
    -------
    The exit status as a shell would see it, or None if there is no nursery to be had.
    """
    connection = _connect()
    if connection is None:
        return None
    with connection:
        environment = {name: value for name, value in os.environ.items() if name != SWITCH}  # the child is the job
        request = {"arguments": list(arguments), "folder": os.getcwd(), "environment": environment}
        try:
            _send(connection, json.dumps(request).encode())
            child = int(_line(connection))
        except (OSError, ValueError):
            return None  # it ended just now; nothing has been started
        with _forwarding(child):
            answer = _line(connection)
    if not answer:  # the nursery died, and its children with it
        remedy = f"run the workflow again, it goes on from what is kept; {SWITCH}=0 makes each job start by itself"
        print(
            UserError("the process that jobs are forked from has died, and this one with it", remedy), file=sys.stderr
        )
    return int(answer or 1)


def folder() -> Path:
    """Where the nursery for processes like this one has its socket; nobody but this user may enter."""
    base = Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir())
    where = os.environ.get("PYTHONPATH", "")  # plugins may be installed there
    name = hashlib.sha256(f"{sys.executable}:{sys.prefix}:{where}:{_inherited()}".encode()).hexdigest()[:12]
    path = base / f"cdmrun-{os.getuid()}-{name}"
    if len(os.fsencode(path / SOCKET)) > _LONGEST:
        raise OSError(errno.ENAMETOOLONG, "too long for the name of a socket", str(path))
    path.mkdir(mode=0o700, exist_ok=True)
    status = path.lstat()
    if status.st_uid != os.getuid() or status.st_mode & 0o077 or path.is_symlink():
        raise PermissionError(f"{path} is not this user's own")
    return path


def _inherited() -> str:
    """What a process has from the one that started it and no request can hand over.

    A nursery's children have it from whoever started the nursery, first of all jobs, perhaps under ``taskset`` or
    ``nohup``. A job with anything else needs a nursery of its own.
    """
    mask = os.umask(0o077)
    os.umask(mask)
    limits = {name: resource.getrlimit(getattr(resource, name)) for name in dir(resource) if name.startswith("RLIMIT_")}
    ignored = [int(number) for number in FROM_TERMINALS if signal.getsignal(number) is signal.SIG_IGN]
    return repr((sorted(os.sched_getaffinity(0)), mask, os.getpriority(os.PRIO_PROCESS, 0), limits, ignored))


def _connect() -> socket.socket | None:
    """A connection to the nursery, which is started if there is none."""
    try:
        home = folder()
        found = _reach(home / SOCKET)
        if found is not None:
            return found
        with open(home / "lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # one of several jobs that come at once starts it
            found = _reach(home / SOCKET)
            if found is None and _start(home):
                found = _reach(home / SOCKET)
            return found
    except OSError:
        return None


def _reach(path: Path) -> socket.socket | None:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.connect(str(path))
    except OSError:
        connection.close()
        return None
    return connection


def _start(home: Path) -> bool:
    """Start a nursery and wait until it listens; False if it dies before."""
    reader, writer = os.pipe()
    with open(home / "log", "wb") as log:
        subprocess.Popen(
            [sys.executable, "-P", "-m", "cdmrun.warm.nursery", str(home / SOCKET), str(writer)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=[writer],
            start_new_session=True,  # Ctrl-C is for jobs
            cwd="/",
        )
    os.close(writer)
    with os.fdopen(reader, "rb") as ready:
        return ready.read(1) == b"!"


def _send(connection: socket.socket, message: bytes) -> None:
    """The message's length, the message, and with its first bytes our three standard files."""
    files = array.array("i", [0, 1, 2])
    header = len(message).to_bytes(8, "big")
    connection.sendmsg([header], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, files)])
    connection.sendall(message)


def _line(connection: socket.socket) -> str:
    """What comes before the next line end; empty if the other side is gone."""
    received = b""
    while not received.endswith(b"\n"):
        chunk = connection.recv(1)
        if not chunk:
            return ""
        received += chunk
    return received.decode().strip()


@contextlib.contextmanager
def _forwarding(child: int) -> Iterator[None]:
    """Pass signals on to the child, and wait on."""

    def forward(number: int, frame: FrameType | None) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, number)

    heeded = [number for number in FROM_TERMINALS if signal.getsignal(number) is not signal.SIG_IGN]
    kept = {number: signal.signal(number, forward) for number in (*FOR_STAGES, *heeded)}
    try:
        yield
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)
