"""Image files to uint8 arrays, in threads; what cannot be read is set aside with a reason."""
from __future__ import annotations

import os
import unicodedata
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import numpy as np
from PIL import Image, UnidentifiedImageError
from PIL.MpoImagePlugin import MpoImageFile

from ..errors import DataError
from ..system.workers import cores
from .fitting import Fitted, Size, fitted, sides
from .memory import Room, require_images
from .storage import Stored, stored
from .tones import Unusable, flat, load

# No format whose decoder starts another program; PPM is the family of PBM, PGM, PPM, PNM and PFM.
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "AVIF", "JPEG2000", "PPM")
HEIC = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")     # brands of HEIF files
MAX_PIXELS = 89_478_485                                  # Pillow's own limit, a quarter of a GiB of RGB
ORIENTATION = 0x0112                                     # the EXIF tag; what to do to look at the image by its value
TURNS = dict(enumerate((Image.Transpose.FLIP_LEFT_RIGHT, Image.Transpose.ROTATE_180, Image.Transpose.FLIP_TOP_BOTTOM,
                        Image.Transpose.TRANSPOSE, Image.Transpose.ROTATE_270, Image.Transpose.TRANSVERSE,
                        Image.Transpose.ROTATE_90), start=2))
SIDEWAYS = (5, 6, 7, 8)                                  # values after which width and height change places
THREADS = 8
LONG = 200       # characters of a name or message that are shown
PICTURES = 0xB002                                        # the tag of an MPO that lists its pictures
TAIL = 64        # zeros in a row that no encoder writes at the end
Result = TypeVar("Result")
# Blocks as large as these go back to the system when they are freed; smaller ones stay with the thread that had them.
Image.core.set_block_size(2**26)  # type: ignore[attr-defined]


@dataclass(frozen=True)
class Bad:
    """A file that was left out."""

    path: str
    reason: str


def decode(source: str | Path | bytes | Stored, size: Size | None = None, channels: int | None = None,
           fit: str = "crop") -> np.ndarray:
    """Return an image file, or the bytes of one, as uint8 [D, H, W]; of an animation, the first frame.

    The orientation that EXIF asks for is applied, transparency is laid on white, and 16-bit and float values are
    scaled to 0..255. D is 1 for a gray file and 3 for any other, unless `channels` says otherwise.

    Raises:
        Exception: Whatever the decoder raises; `reason` puts it into words.
    """
    return sized(source, size, channels, fit)[1]


def sized(source: str | Path | bytes | Stored, size: Size | None = None, channels: int | None = None,
          fit: str = "crop") -> tuple[tuple[int, int], np.ndarray]:
    """Return height and width of an image, upright, before it is brought to `size`, and what `decode` returns of it."""
    with opened(source) as image:
        whole = image.size
        with decoded(image, 2 * max(sides(size)) if size else None) as picture:     # twice what is needed
            return whole if orientation(image) in SIDEWAYS else whole[::-1], pixels(picture, size, channels, fit)


@contextmanager
def opened(source: str | Path | bytes | Stored) -> Iterator[Image.Image]:
    """Open an image file, or the bytes of one: every check that needs no pixels is done, and none is decoded yet.

    Raises:
        Exception: Whatever the decoder raises; `reason` puts it into words.
    """
    # Not by its name: Pillow 13 maps raw TIFF files of a name into memory and scrambles those that are to be turned.
    with stored(source).open() as file:
        size = file.seek(0, os.SEEK_END)
        if not size:
            raise Unusable("empty file")
        with Image.open(file, formats=_formats(file)) as image:
            if image.width * image.height > MAX_PIXELS:
                raise Image.DecompressionBombError
            if _unwritten(file, image, size):
                raise Unusable("damaged: the file ends in zeros, which were never overwritten")
            yield image


def _formats(file: BinaryIO) -> tuple[str, ...]:
    """Return the formats that a file may be of, and leave it at its beginning."""
    file.seek(0)
    head = file.read(32)
    file.seek(0)
    if head[4:8] != b"ftyp" or head[8:12] not in HEIC or b"avif" in head:
        return FORMATS
    if not _heif():
        raise Unusable("HEIC, which needs a library more: pip install 'autotricks[heic]'")
    return ("HEIF",)


@cache
def _heif() -> bool:
    """Let Pillow read HEIC where the library for it is installed; return whether it does."""
    if not find_spec("pi_heif"):    # not pillow_heif, whose wheels bring an encoder under the GPL
        return False
    from pi_heif import register_heif_opener

    register_heif_opener()
    return True


_room = Room(MAX_PIXELS)    # a file of as many is decoded alone: of some kinds a pixel takes 16 bytes meanwhile


@contextmanager
def decoded(image: Image.Image, side: int | None) -> Iterator[Image.Image]:
    """Decode an opened image and yield it upright, L or RGB; a JPEG to no more pixels than leave `side` each way.

    Raises:
        Exception: Whatever the decoder raises; `reason` puts it into words.
    """
    if side:
        image.draft(None, (side, side))
    count = image.width * image.height
    with _room.taken(count):
        load(image)
        picture = upright(image)
        try:
            yield picture
        finally:    # who takes the room next finds its memory free
            picture.close()
            image.close()


def _unwritten(file: BinaryIO, image: Image.Image, size: int) -> bool:
    """Return whether a compressed file has its full length and zeros for an end, as broken downloads leave it.

    Decoders paint such an end black or gray and raise nothing. Of an MPO, JPEGs in a row, the first counts.
    """
    kind = image.format
    if kind not in ("JPEG", "MPO", "PNG", "WEBP", "AVIF", "HEIF"):
        return False
    offset = file.tell()
    file.seek(-min(TAIL, size), os.SEEK_END)
    content = b"" if any(file.read()) else _stripped(file)
    file.seek(offset)
    if not content:
        return False
    if isinstance(image, MpoImageFile) and image.mpinfo:
        content = content[:image.mpinfo[PICTURES][0]["Size"] or None]
    if kind in ("JPEG", "MPO"):  # zeros after the end marker are padding; a thumbnail has a marker before the last scan
        return content.rfind(b"\xff\xd9") < content.rfind(b"\xff\xda")
    if kind == "PNG":
        return b"IEND" not in content
    written = int.from_bytes(content[4:8], "little") if kind == "WEBP" else _coded_end(content)
    return written > len(content) + TAIL


def _coded_end(content: bytes) -> int:
    """Return where the last box with coded pictures ends in an AVIF or HEIC file, ISO/IEC 14496-12, section 4.2."""
    start = 0
    end = 0
    while start + 8 <= len(content):
        size = int.from_bytes(content[start:start + 4], "big")
        if size == 1:
            size = int.from_bytes(content[start + 8:start + 16], "big")
        if content[start + 4:start + 8] == b"mdat":
            end = start + size
        start += max(size, 8) if size else len(content)     # 0: to the end of the file
    return end


def _stripped(file: BinaryIO) -> bytes:
    file.seek(0)
    return file.read().rstrip(b"\0")


def pixels(image: Image.Image, size: Size | None = None, channels: int | None = None,
           fit: str = "crop") -> np.ndarray:
    """Return an image as uint8 [D, H, W], brought to `size` as `data.fit` says."""
    image = flat(image)
    if channels:
        image = image.convert({1: "L", 3: "RGB"}[channels])
    height, width = sides(size) if size else image.size[::-1]
    if image.size != (width, height):
        try:
            image = _laid(image, fitted(image.size, size, fit))
        except MemoryError:
            raise DataError(f"data.size: memory does not hold one image of {width} x {height}. Set it to less."
                            ) from None
    values = np.asarray(image)
    return values[None] if values.ndim == 2 else np.ascontiguousarray(values.transpose(2, 0, 1))


def _laid(image: Image.Image, how: Fitted) -> Image.Image:
    """Show a part of an image on a canvas, black around it."""
    left, top, right, bottom = how.spot
    shown = image.resize((right - left, bottom - top), Image.Resampling.BILINEAR, how.window)
    height, width = how.canvas
    if shown.size == (width, height):
        return shown
    whole = Image.new(image.mode, (width, height))
    whole.paste(shown, (left, top))
    return whole


def upright(image: Image.Image) -> Image.Image:
    """Return an image as L or RGB, turned as its EXIF orientation asks to look at it."""
    turn = TURNS.get(orientation(image))
    picture = flat(image)   # turned, it would no longer know its file's tags
    return picture if turn is None else picture.transpose(turn)


def orientation(image: Image.Image) -> int:
    """Return the orientation that EXIF tells, 1 where it tells none that there is."""
    try:
        turn = image.getexif().get(ORIENTATION, 1)
    except Exception:  # damaged EXIF raises anything, and the picture itself is fine
        return 1
    return turn if turn in TURNS else 1


def reason(error: Exception) -> str:
    """Put into a few words why a file cannot be read."""
    if isinstance(error, Unusable):
        return str(error)
    if isinstance(error, FileNotFoundError):
        return "no such file"
    if isinstance(error, PermissionError):
        return "no permission to read it"
    if isinstance(error, UnidentifiedImageError):
        return f"not a {', '.join(FORMATS[:-1])} or {FORMATS[-1]} image of a kind that Pillow reads"
    if isinstance(error, Image.DecompressionBombError):
        return f"more than {MAX_PIXELS:,} pixels"
    if isinstance(error, OSError) and error.strerror:
        return f"cannot be read: {error.strerror}"
    return f"damaged: {error_text(error)}"


def error_text(error: Exception) -> str:
    """Return the first line of what an error of a library says."""
    return printable((str(error).splitlines() or [""])[0][:LONG].rstrip(".")) or type(error).__name__


def printable(name: str | Path | Stored) -> str:
    r"""Return a path or label as text that any terminal and UTF-8 file can hold, with `\xff` or `\x1b` for the rest.

    File names are bytes: of any encoding, and with line ends and a terminal's commands in them.
    """
    return "".join(one if one.isprintable() or unicodedata.category(one) == "Zs" else _escaped(one)
                   for one in str(name))


def display_name(name: str | Path | Stored) -> str:
    """Return a path as `printable` does, its middle left out where it is very long."""
    text = printable(name)
    return text if len(text) <= LONG else f"{text[:LONG // 2]} ... {text[-LONG // 2:]}"


def _escaped(one: str) -> str:
    """Return a character in ASCII; Python keeps a byte that is no UTF-8 as 0xDC00 + the byte."""
    return f"\\x{ord(one) - 0xDC00:02x}" if 0xDC80 <= ord(one) <= 0xDCFF else one.encode("unicode_escape").decode()


def read(paths: Sequence[Path | Stored], size: Size | None, channels: int | None,
         fit: str = "crop") -> tuple[list[np.ndarray | None], list[Bad]]:
    """Decode files in threads.

    Returns:
        One array for each path, None where the file is bad, and the bad files with reasons.

    Raises:
        DataError: When the images are of different sizes or more than memory holds.
    """
    results = each(partial(decode, size=size, channels=channels, fit=fit), paths)
    return gather(results, [printable(path) for path in paths])


def each(look: Callable[[Any], Result], paths: Sequence[Path | Stored]) -> Iterator[Result | Bad]:
    """Yield what `look` makes of each file, in order and in threads; Bad where it raises."""
    Image.init()
    pool = ThreadPoolExecutor(min(THREADS, cores()))
    try:
        with quiet():
            yield from pool.map(partial(_attempt, look), paths)
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def quiet() -> Iterator[None]:
    """Let Pillow not warn, in all threads at once: warning filters are shared."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # `opened` refuses these itself
        yield


def same_size(first: tuple[str, tuple[int, ...]], other: tuple[str, tuple[int, ...]]) -> None:
    """Refuse two images, each a name with its shape (D, H, W), of different height or width.

    Raises:
        DataError: When they are.
    """
    if other[1][1:] != first[1][1:]:
        raise DataError(f"data.size: images have different sizes ({_sized(*first)}, {_sized(*other)}). "
                        "Set data.size to resize them.")


def gather(results: Iterable[np.ndarray | Bad], names: Sequence[str]) -> tuple[list[np.ndarray | None], list[Bad]]:
    """Part arrays from bad files, and stop at the first image of another size than the first.

    Args:
        results: One for each name, in order.
        names: For messages.

    Raises:
        DataError: When the images are of different sizes or more than memory holds.
    """
    arrays: list[np.ndarray | None] = []
    bad: list[Bad] = []
    first: tuple[str, tuple[int, ...]] | None = None
    for name, result in zip(names, results):
        if isinstance(result, Bad):
            bad.append(result)
            arrays.append(None)
            continue
        if first is None:
            first = name, result.shape
            require_images(len(names), result.shape)
        same_size(first, (name, result.shape))
        arrays.append(result)
    return arrays, bad


def reshaped(images: np.ndarray, size: Size | None, channels: int | None, fit: str = "crop") -> Iterator[np.ndarray]:
    """Yield each of the images, uint8 [N, H, W, D] with D 1 or 3, as uint8 [D, H, W] of the size asked for."""
    for image in images:
        yield pixels(Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image), size, channels, fit)


def _attempt(look: Callable[[Any], Result], path: Path | Stored) -> Result | Bad:
    try:
        return look(path)
    except DataError:
        raise
    except Exception as error:  # a decoder raises anything on a damaged file; none of it may kill a run
        return Bad(printable(path), reason(error))


def _sized(name: str, shape: tuple[int, ...]) -> str:
    return f"{Path(name).name} {shape[2]} x {shape[1]}"
