import math

import pytest
import torch
from scipy import stats

from autotricks.functional.affine import Motion, matrices, middle, motions, moved, synthesized, synthetic_fraction

C10_LT_100 = (5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50)


def motion(count=1, angle=0.0, scale=1.0, sign=1.0, shift=(0.0, 0.0)):
    return Motion(torch.full((count,), angle), torch.full((count,), scale), torch.full((count,), sign),
                  torch.tensor([shift] * count))


def move(images, inside=None, **how):
    """Move one image, given as [D, H, W] or [H, W]; all of it unless `inside` says otherwise."""
    images = images.float().reshape(1, -1, *images.shape[-2:])
    inside = torch.ones_like(images[:, 0], dtype=torch.bool) if inside is None else inside.unsqueeze(0)
    size = images.shape[2], images.shape[3]
    return moved(images, inside, matrices(motion(**how), middle(inside), *size))[0].squeeze(0)


def noise(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def test_the_enlarged_set_of_cifar10_lt():
    counts = torch.tensor(C10_LT_100).double()
    share = synthetic_fraction(counts)
    added = share / (1 - share) * counts
    assert float(added.sum()) == pytest.approx(10 * 5050 - 12406) == pytest.approx(38094)
    assert share[[0, -1]].tolist() == pytest.approx([50 / 5050, 5000 / 5050])
    assert (added + counts).tolist() == pytest.approx([5050] * 10)


def test_a_class_without_images_does_not_count_as_the_smallest():
    assert synthetic_fraction(torch.tensor([8., 0., 2.])).tolist() == pytest.approx([0.2, 1.0, 0.8])
    assert synthetic_fraction(torch.tensor([5., 5.])).tolist() == [0.5, 0.5]


def test_motions_by_hand():
    chances = torch.tensor([[0.0, 0.3, 0.34, 0.6, 0.67, 0.99],     # twice each: turn and scale, shift, mirror
                            [0.0, 0.75, 0.1, 0.1, 0.1, 0.1],
                            [0.0, 0.75, 0.1, 0.1, 0.1, 0.1],
                            [0.9, 0.9, 0.0, 0.999, 0.9, 0.9],
                            [0.9, 0.9, 0.5, 0.21, 0.9, 0.9]])
    found = motions(chances, 8, 32, True)
    assert found.angle.tolist() == pytest.approx([-math.pi / 4, math.pi / 8, 0, 0, 0, 0])
    assert found.scale.tolist() == pytest.approx([0.8, 1.1, 1, 1, 1, 1])
    assert found.sign.tolist() == [1, 1, 1, 1, -1, -1]
    assert found.shift.tolist() == [[0, 0], [0, 0], [-8, 0], [8, -1], [0, 0], [0, 0]]


def test_motions_follow_their_laws():
    count = 30_000
    found = motions(noise(5, count), 32, 16, True)
    turns, mirrors = found.scale != 1, found.sign < 0
    shifts = ~turns & ~mirrors
    assert stats.chisquare(torch.stack([turns, shifts, mirrors]).sum(1)).pvalue > 1e-3
    assert stats.kstest(found.angle[turns].numpy(), stats.uniform(-math.pi / 4, math.pi / 2).cdf).pvalue > 1e-3
    assert stats.kstest(found.scale[turns].numpy(), stats.uniform(0.8, 0.4).cdf).pvalue > 1e-3
    right, down = found.shift[shifts].long().unbind(1)
    assert (right.amin(), right.amax(), down.amin(), down.amax()) == (-4, 4, -8, 8)
    assert stats.chisquare(torch.bincount((right + 4) * 17 + down + 8, minlength=9 * 17)).pvalue > 1e-3
    assert not found.angle[~turns].any() and not found.shift[~shifts].any()


def test_without_mirroring_the_others_are_as_likely():
    found = motions(noise(5, 30_000), 32, 32, False)
    assert bool((found.sign == 1).all())
    assert stats.chisquare([int((found.scale != 1).sum()), int((found.scale == 1).sum())]).pvalue > 1e-3


def test_the_middle_is_that_of_the_smallest_box():
    inside = torch.zeros(3, 4, 6, dtype=torch.bool)
    inside[0, 0, 1] = inside[0, 2, 1] = inside[0, 1, 2] = True     # rows 0 to 2, columns 1 to 2 of 4 x 6
    inside[1, 3, 5] = True
    assert middle(inside).tolist() == [[-1.0, -0.5], [2.5, 1.5], [0.0, 0.0]]


@pytest.mark.parametrize("shape", [(3, 8, 8), (1, 5, 12)])
def test_what_does_not_move_stays(shape):
    image = noise(*shape)
    assert torch.allclose(move(image).reshape(shape), image, atol=1e-6)


def test_a_shift_by_hand():
    image = torch.tensor([[1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 11, 12]])
    inside = torch.tensor([[0, 0, 0, 0], [0, 1, 1, 0], [0, 0, 0, 0]]).bool()
    found = move(image, inside, shift=(1.0, 1.0))
    # 6 and 7 come to lie in the last row; where they lay, what was left of and above them.
    assert torch.allclose(found, torch.tensor([[1., 2, 3, 4], [5, 1, 2, 8], [9, 10, 6, 7]]), atol=1e-5)


def test_where_the_moved_image_does_not_reach_the_original_shows():
    image = torch.tensor([[1, 2, 3, 4], [5, 6, 7, 8]])
    assert torch.allclose(move(image, shift=(2.0, 0.0)), torch.tensor([[1., 2, 1, 2], [5, 6, 5, 6]]), atol=1e-5)
    assert torch.allclose(move(image, shift=(0.0, -1.0)), torch.tensor([[5., 6, 7, 8], [5, 6, 7, 8]]), atol=1e-5)


def test_a_mirror_by_hand():
    image = torch.tensor([[1, 2, 3, 4], [5, 6, 7, 8]])
    inside = torch.tensor([[1, 0, 0, 0], [0, 0, 0, 0]]).bool()
    assert torch.allclose(move(image, sign=-1.0), image.flip(1).float(), atol=1e-5)
    assert torch.allclose(move(image, inside, sign=-1.0), torch.tensor([[4., 2, 3, 1], [5, 6, 7, 8]]), atol=1e-5)


def test_a_quarter_turn_is_counter_clockwise():
    image = noise(3, 8, 8)
    assert torch.allclose(move(image, angle=math.pi / 2), image.rot90(1, (1, 2)), atol=1e-5)


def test_a_quarter_turn_of_a_part_of_an_oblong():
    image = torch.arange(24).view(4, 6)
    inside = torch.zeros(4, 6, dtype=torch.bool)
    inside[1, 2:5] = True                                          # 8, 9, 10; its middle is 9, at row 1, column 3
    expected = image.clone().float()
    expected[0, 3], expected[1, 3], expected[2, 3] = 10, 9, 8
    expected[1, 2], expected[1, 4] = 3, 15                         # what lay above 9, then left; below 9, then right
    assert torch.allclose(move(image, inside, angle=math.pi / 2), expected, atol=1e-4)


@pytest.mark.parametrize("how", [{"angle": 0.5}, {"scale": 1.2}, {"scale": 0.8, "angle": -0.7}, {"sign": -1.0},
                                 {"sign": -1.0, "angle": 0.4, "scale": 1.1, "shift": (2.0, -1.0)}])
def test_a_slope_moves_by_the_formula(how):
    """Bilinear sampling of a plane is exact; as complex numbers, p -> c + s e^(ia) (mirror(p) - c) + t, y upward."""
    height, width = 12, 20
    across, along = torch.meshgrid(torch.arange(width).double(), torch.arange(height).double(), indexing="xy")
    inside = torch.zeros(height, width, dtype=torch.bool)
    inside[4:9, 6:13] = True
    middle_column, center = (width - 1) / 2, complex(9.0, -6.0)
    shift = complex(*how.get("shift", (0.0, 0.0))).conjugate()
    turn = how.get("scale", 1.0) * complex(math.cos(how.get("angle", 0.0)), math.sin(how.get("angle", 0.0)))
    source = center + (torch.complex(across, -along) - shift - center) / turn
    from_across = source.real if how.get("sign", 1.0) > 0 else 2 * middle_column - source.real
    expected = (3 * from_across - 2 * source.imag).float()
    found = move((3 * across + 2 * along).float(), inside, **how)
    core = inside & (from_across > 0) & (from_across < width - 1) & (source.imag < 0) & (source.imag > 1 - height)
    assert int(core.sum()) >= 30
    assert torch.allclose(found[core], expected[core], atol=1e-3)


def test_the_background_is_untouched():
    image, inside = noise(3, 16, 16), torch.zeros(16, 16, dtype=torch.bool)
    inside[6:10, 5:9] = True
    there = torch.zeros(16, 16, dtype=torch.bool)
    there[3:7, 7:11] = True                                        # 2 to the right and 3 up
    found = move(image, inside, shift=(2.0, -3.0))
    assert torch.equal(found[:, ~inside & ~there], image[:, ~inside & ~there])
    assert torch.allclose(found[:, there], image[:, inside], atol=1e-5)
    assert torch.allclose(found[:, inside & ~there], image.roll((-3, 2), (1, 2))[:, inside & ~there], atol=1e-5)


@pytest.mark.parametrize(("shift", "expected"), [
    (1.25, [.5, .5, .5, .875, 1, .5, .5, .5]),                     # a quarter of column 5 is covered: not shown
    (1.75, [.5, .5, .5, .625, 1, .875, .5, .5])])                  # three quarters: shown, with a quarter of background
def test_the_edge_is_sharp_at_one_half(shift, expected):
    image, inside = torch.full((4, 8), 0.5), torch.zeros(4, 8, dtype=torch.bool)
    image[:, 2:4], inside[:, 2:4] = 1.0, True
    assert move(image, inside, shift=(shift, 0.0))[0].tolist() == pytest.approx(expected)


def test_how_an_image_moves_does_not_depend_on_how_likely_it_moves():
    images, whole = noise(1, 1, 8, 8).expand(6000, -1, -1, -1), torch.ones(6000, 8, 8).bool()
    found = synthesized(images, whole, torch.full((6000,), 0.3), torch.Generator().manual_seed(0), True)
    mirrored = (found - images.flip(3)).abs().amax((1, 2, 3)) < 1e-4
    assert stats.binomtest(int(mirrored.sum()), 6000, 0.1).pvalue > 1e-3


def test_no_share_no_change_and_all_values_stay_in_range():
    images, inside = noise(200, 2, 9, 7), noise(200, 9, 7, seed=1) < 0.6
    def made(share):
        return synthesized(images, inside, torch.full((200,), share), torch.Generator().manual_seed(2), True)
    assert torch.equal(made(0.0), images)
    assert float(made(1.0).amin()) >= 0 and float(made(1.0).amax()) <= 1
    assert bool(made(1.0).isfinite().all()) and not torch.equal(made(1.0), images)


def test_nothing_inside_changes_nothing():
    images = noise(50, 1, 8, 8)
    found = synthesized(images, torch.zeros(50, 8, 8).bool(), torch.ones(50), torch.Generator().manual_seed(0), True)
    assert torch.equal(found, images)


def test_each_image_has_its_own_motion_and_only_the_generator_is_used():
    images, inside, before = noise(1, 1, 16, 16).expand(300, -1, -1, -1), torch.ones(300, 16, 16).bool(), \
        torch.get_rng_state()
    def made(seed):
        return synthesized(images, inside, torch.ones(300), torch.Generator().manual_seed(seed), True)
    assert len(made(0).flatten(1).unique(dim=0)) > 100             # a third are alike: mirrored
    assert torch.equal(made(0), made(0)) and not torch.equal(made(0), made(1))
    assert torch.equal(torch.get_rng_state(), before)
