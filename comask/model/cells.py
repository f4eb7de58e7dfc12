"""The linear layer that both heads end their maps with."""

from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812


class Cells(nn.Linear):
    """A linear layer over all cells of a region; its weights read channel by channel."""

    def __init__(self, channels: int, side: int, outputs: int) -> None:
        super().__init__(channels * side * side, outputs)
        self.channels, self.side = channels, side

    def forward(self, regions: Tensor) -> Tensor:
        """Weigh all cells: (N, C, h, w) -> (N, O)."""
        return F.linear(regions.flatten(1), self.weight, self.bias)
