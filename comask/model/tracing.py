"""What a part asks before it does more than a trace can show."""

import torch


def traced() -> bool:
    """Tell whether the network is being traced: a trace would take all sizes for constants."""
    return bool(torch.jit.is_tracing())  # type: ignore[attr-defined,no-untyped-call]
