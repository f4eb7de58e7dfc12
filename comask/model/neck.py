"""The pyramid: laterals, the top-down path, one MSFEM a level (spec section 3.1)."""

from collections.abc import Iterator, Sequence

from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from comask.config import NeckConfig
from comask.model.msfem import Msfem
from comask.model.tracing import forgettable

LEVELS = (2, 3, 4, 5)


class Neck(nn.Module):
    """FPN whose output levels each pass through an MSFEM of their own."""

    def __init__(self, inputs: tuple[int, ...], config: NeckConfig) -> None:
        super().__init__()
        self.laterals = nn.ModuleList(nn.Conv2d(c, config.channels, 1) for c in inputs)
        self.msfem = nn.ModuleList(Msfem(config) for _ in inputs)
        for part in self.modules():
            if isinstance(part, nn.Conv2d | nn.Linear):
                nn.init.xavier_uniform_(part.weight)
                if part.bias is not None:
                    nn.init.zeros_(part.bias)

    def forward(self, stages: list[Tensor]) -> tuple[Tensor, ...]:
        """Enrich C2 .. C5: 4 x (B, C_k, H / s, W / s) -> P2 .. P6, (B, C, H / s, W / s) each."""
        levels = [msfem(m) for msfem, m in zip(self.msfem, self.merged(stages), strict=True)]
        return self.pyramid(levels)

    def gated(self, stages: list[Tensor]) -> tuple[Tensor, ...]:
        """Do all but what follows the gates: C2 .. C5, 4 x (B, C_k, h, w) -> 4 x (B, C, h, w)."""
        pairs = zip(self._levels(), self.merged(stages), strict=True)
        return tuple(msfem.gated(level) for msfem, level in pairs)

    def finished(self, gated: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Do what follows the gates: 4 x (B, C, h, w) -> P2 .. P6, (B, C, H / s, W / s) each."""
        pairs = zip(self._levels(), gated, strict=True)
        return self.pyramid([msfem.attention.finished(level) for msfem, level in pairs])

    def _levels(self) -> Iterator[Msfem]:
        return (msfem for msfem in self.msfem if isinstance(msfem, Msfem))

    def pyramid(self, levels: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Add P6, which serves the proposals only: P2 .. P5 -> P2 .. P6."""
        return (*levels, levels[-1][:, :, ::2, ::2])

    def merged(self, stages: list[Tensor]) -> list[Tensor]:
        """Add each coarser level to the next finer: what the MSFEM of P2 .. P5 take in."""
        return self.from_the_top(self.lateral_maps(stages), over=True)

    def lateral_maps(self, stages: list[Tensor]) -> list[Tensor]:
        """Bring every stage to the pyramid's channels: 4 x (B, C_k, h, w) -> 4 x (B, C, h, w)."""
        return [lateral(stage) for lateral, stage in zip(self.laterals, stages, strict=True)]

    def from_the_top(self, laterals: list[Tensor], *, over: bool = False) -> list[Tensor]:
        """Add each coarser map to the next finer: 4 x (B, C, h, w) -> the same.

        ``over`` tells whether they may be written over, where no gradient needs them.
        """
        merged = list(laterals)
        over = over and forgettable()
        for k in range(len(merged) - 1, 0, -1):
            merged[k - 1] = _added(merged[k - 1], merged[k], over=over)
        return merged


def _added(finer: Tensor, coarser: Tensor, *, over: bool) -> Tensor:
    """Add to each place of a map its nearest of a smaller one: (B, C, H, W), (B, C, h, w)."""
    height, width = coarser.shape[-2:]
    if over and finer.shape[-2:] == (2 * height, 2 * width):
        fours = finer.unflatten(3, (width, 2)).unflatten(2, (height, 2))  # (B, C, h, 2, w, 2)
        fours += coarser[:, :, :, None, :, None]
        return finer
    enlarged = F.interpolate(coarser, finer.shape[-2:], mode="nearest")
    enlarged += finer
    return enlarged
