"""digits: the handwritten digits that come with scikit-learn."""
from __future__ import annotations

import numpy as np

from ..settings import Settings
from .raw import Part, Raw, from_arrays


def read(_: str, settings: Settings) -> Raw:
    """Return 1,797 gray images of 8 x 8, 174 to 183 of each digit, whose values 0..16 are scaled to 0..255."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    images = np.floor(bunch.images * (255 / 16) + 0.5).astype(np.uint8)
    return Raw({"train": Part(from_arrays("digits", images, settings), [str(label) for label in bunch.target])})
