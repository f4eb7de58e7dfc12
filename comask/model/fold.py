"""A copy of a model for inference that finds the same, sooner.

On stored statistics a batch norm is one factor and one shift a channel; both fit into the weights
and the bias of the convolution before it. Wide 3x3 convolutions, of maps and of regions, get
their kernels ready for tiles, and what reads all cells of a region becomes the convolution that it
is.
"""

import copy
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from comask.model.cells import Cells
from comask.model.comask import CoMask
from comask.model.nowhere import nowhere
from comask.model.rpn import ProposalHead
from comask.model.tracing import forgettable
from comask.ops import winograd

CHANNELS = {torch.float32: 96, torch.bfloat16: 128}  # with fewer, tiles cost more than they save
PLACES = 600  # on smaller maps too

# regions are many small maps: tiles save time from these on
REGION_CHANNELS = 256
REGIONS = 32
REGION_SIDE = 16  # at most


def folded(model: CoMask, *, tiles: bool = True) -> CoMask:
    """Copy a model into one that finds the same, sooner; the model itself stays as it is.

    Args:
        model: Any.
        tiles: Whether kernels are made ready for tiles, which serves CPUs only and takes four times
            the memory of the weights that they stand for.
    """
    twin = copy.deepcopy(model).eval()
    with torch.no_grad():
        for part in list(twin.modules()):
            _fold_children(part)
        if tiles:
            _tile(twin)
    return twin


def in_bfloat16(twin: CoMask, *, tiles: bool = True) -> CoMask:
    """Copy a folded model into one whose weights and maps are bfloat16; ``twin`` stays as it is.

    Boxes, scores, votes and masks leave its parts as float32, whatever they were made of. Of
    ``tiles`` holds what ``folded`` says; ``twin`` itself needs none for it.
    """
    half = copy.deepcopy(twin)
    if tiles:
        with torch.no_grad():
            _tile(half, torch.bfloat16)
    return half.bfloat16()


class TiledConv(nn.Conv2d):
    """A 3x3 convolution that works by tiles where that is faster: on a CPU.

    That is on wide maps, and on many regions. Where gradients are asked for it is a plain one.
    """

    kernel: Tensor

    def forward(self, features: Tensor) -> Tensor:
        """Convolve: (B, C, H, W) -> (B, O, H, W)."""
        if self.tiles_maps(features):
            return winograd.convolve(features, self.kernel, self.bias)
        count, _, height, width = features.shape
        if _may_tile(features) and max(height, width) <= REGION_SIDE and count >= REGIONS:
            return winograd.convolve_regions(features, self.kernel, self.bias)
        return super().forward(features)

    @staticmethod
    def tiles_maps(features: Tensor) -> bool:
        """Tell whether maps, (B, C, H, W), are worked on by tiles: by size, kind and device."""
        count, _, height, width = features.shape
        wide = max(height, width) > REGION_SIDE and count * height * width >= PLACES
        return wide and _may_tile(features)


class TiledProposalHead(ProposalHead):
    """A proposal head that draws no wide map in between: each tile is judged at once."""

    conv: TiledConv

    @classmethod
    def of(cls, head: ProposalHead) -> "TiledProposalHead":
        """Take over a head's parts."""
        with nowhere():
            made = cls(head.conv.in_channels, head.config)
        for name, part in head.named_children():
            made.add_module(name, part)
        return made.train(head.training)

    def judged(self, level: Tensor) -> tuple[Tensor, Tensor]:
        """Judge the anchors of one level: (B, C, H, W) -> (B, A, H, W), (B, 4 A, H, W)."""
        if not self.conv.tiles_maps(level):
            return super().judged(level)
        parts = (self.score, self.delta)
        weight = torch.cat([part.weight.flatten(1) for part in parts]).T
        bias = torch.cat([part.bias for part in parts])  # type: ignore[misc]

        def judge(hidden: Tensor) -> Tensor:
            return torch.addmm(bias, hidden.relu_(), weight)

        found = winograd.convolve(level, self.conv.kernel, self.conv.bias, judge)
        score, delta = found.split([len(part.weight) for part in parts], dim=1)
        return score, delta


class CellsConv(nn.Conv2d):
    """``Cells`` as a convolution that covers the region: maps stored channels last stay so."""

    def forward(self, regions: Tensor) -> Tensor:
        """Weigh all cells: (N, C, h, w) -> (N, O)."""
        return super().forward(regions).flatten(1)


def _may_tile(features: Tensor) -> bool:
    return features.device.type == "cpu" and features.dtype in CHANNELS and forgettable()


def _fold_children(part: nn.Module) -> None:
    for (name, conv), (norm_name, norm) in pairwise(list(part.named_children())):
        if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
            part.add_module(name, fuse_conv_bn_eval(conv, norm))
            part.add_module(norm_name, nn.Identity())
    for name, child in list(part.named_children()):
        if isinstance(child, Cells):
            part.add_module(name, _as_convolution(child))


def _tile(twin: CoMask, dtype: torch.dtype | None = None) -> None:
    """Make the kernels of wide convolutions ready, but of those that halve.

    Not the backbone's either: over its many layers the rounding adds up, in bfloat16 to twice what
    it is without.
    """
    channels = CHANNELS[dtype or torch.float32]
    for msfem in twin.neck.msfem:
        _tile_within(msfem.attention, channels, dtype)  # type: ignore[arg-type]
    _tile_within(twin.rpn, channels, dtype)
    if isinstance(twin.rpn.conv, TiledConv):
        twin.rpn = TiledProposalHead.of(twin.rpn)
    for head in (twin.class_head, twin.mask_head):
        _tile_within(head, REGION_CHANNELS, dtype)


def _tile_within(part: nn.Module, channels: int, dtype: torch.dtype | None) -> None:
    for module in list(part.modules()):
        for name, conv in list(module.named_children()):
            if type(conv) is nn.Conv2d and _is_wide(conv, channels):
                # at once: the kernels of all of them are the most that a model takes
                module.add_module(name, _tiled(conv).to(dtype or conv.weight.dtype))


def _is_wide(conv: nn.Conv2d, channels: int) -> bool:
    shape = (conv.kernel_size, conv.stride, conv.padding, conv.groups)
    widths = (conv.in_channels, conv.out_channels)
    return shape == ((3, 3), (1, 1), (1, 1), 1) and min(widths) >= channels


def _tiled(conv: nn.Conv2d) -> TiledConv:
    made = TiledConv(
        conv.in_channels, conv.out_channels, 3, padding=1, bias=conv.bias is not None, device="meta"
    )
    made.weight, made.bias = conv.weight, conv.bias
    made.register_buffer("kernel", winograd.transformed(conv.weight), persistent=False)
    return made


def _as_convolution(cells: Cells) -> CellsConv:
    made = CellsConv(cells.channels, cells.out_features, cells.side, device="meta")
    weight = cells.weight.view(-1, cells.channels, cells.side, cells.side)
    made.weight = nn.Parameter(weight, requires_grad=cells.weight.requires_grad)
    made.bias = cells.bias
    return made
