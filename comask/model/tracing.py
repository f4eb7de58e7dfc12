"""What a part asks before it does more than a trace can show, or than a gradient could undo."""

import torch


def traced() -> bool:
    """Tell whether the network is being traced: a trace would take all sizes for constants."""
    return bool(torch.jit.is_tracing())  # type: ignore[attr-defined,no-untyped-call]


def forgettable() -> bool:
    """Tell whether nobody looks back: neither a gradient nor a trace, so memory may be reused."""
    return not (torch.is_grad_enabled() or traced())
