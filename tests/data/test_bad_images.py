"""A corpus made here: each image is used with the values computed by hand, or set aside with a reason."""
import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from autotricks.data import decode

from .pictures import chunk, noise

SMOOTH = np.linspace(30, 220, 40)[:, None, None] * np.linspace(0.5, 1, 40)[None, :, None] * np.array([1, 0.8, 0.6])
START = 8 + 2 + 10 * 12 + 4      # where the pixels of `tiff` begin
PHOTO = Image.fromarray(SMOOTH.astype(np.uint8))


def written(kind, image=PHOTO, **options):
    store = io.BytesIO()
    image.save(store, kind, **options)
    return store.getvalue()


def png(width, height, depth, color, rows, *extra):
    """A PNG as the standard spells it, of kinds that Pillow does not write: `rows` are bytes without filter."""
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    body = b"".join(b"\0" + row for row in rows)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + b"".join(extra) + chunk(b"IDAT", zlib.compress(body))
            + chunk(b"IEND", b""))


def tiff(order, bits, kind, values, white=1):
    """A gray TIFF of one row; `order` is < or >, `kind` 1 unsigned, 2 signed, 3 float, `white` 0 where 0 is white."""
    tags = [(256, 3, len(values)), (257, 3, 1), (258, 3, bits), (259, 3, 1), (262, 3, white), (273, 4, START),
            (277, 3, 1), (278, 3, 1), (279, 4, len(values) * bits // 8), (339, 3, kind)]
    letter = {(8, 2): "b", (16, 1): "H", (16, 2): "h", (32, 1): "I", (32, 3): "f"}[bits, kind]
    cells = b"".join(struct.pack(order + "HHI", tag, size, 1)
                     + (struct.pack(order + "HH", value, 0) if size == 3 else struct.pack(order + "I", value))
                     for tag, size, value in tags)
    start = {"<": b"II", ">": b"MM"}[order] + struct.pack(order + "HI", 42, 8)
    whole = start + struct.pack(order + "H", len(tags)) + cells + bytes(4)
    assert len(whole) == START
    return whole + b"".join(struct.pack(order + letter, value) for value in values)


def deep(*values):
    return b"".join(struct.pack(">H", value) for value in values)


def animation(kind, **options):
    frames = [Image.new("RGB", (2, 2), color) for color in ((255, 0, 0), (0, 0, 255))]
    return written(kind, frames[0], save_all=True, append_images=frames[1:], **options)


def palette(entries, pixels, **options):
    image = Image.new("P", (len(pixels), 1))
    image.putpalette([value for entry in entries for value in entry])
    image.putdata(pixels)
    return written("PNG", image, **options)


RED = [[255] * 2] * 2, [[0] * 2] * 2, [[0] * 2] * 2
GOOD = {
    # 16 bits become 8: a gray v is v / 257 rounded; of color Pillow hands over the upper 8 bits
    "gray16.png": (png(4, 1, 16, 0, [deep(0, 129, 32896, 65535)]), [[[0, 1, 128, 255]]]),
    "gray16_transparent.png": (png(2, 1, 16, 0, [deep(514, 65535)], chunk(b"tRNS", deep(9))), [[[2, 255]]]),
    "color16.png": (png(1, 2, 16, 2, [deep(0, 32896, 65535), deep(0x1234, 257, 0xFEFF)]),
                    [[[0], [0x12]], [[128], [1]], [[255], [0xFE]]]),
    "color16_alpha.png": (png(2, 1, 16, 6, [deep(65535, 0, 0, 65535, 0, 0, 0, 0)]), [[[255, 255]], [[0, 255]],
                                                                                     [[0, 255]]]),
    "gray_alpha16.png": (png(2, 1, 16, 4, [deep(32896, 65535, 0, 0)]), [[[128, 255]]] * 3),
    "gray16_little.tif": (tiff("<", 16, 1, [0, 129, 32896, 65535]), [[[0, 1, 128, 255]]]),
    "gray16_big.tif": (tiff(">", 16, 1, [0, 129, 32896, 65535]), [[[0, 1, 128, 255]]]),
    "float_unit.tif": (tiff("<", 32, 3, [0, 0.5, 0.2, 1]), [[[0, 128, 51, 255]]]),
    "float_bytes.tif": (tiff(">", 32, 3, [0, 1.4, 1.6, 255]), [[[0, 1, 2, 255]]]),
    # less than 8 bits fill 0..255
    "bilevel.png": (png(4, 1, 1, 0, [b"\x50"]), [[[0, 255, 0, 255]]]),
    "two_bits.png": (png(4, 1, 2, 0, [b"\x1b"]), [[[0, 85, 170, 255]]]),
    "four_bits.png": (png(2, 1, 4, 0, [b"\x1f"]), [[[17, 255]]]),
    "bilevel.tif": (written("TIFF", Image.fromarray(np.array([[True, False]]))), [[[255, 0]]]),
    # transparency is laid on white: a color c of opacity a is c a + 255 (1 - a)
    "palette.png": (palette([(9, 8, 7), (1, 2, 3)], [1, 0]), [[[1, 9]], [[2, 8]], [[3, 7]]]),
    "palette_transparent.png": (palette([(9, 8, 7), (1, 2, 3)], [1, 0], transparency=0), [[[1, 255]], [[2, 255]],
                                                                                         [[3, 255]]]),
    "palette_opacity.png": (palette([(0, 0, 0), (250, 0, 100)], [0, 1], transparency=bytes([51, 255])),
                            [[[204, 250]], [[204, 0]], [[204, 100]]]),
    "color_transparent.png": (png(2, 1, 8, 2, [bytes([1, 2, 3, 9, 8, 7])], chunk(b"tRNS", deep(1, 2, 3))),
                              [[[255, 9]], [[255, 8]], [[255, 7]]]),
    "rgba.png": (png(2, 1, 8, 6, [bytes([255, 0, 0, 51, 7, 8, 9, 255])]), [[[255, 7]], [[204, 8]], [[204, 9]]]),
    "rgba.webp": (written("WEBP", Image.new("RGBA", (1, 1), (255, 0, 0, 51)), lossless=True), [[[255]], [[204]],
                                                                                             [[204]]]),
    "la.png": (png(2, 1, 8, 4, [bytes([0, 51, 40, 255])]), [[[204, 40]]]),
    # CMYK is ink: R = (255 - C)(255 - K) / 255
    "cmyk.tif": (written("TIFF", Image.new("CMYK", (1, 1), (255, 0, 102, 0))), [[[0]], [[255]], [[153]]]),
    # of several frames the first
    "animated.gif": (animation("GIF"), RED), "animated.png": (animation("PNG"), RED),
    "animated.webp": (animation("WEBP", lossless=True), RED), "pages.tif": (animation("TIFF"), RED),
    "several.jpg": (written("MPO", Image.new("L", (2, 2), 90), save_all=True,
                            append_images=[Image.new("L", (2, 2), 200)]), [[[90, 90], [90, 90]]]),
    # what the suffix says does not matter
    "png_called.jpg": (png(1, 1, 8, 0, [b"\x07"]), [[[7]]])}


@pytest.mark.parametrize("name", GOOD)
def test_used_with_the_values_computed_by_hand(tmp_path, name):
    content, expected = GOOD[name]
    (tmp_path / name).write_bytes(content)
    assert decode.decode(tmp_path / name).tolist() == list(map(list, expected))


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "I;16"])
@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_orientation(tmp_path, mode, kind):
    """8: turned a quarter to the left, the right column becomes the top row; Pillow scrambles TIFF opened by name."""
    exif = Image.Exif()
    exif[0x0112] = 8
    values = np.array([[10, 20, 30], [40, 50, 60]], np.uint8)
    image = Image.fromarray(values.astype(np.uint16) * 257 if mode == "I;16" else values)
    (tmp_path / "x").write_bytes(written(kind, image if mode == "I;16" else image.convert(mode), exif=exif))
    assert decode.decode(tmp_path / "x")[0].tolist() == [[30, 60], [20, 50], [10, 40]]


def _zeros(content, share=0.5):
    kept = int(len(content) * share)
    return content[:kept] + bytes(len(content) - kept)


ROUGH = Image.fromarray(noise(0, 200, 200, 3))
BAD = {
    "empty.png": (b"", "empty file"), "text.png": (b"no picture\n", "not a JPEG"),
    "html.jpg": (b"<!DOCTYPE html><title>404</title>", "not a JPEG"), "zeros.jpg": (bytes(4096), "not a JPEG"),
    "eps.png": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not a JPEG"),
    "svg.png": (b"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>", "not a JPEG"),
    "ppm.png": (b"P5 2 1 255\n\x01\x02", "not a JPEG"), "ico.png": (written("ICO"), "not a JPEG"),
    "header_only.png": (written("PNG")[:33], "not a JPEG"), "header_only.jpg": (written("JPEG")[:625], "damaged"),
    "header_only.gif": (written("GIF")[:13], "not a JPEG"), "header_only.bmp": (written("BMP")[:54], "damaged"),
    "no_pixels.png": (png(9, 9, 8, 0, []), "damaged"),
    "cut.jpg": (written("JPEG", ROUGH)[:9000], "damaged"), "cut.png": (written("PNG", ROUGH)[:9000], "damaged"),
    "cut.webp": (written("WEBP", ROUGH)[:9000], "damaged"), "cut.gif": (written("GIF", ROUGH)[:9000], "damaged"),
    "cut.bmp": (written("BMP", ROUGH)[:9000], "damaged"), "cut.tif": (written("TIFF", ROUGH)[:9000], "damaged"),
    "zeros_after.jpg": (_zeros(written("JPEG", ROUGH)), "ends in zeros"),
    "zeros_after.png": (_zeros(written("PNG", ROUGH)), "ends in zeros"),
    "zeros_after.webp": (_zeros(written("WEBP", ROUGH)), "ends in zeros"),
    "bomb.png": (png(40_000, 40_000, 8, 2, [b""]), "more than 89,478,485 pixels"),
    "bomb_bilevel.png": (png(65_000, 65_000, 1, 0, [b""]), "more than 89,478,485 pixels"),
    "bomb.bmp": (b"BM" + struct.pack("<IHHIIiiHHIIiiII", 54, 0, 0, 54, 40, 30_000, 30_000, 1, 24, 0, 0, 0, 0, 0, 0),
                 "more than 89,478,485 pixels"),
    "bomb_profile.png": (png(1, 1, 8, 0, [b"\x07"], chunk(b"iCCP", b"x\0\0" + zlib.compress(bytes(2**26)))), "damaged"),
    "negative.tif": (tiff("<", 16, 2, [-5, 5]), "gray values from -5 to 5"),
    "nan.tif": (tiff("<", 32, 3, [0.5, float("nan")]), "not finite"),
    "infinite.tif": (tiff("<", 32, 3, [0.5, float("inf")]), "not finite"),
    "huge.tif": (tiff("<", 32, 3, [0.5, 1e9]), "gray values from 0.5 to 1e+09")}


@pytest.mark.parametrize("name", BAD)
def test_set_aside_with_a_reason(tmp_path, name):
    content, word = BAD[name]
    (tmp_path / name).write_bytes(content)
    arrays, bad = decode.read([tmp_path / name], None, None)
    assert arrays == [None] and word in bad[0].reason and str(tmp_path) not in bad[0].reason


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"])
def test_a_file_cut_anywhere_is_whole_or_set_aside(tmp_path, kind):
    content = written(kind)
    path = tmp_path / "x"
    path.write_bytes(content)
    whole = decode.decode(path)
    assert whole.shape == (3, 40, 40) and whole.std() > 10
    lost = 0
    for length in range(0, len(content), max(1, len(content) // 60)):
        path.write_bytes(content[:length])
        arrays, bad = decode.read([path], None, None)
        lost += len(bad)
        assert bad or (arrays[0] == whole).all(), f"{length} of {len(content)} bytes"
    assert lost > 50


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_an_end_that_was_never_written_is_seen_and_padding_is_not_taken_for_one(tmp_path, kind):
    content = written(kind, ROUGH)
    (tmp_path / "x").write_bytes(content + bytes(500))
    padded = decode.decode(tmp_path / "x")
    (tmp_path / "x").write_bytes(content)
    assert (decode.decode(tmp_path / "x") == padded).all()
    for share in (0.3, 0.6, 0.9):
        (tmp_path / "x").write_bytes(_zeros(content, share))
        assert decode.read([tmp_path / "x"], None, None)[1]
