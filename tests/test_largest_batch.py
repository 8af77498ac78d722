from dataclasses import replace

import pytest
import torch
from torch import nn

from autotricks.core.bundle import Bundle
from autotricks.errors import ResourceError
from autotricks.probes.batch_size import largest_batch, with_largest_batch
from autotricks.space import load_space
from tests.conftest import make_dataset

MIB = 2**20
MADE = make_dataset((200, 200, 200, 200))
DATASET = replace(MADE, validation=MADE.validation.sample(1))     # evaluating 40 would need more than the step


class Wide(nn.Module):
    """Keep 4 MiB an image for the backward pass."""

    def __init__(self, classes):
        super().__init__()
        self.body = nn.Linear(64, classes)

    def forward(self, images):
        wide = images.flatten(1).repeat(1, 4 * MIB // 4 // 64)
        return self.body((wide * wide).view(len(images), -1, 64).mean(1))


def wide(classes, channels):
    return Wide(classes)


def unusable(classes, channels):
    class Unusable(nn.Module):
        def forward(self, images):
            raise RuntimeError("shapes do not match")

        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(1))
    return Unusable()


BUNDLE = Bundle((), "tests.test_largest_batch:wide", epochs=4)


@pytest.mark.parametrize("mib", [130, 520])
def test_memory_that_is_really_limited(mib):
    """`wide`, its square and the gradient: at least 8 and at most 24 MiB an image, and 16 for all the rest."""
    size = largest_batch(BUNDLE, DATASET, "cpu", (mib + 16) * MIB, trust=True)
    assert mib / 24 / 2 < size <= mib / 8 * 1.25
    assert size & (size - 1) == 0


def test_not_more_than_there_are_images():
    assert largest_batch(Bundle((), "resnet8"), make_dataset((10, 10, 10, 10)), "cpu", 2**32) == 32


def test_nothing_fits():
    with pytest.raises(ResourceError, match=r"not even one image does\. Take a smaller model"):
        largest_batch(BUNDLE, DATASET, "cpu", MIB, trust=True)


def test_another_error_is_no_lack_of_memory():
    with pytest.raises(RuntimeError, match="shapes do not match"):
        largest_batch(Bundle((), "tests.test_largest_batch:unusable"), DATASET, "cpu", 2**31, trust=True)


def test_a_space_gets_the_number_everywhere():
    loaded = load_space("long_tail.yaml", ["training.batch_size=max"])
    assert loaded.fits and loaded.resolved["training"]["batch_size"] == "max"
    found = with_largest_batch(loaded, make_dataset((10, 10, 10, 10)), 1)
    assert not found.fits and found.resolved["training"]["batch_size"] == 32 == found.space.frame.batch_size
    assert {bundle.batch_size for bundle in found.start.values()} == {32} and len(found.start) > 1
