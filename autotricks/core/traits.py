"""Traits: what tricks provide and require of each other, and what they need of data."""
from __future__ import annotations

from enum import Enum, auto


class Trait(Enum):
    """A property of a trick that others may need or refuse, whatever the trick is called."""

    COSINE_HEAD = auto()     # logits are cosines times a module's attribute `cosine_scale`
    LOSS_SCALER = auto()
    REWEIGHTS = auto()       # the loss weighs classes differently
    RESAMPLES = auto()       # classes are drawn at another rate than they occur
    REMOVES_PRIOR = auto()   # the loss already corrects for class frequencies
    SMOOTHS_LABELS = auto()
    MIXES_LABELS = auto()
    MIXES_HIDDEN = auto()    # mixes between layers: what the model sees is not what the batch holds
    SETS_RATE = auto()       # the learning rate is found or fixed, whatever the optimizer says
    CYCLES_RATE = auto()     # the schedule brings its own warm-up
    SMALL_BATCHES = auto()   # normalizes well however few images a batch has
    ALTERS_FEATURES = auto()  # the last feature maps are not pooled by plain averages
    PRETRAINED = auto()      # weights come from a file
    NEW_WEIGHTS = auto()     # layers or weights are made that those of a file do not go with
    COMPILES = auto()        # a compiled model runs in steps: hooks set later are not called
    INNER_GRADIENTS = auto()  # the forward pass takes gradients itself
    RESIZES = auto()         # batches differ in the size of their images
    DISTILLS = auto()        # the loss has soft labels of a teacher in it


class DataTrait(Enum):
    """A property of data that tricks may need or refuse."""

    ONE_LABEL = "one label an image"
    BOXES = "boxes"
    MANY_CLASSES = "50 or more classes"


MANY_CLASSES = 50   # between the 10 classes where re-weighting did no harm and the 100 where it did
