import pytest
import torch
from torch import nn
from torch.nn.functional import interpolate

from autotricks.errors import ModelError
from autotricks.functional.resizing import coarsening, require_size, resized, separately, shrinking, sides
from tests.conftest import make_run

CPU = torch.device("cpu")


def test_resizing_by_hand():
    image = torch.tensor([[0.0, 0.2, 0.4, 0.6], [0.2, 0.4, 0.6, 0.8]]).view(1, 1, 2, 4)
    assert torch.allclose(resized(image, 2, 8)[0, 0, 0, :3], torch.tensor([0.0, 0.05, 0.15]))
    # halving: a triangle of four pixels, weights 1, 3, 3, 1; cut at the edge and scaled to sum to 1
    assert torch.allclose(resized(image, 2, 2)[0, 0, 0], torch.tensor([0.2 * 3 + 0.4, 0.2 + 0.4 * 3 + 0.6 * 3]) / 7)
    assert resized(image, 2, 4) is image


def test_a_level_image_stays_level():
    for size in ((3, 5), (11, 9), (40, 2)):
        assert torch.allclose(resized(torch.full((1, 1, 11, 9), 0.3), *size), torch.full((1, 1, *size), 0.3))


def test_sides_are_whole_and_at_least_one():
    run = make_run(image_shape=(1, 30, 21))
    assert sides(run, 1.0) == (30, 21) and sides(run, 0.5) == (15, 10) and sides(run, 0.01) == (1, 1)


@pytest.mark.parametrize(("size", "least"), [(12, 5), (7, 1), (4, 4)])
def test_matrices_shrink_as_interpolation_does(size, least):
    image = torch.rand(1, 1, size, 3)
    for place, matrix in enumerate(shrinking(size, least, CPU)):
        length = least + place
        expected = interpolate(image, (length, 3), mode="bilinear", antialias=True)[0, 0]
        assert torch.allclose(matrix @ image[0, 0], torch.cat([expected, torch.zeros(size - length, 3)]), atol=1e-6)
    for place, matrix in enumerate(coarsening(size, least, CPU)):
        small = interpolate(image, (least + place, 3), mode="bilinear", antialias=True)
        assert torch.allclose(matrix @ image[0, 0], interpolate(small, (size, 3), mode="bilinear")[0, 0], atol=1e-6)
    assert torch.allclose(coarsening(size, least, CPU)[-1], torch.eye(size), atol=1e-6)


def test_each_image_is_multiplied_by_its_own_matrices():
    images, rows, columns = torch.rand(3, 2, 4, 5), torch.rand(3, 4, 4), torch.rand(3, 5, 5)
    found = separately(images, rows, columns)
    for number in range(3):
        for channel in range(2):
            expected = rows[number] @ images[number, channel] @ columns[number].T
            assert torch.allclose(found[number, channel], expected, atol=1e-5)


def test_a_model_of_one_size_is_refused_in_one_line():
    run = make_run(image_shape=(2, 4, 4))
    require_size(run, 4, 4, "some_trick")
    with pytest.raises(ModelError, match=r"^some_trick: Sequential cannot take images of 5 x 4: .*Take a model that "
                                         r".* or drop some_trick\.$") as caught:
        require_size(run, 5, 4, "some_trick")
    assert len(caught.value.problems) == 1 and "\n" not in str(caught.value)


def test_looking_leaves_the_model_as_it_was():
    run = make_run(image_shape=(2, 4, 4))
    run.model = nn.Sequential(nn.BatchNorm2d(2), nn.AdaptiveAvgPool2d(1)).train()
    run.model[0].eval()
    require_size(run, 9, 7, "some_trick")
    assert run.model.training and not run.model[0].training
    assert torch.equal(run.model[0].running_mean, torch.zeros(2)) and int(run.model[0].num_batches_tracked) == 0
