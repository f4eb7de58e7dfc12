"""Who works on what: names of workers, and when the claim of one is void.

A claim only keeps two workers from doing the same work at the same time. Nothing is wrong when it
fails: what both find is the same.
"""

import os
import socket
import time
import uuid
from pathlib import Path

LEASE = 300.0  # seconds after which a claim of another machine is void


def new_worker() -> str:
    """Name a worker of this process, so that others can see whether the process is gone."""
    pid = os.getpid()
    return f"{socket.gethostname()[:80]}|{pid}|{_born(pid)}|{uuid.uuid4().hex}"


def is_void(worker: str, since: float) -> bool:
    """Say whether a claim binds nobody any more; ``since`` is in seconds of ``time.time``."""
    if not 0 <= time.time() - since <= LEASE:
        return True
    host, pid, born, *_ = (*worker.split("|"), "", "", "")
    if host != socket.gethostname()[:80] or not pid.isdigit() or not _can_tell():
        return False  # it runs elsewhere, if it runs
    return _born(int(pid)) != born


def _can_tell() -> bool:
    return Path("/proc/self/stat").exists()


def _born(pid: int) -> str:
    """Find when a process started, in ticks since the machine did; "" for none (Linux only)."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    state, *fields = stat.rpartition(") ")[2].split()  # a name may hold anything, brackets too
    return "" if state in "ZX" else fields[18]
