"""A corpus made here: each image is used with the values computed by hand, or set aside with a reason."""
import base64
import io
import struct
import zlib
from importlib.util import find_spec

import numpy as np
import pytest
from PIL import Image

from autotricks.data import decode
from autotricks.data.storage import InMemory
from autotricks.data.tones import Unusable

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


def color_tiff(values, planes=1):
    """A TIFF of one row of 16-bit color; with 2 for `planes`, one plane after the other."""
    width = len(values) // 3
    bits = 8 + 2 + 11 * 12 + 4
    strips = [bits + 6 + row * 2 * width for row in range(3 if planes == 2 else 1)]
    size = 2 * width * (1 if planes == 2 else 3)
    tables = bits + 6 + 6 * width
    lists = b"".join(struct.pack("<I", value) for value in [*strips, *[size] * len(strips)])
    many = len(strips) > 1
    tags = [(256, 4, 1, width), (257, 4, 1, 1), (258, 3, 3, bits), (259, 4, 1, 1), (262, 4, 1, 2),
            (273, 4, len(strips), tables if many else strips[0]), (277, 4, 1, 3), (278, 4, 1, 1),
            (279, 4, len(strips), tables + 4 * len(strips) if many else size), (284, 4, 1, planes), (339, 4, 1, 1)]
    cells = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    rows = np.array(values, "<u2").reshape(-1, 3)
    body = (rows.T if planes == 2 else rows).tobytes()
    return (b"II" + struct.pack("<HI", 42, 8) + struct.pack("<H", len(tags)) + cells + bytes(4)
            + struct.pack("<3H", 16, 16, 16) + body + lists)


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
    # the netpbm family: 1 is black in a bitmap; a gray v of a maximum m is 255 v / m; 16 bits are divided by 257, dark
    # pictures too; a float map has its last row first
    "plain.pbm": (b"P1\n2 2\n1 0\n0 1\n", [[[0, 255], [255, 0]]]), "raw.pbm": (b"P4 4 1\n\x50", [[[255, 0, 255, 0]]]),
    "plain.pgm": (b"P2\n# a comment\n2 1\n255\n7 200\n", [[[7, 200]]]),
    "raw.pgm": (b"P5 2 1 255\n\x07\xc8", [[[7, 200]]]), "hundred.pgm": (b"P5 2 1 100\n\x28\x64", [[[102, 255]]]),
    "deep.pgm": (b"P5 3 1 65535\n" + deep(0, 32896, 65535), [[[0, 128, 255]]]),
    "dark.pgm": (b"P5 3 1 65535\n" + deep(0, 129, 200), [[[0, 1, 1]]]),
    "ten_bits.pgm": (b"P5 2 1 1020\n" + deep(204, 1020), [[[51, 255]]]),
    "plain.ppm": (b"P3 1 1 255 1 2 3\n", [[[1]], [[2]], [[3]]]), "raw.ppm": (b"P6 1 1 255\n\x01\x02\x03",
                                                                           [[[1]], [[2]], [[3]]]),
    "deep.ppm": (b"P6 1 1 65535\n" + deep(65535, 32896, 257), [[[255]], [[128]], [[1]]]),
    "float.pfm": (b"Pf 1 2 -1.0\n" + struct.pack("<2f", 0.2, 1), [[[255], [51]]]),
    # JPEG 2000 without loss, with and without the box around it
    "color.jp2": (written("JPEG2000", Image.new("RGB", (2, 1), (10, 200, 30))), [[[10, 10]], [[200, 200]], [[30, 30]]]),
    "deep.jp2": (written("JPEG2000", Image.fromarray(np.array([[0, 129, 32896, 65535]], np.uint16))),
                 [[[0, 1, 128, 255]]]),
    "opacity.j2k": (written("JPEG2000", Image.new("RGBA", (1, 1), (255, 0, 0, 51)), no_jp2=True),
                    [[[255]], [[204]], [[204]]]),
    "gray.avif": (written("AVIF", Image.new("L", (2, 2), 77), quality=100), [[[77, 77], [77, 77]]]),
    # color of 16 bits in a TIFF: the upper 8
    "color16.tif": (color_tiff([65535, 32896, 257, 0x1234, 0, 0xFEFF]), [[[255, 0x12]], [[128, 0]], [[1, 0xFE]]]),
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
    "pam.ppm": (b"P7\nWIDTH 1\nHEIGHT 1\nDEPTH 1\nMAXVAL 255\nTUPLTYPE GRAYSCALE\nENDHDR\n\x01", "not a JPEG"),
    "ico.png": (written("ICO"), "not a JPEG"),
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
    "planes16.tif": (color_tiff([65535, 32896, 257, 0x1234, 0, 0xFEFF], planes=2), "a plane for each color"),
    "cut.jp2": (written("JPEG2000", ROUGH)[:9000], "damaged"),
    "cut.avif": (written("AVIF", ROUGH)[:3000], "not a JPEG"),
    "cut.pgm": (b"P5 9 9 255\n" + bytes(40), "damaged"),
    "bomb.pgm": (b"P5 90000 90000 255\n", "more than 89,478,485 pixels"),
    "huge.tif": (tiff("<", 32, 3, [0.5, 1e9]), "gray values from 0.5 to 1e+09")}


@pytest.mark.parametrize("name", BAD)
def test_set_aside_with_a_reason(tmp_path, name):
    content, word = BAD[name]
    (tmp_path / name).write_bytes(content)
    arrays, bad = decode.read([tmp_path / name], None, None)
    assert arrays == [None] and word in bad[0].reason and str(tmp_path) not in bad[0].reason


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "JPEG2000", "PPM"])
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


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF"])
def test_an_end_that_was_never_written_is_seen_and_padding_is_not_taken_for_one(tmp_path, kind):
    content = written(kind, ROUGH)
    (tmp_path / "x").write_bytes(content + bytes(500))
    padded = decode.decode(tmp_path / "x")
    (tmp_path / "x").write_bytes(content)
    assert (decode.decode(tmp_path / "x") == padded).all()
    for share in (0.3, 0.6, 0.9):
        (tmp_path / "x").write_bytes(_zeros(content, share))
        assert decode.read([tmp_path / "x"], None, None)[1]


HEIC = base64.b64decode("""
AAAAHGZ0eXBoZWl4AAAAAG1pZjFoZWl4bWlhZgAAAX5tZXRhAAAAAAAAACFoZGxyAAAAAAAAAABwaWN0AAAAAAAAAAAAAAAAAAAAACJpbG9jAAAAAERA
AAEAAQAAAAABogABAAAAAAAAAH0AAAAjaWluZgAAAAAAAQAAABVpbmZlAgAAAAABAABodmMxAAAAAA5waXRtAAAAAAABAAAA/mlwcnAAAADeaXBjbwAA
AHdodmNDAQQIAAAAnjgAAAAAHvAA/P/4+AAADwNgAAEAF0ABDAH//wQIAAADAJ44AAADAAAeugJAYQABACpCAQEECAAAAwCeOAAAAwAAHpAEECCy3VyU
1zcBDQYEAAADAGQAAAMABCBiAAEACEQBwXMYMAiQAAAAE2NvbHJuY2x4AAEADQAGgAAAABRpc3BlAAAAAAAAAEAAAABAAAAAKGNsYXAAAABAAAAAAQAA
ADAAAAABAAAAAAAAAAL////wAAAAAgAAABBwaXhpAAAAAAMICAgAAAAYaXBtYQAAAAAAAAABAAEFgQIDBYQAAACFbWRhdAAAAHkoAa8GuJGJ0n2hz///
Imj//+ifZ1difRG00v713dv/s1Uen+BG8QFQq3TmZmYRgxu88Z6w+COkyL247V81EMJ2cQIs97Pui5BsIsQLuJqmq9Cjs80bPbbrXrGoJSYnLOX8pELw
oS79pGO1up5ovo18HJKZnHx9Ar+A""")


@pytest.mark.skipif(not find_spec("pi_heif"), reason="the extra heic is not installed")
def test_heic():
    """64 x 48, the left half (10, 200, 30), the right (250, 90, 160), by libheif with x265; lossy."""
    picture = decode.decode(HEIC)
    assert picture.shape == (3, 48, 64)
    assert np.abs(picture[:, :, :28].astype(int) - [[[10]], [[200]], [[30]]]).max() <= 3
    assert np.abs(picture[:, :, 36:].astype(int) - [[[250]], [[90]], [[160]]]).max() <= 3
    for share in (0.3, 0.95):
        with pytest.raises(Exception, match=r"."):
            decode.decode(HEIC[:int(len(HEIC) * share)])
    with pytest.raises(Unusable, match="ends in zeros"):
        decode.decode(HEIC[:-120] + bytes(120))


def test_heic_without_its_library_is_one_clear_line(monkeypatch):
    monkeypatch.setattr(decode, "find_spec", lambda name: None)
    decode._heif.cache_clear()
    try:
        bad, = decode.each(decode.decode, [InMemory(HEIC)])
        assert bad.reason == "HEIC, which needs a library more: pip install 'autotricks[heic]'"
    finally:
        decode._heif.cache_clear()
