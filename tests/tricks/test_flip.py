import torch
from scipy import stats

from autotricks.tricks.augment.flip import Flip, flip
from tests.conftest import augment, make_run


def test_mirrors_the_chosen_left_to_right():
    images = torch.tensor([[1., 2., 3.], [4., 5., 6.]]).expand(2, 1, 2, 3)
    found = flip(images, torch.tensor([True, False]))
    assert found[0, 0].tolist() == [[3, 2, 1], [6, 5, 4]]
    assert found[1, 0].tolist() == [[1, 2, 3], [4, 5, 6]]


def test_mirrors_half_of_the_samples_each_on_its_own():
    images = torch.tensor([0., 1.]).expand(4000, 1, 2, 2).contiguous()
    mirror = augment(Flip(), lambda images: images, make_run())
    mirrored = torch.stack([mirror(images)[:, 0, 0, 0] == 1 for _ in range(25)])
    assert stats.binomtest(int(mirrored.sum()), mirrored.numel()).pvalue > 1e-3
    pairs = torch.bincount(2 * mirrored[:, 0::2].flatten().long() + mirrored[:, 1::2].flatten().long(), minlength=4)
    assert stats.chisquare(pairs).pvalue > 1e-3  # neighbors are independent


def test_wraps_what_is_inside(run):
    found = augment(Flip(), lambda images: images + 1, run)(torch.zeros(3, 1, 2, 2))
    assert torch.equal(found, torch.ones(3, 1, 2, 2))
