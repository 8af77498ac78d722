"""Hand-made batches and outputs of a detector, for the tests of tricks that need boxes."""
import torch

from autotricks.core.batch import Batch
from autotricks.core.dense import Dense, grid
from autotricks.core.targets import Targets

CLASSES = 3
SIDE = 32


def places(strides=(4, 8)):
    """Every place of a detector of these strides on images of 32 x 32 pixels, [A, 3]."""
    return torch.cat([grid(SIDE // stride, SIDE // stride, stride, torch.zeros(())) for stride in strides])


def scenes(count=4, objects=3, seed=0):
    """A batch of images with up to three objects each; the last image has none."""
    chance = torch.Generator().manual_seed(seed)
    corners = torch.rand(count, objects, 2, generator=chance) * 16
    sides = 4 + torch.rand(count, objects, 2, generator=chance) * 12
    shares = torch.ones(count, objects)
    shares[0, 1:] = 0
    shares[-1] = 0
    targets = Targets(torch.randint(CLASSES, (count, objects), generator=chance), shares,
                      torch.cat([corners, corners + sides], 2))
    return Batch(torch.randn(count, 1, SIDE, SIDE, generator=chance), targets, torch.arange(count))


def said(count=4, seed=1, strides=(4, 8)):
    """What a detector that knows nothing says of such a batch; each box lies around its place."""
    chance = torch.Generator().manual_seed(seed)
    where = places(strides)
    points = where[:, :2].expand(count, -1, -1)
    shape = (count, len(where))
    low = points - where[:, 2:] * (0.3 + torch.rand(*shape, 2, generator=chance))
    high = points + where[:, 2:] * (0.3 + torch.rand(*shape, 2, generator=chance))
    return Dense(torch.randn(*shape, CLASSES, generator=chance), torch.randn(*shape, generator=chance),
                 torch.cat([low, high], 2), where.expand(count, -1, -1))


def pieces(batch, output, parts):
    """Micro-batches, each with what is said of it."""
    return zip(batch.split(parts), output.tensor_split(min(parts, len(batch))), strict=True)
