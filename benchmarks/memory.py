"""How much memory a process has held at once; what the other scripts here ask."""

import resource
import sys
from pathlib import Path


def peak_megabytes() -> float:
    """Tell how much memory this process has held at once.

    Linux adds to ``getrusage`` what the process that started this one held at that moment;
    ``VmHWM`` begins anew with every program.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
        return int(lines["VmHWM"].split()[0]) / 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 1024
