"""A PostgreSQL server for tests, in a folder of its own, without a network."""

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PROGRAMS = Path("/usr/lib/postgresql")  # where Debian puts them


def find() -> Path | None:
    """Find the folder of the server's programs."""
    found = shutil.which("initdb")
    if found is not None:
        return Path(found).parent
    return max(PROGRAMS.glob("*/bin"), default=None, key=lambda path: int(path.parent.name))


@contextmanager
def served(programs: Path, folder: Path) -> Iterator[str]:
    """Start a server that listens to a socket in ``folder``; gives the URL of a database."""
    name = pwd.getpwuid(os.getuid()).pw_name
    before: list[str] = []
    if name == "root":  # the server refuses to be root
        name = "postgres"
        before = [shutil.which("runuser") or "/usr/sbin/runuser", "-u", name, "--"]
        os.chown(folder, *pwd.getpwnam(name)[2:4])
        for parent in folder.parents:
            if parent.stat().st_uid == 0 and parent.is_relative_to("/tmp/"):
                parent.chmod(parent.stat().st_mode | 0o711)

    def call(program: str, *words: str) -> None:
        command = [*before, str(programs / program), *words]
        subprocess.run(command, check=True, cwd=folder, stdout=subprocess.DEVNULL, timeout=120)

    data, log = str(folder / "data"), str(folder / "log")
    call("initdb", "-D", data, "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C.UTF-8")
    flags = f"-c listen_addresses='' -c unix_socket_directories='{folder}' -c fsync=off"
    call("pg_ctl", "-D", data, "-o", flags, "-l", log, "-w", "start")
    try:
        yield f"postgresql://{name}@/postgres?host={folder}"
    finally:
        call("pg_ctl", "-D", data, "-m", "immediate", "-w", "stop")
