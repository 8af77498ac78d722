"""digits: the handwritten digits that come with scikit-learn."""
from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np

from ...errors import DataError
from ..settings import Settings
from .raw import Part, Raw, from_arrays, one_each


def read(_: str, settings: Settings) -> Raw:
    """Return 1,797 gray images of 8 x 8, 174 to 183 of each digit, whose values 0..16 are scaled to 0..255."""
    table = np.loadtxt(_file(), delimiter=",", dtype=np.uint8)    # a row: 64 pixels, then the label
    images = np.floor(table[:, :-1].reshape(-1, 8, 8) * (255 / 16) + 0.5).astype(np.uint8)
    labels = one_each(str(label) for label in table[:, -1])
    return Raw({"train": Part(from_arrays("digits", images, settings), labels)})


def _file() -> Path:
    """Return where the digits lie; importing scikit-learn to ask it takes three seconds."""
    spec = find_spec("sklearn")
    for folder in (spec.submodule_search_locations or [] if spec else []):
        file = Path(folder) / "datasets" / "data" / "digits.csv.gz"
        if file.exists():
            return file
    raise DataError("data.source: digits comes with scikit-learn, which is not installed here. Install it "
                    "(pip install scikit-learn), or name another source.")
