import pytest
from torch import nn

from autotricks.errors import ModelError
from autotricks.models import build
from autotricks.nn.residual import main_path, residual_blocks, shortcut, strided
from tests.conftest import built


@pytest.mark.parametrize(("name", "blocks", "places", "path"), [
    ("resnet20", 9, [3, 6], [2]), ("timm:test_resnet", 4, [1, 2, 3], [2, 3]),
    ("timm:resnet18", 8, [2, 4, 6], [2]), ("torchvision:resnet50", 16, [3, 7, 13], [3])])
def test_blocks_and_their_strides(name, blocks, places, path):
    found = residual_blocks(built(name, 5, 3), "trick")
    assert len(found) == blocks
    assert [place for place, block in enumerate(found) if strided(block)] == places
    assert sorted({len(main_path(block)) for block in found}) == path


def test_a_stem_of_two_convolutions_is_no_residual_block():
    model = build("timm:hrnet_w18_small", 5, 3)
    found = residual_blocks(model, "trick")
    assert hasattr(model, "conv2") and hasattr(model, "bn2") and model not in found
    assert not any(strided(block) for block in found)   # this one takes its strides between the blocks


def test_what_is_strided_in_a_block():
    ours, theirs = build("resnet8", 5, 3), built("torchvision:resnet50", 5, 3)
    assert list(strided(ours.layers[1])) == ["conv1", "shortcut"]
    assert list(strided(theirs.layer2[0])) == ["conv2", "downsample.0"]
    assert (shortcut(ours.layers[0]), shortcut(theirs.layer1[1]), shortcut(nn.Linear(1, 1))) == (
        "shortcut", "downsample", None)


def test_a_model_without_residual_blocks_is_one_clear_line():
    with pytest.raises(ModelError, match=r"trick: SqueezeNet has no residual blocks .* drop trick\.") as caught:
        residual_blocks(built("torchvision:squeezenet1_1", 5, 3), "trick")
    assert len(caught.value.problems) == 1
