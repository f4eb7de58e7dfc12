"""What launch.py was told, and the limits that hold strangers' files: frozen values."""

import ipaddress
from dataclasses import dataclass, field
from pathlib import Path

from comask.errors import ConfigError

CHECKOUT = Path(__file__).resolve().parent.parent

MEGABYTE = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What the server takes from a browser, and what it keeps in memory."""

    image_bytes: int = 200 * MEGABYTE  # one image file
    images_per_request: int = 64
    request_bytes: int = 400 * MEGABYTE  # one upload with everything in it
    images: int = 20_000  # uploads that one workspace holds
    checkpoint_bytes: int = 2_000 * MEGABYTE
    decoded_bytes: int = 400 * MEGABYTE  # decoded and encoded pictures held in memory
    predictions: int = 64  # held in memory; all of them are in the workspace
    looks_bytes: int = 600 * MEGABYTE  # every map of the images that are looked into
    answers_bytes: int = 200 * MEGABYTE  # what was computed of them


@dataclass(frozen=True, kw_only=True)
class Settings:
    """One Studio: where it listens, what it opens with, where it may write."""

    workspace: Path = CHECKOUT / "workspace"
    assets: Path = CHECKOUT / "assets"
    checkpoint: Path | None = None  # None: the first of assets/checkpoints by name
    data: tuple[Path, ...] = ()  # visitors from other machines open datasets only below these
    store: str | None = None  # any SQLAlchemy URL; None: a file in the workspace
    host: str = "127.0.0.1"
    port: int = 7860
    device: str = "auto"
    min_score: float = 0.05  # what the model runs at; the slider only filters
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65_535:
            raise ConfigError(f"port must be in 0 .. 65535, got {self.port}")
        if self.checkpoint is not None and not self.checkpoint.is_file():
            raise ConfigError(f"There is no checkpoint file {self.checkpoint}.")
        for folder in self.data:
            if not folder.is_dir():
                raise ConfigError(f"There is no folder {folder} to open datasets from.")

    @property
    def is_local(self) -> bool:
        """Say whether only this machine can reach the Studio."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False
