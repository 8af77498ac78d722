"""Every augmentation either moves boxes with the pixels, or refuses data that have boxes."""
import pytest
import torch

from autotricks.core.batch import Batch
from autotricks.core.bundle import Bundle
from autotricks.core.plan import plan
from autotricks.core.slots import Slot
from autotricks.core.targets import Targets
from autotricks.core.traits import DataTrait
from autotricks.errors import BundleError
from autotricks.tricks.catalog import catalog, make
from tests.conftest import make_run

SIDE, COUNT = 40, 60
MOVERS = [name for name, trick in catalog().items() if {Slot.AUGMENT, Slot.BATCH} & set(trick.seats)
          and DataTrait.BOXES not in trick.excludes_data]
# what they do to pixels hides some of a bright rectangle, or makes others as bright: its place is the same all the same
BLIND = {"color_jitter", "pca_color", "jpeg", "downscale", "three_augment"}
ERASERS = {"cutout", "grid_mask", "random_erasing"}
SEVERAL = {"mixup", "remix", "mosaic", "copy_paste"}    # rectangles in one image; mosaic and copy_paste: tests/tricks
STRENGTHS = {"crop": {"padding": 8}, "auto_augment": {"policy": "svhn"}, "multi_scale": {"smallest": 0.5},
             "scale_paste": {"probability": 1.0}, "random_resized_crop": {"smallest": 0.5},
             "grid_mask": {"ratio": 0.15, "ramp": 0.0}}


def rectangles():
    """Images black but for a white rectangle of an odd place and size, and its box."""
    chance = torch.Generator().manual_seed(3)
    corner = torch.randint(8, 16, (COUNT, 2), generator=chance)
    size = torch.randint(6, 15, (COUNT, 2), generator=chance)
    boxes = torch.cat([corner, corner + size], 1)
    images = torch.zeros(COUNT, 1, SIDE, SIDE)
    for image, (left, top, right, bottom) in zip(images, boxes.tolist(), strict=True):
        image[:, top:bottom, left:right] = 1
    targets = Targets(torch.zeros(COUNT, 1, dtype=torch.int64), torch.ones(COUNT, 1), boxes.float().unsqueeze(1))
    return Batch(images, targets, torch.arange(COUNT))


def seen(image):
    """The box of what is more than half as bright as the brightest."""
    bright = image[0] > image.amax() / 2
    rows, columns = bright.any(1).nonzero().flatten(), bright.any(0).nonzero().flatten()
    return [float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)]


def moved(name):
    """What a trick makes of the rectangles."""
    run = make_run(counts=(COUNT // 2, COUNT // 2), image_shape=(1, SIDE, SIDE), batch_size=COUNT)
    run.mean, run.progress = torch.zeros_like(run.mean), 0.5
    if name == "pca_color":
        make(name, {}).trick.enter(run)
    run.model = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(4), torch.nn.Flatten(), torch.nn.Linear(16, 2))
    trick = make(name, STRENGTHS.get(name, {})).trick
    slot = Slot.AUGMENT if Slot.AUGMENT in trick.seats else Slot.BATCH
    return getattr(trick, slot.value)(lambda batch: batch, run)(rectangles())


@pytest.mark.parametrize("name", sorted({*MOVERS} - BLIND - ERASERS - SEVERAL))
def test_the_box_lies_where_the_rectangle_is_seen(name):
    """A hull of a turned rectangle is its own hull; where a policy darkens, inverts or smears all, none can be seen."""
    after = moved(name)
    differ, compared = 0, 0
    boxes, shares = after.targets.boxes.tolist(), after.targets.shares.tolist()
    for image, (box,), (share,) in zip(after.images, boxes, shares, strict=True):
        if not share or min(box[2] - box[0], box[3] - box[1]) < 3 or len(image.unique()) < 2 or image.mean() > 0.5:
            continue
        compared += 1
        differ += max(abs(one - other) for one, other in zip(box, seen(image), strict=True)) > 1.6
    assert compared > COUNT / 2 and differ <= compared / 10, f"{differ} of {compared} boxes are elsewhere"


@pytest.mark.parametrize("name", sorted({*MOVERS} & BLIND))
def test_what_moves_nothing_leaves_boxes_alone(name):
    before, after = rectangles(), moved(name)
    assert not torch.equal(before.images, after.images), "the trick did nothing"
    assert torch.equal(before.targets.boxes, after.targets.boxes) and bool((after.targets.shares == 1).all())


@pytest.mark.parametrize("name", sorted(ERASERS))
def test_what_erases_an_object_but_for_less_than_a_quarter_has_it_ignored(name):
    """What is left of a rectangle is white, so its mean is the share that can be seen."""
    before, after = rectangles(), moved(name)
    assert torch.equal(before.targets.boxes, after.targets.boxes)
    boxes = after.targets.boxes[:, 0].long().tolist()
    seen = [float(image[0, top:bottom, left:right].mean())
            for image, (left, top, right, bottom) in zip(after.images, boxes, strict=True)]
    counted = [float(share >= 0.25) for share in seen]
    assert after.targets.shares[:, 0].tolist() == counted and 0 < sum(counted) < COUNT


@pytest.mark.parametrize("name", ["mixup", "remix"])
def test_mixing_keeps_the_boxes_of_both(name):
    after = moved(name)
    assert after.targets.boxes.shape == (COUNT, 2, 4)
    for image, boxes in zip(after.images[:20], after.targets.boxes[:20].tolist(), strict=True):
        for left, top, right, bottom in boxes:
            assert float(image[0, int(top):int(bottom), int(left):int(right)].amin()) > 0


@pytest.mark.parametrize("name", sorted(name for name, trick in catalog().items()
                                        if DataTrait.BOXES in trick.excludes_data))
def test_what_cannot_move_boxes_refuses_them(name):
    with pytest.raises(BundleError, match=f"{name} cannot be used with data that have boxes"):
        plan(Bundle((make(name, {}),)), data={DataTrait.BOXES})


def test_what_needs_one_label_refuses_data_without():
    names = [name for name, trick in catalog().items() if DataTrait.ONE_LABEL in trick.requires_data]
    assert {"over_sampling", "cam_sampling", "nearest_class_mean"} <= set(names)
    for name in names:
        with pytest.raises(BundleError, match=f"{name} requires data with one label an image"):
            plan(Bundle((make(name, {}),)), data={DataTrait.BOXES})
