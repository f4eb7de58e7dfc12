"""What one browser tab has open: a frozen value that actions take and return."""

import uuid
from dataclasses import dataclass, field
from typing import Literal

Source = Literal["samples", "uploads", "dataset"]


@dataclass(frozen=True, kw_only=True)
class Session:
    """One tab.

    id           who the tab is; a run belongs to it
    source       which list is open; of a dataset the browser knows the rest
    image        key of the image on the canvas, as far as the server knows
    sent         key of the image that the canvas was last told to open
    revision     how often the canvas was told so
    checkpoint   name of the chosen checkpoint, as the picker spells it
    run          id of the tab's run over the open list
    complaint    what went wrong with the last thing that was asked for, one sentence
    """

    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    source: Source = "samples"
    image: str | None = None
    sent: str | None = None
    revision: int = 0
    checkpoint: str | None = None
    run: str | None = None
    complaint: str = ""
