"""torchvision: the data sets of torchvision, by name: of classes, and those that tell where objects are."""
from __future__ import annotations

import difflib
import inspect
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ...errors import DataError
from ..decode import Bad, error_text, gather, pixels, reason
from ..settings import Settings
from . import torchvision_boxes
from .files import Listing, images_of
from .raw import SPLIT_WORDS, Part, Raw, clean, one_each, refuse_many, stacked

FAMILIAR = ("MNIST", "FashionMNIST", "EMNIST", "CIFAR10", "CIFAR100", "SVHN", "STL10", "Caltech101", "Food101",
            "Flowers102", "OxfordIIITPet", "EuroSAT", "ImageNet")    # which people name alone


def read(argument: str, settings: Settings) -> Raw:
    """Read NAME or NAME:ROOT; ROOT is `~/.cache/autotricks/data` if left out. torchvision downloads what is missing.

    Raises:
        DataError: When there is no such data set, it cannot be had, or it is none of images and whole-number labels.
    """
    boxed = listing(argument, settings)
    if boxed is not None:
        return images_of(boxed, settings)
    name, folder = _parted(argument)
    sets = _sets(name, _maker(name), folder)
    names = {split: [""] * len(images) for split, images in sets.items()}
    arrays: dict[str, list[np.ndarray | None]] = {}
    bad: list[Bad] = []
    for split, images in sets.items():
        image_names = [f"{split}[{row}]" for row in range(len(images))]
        arrays[split], left_out = gather(_images(images, image_names, names[split], settings), image_names)
        bad += left_out
    refuse_many(bad, sum(len(part) for part in arrays.values()), settings.max_bad)
    depth = max((array.shape[0] for part in arrays.values() for array in part if array is not None), default=1)
    parts = {}
    for split in sets:
        kept = one_each(name for name, array in zip(names[split], arrays[split]) if array is not None)
        if not kept:
            raise DataError(f"data.source: none of the {split} images can be read.")
        parts[split] = Part(stacked([array for array in arrays.pop(split) if array is not None], depth), kept)
    return Raw(parts, _classes(sets["train"]), tuple(bad))


def listing(argument: str, settings: Settings) -> Listing | None:
    """List the images of a data set that tells where objects are; None for any other.

    Raises:
        DataError: When it is not in its folder.
    """
    name, folder = _parted(argument)
    if name == "CocoDetection":
        raise DataError("data.source: torchvision:CocoDetection needs a file of annotations. Write coco:FILE.json, or "
                        "coco:FILE.json:IMAGES.")
    return torchvision_boxes.listing(name, folder, settings) if name in torchvision_boxes.NAMES else None


def _parted(argument: str) -> tuple[str, str]:
    """Return the name, and the folder that holds the data or will."""
    name, _, root = argument.partition(":")
    folder = Path(root or os.environ.get("XDG_CACHE_HOME") or "~/.cache", "" if root else "autotricks/data")
    return name, str(folder.expanduser())


def _maker(name: str) -> Callable[..., Any]:
    from torchvision import datasets

    known = {word.lower(): word for word in datasets.__all__ if word != "VisionDataset"}     # what all others extend
    make = getattr(datasets, name, None) if name in known.values() else None
    if inspect.isclass(make):
        return make
    near = difflib.get_close_matches(name.lower(), known, 1, 0.6)
    raise DataError(f"data.source: torchvision has no data set {name!r}."
                    + (f" Did you mean torchvision:{known[near[0]]}?" if near else ""))


def _sets(name: str, make: Callable[..., Any], root: str) -> dict[str, Any]:
    """Return the data set of each split that there is; `train` alone where it has no splits."""
    known = inspect.signature(make).parameters
    options: dict[str, Any] = {word: value for word, value in (("root", root), ("download", True)) if word in known}
    if "train" in known:
        wanted: Mapping[str, dict[str, Any]] = {"train": {"train": True}, "test": {"train": False}}
    elif "split" in known:
        wanted = {word: {"split": word} for word in SPLIT_WORDS}
    else:
        wanted = {"train": {}}
    sets: dict[str, Any] = {}
    where = f"data.source: torchvision:{name}"
    for word, option in wanted.items():
        try:
            sets[SPLIT_WORDS[word]] = make(**options, **option)
        except ValueError as error:
            if word == "train" or "train" in known:     # else this is a split that the data set does not have
                raise DataError(f"{where} has no {word} split that can be read: {error_text(error)}.") from error
        except TypeError as error:
            raise DataError(f"{where} cannot be loaded by its name alone: {error_text(error)}.") from error
        except ImportError as error:
            raise DataError(f"{where} needs a library that is not there: {error_text(error)}.") from error
        except Exception as error:  # damaged files raise anything
            raise DataError(f"{where} can neither be read from {root} nor downloaded to it ({error_text(error)}). Mend "
                            "or remove the files there, or check the network.") from error
    return sets


def _images(source: Any, image_names: list[str], names: list[str], settings: Settings) -> Iterator[np.ndarray | Bad]:
    """Yield the pixels of each image and write its label's name into `names`."""
    classes = _classes(source)
    for row in range(len(source)):
        try:
            image, label = source[row]
        except Exception as error:  # a damaged file may raise anything
            yield Bad(image_names[row], reason(error))
            continue
        number = getattr(label, "item", lambda label=label: label)()
        if not isinstance(image, Image.Image) or type(number) is not int:
            raise DataError(f"data.source: torchvision:{type(source).__name__} has {type(image).__name__} and "
                            f"{type(label).__name__}; images with one whole-number label each are needed.")
        if classes and not 0 <= number < len(classes):
            yield Bad(image_names[row], f"label {number}, where there are {len(classes)} classes")
            continue
        names[row] = classes[number] if classes else str(number)
        yield pixels(image, settings.size, settings.channels, settings.fit)


def _classes(source: Any) -> tuple[str, ...] | None:
    """Return the names by number, where the data set has distinct ones."""
    known: Sequence[Any] = getattr(source, "classes", None) or ()
    names = tuple(clean(", ".join(name) if isinstance(name, tuple) else name) for name in known)
    return names if names and len(set(names)) == len(names) else None
