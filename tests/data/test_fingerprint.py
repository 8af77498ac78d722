import hashlib

import torch

from autotricks.core.dataset import Split
from autotricks.core.targets import Targets
from autotricks.data.fingerprint import digests, fingerprint, shared

IMAGES = torch.arange(2 * 3, dtype=torch.uint8).reshape(2, 1, 1, 3)


def named(splits, classes=("a", "b")):
    return fingerprint(splits, {name: digests(split.images) for name, split in splits.items()}, classes)


def make(images=IMAGES, labels=(0, 1)):
    return Split.plain(images, torch.tensor(labels))


def test_is_the_hash_that_it_says():
    first, second = hashlib.sha256(bytes([0, 1, 2])).digest(), hashlib.sha256(bytes([3, 4, 5])).digest()
    rows = first + bytes(4) + second + b"\1\0\0\0"
    assert named({"train": make()}) == hashlib.sha256(b"a\0b\0\ntrain 2,1,1,3\n" + rows).hexdigest()


def test_changes_with_a_pixel_a_label_an_order_a_split_a_name_and_a_shape():
    other = IMAGES.clone()
    other[1, 0, 0, 2] += 1
    prints = [named({"train": make()}), named({"train": make(other)}), named({"train": make(labels=(1, 0))}),
              named({"train": make(IMAGES.flip(0), (1, 0))}), named({"test": make()}),
              named({"train": make()}, ("a", "c")), named({"train": make(IMAGES.reshape(2, 3, 1, 1))})]
    assert len(set(prints)) == len(prints)


def test_does_not_change_with_memory_layout_or_the_order_of_the_splits():
    strided = IMAGES.repeat_interleave(2, -1)[..., ::2]
    assert not strided.is_contiguous()
    left = {"train": make(), "test": make(labels=(1, 1))}
    right = {"test": make(labels=(1, 1)), "train": make(strided)}
    assert named(left) == named(right)


def test_shared_counts_the_images_on_the_right_that_are_on_the_left():
    assert shared([b"a", b"a", b"b"], [b"a", b"c", b"a", b"b"]) == 3


def boxed(labels, boxes, ignored=None):
    return {"train": Split(IMAGES, Targets.sets(labels, [torch.tensor(one).view(-1, 4) for one in boxes], ignored))}


def test_changes_with_a_box_its_label_and_whether_it_is_ignored():
    left, right = [0.0, 0.0, 1.0, 1.0], [1.0, 0.0, 3.0, 1.0]
    prints = [named(boxed([[0, 1], [1]], [[left, right], [left]])),
              named(boxed([[1, 0], [1]], [[left, right], [left]])),
              named(boxed([[0, 1], [1]], [[left, right], [right]])),
              named(boxed([[0, 1], [1]], [[left, right], [left]], [[False, False], [True]])),
              named(boxed([[0], [1, 1]], [[left], [right, left]])), named(boxed([[0, 1], []], [[left, right], []]))]
    assert len({*prints}) == len(prints)


def test_does_not_change_with_padding():
    left = [0.0, 0.0, 1.0, 1.0]
    plain = boxed([[0], [1]], [[left], [left]])
    wide = Targets.sets([[0], [1], [0, 0, 0]], [torch.tensor([left] * count) for count in (1, 1, 3)])[:2]
    assert wide.labels.shape == (2, 3)
    assert named(plain) == named({"train": Split(IMAGES, wide)})
