"""Which images a training sees, in which order."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import pytest
import torch
from torch.testing import assert_close

from comask.data import loader
from comask.data.coco_dataset import Draw, Example
from comask.data.loader import Batch, Share
from comask.errors import ImageError
from comask.structures import Size, Target

WIDE, TALL = (2, 3), (3, 2)
NOTHING = Target(
    torch.zeros(0, 4), torch.zeros(0).long(), torch.zeros(0, 2, 2).byte(), torch.zeros(0).bool()
)


@dataclass
class Numbered:
    """A dataset whose images say which ones they are; row ``broken`` can't be read."""

    sizes: Sequence[Size]
    broken: int = -1

    def __getitem__(self, draw: Draw) -> Example:
        if draw.row == self.broken:
            raise ImageError(f"{draw.row}.png is broken")
        return Example(torch.full((3, 2, 2), float(draw.row)), NOTHING, draw.seed)


def take(dataset: Numbered, share: Share, passes: range, seed: int = 0) -> list[Batch]:
    return list(loader.batches(dataset, share, passes, seed))  # type: ignore[arg-type]


def rows(batches: Sequence[Batch]) -> list[list[int]]:
    return [[int(image[0, 0, 0]) for image in batch.images.tensor] for batch in batches]


def flat(lists: Sequence[list[int]]) -> list[int]:
    return [value for one in lists for value in one]


def seeds(batches: Sequence[Batch]) -> list[list[int]]:
    return [batch.seeds for batch in batches]


def test_views_are_padded_to_the_largest() -> None:
    shown = [Example(torch.ones(3, h, w), NOTHING, 4 + h) for h, w in ((30, 70), (50, 20))]
    batch = loader.collate(shown)
    assert batch.images.tensor.shape == (2, 3, 64, 96)
    assert batch.images.sizes == ((30, 70), (50, 20))
    assert batch.seeds == [34, 54]
    assert batch.images.tensor[1].sum() == 3 * 50 * 20
    assert_close(batch.images.tensor[1, :, :50, :20], torch.ones(3, 50, 20))


def test_each_image_comes_once_an_epoch() -> None:
    found = rows(take(Numbered([WIDE] * 6 + [TALL] * 4), Share(2), range(10)))
    for epoch in (found[:5], found[5:]):
        assert sorted(flat(epoch)) == list(range(10))
    assert found[:5] != found[5:]


def test_orientations_do_not_mix() -> None:
    found = rows(take(Numbered([WIDE, TALL] * 6 + [TALL, (2, 2)]), Share(2), range(40)))
    wide = {0, 2, 4, 6, 8, 10}
    assert all(len(wide & set(pair)) in (0, 2) for pair in found)
    assert len({tuple(sorted(pair)) for pair in found}) > 10  # other company every epoch


def test_a_last_batch_is_filled_up_with_images_seen_before() -> None:
    found = rows(take(Numbered([WIDE] * 5), Share(2), range(3)))
    counts = Counter(flat(found))
    assert sorted(counts.values()) == [1, 1, 1, 1, 2]


def test_one_image_can_fill_a_batch() -> None:
    assert rows(take(Numbered([WIDE]), Share(3), range(2))) == [[0, 0, 0]] * 2


def test_processes_share_what_one_would_see() -> None:
    dataset, passes = Numbered([WIDE] * 8 + [TALL] * 8), range(12)
    together = take(dataset, Share(4), passes)
    first, second = (take(dataset, Share(2, rank, 2), passes) for rank in (0, 1))
    for read in (rows, seeds):
        pairs = zip(read(first), read(second), strict=True)
        assert [a + b for a, b in pairs] == read(together)
    epoch = zip(rows(first)[:4], rows(second)[:4], strict=True)
    assert all(set(a).isdisjoint(b) for a, b in epoch)


@pytest.mark.parametrize("start", [1, 4, 5, 7, 11])
def test_a_later_start_gives_the_tail(start: int) -> None:
    dataset = Numbered([WIDE] * 5 + [TALL] * 4)
    straight = take(dataset, Share(2), range(12))
    resumed = take(dataset, Share(2), range(start, 12))
    assert rows(resumed) == rows(straight)[start:]
    assert seeds(resumed) == seeds(straight)[start:]


def test_every_view_has_its_own_seed() -> None:
    dataset = Numbered([WIDE] * 4)
    found = flat(seeds(take(dataset, Share(2), range(50))))
    assert len(set(found)) == 100
    assert all(0 <= seed < 2**63 for seed in found)
    assert found != flat(seeds(take(dataset, Share(2), range(50), seed=1)))


def test_another_seed_gives_another_order() -> None:
    dataset = Numbered([WIDE] * 20)
    orders = {str(rows(take(dataset, Share(1), range(20), seed))) for seed in range(3)}
    assert len(orders) == 3


@pytest.mark.parametrize("workers", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_workers_change_nothing_and_name_what_is_broken(workers: int) -> None:
    dataset = Numbered([WIDE] * 4, broken=2)
    order = flat(rows(take(Numbered([WIDE] * 4), Share(1), range(4))))
    stream = loader.batches(dataset, Share(1), range(4), 0, workers)  # type: ignore[arg-type]
    for row in order[: order.index(2)]:
        assert rows([next(stream)]) == [[row]]
    with pytest.raises(ImageError) as refusal:
        next(stream)
    assert str(refusal.value) == "2.png is broken"
