"""MSFEM, the multi-scale feature enrichment module of one pyramid level (spec section 3).

Letters: B images, C channels, H x W the level's size. A branch of depth d halves the level d
times; the deepest feeds the next shallower one, and so on: a cascade. The fusing 1x1 convolution
sees the level first, then the branches from the deepest to the shallowest.
"""

from collections.abc import Callable, Collection, Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from comask.config import AttentionKind, NeckConfig
from comask.model.norm import GroupNorm, place_means
from comask.model.tracing import forgettable, traced
from comask.ops.enlarged import convolve_enlarged


class Msfem(nn.Module):
    """Parallel views of one level at several scales, fused by a 1x1 convolution and attention."""

    def __init__(self, config: NeckConfig) -> None:
        super().__init__()
        channels = config.channels
        depths = range(config.branches - 1, 0, -1)
        # deepest first, as they run; the deepest sees the level alone, the others also its heir
        self.branches = nn.ModuleList(
            _chain(depth, channels if depth == config.branches - 1 else 2 * channels, channels)
            for depth in depths
        )
        self.fuse = nn.Conv2d(config.branches * channels, channels, 1)
        self.attention: Attention = _ATTENTION[config.attention](channels)

    def forward(self, level: Tensor) -> Tensor:
        """Enrich one level: (B, C, H, W) -> (B, C, H, W), never negative."""
        fused = self.fused(level, self.views(level))
        enriched: Tensor = self.attention(fused, over=True)
        return enriched

    def gated(self, level: Tensor) -> Tensor:
        """Do all of it but what follows the attention's gate: (B, C, H, W) -> (B, C, H, W)."""
        return self.attention.gated(self.fused(level, self.views(level)), over=True)

    def views(
        self, level: Tensor, silent: Collection[int] = (), known: Sequence[Tensor] = ()
    ) -> list[Tensor]:
        """Run the cascade: the coarse outputs, deepest first, (B, C, H / 2^d, W / 2^d) each.

        Branches of ``silent``, counted from the level's own 0, give zeros, to their heirs as well.
        What the deepest ones gave is taken from ``known``, as far as that goes.
        """
        coarse: list[Tensor] = []
        for number, branch in enumerate(self.branches, start=1):
            if number <= len(known):
                view = known[number - 1]
            else:
                view = branch(level, coarse[-1] if coarse else None)
            coarse.append(torch.zeros_like(view) if number in silent else view)
        return coarse

    def parts(
        self,
        level: Tensor,
        coarse: list[Tensor],
        bias: Tensor | None = None,
        *,
        passing: bool = False,
    ) -> Iterator[Tensor]:
        """Split the fused map into one part a branch, the level's own first.

        Exact: a 1x1 convolution of a concatenation is the sum of one convolution an input, and
        it commutes with bilinear enlargement, so each runs at its branch's own resolution.

        Args:
            level: (B, C, H, W).
            coarse: What ``views`` gave.
            bias: No part of it; where it is given, it is added to the first.
            passing: Whether a part, but for the first, may be gone when the next one is asked for.
        """
        own, *others = self.fuse.weight.split(level.shape[1], dim=1)
        yield F.conv2d(level, own, bias)
        last = None
        for view, weight in zip(coarse, others, strict=True):
            part = enlarge(F.conv2d(view, weight), level, last)
            yield part
            last = part if passing and forgettable() else None

    def fused(self, level: Tensor, coarse: list[Tensor], without: Collection[int] = ()) -> Tensor:
        """Fuse the level and its views before attention: (B, C, H, W).

        The parts of the branches of ``without``, counted from the level's own 0, are left out.
        """
        bias = None if 0 in without else self.fuse.bias
        parts = enumerate(self.parts(level, coarse, bias, passing=True))
        kept = (part for number, part in parts if number not in without)
        if 0 in without:
            total = self.fuse.bias.view(1, -1, 1, 1).expand(level.shape).clone()  # type: ignore[union-attr]
        else:
            total = next(kept)
        for part in kept:
            total += part
        return total


class Unit(nn.Module):
    """A 3x3 convolution of stride 2 over one map or two, norm, ReLU."""

    def __init__(self, inputs: int, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, channels, 3, stride=2, padding=1)
        self.norm = GroupNorm(channels)

    def forward(self, level: Tensor, deeper: Tensor | None = None) -> Tensor:
        """Halve a level, and maybe what a deeper branch gave: -> (B, C, H / 2, W / 2).

        Args:
            level: (B, C, H, W).
            deeper: (B, C, h, w), which is enlarged to the level's size.
        """
        return F.relu(self.norm(self.convolved(level, deeper)), inplace=True)

    def convolved(self, level: Tensor, deeper: Tensor | None = None) -> Tensor:
        """Do the convolution alone: of what ``forward`` takes, to the same shape.

        Two maps are convolved apart and added up: what a convolution of their concatenation
        (``deeper`` first) gives, without building it.
        """
        widened = _widened(level)
        if deeper is None:
            alone: Tensor = self.conv(widened)
            return alone
        weights = self.conv.weight.split([deeper.shape[1], level.shape[1]], dim=1)
        seen = F.conv2d(widened, weights[1], self.conv.bias, stride=2, padding=1)
        if traced():
            seen += F.conv2d(enlarge(deeper, level), weights[0], stride=2, padding=1)
        else:
            seen += convolve_enlarged(deeper, weights[0], (level.shape[2], level.shape[3]))
        return seen


def _widened(level: Tensor) -> Tensor:
    """Give a map of one column a second one of zeros, which a halving convolution sees anyway.

    Without it PyTorch 2.15 leaves the weights' gradient unset on CPUs in bfloat16.
    """
    return F.pad(level, (0, 1)) if level.shape[-1] == 1 else level


class Branch(nn.Sequential):
    """Units one after the other; the first also sees what the deeper branch gave, enlarged."""

    def forward(self, level: Tensor, deeper: Tensor | None = None) -> Tensor:
        """View a level at a coarser scale: (B, C, H, W), (B, C, h, w) -> (B, C, H / 2^d, ...)."""
        first, *others = self
        coarse: Tensor = first(level, deeper)
        for unit in others:
            coarse = unit(coarse)
        return coarse


def enlarge(coarse: Tensor, level: Tensor, over: Tensor | None = None) -> Tensor:
    """Resize to a level's size with aligned corners: (B, C, h, w) -> (B, C, H, W).

    Where a map of that shape is given as ``over``, the answer takes its place, and no gradient
    flows: new memory takes longer than the work.
    """
    size = level.shape[-2:]
    if over is None:
        return F.interpolate(coarse, size, mode="bilinear", align_corners=True)
    resized: Tensor = torch.ops.aten.upsample_bilinear2d.out(coarse, size, True, out=over)
    return resized


class ChannelGate(nn.Module):
    """A weight a channel from the whole map: (B, C, H, W) -> (B, C, 1, 1) in 0 .. 1."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.squeeze = nn.Linear(channels, channels // 4, bias=False)
        self.excite = nn.Linear(channels // 4, channels, bias=False)

    def forward(self, fused: Tensor) -> Tensor:
        """Weigh the channels: (B, C, H, W) -> (B, C, 1, 1)."""
        pooled = place_means(fused)
        gate = torch.sigmoid(self.excite(F.relu(self.squeeze(pooled))))
        return gate[:, :, None, None]


class ChannelAttention(nn.Module):
    """CA: gated channels, then ReLU."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gate = ChannelGate(channels)

    def forward(self, fused: Tensor, *, over: bool = False) -> Tensor:
        """Attend to channels: (B, C, H, W) -> (B, C, H, W); of ``over`` see ``gated``."""
        return self.finished(self.gated(fused, over=over))

    def gated(self, fused: Tensor, *, over: bool = False) -> Tensor:
        """Weigh the channels: (B, C, H, W) -> (B, C, H, W).

        Args:
            fused: What they are weighed of.
            over: Whether it may be written over, where no gradient needs it.
        """
        weights = self.weights(fused)
        if over and forgettable():
            return fused.mul_(weights)
        return fused * weights

    def finished(self, gated: Tensor) -> Tensor:
        """Do what follows the gate: (B, C, H, W) -> (B, C, H, W)."""
        return F.relu(gated)

    def weights(self, fused: Tensor) -> Tensor:
        """Say what the fused map is multiplied by: (B, C, H, W) -> (B, C, 1, 1) in 0 .. 1."""
        gate: Tensor = self.gate(fused)
        return gate


class ResidualChannelAttention(ChannelAttention):
    """RCA: gated channels plus a normalised 3x3 convolution of them, then ReLU."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.conv = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm = GroupNorm(channels)

    def finished(self, gated: Tensor) -> Tensor:
        """Refine what the gate gave: (B, C, H, W) -> (B, C, H, W)."""
        refined: Tensor = self.norm(self.conv(gated))
        refined += gated
        return F.relu(refined, inplace=True)


class SpatialChannelAttention(nn.Module):
    """SCA: a gate over the positions, then RCA."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.position = nn.Conv2d(2, 1, 3, padding=1, bias=False)
        self.rca = ResidualChannelAttention(channels)

    def forward(self, fused: Tensor, *, over: bool = False) -> Tensor:
        """Attend to positions and channels: (B, C, H, W) -> (B, C, H, W); as RCA does."""
        del over  # the positions' weights make a map of their own already
        attended: Tensor = self.rca(fused * self._positions(fused), over=True)
        return attended

    def gated(self, fused: Tensor, *, over: bool = False) -> Tensor:
        """Weigh positions and channels: (B, C, H, W) -> (B, C, H, W); as RCA does."""
        del over  # as in ``forward``
        return self.rca.gated(fused * self._positions(fused), over=True)

    def finished(self, gated: Tensor) -> Tensor:
        """Do what follows the gates: (B, C, H, W) -> (B, C, H, W)."""
        return self.rca.finished(gated)

    def weights(self, fused: Tensor) -> Tensor:
        """Say what the fused map is multiplied by: (B, C, H, W) -> the same, in 0 .. 1."""
        positions = self._positions(fused)
        gate: Tensor = self.rca.weights(fused * positions)
        return positions * gate

    def _positions(self, fused: Tensor) -> Tensor:
        summary = torch.stack([fused.mean(dim=1), fused.amax(dim=1)], dim=1)
        return torch.sigmoid(self.position(summary))


Attention = ChannelAttention | SpatialChannelAttention
_ATTENTION: dict[AttentionKind, Callable[[int], Attention]] = {
    "rca": ResidualChannelAttention,
    "ca": ChannelAttention,
    "sca": SpatialChannelAttention,
}


def _chain(depth: int, inputs: int, channels: int) -> Branch:
    widths = [inputs] + [channels] * (depth - 1)
    return Branch(*(Unit(width, channels) for width in widths))
