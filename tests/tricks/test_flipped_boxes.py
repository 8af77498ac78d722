"""Boxes of several views, or of a view of another size, come back to where they are in the image."""
import pytest
import torch

from autotricks.core.dense import Dense
from autotricks.tasks.detection import DETECTION
from autotricks.tasks.detection.decode import found
from autotricks.tricks.catalog import make
from tests.tricks.test_multi_scale import flexible

HEIGHT = 48
WIDTH = 64
BOX = (20, 16, 36, 24)      # of a white rectangle: in every one of five crops and wherever it is mirrored


def images():
    left, top, right, bottom = BOX
    black = torch.zeros(2, 1, HEIGHT, WIDTH)
    black[1, :, top:bottom, left:right] = 1
    return black


def detector(given):
    """Finds what is bright, exactly, and says where the place in its middle is."""
    said = []
    for image in given:
        bright = image[0] > 0.5
        rows = bright.any(1).nonzero().flatten().tolist()
        columns = bright.any(0).nonzero().flatten().tolist()
        box = [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1] if rows else [0, 0, 0, 0]
        middle = [(box[0] + box[2]) / 2, (box[1] + box[3]) / 2]
        said.append([2.0 if rows else -9.0, -9.0, 0.0, *box, *middle, 8.0])
    return torch.tensor(said).unsqueeze(1)


def detecting():
    run = flexible((1, HEIGHT, WIDTH))
    run.task = DETECTION
    return run


def seeing(name, **values):
    run = detecting()
    trick = make(name, values).trick
    return Dense.of(trick.predict(detector, run)(images()))


@pytest.mark.parametrize(("values", "views"), [
    ({}, 2), ({"flip": False}, 1), ({"crops": 5}, 10), ({"scales": 3}, 6),
    ({"crops": 5, "scales": 3, "flip": False}, 15)])
def test_every_view_says_where_the_object_is_in_the_image(values, views):
    output = seeing("test_time_augmentation", **values)
    assert output.boxes.shape == (2, views, 4)
    blur = 0.0 if values.get("crops", 1) == values.get("scales", 1) == 1 else 1.1     # pixels that resizing costs
    for box in output.boxes[1].tolist():
        assert box == pytest.approx(BOX, abs=blur)
    middle = torch.tensor([[28.0, 20.0]]).expand(views, 2)
    assert torch.allclose(output.places[1, :, :2], middle, atol=blur)
    assert torch.allclose(output.logits[:, :, 0], torch.tensor([[-9.0], [2.0]]).expand(2, views))


@pytest.mark.parametrize("scale", [0.75, 1.25, 1.5])
def test_boxes_of_resized_images_are_those_of_the_images(scale):
    output = seeing("inference_resolution", scale=scale)
    assert output.boxes[1, 0].tolist() == pytest.approx(BOX, abs=1.1)
    assert float(output.places[1, 0, 2]) == pytest.approx(8 / scale)


def test_suppression_leaves_one_of_both_mirror_images():
    run = detecting()
    predict = make("test_time_augmentation", {}).trick.predict(detector, run)
    predict = make("hard_suppression", {}).trick.predict(predict, run)
    left = found(predict(images()))[1]
    assert left[left[:, 4] > 0.1][:, :4].tolist() == [list(BOX)]


def test_moving_there_and_back():
    said = Dense.of(detector(images()))
    there = said.moved((-2.0, 10.0), (0.5, -3.0))
    assert there.boxes[1, 0].tolist() == [-62.0, 5.0, -30.0, 9.0]
    back = there.moved((-0.5, 5.0), (2.0, 6.0))
    assert torch.equal(back.output(), said.output())
