import struct

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from autotricks.data import decode, tones
from autotricks.errors import DataError

from .pictures import COLORS, bad_corpus, noise, save


def color(path, **options):
    """The one color of a picture of one color, by channel."""
    values = decode.decode(path, **options)
    assert (values == values[:, :1, :1]).all()
    return values[:, 0, 0].tolist()


def test_a_color_image_keeps_every_value(tmp_path):
    values = noise(0, 5, 7, 3)
    decoded = decode.decode(save(tmp_path / "a.png", values))
    assert decoded.dtype == np.uint8 and (decoded == values.transpose(2, 0, 1)).all()


def test_a_gray_image_has_one_channel_unless_three_are_asked_for(tmp_path):
    values = noise(0, 5, 7)
    path = save(tmp_path / "a.png", values)
    assert (decode.decode(path) == values[None]).all()
    assert (decode.decode(path, channels=3) == np.stack([values] * 3)).all()


def test_color_becomes_gray_by_luma(tmp_path):
    # ITU-R 601: 0.299 R + 0.587 G + 0.114 B
    assert color(save(tmp_path / "a.png", (200, 100, 50), "RGB"), channels=1) == [round(0.299 * 200 + 58.7 + 5.7)]


@pytest.mark.parametrize(("mode", "value", "expected"), [
    ("1", 1, [255]), ("LA", (0, 51), [204]), ("LA", (40, 255), [40]),
    ("RGBA", (255, 0, 0, 0), [255, 255, 255]), ("RGBA", (255, 0, 0, 255), [255, 0, 0]),
    ("RGBA", (255, 0, 0, 51), [255, 204, 204])])
def test_transparency_is_laid_on_white(tmp_path, mode, value, expected):
    assert color(save(tmp_path / "a.png", value, mode)) == expected


@pytest.mark.parametrize("suffix", ["png", "gif"])
def test_the_transparent_entry_of_a_palette_becomes_white(tmp_path, suffix):
    image = Image.new("P", (2, 1))
    image.putpalette([9, 8, 7, 0, 255, 0])
    image.putpixel((1, 0), 1)
    image.save(tmp_path / f"a.{suffix}", transparency=1)
    assert decode.decode(tmp_path / f"a.{suffix}").transpose(1, 2, 0).tolist() == [[[9, 8, 7], [255, 255, 255]]]


def test_cmyk_becomes_what_is_printed(tmp_path):
    ink = (51, 102, 0, 51)  # R = (255 - C)(255 - K) / 255 and so on
    assert color(save(tmp_path / "a.tif", ink, "CMYK")) == pytest.approx([163.2, 122.4, 204], abs=1)
    assert color(save(tmp_path / "a.jpg", (0, 255, 255, 0), "CMYK", quality=100)) == pytest.approx([255, 0, 0], abs=2)


@pytest.mark.parametrize(("dtype", "suffix", "values", "expected"), [
    (np.uint16, "png", [0, 128, 129, 257, 32896, 65535], [0, 0, 1, 1, 128, 255]),
    (np.uint16, "png", [0, 128, 255], [0, 0, 1]),
    (np.uint16, "tif", [0, 128, 129, 257, 32896, 65535], [0, 0, 1, 1, 128, 255]),
    (np.int32, "tif", [0, 1, 200, 255], [0, 1, 200, 255]), (np.int32, "tif", [0, 514, 65535], [0, 2, 255]),
    (np.float32, "tif", [0, 0.5, 0.2, 1], [0, 128, 51, 255]), (np.float32, "tif", [0, 1.4, 1.6], [0, 1, 2]),
    (np.float32, "tif", [0, 514, 257], [0, 2, 1])])
def test_deep_gray_is_scaled_by_its_range_not_cut(tmp_path, dtype, suffix, values, expected):
    assert decode.decode(save(tmp_path / f"a.{suffix}", np.array([values], dtype))).tolist() == [[expected]]


@pytest.mark.parametrize("values", [[0, float("nan")], [0, float("inf")], [-1, 5], [0, 70000]])
def test_gray_values_of_no_known_scale_are_refused(values):
    with pytest.raises(tones.Unusable, match="gray values"):
        tones.eight_bits(np.array(values, np.float32))


@pytest.mark.parametrize("suffix", ["png", "tif", "jpg", "webp"])
def test_exif_orientation_is_applied(tmp_path, suffix):
    values = np.zeros((16, 32, 3), np.uint8)
    values[:, :16], values[:, 16:] = COLORS["red"], COLORS["blue"]
    exif = Image.Exif()
    exif[0x0112] = 6  # turn 90 degrees clockwise to look at it: the left side is the top
    options = {"lossless": True} if suffix == "webp" else {"quality": 100} if suffix == "jpg" else {}
    decoded = decode.decode(save(tmp_path / f"a.{suffix}", values, exif=exif, **options))
    assert decoded.shape == (3, 32, 16)
    assert decoded[:, 4, 8].tolist() == pytest.approx(COLORS["red"], abs=3)
    assert decoded[:, 28, 8].tolist() == pytest.approx(COLORS["blue"], abs=3)


@pytest.mark.parametrize("orientation", range(10))
def test_every_orientation_is_the_one_that_pillow_gives(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = save(tmp_path / "a.png", noise(0, 3, 5, 3), exif=exif)
    with Image.open(path) as image:
        expected = np.asarray(ImageOps.exif_transpose(image)).transpose(2, 0, 1)
    assert decode.decode(path).tolist() == expected.tolist()


def test_a_wrong_exif_tag_costs_neither_the_picture_nor_its_orientation(tmp_path):
    tags = [(0x0112, 3, 1, b"\0\x06\0\0"), (0x011A, 2, 3, b"ab\0\0")]  # orientation 6; a resolution that is text
    exif = b"Exif\0\0MM\0*\0\0\0\x08" + struct.pack(">H", len(tags)) + b"".join(
        struct.pack(">HHI", tag, kind, count) + value for tag, kind, count, value in tags) + bytes(4)
    path = save(tmp_path / "a.jpg", np.full((8, 16), 90, np.uint8), exif=exif)
    with Image.open(path) as image, pytest.raises(TypeError):
        ImageOps.exif_transpose(image)
    decoded = decode.decode(path)
    assert decoded.shape == (1, 16, 8) and (decoded == 90).all()


def test_exif_that_cannot_be_read_does_not_cost_the_picture(tmp_path, monkeypatch):
    def getexif(self):
        raise SyntaxError("not a TIFF file")

    monkeypatch.setattr(Image.Image, "getexif", getexif)
    monkeypatch.setattr("PIL.JpegImagePlugin.JpegImageFile.getexif", getexif, raising=False)
    assert color(save(tmp_path / "a.jpg", 90, "L")) == [90]


def test_of_an_animation_the_first_frame(tmp_path):
    frames = [Image.new("RGB", (4, 4), name) for name in ("red", "blue")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert color(tmp_path / "a.gif") == [255, 0, 0]


def test_the_center_is_cropped(tmp_path):
    values = np.concatenate([np.full((2, 2, 3), value, np.uint8) for value in COLORS.values()], 1)
    assert color(save(tmp_path / "wide.png", values), size=2) == [0, 255, 0]
    assert color(save(tmp_path / "high.png", values.transpose(1, 0, 2)), size=2) == [0, 255, 0]


def test_resizing_is_bilinear_without_aliasing(tmp_path):
    values = noise(3, 20, 20, 3)
    planes = torch.from_numpy(values).permute(2, 0, 1)[None].float()
    expected = torch.nn.functional.interpolate(planes, (8, 8), mode="bilinear", antialias=True)[0].numpy()
    assert np.abs(decode.decode(save(tmp_path / "a.png", values), size=8) - expected).max() <= 1


def test_a_large_jpeg_decoded_small_looks_the_same(tmp_path):
    ramp = np.linspace(0, 255, 512)[None, :, None] * np.ones((512, 1, 3))
    small = decode.decode(save(tmp_path / "a.jpg", ramp.astype(np.uint8), quality=95), size=16)
    expected = (np.arange(16) + 0.5) * 16 - 0.5  # each pixel is the mean of a symmetric stretch of the ramp
    assert np.abs(small[0].mean(0) - expected)[1:-1].max() <= 2


def test_a_large_jpeg_decoded_small_keeps_its_detail(tmp_path):
    stripes = np.where(np.arange(512) // 16 % 2, 220, 30)[None].repeat(512, 0).astype(np.uint8)
    small = decode.decode(save(tmp_path / "a.jpg", stripes, quality=95), size=128)
    expected = torch.nn.functional.interpolate(torch.from_numpy(stripes)[None, None].float(), (128, 128),
                                               mode="bilinear", antialias=True)[0].numpy()
    assert np.abs(small - expected).mean() < 1  # decoded at an eighth, the stripes blur: 11


def test_bad_files_are_set_aside_with_reasons_silently_and_the_rest_is_read(tmp_path, recwarn):
    words = bad_corpus(tmp_path)
    good = [save(tmp_path / "good.png", noise(1, 4, 4, 3)),
            save(tmp_path / "exif.jpg", 90, "L", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + b"\1" * 9)]
    recwarn.clear()
    arrays, bad = decode.read([*(tmp_path / name for name in words), *good], None, None)
    assert [array is None for array in arrays] == [True] * len(words) + [False] * 2
    assert [file.path for file in bad] == [str(tmp_path / name) for name in words]
    for file, word in zip(bad, words.values()):
        assert word in file.reason and str(tmp_path) not in file.reason
    assert not list(recwarn)


def test_a_bomb_is_refused_even_where_pillow_was_told_not_to_look(tmp_path, monkeypatch):
    bad_corpus(tmp_path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    _, bad = decode.read([tmp_path / "large.png"], None, None)
    assert bad[0].reason == "more than 89,478,485 pixels"


def test_no_permission_is_said():
    assert decode.reason(PermissionError(13, "Permission denied")) == "no permission to read it"


def test_different_sizes_need_a_size(tmp_path):
    paths = [save(tmp_path / "a.png", noise(1, 4, 6)), save(tmp_path / "b.png", noise(1, 5, 6))]
    with pytest.raises(DataError, match=r"^data\.size: .*a\.png 6 x 4, b\.png 6 x 5.* Set data\.size"):
        decode.read(paths, None, None)
    arrays, _ = decode.read(paths, 4, None)
    assert [array.shape for array in arrays] == [(1, 4, 4)] * 2


@pytest.mark.parametrize(("fit", "row"), [
    ("crop", [20, 20, 20, 20]), ("pad", [0, 0, 0, 0]), ("squash", [10, 20, 20, 30])])
def test_a_wide_image_is_cropped_laid_on_black_or_squashed(tmp_path, fit, row):
    """16 x 4 in blocks of 4 columns, 10, 20, 20 and 30: the middle is 20, a quarter of the height holds the whole."""
    path = save(tmp_path / "a.png", np.tile(np.repeat([10, 20, 20, 30], 4), (4, 1)).astype(np.uint8))
    image = decode.decode(path, 4, fit=fit)[0]
    assert image[0].tolist() == pytest.approx(row, abs=2)           # a reduced edge takes a little of its neighbor
    if fit == "pad":
        assert image[1].tolist() == pytest.approx([10, 20, 20, 30], abs=2) and not image[2:].any()
    upright = decode.decode(save(tmp_path / "b.png", np.asarray(Image.open(path)).T.copy()), 4, fit=fit)[0]
    assert (upright == image.T).all()


@pytest.mark.parametrize("fit", ["crop", "pad", "squash"])
def test_a_square_image_fits_in_one_way_alone(tmp_path, fit):
    path = save(tmp_path / "a.png", noise(3, 12, 12, 3))
    assert (decode.decode(path, 5, fit=fit) == decode.decode(path, 5)).all()
