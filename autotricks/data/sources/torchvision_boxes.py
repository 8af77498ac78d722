"""The data sets of torchvision that tell where objects are, from a folder that holds them; nothing is downloaded."""
from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ...errors import DataError
from ..decode import display_name, error_text
from ..settings import Settings
from . import voc
from .annotated import Annotated, Marked, Said, listed
from .files import Listing, existing

DEVKIT = "VOCdevkit"
FACE = "face"           # the only class of WIDER FACE
INVALID = "occlusion"   # what torchvision calls the eighth column of WIDER FACE, which its readme calls invalid
NOTHING = "DontCare"    # what KITTI calls a region of which nobody says what is in it


def listing(name: str, root: str, settings: Settings) -> Listing:
    """List the images of a data set in a folder.

    Raises:
        DataError: When it is not there.
    """
    folder = existing(root)
    if name == "VOCDetection":      # torchvision's own class reads one year and one split at a time, of the same files
        return voc.listed(folder / DEVKIT if (folder / DEVKIT).is_dir() else folder, settings)
    notices: list[str] = []
    try:
        images = [*MAKERS[name](folder, notices)]
    except Exception as error:      # damaged and missing files raise anything
        raise DataError(f"data.source: torchvision:{name} cannot be read from {display_name(folder)}: "
                        f"{error_text(error)}. Put it there as torchvision does.") from error
    return listed(images, folder, settings, Said(notices=notices))


def _kitti(folder: Path, notices: list[str]) -> Iterator[Annotated]:
    """Yield KITTI's images; its test images have no labels, and what nobody cares for is no object."""
    from torchvision.datasets import Kitti

    held = Kitti(str(folder), train=True)
    aside = 0
    for row in sorted(range(len(held.images)), key=lambda row: held.images[row]):
        objects: list[dict[str, Any]] = held._parse_target(row)
        place = display_name(held.targets[row])
        yield Annotated(Path(held.images[row]), "train", [
            Marked(one["type"], tuple(one["bbox"]), f"{place}:{line + 1}")
            for line, one in enumerate(objects) if one["type"] != NOTHING])
        aside += sum(one["type"] == NOTHING for one in objects)
    if aside:
        notices.append(f"{aside:,} regions are called {NOTHING} and are not used")


def _wider_face(folder: Path, _: list[str]) -> Iterator[Annotated]:
    """Yield WIDER FACE's images of train and validation; faces that are marked as invalid are ignored."""
    from torchvision.datasets import WIDERFace

    for word, split in (("train", "train"), ("val", "validation")):
        for info in WIDERFace(str(folder), split=word).img_info:
            told: Any = info["annotations"]
            yield Annotated(Path(str(info["img_path"])), split, [
                Marked(FACE, (x, y, x + width, y + height), f"{display_name(str(info['img_path']))}: face {row + 1}",
                       bool(invalid))
                for row, ((x, y, width, height), invalid) in enumerate(
                    zip(told["bbox"].tolist(), told[INVALID].tolist(), strict=True))])


MAKERS: dict[str, Callable[[Path, list[str]], Iterator[Annotated]]] = {"Kitti": _kitti, "WIDERFace": _wider_face}
NAMES = ("VOCDetection", *MAKERS)
