"""Start CoMask Studio: ``python launch.py``; ``--help`` lists the flags."""

import argparse
import gc
import ipaddress
import logging
import multiprocessing
import multiprocessing.connection
import os
import socket
import sys
import threading
import webbrowser
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn
from urllib.error import URLError
from urllib.request import urlopen

from app import window
from app.settings import Settings
from comask.errors import ComaskError, ConfigError

if TYPE_CHECKING:  # slow enough that refusals should not wait for it
    import uvicorn


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve the Studio until it is interrupted or its window closed; 2 when it can't start."""
    flags = _parse(arguments)
    try:
        settings = _settings(flags)
        if flags.window:
            _check_window(settings)
        _check_files(settings)
        listener = _listen(settings) if not flags.window else _listen_for_window(settings)
    except ComaskError as error:
        print(f"launch.py: {error}", file=sys.stderr)
        return 2
    try:
        if flags.window:
            return _serve_in_window(settings, listener)
        _serve(settings, listener, open_browser=flags.open)
    except KeyboardInterrupt:
        return 0
    except ComaskError as error:
        print(f"launch.py: {error}", file=sys.stderr)
        return 2
    finally:
        listener.close()


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    own = Settings()
    parser = argparse.ArgumentParser(
        prog="launch.py", description="CoMask Studio: look at what a CoMask checkpoint finds."
    )
    parser.add_argument(
        "--checkpoint",
        type=Path,
        metavar="C",
        help="a .safetensors file to open with (default: the first of assets/checkpoints)",
    )
    parser.add_argument(
        "--host", default=own.host, help="address to listen on (default: %(default)s)"
    )
    parser.add_argument(
        "--port",
        type=int,
        help=f"port to listen on, 0 for any (default: {own.port}; a window takes any)",
    )
    parser.add_argument(
        "--workspace",
        type=Path,
        default=own.workspace,
        metavar="DIR",
        help="folder for uploads, checkpoints and results (default: workspace beside launch.py)",
    )
    parser.add_argument(
        "--data",
        type=Path,
        action="append",
        default=[],
        metavar="DIR",
        help="a folder that visitors from other machines may open datasets below; may be repeated",
    )
    parser.add_argument(
        "--store",
        metavar="URL",
        help="database of runs and labels, any SQLAlchemy URL (default: a file in the workspace)",
    )
    parser.add_argument(
        "--device", default=own.device, help="auto, cpu, cuda, cuda:1, mps (default: auto)"
    )
    shown = parser.add_mutually_exclusive_group()
    shown.add_argument("--open", action="store_true", help="open the page in the browser")
    shown.add_argument(
        "--window",
        action="store_true",
        help="open the page in a window of its own; needs the extra `desktop`",
    )
    return parser.parse_args(arguments)


def _settings(flags: argparse.Namespace) -> Settings:
    return Settings(
        workspace=flags.workspace.expanduser().absolute(),
        checkpoint=flags.checkpoint and flags.checkpoint.expanduser().absolute(),
        data=tuple(folder.expanduser().absolute() for folder in flags.data),
        store=flags.store,
        host=flags.host,
        port=(0 if flags.window else Settings.port) if flags.port is None else flags.port,
        device=flags.device,
    )


def _check_files(settings: Settings) -> None:
    """See that the workspace can be written to and that a named checkpoint is one."""
    from app.services.files import prepare_folder

    prepare_folder(settings.workspace)
    if settings.checkpoint is not None:
        from comask.checkpoint import native  # brings torch, which an unnamed start waits with

        native.read_info(settings.checkpoint)


def _listen(settings: Settings) -> socket.socket:
    """Take the port before anything slow happens; raises ConfigError when it is not to be had."""
    try:
        family, _, _, _, address = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, socket.SOCK_STREAM)
        if os.name != "nt":  # there it would let two servers share a port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(128)
    except OSError as error:
        raise ConfigError(_port_sentence(settings, error)) from error
    return listener


def _check_window(settings: Settings) -> None:
    window.check()
    if not settings.is_local:
        raise ConfigError(
            f"A window's page is for this machine alone: leave out --window or --host "
            f"{settings.host}."
        )


def _listen_for_window(settings: Settings) -> socket.socket:
    """Take the port that the last window had, where none is named and it is free."""
    last = window.remembered(settings.workspace).port
    if settings.port == 0 and last:
        try:
            return _listen(replace(settings, port=last))
        except ConfigError:
            pass
    return _listen(settings)


def _port_sentence(settings: Settings, error: OSError) -> str:
    place = f"{settings.host}:{settings.port}"
    return (
        f"Nothing can listen on {place} ({error.strerror or error}); another program may use the "
        f"port: stop it or name another with --port."
    )


def _serve(settings: Settings, listener: socket.socket, *, open_browser: bool) -> NoReturn:
    server = _server(settings, listener)
    if open_browser:
        address = _address(settings, listener)
        threading.Thread(target=_open_when_ready, args=(address,), daemon=True).start()
    with suppress(KeyboardInterrupt):
        server.run(sockets=[listener])
    _leave(0)


def _serve_in_window(settings: Settings, listener: socket.socket) -> int:
    """Show the window at once; the server comes up in a process of its own and ends with it.

    Of its own, because a web view brings the machine's graphics driver, and libraries that torch
    loads crash where Mesa's LLVM is loaded already; nor do the two wait for each other then.
    """
    port = listener.getsockname()[1]
    place = replace(window.remembered(settings.workspace), port=port)
    shown = window.StudioWindow(_address(settings, listener), settings.workspace, place)
    context = multiprocessing.get_context("spawn")
    lifeline, other_end = context.Pipe()
    server = context.Process(target=_serve_behind, args=(settings, listener, other_end))
    server.start()
    other_end.close()

    def close_with_it() -> None:
        multiprocessing.connection.wait([server.sentinel])
        shown.close()

    threading.Thread(target=close_with_it, daemon=True).start()
    shown.show()
    lifeline.close()
    server.join()
    return server.exitcode or 0


def _serve_behind(settings: Settings, listener: socket.socket, lifeline: Connection) -> None:
    """Serve until the other end of the line is closed, or its process is gone."""
    try:
        server = _server(settings, listener)
        threading.Thread(target=_stop_at_end, args=(server, lifeline), daemon=True).start()
        server.run(sockets=[listener])
    except KeyboardInterrupt:  # Ctrl+C reaches both processes
        pass
    except ComaskError as error:
        print(f"launch.py: {error}", file=sys.stderr)
        _leave(2)
    _leave(0)


def _stop_at_end(server: "uvicorn.Server", lifeline: Connection) -> None:
    multiprocessing.connection.wait([lifeline])
    server.should_exit = True


def _server(settings: Settings, listener: socket.socket) -> "uvicorn.Server":
    gc.disable()  # a sixth of what importing takes; on again when the first model is open
    import uvicorn  # slow enough that refusals should not wait for it

    from app.main import build
    from app.services import Services

    app = build(Services(settings))
    address = _address(settings, listener)
    print(f"CoMask Studio is at {address} (Ctrl+C stops it)", flush=True)
    if not _is_loopback(listener):
        print("Other machines can reach it too: it has no accounts, so mind who can.", flush=True)

    class Server(uvicorn.Server):
        """Pages that are open keep streams open; cutting those at the end is no error to print."""

        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
            await super().shutdown(sockets)

    return Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1))


def _address(settings: Settings, listener: socket.socket) -> str:
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(settings.host, settings.host)
    if ":" in host and not host.startswith("["):
        host = f"[{host}]"
    return f"http://{host}:{listener.getsockname()[1]}"


def _is_loopback(listener: socket.socket) -> bool:
    return ipaddress.ip_address(listener.getsockname()[0]).is_loopback


def _open_when_ready(address: str) -> None:
    try:
        urlopen(f"{address}/manifest.json", timeout=60).close()
    except (URLError, OSError):
        return
    webbrowser.open(address)


def _leave(code: int) -> NoReturn:
    """End a server's process at once; all that has to be closed is closed by now.

    Python's own end aborts the process where a thread is in the middle of an operation of torch's,
    as in a pass that takes longer than closing waits.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    sys.exit(main())
