"""Images and labels by name: sources, decoding, splits, the long tail, and a fingerprint of what came out.

Sources::

    digits                      1,797 real gray 8 x 8 images from scikit-learn; needs no network
    image_folder:PATH           PATH/train/CLASS/* [PATH/val, PATH/test], or PATH/CLASS/*, which is split
    csv:PATH                    columns path, label [, split]; paths are relative to the file
    npz:PATH                    x_train, y_train [, x_val, y_val] [, x_test, y_test], or x, y [, classes]
    torchvision:NAME[:ROOT]     a classification data set of torchvision, downloaded where it is not in ROOT
    my.module:function          your code; returns (images, labels) or (images, labels, classes); needs trust
"""
from .load import Loaded, load
from .notices import understood
from .settings import Group, Settings, Splits, Table
from .sources import check, shape_of
from .survey import survey

__all__ = ["Group", "Loaded", "Settings", "Splits", "Table", "check", "load", "shape_of", "survey", "understood"]
