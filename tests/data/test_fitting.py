import numpy as np
import pytest
from PIL import Image

from autotricks.data.decode import pixels
from autotricks.data.fitting import fitted


def moved(image, size, fit, *box):
    return fitted(image, size, fit).moved(np.array([box], float))[0].tolist()


@pytest.mark.parametrize(("image", "size", "fit", "box"), [
    # 640 x 480 on 256: .4 of each; 32 rows of black above 192
    ((640, 480), 256, "pad", [40, 72, 80, 152]),
    # the middle 480 x 480 on 256: from column 80 on, 8 / 15 of each
    ((640, 480), 256, "crop", [20 * 8 / 15, 100 * 8 / 15, 120 * 8 / 15, 300 * 8 / 15]),
    ((640, 480), 256, "squash", [40, 100 * 8 / 15, 80, 160]),
    ((640, 480), (192, 256), "pad", [40, 40, 80, 120]),     # 256 x 192: the same shape, nothing is lost
    ((640, 480), (192, 256), "crop", [40, 40, 80, 120]),
    ((640, 480), (192, 256), "squash", [40, 40, 80, 120]),
    # 480 x 640 on 256 wide and 192 high: .3 of each, 144 x 192, from column 56 on
    ((480, 640), (192, 256), "pad", [86, 30, 116, 90]),
    # 256 / 480 of each: 360 of the 640 rows are shown, from row 140 on
    ((480, 640), (192, 256), "crop", [100 * 8 / 15, 0, 200 * 8 / 15, 160 * 8 / 15]),
    ((640, 480), None, "pad", [100, 100, 200, 300]), ((256, 256), 256, "crop", [100, 100, 200, 256])])
def test_boxes_by_hand(image, size, fit, box):
    assert moved(image, size, fit, 100, 100, 200, 300) == pytest.approx(box)


@pytest.mark.parametrize("fit", ["pad", "crop", "squash"])
@pytest.mark.parametrize("size", [(30, 70), (70, 30), 50])
@pytest.mark.parametrize("image", [(100, 60), (60, 100), (80, 80), (1000, 3), (3, 1000)])
def test_the_whole_canvas_goes_back_to_what_is_shown_of_the_image(image, size, fit):
    how = fitted(image, size, fit)
    spot = np.array([how.spot], float)
    assert how.restored(spot)[0] == pytest.approx(how.window)
    inside = np.array([how.window]) * 0.5 + np.array([how.window]).reshape(2, 2).mean(0).repeat(1)[[0, 1, 0, 1]] * 0.5
    assert how.restored(how.moved(inside)) == pytest.approx(inside)
    height, width = how.canvas
    assert 0 <= how.spot[0] < how.spot[2] <= width and 0 <= how.spot[1] < how.spot[3] <= height
    if fit == "crop":       # it fills the canvas, and scales both sides alike
        assert how.spot == (0, 0, width, height)
        left, top, right, bottom = how.window
        assert width / (right - left) == pytest.approx(height / (bottom - top))
    if fit == "pad":
        left, top, right, bottom = how.spot
        assert how.window == (0, 0, *image) and (right - left == width or bottom - top == height)


def test_a_box_outside_of_what_is_shown_has_no_area_and_one_at_its_edge_is_cut():
    left, _, right, _ = moved((640, 480), 256, "crop", 0, 0, 60, 60)
    assert left == right
    assert moved((640, 480), 256, "crop", 40, 0, 95, 15) == pytest.approx([0, 0, 8, 8])


@pytest.mark.parametrize(("fit", "box"), [("crop", (20, 0, 80, 60)), ("pad", None), ("squash", None)])
def test_pixels_are_those_of_pillow(fit, box):
    image = Image.fromarray(np.random.RandomState(0).randint(0, 256, (60, 100, 3)).astype(np.uint8))
    got = pixels(image, 30, None, fit).transpose(1, 2, 0)
    size = (30, 18) if fit == "pad" else (30, 30)
    plain = np.asarray(image.resize(size, Image.Resampling.BILINEAR, box))
    if fit == "pad":
        assert not got[:6].any() and not got[24:].any()
        got = got[6:24]
    assert np.array_equal(got, plain)


def test_two_sides_of_pixels():
    image = Image.fromarray(np.full((60, 100), 200, np.uint8))
    padded = pixels(image, (50, 20), None, "pad")       # 20 x 12, 19 rows of black above
    assert padded.shape == (1, 50, 20)
    assert np.flatnonzero(padded[0, :, 0]).tolist() == list(range(19, 31))
    assert pixels(image, (50, 20), None, "crop").min() == 200
