"""Serving: a registered bundle as MLflow loads it: arrays or image files in, classes or objects out."""
from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..data import decode
from ..errors import DataError
from .predictor import Predictor
from .preprocessing import Picture

COLUMN = "images"
TOPK = "topk"


class Served:
    """A predictor behind MLflow's interface.

    Args:
        predictor: Of the bundle.
    """

    def __init__(self, predictor: Predictor):
        self.predictor = predictor

    def predict(self, model_input: pd.DataFrame | Mapping[str, Any],
                params: Mapping[str, Any] | None = None) -> pd.DataFrame:
        """Return a row for each image: what `autotricks predict` says of it, and the `probabilities` of all classes.

        Where objects are found, `objects` lists those of the image, with class, probability and edges in pixels of the
        image that was given, upright; of an array, of the array.

        Args:
            model_input: Its column `images` holds, row by row, pixels as the model was trained on, [H, W, D] or
                [H, W] of whole numbers from 0 to 255; or an image file (JPEG, PNG, ...) as bytes or, since JSON has
                no bytes, in base64. A file is turned upright and brought to the model's size and channels as the
                files of a data set are.
            params: `topk`, how many of the most probable classes have columns of their own; one without it.

        Raises:
            DataError: When the column is missing, a row is not such an image, or `topk` is less than one.
        """
        if COLUMN not in model_input:
            raise DataError(f"the input has the columns {', '.join(map(str, model_input)) or 'none'}; expected "
                            f"{COLUMN}.")
        topk = (params or {}).get(TOPK, 1)
        if topk < 1:
            raise DataError(f"{TOPK}: {topk} is not allowed; it must be >= 1.")
        pictures = [self._picture(cell, row) for row, cell in enumerate(_cells(model_input[COLUMN]))]
        depth, height, width = self.predictor.shape
        stacked = (np.stack([picture.pixels for picture in pictures]).transpose(0, 2, 3, 1) if pictures else
                   np.empty((0, height, width, depth), np.uint8))
        decoded = self.predictor.predict(stacked)
        told = self.predictor.answers(decoded, topk, [picture.size for picture in pictures])
        answers = pd.DataFrame(told, columns=self.predictor.columns(topk))
        if self.predictor.finds_objects:
            return answers
        names = self.predictor.classes
        return answers.assign(probabilities=[dict(zip(names, row, strict=True)) for row in decoded.tolist()])

    def _picture(self, cell: Any, row: int) -> Picture:
        """Return an image of a row, as the model takes it."""
        if isinstance(cell, (str, bytes)):
            return self._decoded(cell, row)
        depth, height, width = self.predictor.shape
        try:
            values = np.asarray(cell)
        except ValueError:   # rows of different lengths
            values = np.empty(0, object)
        values = values[..., None] if values.ndim == 2 else values
        if values.shape != (height, width, depth) or values.dtype.kind not in "ui" or not (
                values.min() >= 0 and values.max() <= 255):
            raise DataError(f"{COLUMN}, row {row}: expected whole numbers from 0 to 255 of shape ({height}, {width}, "
                            f"{depth}), or an image file's bytes; got {values.dtype} of shape {values.shape}.")
        return Picture(values.astype(np.uint8).transpose(2, 0, 1), (height, width))

    def _decoded(self, content: str | bytes, row: int) -> Picture:
        """Return an image of the bytes of a file, as the model takes it."""
        try:
            raw = base64.b64decode(content, validate=True) if isinstance(content, str) else content
            return self.predictor.preprocessing.picture(raw)
        except binascii.Error as error:
            raise DataError(f"{COLUMN}, row {row}: a text that is not base64: {error}.") from None
        except Exception as error:  # a decoder raises anything on a damaged file
            raise DataError(f"{COLUMN}, row {row}: cannot be read: {decode.reason(error)}.") from None


def _cells(column: Any) -> Iterator[Any]:
    """Yield the images of a column; a list of files in one cell, as MLflow passes `{"inputs": [...]}`, counts each."""
    for cell in column:
        if isinstance(cell, (list, np.ndarray)) and len(cell) and isinstance(cell[0], (str, bytes)):
            yield from cell
        else:
            yield cell


def _load_pyfunc(path: str) -> Served:
    """Load the model that MLflow registered: the folder of a bundle."""
    return Served(Predictor.load(Path(path)))
