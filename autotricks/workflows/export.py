"""Handing a champion over: bundle and weights, a training script, or a graph for production."""
from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from shlex import quote
from typing import Any

import numpy as np
import torch

from ..data import load as load_data
from ..errors import AutotricksError, InputError, RunError
from ..export import BUNDLE, copy
from ..export.script import SCRIPT, script
from ..inference.predictor import Predictor
from ..io.files import disk_errors, ensure_folder, write_atomic
from ..report import card
from ..runs.champion import locate
from ..runs.folder import SPACE
from ..space.load import LoadedBundle, load_bundle_file
from ..system.devices import threads_of

PREPROCESSING = "preprocessing.json"
COMPARED = 256              # validation images on which a graph is held against torch
TOLERANCE = 1e-4            # largest difference of a probability; rounding makes 1e-6


def export(name: str, root: Path, format_: str, out: Path, trust: bool = False) -> list[str]:
    """Write a champion in one of the formats and return what to tell: the files, and how the graph was checked.

    Args:
        name: A run, or a folder that holds a bundle and its weights, such as `autotricks train` writes.
        root: Folder of all runs.
        format_: bundle, script, onnx or pt2.
        out: Folder to write to.
        trust: Whether `my.module:function` may be imported.

    Raises:
        InputError: When there is no such format, run or champion, or a library is missing.
        AutotricksError: When the graph does not compute what the champion computes.
    """
    if format_ not in FORMATS:
        raise InputError(f"--format {format_}: not offered; formats: {', '.join(FORMATS)}.")
    return FORMATS[format_](locate(name, root), out, trust)


def _bundle(folder: Path, out: Path, trust: bool) -> list[str]:
    text = card.card(folder) if (folder / SPACE).exists() else ""     # a training has none
    files = copy(folder, out)
    if text:
        write_atomic(out / card.CARD, text.encode())
        files.append(out / card.CARD)
    return [*map(str, files), f"Next: autotricks train {quote(str(out / BUNDLE))}"]


def _script(folder: Path, out: Path, trust: bool) -> list[str]:
    loaded, data = _named(folder, trust)
    document = loaded.document
    threads = max(1, threads_of(document.result))
    write_atomic(ensure_folder(out) / SCRIPT, script(
        document.name, loaded.bundle, data, threads, trust,
        document.weights.model_dump() if document.weights else None).encode())
    return [str(out / SCRIPT), f"Next: python {quote(str(out / SCRIPT))}"]


def _onnx(folder: Path, out: Path, trust: bool) -> list[str]:
    return _graph(folder, out / "model.onnx", trust)


def _pt2(folder: Path, out: Path, trust: bool) -> list[str]:
    return _graph(folder, out / "model.pt2", trust)


def _graph(folder: Path, path: Path, trust: bool) -> list[str]:
    """Write a graph and its preprocessing, and hold it against what the predictor says of validation images."""
    from ..export import graph

    predictor = Predictor.load(folder, trust)
    loaded, data = _named(folder, trust)
    assert loaded.document.data is not None
    draft = ensure_folder(path.parent) / f".unchecked{path.suffix}"
    images = load_data(loaded.document.data.settings(), trust).dataset.validation.images
    pixels = images[torch.arange(0, len(images), max(1, len(images) // COMPARED))[:COMPARED]].numpy()
    expected = torch.from_numpy(predictor.predict(pixels.transpose(0, 2, 3, 1)))
    program = graph.captured(predictor.pixels(), predictor.shape)
    content = json.dumps(preprocessing(predictor, data), indent=1, ensure_ascii=False) + "\n"
    try:
        what = predictor.task.decoded.name
        run = graph.write_onnx(program, draft, what) if path.suffix == ".onnx" else graph.write_pt2(program, draft)
        apart = max(predictor.task.apart(torch.from_numpy(run(pixels[:count])), expected[:count])
                    for count in (1, len(pixels)))
        if not apart <= TOLERANCE:
            raise AutotricksError(f"{path.name}: its {what} differ by {apart:.1e} from torch's on validation "
                                  f"images; at most {TOLERANCE:.0e} is allowed. It is removed; export another format.")
        write_atomic(path.with_name(PREPROCESSING), content.encode())
        with disk_errors(path):
            draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    return [str(path), str(path.with_name(PREPROCESSING)),
            f"Largest difference from torch on {len(pixels)} validation images: {apart:.1e}"]


RESIZED = {"crop": "the largest square in the center, resized to {} (Pillow: bilinear, with box)",
           "pad": "the longer side resized to that of {} (Pillow: bilinear), and laid on the middle of black",
           "squash": "the whole image, whatever its shape, resized to {} (Pillow: bilinear)"}

FILLED = {"crop": "the largest part of that shape in the center, resized to {} (Pillow: bilinear, with box)",
          "pad": "resized, in its shape, to lie in {} (Pillow: bilinear), and laid on the middle of black",
          "squash": RESIZED["squash"]}


def preprocessing(predictor: Predictor, data: dict[str, Any]) -> dict[str, Any]:
    """Return, as JSON holds it, what goes into a graph, what it does itself, and what comes out."""
    depth, height, width = predictor.shape
    mean, std = predictor.statistics
    decoded = predictor.task.decoded
    rows = {"columns": list(decoded.columns), "about": decoded.about} if decoded.columns else {}
    blank = np.zeros((1, height, width, depth), np.uint8)
    words = RESIZED if height == width else FILLED
    resize = ("none: the images of this size are taken as they are" if data.get("size") is None else
              words[predictor.preprocessing.fit].format(f"{width} x {height}"))
    return {
        "input": {"name": "images", "dtype": "uint8", "shape": ["N", depth, height, width],
                  "channels": "gray" if depth == 1 else "red, green, blue"},
        "from a file": {"orientation": "as EXIF says", "transparency": "laid on white", "resize": resize,
                        "channels": "converted by Pillow to L" if depth == 1 else "converted by Pillow to RGB"},
        "inside the graph": {"scale": "divided by 255", "mean": list(mean), "std": list(std),
                             "order": "(images / 255 - mean) / std"},
        "output": {"name": decoded.name, "dtype": "float32", "shape": ["N", *predictor.predict(blank).shape[1:]],
                   **rows, "classes": predictor.classes,
                   **{name: list(values) for name, values in predictor.fitted.items()}}}


def _named(folder: Path, trust: bool) -> tuple[LoadedBundle, dict[str, Any]]:
    """Return a folder's bundle and its data section, which must be there."""
    loaded = load_bundle_file(str(folder / BUNDLE), trust)
    if loaded.document.data is None:
        raise RunError(f"{folder / BUNDLE}: names no data. Add a data section.")
    return loaded, loaded.document.data.model_dump(mode="json", exclude_none=True)


FORMATS: dict[str, Callable[[Path, Path, bool], list[str]]] = {
    "bundle": _bundle, "script": _script, "onnx": _onnx, "pt2": _pt2}
