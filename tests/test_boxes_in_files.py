"""Boxes that are found in what a model took of a file lie, in the file's own pixels, on what is there."""
import numpy as np
import pytest
from PIL import Image

from autotricks.inference.preprocessing import Preprocessing, unfitted

from .data.pictures import encoded

SIZE = 64
BOX = (70, 60, 130, 100)        # left, top, right, bottom of a white rectangle on black


def rectangle(width, height, turned=1, kind="PNG"):
    """The bytes of an image with the rectangle, as one looks at it; the file holds it as EXIF says."""
    canvas = np.zeros((height, width, 3), np.uint8)
    left, top, right, bottom = BOX
    canvas[top:bottom, left:right] = 255
    undone = {1: None, 6: Image.Transpose.ROTATE_90, 5: Image.Transpose.TRANSPOSE}[turned]
    held = Image.fromarray(canvas) if undone is None else Image.fromarray(canvas).transpose(undone)
    exif = Image.Exif()
    exif[0x0112] = turned
    return encoded(np.asarray(held), kind, exif=exif, **({"quality": 95} if kind == "JPEG" else {}))


def edges(gray):
    """Where the rectangle's edges lie, to parts of a pixel: what is gray on an edge is partly covered."""
    found = []
    for line in (gray.max(0), gray.max(1)):
        bright = line / line.max()
        first = int((bright > 0.5).argmax())
        last = len(bright) - 1 - int((bright[::-1] > 0.5).argmax())
        middle = (first + last) // 2
        found.append((middle - bright[:middle].sum(), middle + bright[middle:].sum()))
    (left, right), (top, bottom) = found
    return np.array([left, top, right, bottom], np.float32)


@pytest.mark.parametrize("kind, turned", [("PNG", 1), ("PNG", 6), ("JPEG", 1), ("JPEG", 5)])
@pytest.mark.parametrize("width, height", [(200, 150), (150, 200), (201, 167), (320, 240), (160, 160)])
@pytest.mark.parametrize("fit", ["crop", "pad", "squash"])
def test_a_box_lies_where_its_pixels_come_from(fit, width, height, kind, turned):
    taken = Preprocessing((3, SIZE, SIZE), SIZE, fit)
    picture = taken.picture(rectangle(width, height, turned, kind))
    assert picture.size == (height, width)
    back = unfitted(edges(picture.pixels[0].astype(float)), SIZE, fit, picture.size)
    assert back == pytest.approx(np.array(BOX, float), abs=0.3 * max(width, height) / SIZE)


@pytest.mark.parametrize("fit, expected", [
    ("crop", [50, 0, 150, 100]), ("pad", [0, 0, 200, 100]), ("squash", [0, 0, 200, 100])])
def test_the_whole_of_what_a_model_sees_is_the_part_of_the_file_that_it_saw(fit, expected):
    assert unfitted(np.array([0, 0, 50, 50], np.float32), 50, fit, (100, 200)).tolist() == expected


def test_boxes_end_at_the_border_and_an_image_as_it_is_keeps_its_pixels():
    boxes = np.array([[[-3, 2, 5, 90]]], np.float32)
    assert unfitted(boxes, None, "crop", (40, 30)).tolist() == [[[0, 2, 5, 40]]]
    assert unfitted(boxes, 30, "squash", (60, 30)).tolist() == [[[0, 4, 5, 60]]]
