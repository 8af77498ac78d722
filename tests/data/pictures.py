"""Image files made on the spot: sound ones and a corpus of bad ones."""
from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

COLORS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255)}


def save(path: Path, values, mode: str | None = None, **options) -> Path:
    """Write an array as an image file; the suffix names the format."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(np.asarray(values)) if mode is None else Image.new(mode, (4, 4), values)
    image.save(path, **options)
    return path


def encoded(values, kind: str = "PNG", **options) -> bytes:
    """Return an array as the bytes of an image file."""
    store = io.BytesIO()
    Image.fromarray(np.asarray(values)).save(store, kind, **options)
    return store.getvalue()


def noise(seed: int, *shape: int) -> np.ndarray:
    return np.random.RandomState(seed).randint(0, 256, shape).astype(np.uint8)


def folder(root: Path, counts: dict[str, int], shape=(6, 6, 3), seed=0) -> Path:
    """Write `counts[class]` PNG files of noise into a folder for each class."""
    for number, (name, count) in enumerate(counts.items()):
        for row in range(count):
            save(root / name / f"{row:03d}.png", noise(1000 * seed + 100 * number + row, *shape))
    return root


def names(part) -> list[str]:
    """Return the label of each image of a part; each has one."""
    return [label for label, in part.labels]


def chunk(kind: bytes, data: bytes) -> bytes:
    """A chunk of a PNG."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_header(width: int, height: int) -> bytes:
    """A PNG that says it has this many pixels and holds none."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def bad_corpus(root: Path) -> dict[str, str]:
    """Write files that cannot be read; return a word of the reason by name."""
    root.mkdir(parents=True, exist_ok=True)
    jpeg, png = io.BytesIO(), io.BytesIO()
    Image.fromarray(noise(1, 64, 64, 3)).save(jpeg, "JPEG")
    Image.fromarray(noise(1, 64, 64, 3)).save(png, "PNG")
    flipped = bytearray(png.getvalue())
    flipped[200] ^= 255
    files = {"truncated.jpg": (jpeg.getvalue()[:len(jpeg.getvalue()) // 2], "damaged"),
             "truncated.png": (png.getvalue()[:len(png.getvalue()) // 2], "damaged"),
             "flipped.png": (bytes(flipped), "damaged"),
             "empty.jpg": (b"", "empty file"),
             "text.jpg": (b"this is not a picture\n", "not a JPEG"),
             "eps.jpg": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not a JPEG"),
             "bomb.png": (png_header(30_000, 30_000), "89,478,485 pixels"),
             "large.png": (png_header(10_000, 10_000), "89,478,485 pixels")}
    for name, (data, _) in files.items():
        (root / name).write_bytes(data)
    (root / "gone.jpg").symlink_to(root / "nowhere.jpg")
    return {name: word for name, (_, word) in files.items()} | {"gone.jpg": "no such file"}
