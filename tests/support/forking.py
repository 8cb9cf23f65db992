"""Processes that do not import for a second each: a process that has imported forks them.

A fork has its own arguments, environment, folder and outputs, is a child of the test's process and
takes signals as any process does. How a command starts is for `tests/cli/test_start.py`.
"""

from __future__ import annotations

import atexit
import ctypes
import functools
import gc
import importlib
import json
import os
import runpy
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn

COMMAND = Path(sys.executable).with_name("lead-sync")
IMPORTED = (
    *("connector.report.log", "connector.report.output", "connector.report.results"),
    *("connector.sync.runs", "connector.sync.check", "connector.source"),
    *("connector.warehouse.dataset", "duckdb", "dlt.destinations.impl.duckdb.duck"),
    *("pytest", "xdist", "hypothesis", "connector.sandbox"),
)
_SET_CHILD_SUBREAPER = 36
_READ_AT_THE_START = ("PYTHON", "LC_", "LANG", "LD_", "TZ", "MALLOC_")


class Forked(subprocess.Popen[Any]):
    """`lead-sync`, or `python -m`, forked where that can be done and is like a start."""

    def _execute_child(self, *given: Any) -> None:
        args, _executable, _preexec, _close_fds, _pass_fds, cwd, env, *rest = given
        fds = rest[3:9]
        stdin, _, _, stdout, _, stderr = fds
        if stdin >= 0 or stdout < 0 or stderr < 0 or not _may_fork(env):
            super()._execute_child(*given)  # type: ignore[misc] # typeshed leaves it out
            return
        request = json.dumps({"call": args, "cwd": str(cwd), "env": dict(env)}).encode()
        server = _server()
        socket.send_fds(server, [len(request).to_bytes(4, "big")], [stdout, stderr])
        server.sendall(request)
        self.pid = int.from_bytes(_receive(server, 4), "big")
        self._child_created = True
        self._close_pipe_fds(*fds)  # type: ignore[attr-defined]


def _may_fork(env: Mapping[str, str] | None) -> bool:
    """Tell whether an environment has nothing that Python or a library reads only once."""
    if sys.platform != "linux" or env is None:
        return False
    names = {name for name in {*env, *os.environ} if name.startswith(_READ_AT_THE_START)}
    return all(env.get(name) == os.environ.get(name) for name in names)


@functools.cache
def _server() -> socket.socket:
    """Start the process that forks; it ends when this one does, and its forks are children here."""
    ctypes.CDLL(None).prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    ours, theirs = socket.socketpair()
    call = [sys.executable, "-m", __name__, str(theirs.fileno())]
    root = Path(__file__).parents[2]
    process = subprocess.Popen(call, cwd=root, pass_fds=[theirs.fileno()])
    process.returncode = 0  # so that nobody waits for it, or tells that nobody did
    theirs.close()
    return ours


def _receive(stream: socket.socket, size: int) -> bytes:
    found = b""
    while len(found) < size:
        piece = stream.recv(size - len(found))
        if not piece:
            raise EOFError
        found += piece
    return found


def serve(stream: socket.socket) -> list[str] | None:
    """Fork for each request; return in a fork its call, and None when nobody asks any more."""
    while True:
        size, fds, _, _ = socket.recv_fds(stream, 4, 2)
        if not size:
            return None
        asked = json.loads(_receive(stream, int.from_bytes(size, "big")))
        reading, writing = os.pipe()
        between = os.fork()
        if not between:
            forked = os.fork()
            if forked:
                os.write(writing, forked.to_bytes(4, "big"))
                os._exit(0)
            for fd in (reading, writing, stream.detach()):
                os.close(fd)
            become(asked["cwd"], asked["env"], *fds)
            return list(asked["call"])
        os.waitpid(between, 0)  # from here on the fork is a child of the process that asked
        stream.sendall(os.read(reading, 4))
        for fd in (reading, writing, *fds):
            os.close(fd)


def become(cwd: str, env: Mapping[str, str], *outputs: int) -> None:
    """Take over what a process of its own would begin with."""
    for fd, output in enumerate(outputs, start=1):
        os.dup2(output, fd)
        os.close(output)
    told, hurt = sys.stdout, sys.stderr
    sys.stdout = os.fdopen(1, "w", -1, told.encoding, told.errors, closefd=False)
    sys.stderr = os.fdopen(2, "w", 1, hurt.encoding, hurt.errors, closefd=False)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    time.tzset()


def end_with(command: Callable[[], object]) -> NoReturn:
    """Run a command and end as Python does, but for taking every module to pieces."""
    code: Any = None
    try:
        command()
    except SystemExit as ended:
        code = ended.code
    threading._shutdown()  # type: ignore[attr-defined] # joins what still runs
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code or 0)


def main() -> None:
    """Import what commands need, then fork commands."""
    os.environ |= {"RUNTIME__DLTHUB_TELEMETRY": "false", "RUNTIME__LOG_LEVEL": "CRITICAL"}
    for name in IMPORTED:
        importlib.import_module(name)
    gc.freeze()  # a collection in a fork would copy every page of it
    call = serve(socket.socket(fileno=int(sys.argv[1])))
    if call is None:
        os._exit(0)
    if call[:2] == [sys.executable, "-m"]:
        sys.path[0], sys.argv = str(Path.cwd()), call[2:]
        end_with(lambda: runpy.run_module(call[2], run_name="__main__", alter_sys=True))
    sys.path[0], sys.argv = str(COMMAND.parent), call
    end_with(importlib.import_module("connector.__main__").main)


if __name__ == "__main__":
    main()
