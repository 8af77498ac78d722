"""Images and labels by name: sources, decoding, splits, the long tail, and a fingerprint of what came out.

Sources::

    digit_scenes                1,000 scenes with digits to find, made from those in a second; needs no network
    digits                      1,797 real gray 8 x 8 images from scikit-learn; needs no network
    image_folder:PATH           PATH/train/CLASS/* [PATH/val, PATH/test], or PATH/CLASS/*, which is split
    csv:PATH                    columns path, label [, split]; paths are relative to the file
    npz:PATH                    x_train, y_train [, x_val, y_val] [, x_test, y_test], or x, y [, classes]
    hf:NAME[?config=CONFIG]     a data set of the Hugging Face hub, or a folder that its library reads
    parquet:PATH                a table with images in it, a folder or a pattern of them
    webdataset:PATH             shards of samples in tar format, key.jpg and key.cls or key.json
    coco:ANNOTATIONS[:IMAGES]   boxes in COCO's JSON: a file, a folder, or a path with {split} in it
    voc:PATH, yolo:PATH         boxes in VOC's XML, or in YOLO's text with data.yaml or classes.txt
    zip:PATH, tar:PATH          a folder of images, a table or boxes with their images, in an archive as it lies
    torchvision:NAME[:ROOT]     a data set of torchvision, of classes (downloaded where it is not in ROOT) or of boxes
    my.module:function          your code; returns (images, labels) or (images, labels, classes); needs trust
"""
from .load import Loaded, foretold, load
from .notices import understood
from .settings import Group, Settings, Splits, Table
from .sources import check, shape_of
from .survey import facts_of, looked, seen_by_model, survey, understood_as

__all__ = ["Group", "Loaded", "Settings", "Splits", "Table", "check", "facts_of", "foretold", "load", "looked",
           "seen_by_model", "shape_of", "survey", "understood", "understood_as"]
