"""How much memory a process holds, or has held at once; what the other scripts here ask."""

import resource
import sys
from pathlib import Path


def peak_megabytes() -> float:
    """Tell how much memory this process has held at once.

    Linux adds to ``getrusage`` what the process that started this one held at that moment;
    ``VmHWM`` begins anew with every program.
    """
    if Path("/proc/self/status").is_file():
        return _told("self", "VmHWM")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 1024


def held_megabytes(process: int) -> float:
    """Tell how much memory another process holds now; on Linux only."""
    return _told(str(process), "VmRSS")


def _told(process: str, name: str) -> float:
    """Read a line of ``/proc``, in megabytes of 2^20 bytes."""
    status = Path("/proc", process, "status").read_text()
    lines = dict(line.split(":", 1) for line in status.splitlines())
    return int(lines[name].split()[0]) / 1024
