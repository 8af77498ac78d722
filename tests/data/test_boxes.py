"""Sources with boxes: the same scenes from each format, in memory, streamed and from archives; where boxes lie."""
import json
import tarfile
import zipfile
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from autotricks.data import Settings, load
from autotricks.data.decode import decode
from autotricks.data.look import header_of
from autotricks.data.rare import without
from autotricks.data.settings import Box, Group, Splits, Table
from autotricks.data.sources import Part, digit_scenes, listing, read
from autotricks.errors import DataError

from .annotations import BRIGHT, FORMATS, SCENES, Scene, coco, table, voc, yolo
from .pictures import encoded, save

DETECTION = {"task": "detection", "size": 32, "fit": "pad"}


def objects(part):
    """Return label and rounded edges of each object, by image."""
    return [sorted((name, *[round(edge, 3) for edge in box.tolist()])
                   for name, box in zip(names, boxes, strict=True))
            for names, boxes in zip(part.labels, part.boxes, strict=True)]


def raw(source, **settings):
    return read(Settings(source, **{**DETECTION, **settings}))


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_says_the_same(tmp_path, form):
    parts = raw(FORMATS[form](tmp_path)).parts
    assert {split: len(part.labels) for split, part in parts.items()} == {"train": 3, "validation": 1, "test": 1}
    # 80 x 40 in 32 x 32: .4 of each, 8 rows of black above; 40 x 60: 32 / 60 of each, 5 columns (21 wide) before
    wide = [("cell", 4, 9.6, 12, 16), ("plate", 20, 16, 31.2, 23.2)]
    tall = [("cell", round(5 + 4 * 21 / 40, 3), 16, round(5 + 24 * 21 / 40, 3), round(52 * 32 / 60, 3))]
    assert objects(parts["train"]) == [wide, tall, []]
    assert objects(parts["validation"]) == [[("plate", 8, 12, 17.6, 20)]]
    assert objects(parts["test"]) == [[("cell", 11.2, 3.2, 16, 16), ("plate", 17.6, 20, 23.2, 31.2)]]


def test_every_format_is_the_same_data_set_in_memory_streamed_and_in_archives(tmp_path):
    prints = set()
    for form, write in FORMATS.items():
        source = write(tmp_path / form)
        kept = load(Settings(source, **DETECTION))
        streamed = load(Settings(source, **DETECTION, memory=0, workers=0))
        assert streamed.facts["streamed"] and not kept.facts["streamed"]
        assert torch.equal(kept.dataset.train.targets.boxes, streamed.dataset.train.targets.boxes)
        prints |= {kept.facts["fingerprint"], streamed.facts["fingerprint"]}
        with tarfile.open(tmp_path / f"{form}.tar", "w") as archive:
            archive.add(tmp_path / form, "set")
        prints.add(load(Settings(f"tar:{tmp_path / form}.tar", **DETECTION)).facts["fingerprint"])
        if form != "csv":
            prints.add(load(Settings(f"{form}:{tmp_path / form}.tar", **DETECTION)).facts["fingerprint"])
    assert len(prints) == 1


def test_a_zip_holds_a_source_too(tmp_path):
    voc(tmp_path / "set")
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        for path in sorted((tmp_path / "set").rglob("*.*")):
            archive.write(path, path.relative_to(tmp_path))
    for source in (f"zip:{tmp_path}/set.zip", f"zip:{tmp_path}/set.zip/set", f"voc:{tmp_path}/set.zip/set"):
        assert objects(raw(source).parts["validation"]) == [[("plate", 8, 12, 17.6, 20)]]


def test_an_archive_of_two_kinds_is_asked_about(tmp_path):
    voc(tmp_path / "set")
    table(tmp_path / "set")
    with tarfile.open(tmp_path / "set.tar", "w") as archive:
        archive.add(tmp_path / "set", "set")
    with pytest.raises(DataError) as caught:
        raw(f"tar:{tmp_path}/set.tar")
    assert str(caught.value) == (f"data.source: {tmp_path}/set.tar/set holds annotations of several kinds. Write "
                                 f"voc:{tmp_path}/set.tar/set/Annotations or tar:{tmp_path}/set.tar/set/boxes.csv.")
    assert len(raw(f"voc:{tmp_path}/set.tar/set/Annotations").parts["train"].labels) == 5     # no lists of splits there
    assert len(raw(f"tar:{tmp_path}/set.tar/set/boxes.csv").parts["train"].labels) == 3


@pytest.mark.parametrize("fit", ["pad", "crop", "squash"])
@pytest.mark.parametrize("size", [(24, 60), (60, 24), 40, None])
@pytest.mark.parametrize("form", FORMATS)
def test_what_is_bright_is_where_the_box_is(tmp_path, form, size, fit):
    scenes = [Scene(f"s{number}", (120, 80), (("cell", 40, 24, 40 + 16 * number, 56),)) for number in range(1, 5)]
    part = raw(FORMATS[form](tmp_path, scenes), size=size, fit=fit, channels=1).parts["train"]
    for image, boxes in zip(part.images[:, 0].numpy(), part.boxes, strict=True):
        assert image.shape == ((size, size) if isinstance(size, int) else size or (80, 120))
        rows, columns = np.nonzero(image > BRIGHT / 2)
        (left, top, right, bottom), = boxes.tolist()
        assert [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1] == pytest.approx(
            [left, top, right, bottom], abs=1)
        share = image[round(top):round(bottom), round(left):round(right)].astype(float).mean() / BRIGHT
        assert share > 0.6


@pytest.mark.parametrize("kind", ["jpg", "png", "webp", "tif"])
@pytest.mark.parametrize("turn", range(1, 9))
def test_a_turned_image_turns_once(tmp_path, kind, turn):
    values = np.zeros((40, 60), np.uint8)
    values[8:16, 10:40] = BRIGHT        # left 10, top 8, right 40, bottom 16 of what is stored
    tags = Image.Exif()
    tags[0x0112] = turn
    path = save(tmp_path / f"a.{kind}", values, exif=tags)
    upright = decode(path)[0]
    header = header_of(path)
    assert header.upright == upright.shape[::-1] == ((40, 60) if turn > 4 else (60, 40))
    rows, columns = np.nonzero(upright > 128)
    seen = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    if turn > 4 and kind != "tif":
        assert header.turned((10, 8, 40, 16)) == tuple(seen)
        # A file that tells the size as stored has boxes as stored; one that tells the other, as looked at.
        for width, height, box in ((60, 40, (10, 8, 40, 16)), (40, 60, seen)):
            rows_ = f"file,width,height,xmin,ymin,xmax,ymax,label\n{path.name},{width},{height},"
            (tmp_path / "t.csv").write_text(rows_ + ",".join(map(str, box)) + ",cell\n")
            entry, = listing(Settings(f"csv:{tmp_path}/t.csv", task="detection")).entries
            assert entry.boxes.edges.tolist() == [seen]


def test_a_png_may_tell_its_orientation_after_its_pixels(tmp_path):
    from .pictures import chunk

    plain = encoded(np.zeros((4, 6), np.uint8))
    end = plain.index(b"IEND") - 4
    exif = b"MM\0*\0\0\0\x08\0\1\x01\x12\0\3\0\0\0\1\0\6\0\0\0\0\0\0"
    (tmp_path / "a.png").write_bytes(plain[:end] + chunk(b"eXIf", exif) + plain[end:])
    assert header_of(tmp_path / "a.png").upright == decode(tmp_path / "a.png")[0].shape[::-1] == (4, 6)


def test_crowds_and_difficult_objects_are_ignored(tmp_path):
    coco(tmp_path / "c", [replace(SCENES[0], name=f"s{row}") for row in range(9)])
    place = tmp_path / "c/annotations/instances_train.json"
    document = json.loads(place.read_text())
    document["annotations"][1]["iscrowd"] = 1
    place.write_text(json.dumps(document))
    part = raw(f"coco:{place}").parts["train"]
    assert [list(flags) for flags in part.ignored[:2]] == [[False, True], [False, False]]
    loaded = load(Settings(f"coco:{place}", **DETECTION))
    targets = loaded.dataset.train.targets.followed(loaded.dataset.validation.targets).followed(
        loaded.dataset.test.targets)
    assert sorted(targets.shares.flatten().tolist()) == [0.0] + [1.0] * 17
    assert targets.boxes[targets.shares == 0].tolist() == [[20, 16, pytest.approx(31.2), pytest.approx(23.2)]]
    assert any(line.startswith("ignored, being crowds or difficult, neither right nor wrong to find: 1 box, such as ")
               for line in loaded.facts["notices"])

    voc(tmp_path / "v")
    note = tmp_path / "v/Annotations/a1.xml"
    note.write_text(note.read_text().replace("<difficult>0<", "<difficult>1<", 1))
    assert [list(flags) for flags in raw(f"voc:{tmp_path}/v").parts["train"].ignored] == [[True, False], [False], []]


def test_a_class_of_nothing_but_ignored_objects_is_none(tmp_path):
    coco(tmp_path, SCENES[:2])
    place = tmp_path / "annotations/instances_train.json"
    document = json.loads(place.read_text())
    document["annotations"][1]["iscrowd"] = 1           # the only plate
    place.write_text(json.dumps(document))
    found = raw(f"coco:{place}")
    assert found.classes == ("cell",)
    assert objects(found.parts["train"]) == [[("cell", 4, 9.6, 12, 16)], [("cell", 7.1, 16, 17.6, 27.733)]]
    assert "all objects of plate in train are ignored, so that they are no classes" in found.notices


@pytest.mark.parametrize("form", FORMATS)
def test_labels_alone_for_a_task_without_boxes(tmp_path, form):
    scenes = SCENES if form != "csv" else [scene for scene in SCENES if scene.objects]     # a row must have a label
    part = raw(FORMATS[form](tmp_path, scenes), task="multilabel").parts["train"]
    assert part.boxes is None
    assert [set(names) for names in part.labels] == [{"cell", "plate"}, {"cell"}, set()][:2 + (form != "csv")]


def test_an_image_of_one_class_is_classified(tmp_path):
    scenes = [Scene(f"s{row}", (20, 20), ((name, 2, 2, 8, 8), (name, 10, 10, 18, 18)))
              for row, name in enumerate(["cell", "plate"] * 6)]
    facts = load(Settings(coco(tmp_path, scenes), size=20)).facts
    assert sum(map(sum, facts["counts"].values())) == 12
    with pytest.raises(DataError, match="have no label or several, the first of them the labels 'cell', 'plate'"):
        load(Settings(coco(tmp_path / "more", SCENES), size=20))


def test_groups_are_found_in_paths_and_columns(tmp_path):
    pattern = Group(pattern=r"/?([ab])\d\.png")
    for form in ("coco", "voc", "yolo", "csv"):
        found = raw(FORMATS[form](tmp_path / form), group=pattern)
        assert {split: list(part.groups) for split, part in found.parts.items()} == {
            "train": ["a"] * 3, "validation": ["b"], "test": ["b"]}
    (tmp_path / "t.csv").write_text("file,patient,x,y,w,h,label\n" + "".join(
        f"csv/images/{name}.png,{patient},1,2,3,4,cell\n" for name, patient in (("a1", "p"), ("a2", "q"))))
    assert raw(f"csv:{tmp_path / 't.csv'}", group=Group(column="patient")).parts["train"].groups == ["p", "q"]


# What is done with a data set.

def scenes(*kinds):
    """Return scenes with objects of these names, each at a place of its own."""
    return [Scene(f"s{row:03d}", (40, 40), tuple((name, 2 + 9 * place, 2 + row % 7, 9 + 9 * place, 30)
                                                 for place, name in enumerate(names)))
            for row, names in enumerate(kinds)]


def held(dataset):
    """Return label, edges and whether it counts, of each object of each image, by the name of its scene's height."""
    return {split: sorted((label, *box, share) for labels, boxes, shares in zip(
        part.targets.labels.tolist(), part.targets.boxes.tolist(), part.targets.shares.tolist(), strict=True)
        for label, box, share in zip(labels, boxes, shares, strict=True) if box[2] > box[0])
        for split, part in (("train", dataset.train), ("validation", dataset.validation), ("test", dataset.test))}


def test_splits_are_cut_by_the_rarest_class(tmp_path):
    # 8 images with a plate among 40: stratified, a quarter of them in each split, whatever else they hold
    source = coco(tmp_path, scenes(*[["cell", "cell", "plate"]] * 8, *[["cell"]] * 24, *[[]] * 8))
    facts = load(Settings(source, task="detection", validation=0.25, test=0.25)).facts
    assert facts["counts"] == {"train": [4 * 2 + 13, 4], "validation": [2 * 2 + 5, 2], "test": [2 * 2 + 6, 2]}
    assert facts["split_images"] == {"train": 4 + 13 + 4, "validation": 2 + 5 + 2, "test": 2 + 6 + 2}
    assert any(line.startswith("without a label: 8 images") for line in facts["notices"])


def test_validation_joins_train_with_its_boxes_and_what_is_ignored(tmp_path):
    coco(tmp_path)
    for split in ("train", "val"):
        place = tmp_path / f"annotations/instances_{split}.json"
        document = json.loads(place.read_text())
        document["annotations"][0]["iscrowd"] = int(split == "val")
        place.write_text(json.dumps(document))
    loaded = load(Settings(f"coco:{tmp_path}", **DETECTION), joined=True)
    targets = loaded.dataset.train.targets
    assert targets.shares.tolist() == [[1, 1], [1, 0], [0, 0], [0, 0]]
    assert targets.boxes[3, 0].tolist() == pytest.approx([8, 12, 17.6, 20])
    assert held(loaded.dataset)["test"] == held(loaded.dataset)["validation"]


def test_rare_classes_are_left_out_with_their_boxes(tmp_path):
    source = coco(tmp_path, [*scenes(*[["cell", "plate"]] * 2, *[["cell"]] * 12)])
    kept = load(Settings(source, task="detection"))
    dropped = load(Settings(source, task="detection", rare="drop"))
    assert kept.facts["counts"]["train"][1] == 2 and kept.dataset.classes == ("cell", "plate")
    assert dropped.dataset.classes == ("cell",)
    assert sum(map(sum, dropped.facts["counts"].values())) == 14
    # the plates of the first two began at 11, the cells at 2
    assert {box[1] for boxes in held(dropped.dataset).values() for box in boxes} == {2}


def test_what_is_ignored_goes_with_its_box_when_others_are_left_out():
    part = Part(torch.zeros(3, 1, 4, 4, dtype=torch.uint8), [("a", "b"), ("b",), ()], ["g", "h", "i"],
                [torch.tensor([[0.0, 0, 1, 1], [0, 0, 2, 2]]), torch.ones(1, 4), torch.zeros(0, 4)],
                [(True, False), (False,), ()])
    left = without({"train": part}, ["b"])["train"]
    assert left.labels == [("a",), ()] and left.groups == ["g", "i"] and left.ignored == [[True], []]
    assert [boxes.tolist() for boxes in left.boxes] == [[[0, 0, 1, 1]], []]


def test_copies_in_test_are_taken_out_of_train_with_their_boxes(tmp_path):
    train = scenes(*[["cell"]] * 4, *[["plate"]] * 4)
    test = replace(train[0], name="t", split="test")
    coco(tmp_path, [*train, test, replace(train[1], name="v", split="val")])
    for name, copy in (("s000", "test/t"), ("s001", "val/v")):
        (tmp_path / f"{copy}.png").write_bytes((tmp_path / f"train/{name}.png").read_bytes())
    loaded = load(Settings(f"coco:{tmp_path}", task="detection", duplicates="drop"))
    assert loaded.facts["dropped"] == {"train": 2, "validation": 0}
    assert [box[1:5] for box in held(loaded.dataset)["train"] if box[0] == 0] == [(2, 4, 9, 30), (2, 5, 9, 30)]


def test_groups_are_not_parted_and_keep_their_boxes(tmp_path):
    source = coco(tmp_path, scenes(*[["cell", "plate"]] * 24))
    loaded = load(Settings(source, task="detection", group=Group(pattern=r"s(\d\d)\d")))
    assert loaded.facts["groups"] == 3
    assert {split: len(boxes) // 2 for split, boxes in held(loaded.dataset).items()} == loaded.facts["split_images"]


def test_a_long_tail_of_boxes(tmp_path):
    source = coco(tmp_path, scenes(*[["cell", "cell"]] * 24, *[["plate", "plate"]] * 24))
    facts = load(Settings(source, task="detection", imbalance=4, validation=0.25, test=0.25)).facts
    assert facts["counts"] == {"train": [26, 6], "validation": [10, 10], "test": [12, 12]}     # 26 / 4, of two a piece
    assert facts["imbalance"] == pytest.approx(26 / 6)
    with pytest.raises(DataError, match=r"a long tail is made of images with one label each, or of boxes\."):
        load(Settings(source, task="multilabel", imbalance=4))


def test_what_is_cut_off_by_crop_is_told(tmp_path):
    source = coco(tmp_path, [Scene(f"s{row}", (120, 40), (("cell", 2, 2, 30, 30), ("cell", 50, 2, 70, 30),
                                                          ("plate", 60, 9, 110, 30))) for row in range(8)])
    found = raw(source, size=40, fit="crop")
    assert objects(found.parts["train"])[0] == [("cell", 10, 2, 30, 30), ("plate", 20, 9, 40, 30)]
    assert "data.fit: crop leaves 8 of 24 boxes outside; pad or squash keeps all of them" in found.notices
    assert raw(source, size=40).notices == ()


def test_a_task_of_boxes_refuses_a_source_of_labels_alone():
    with pytest.raises(DataError, match=r"its labels have no boxes, and data.task wants objects to be found"):
        load(Settings("digits", task="detection"))


# Files of COCO.

def test_coco_files_by_name_by_folder_and_by_a_pattern(tmp_path):
    coco(tmp_path)
    whole = {"train": 3, "validation": 1, "test": 1}
    for source, found in ((f"{tmp_path}", whole), (f"{tmp_path}/annotations", whole),
                          (f"{tmp_path}/annotations/instances_{{split}}.json", whole),
                          (f"{tmp_path}/annotations/instances_{{split}}.json:{tmp_path}/{{split}}", whole),
                          (f"{tmp_path}/annotations/instances_train.json:{tmp_path}/train", {"train": 3}),
                          (f"{tmp_path}/annotations/instances_val.json", {"train": 1})):
        parts = raw(f"coco:{source}").parts
        assert {split: len(part.labels) for split, part in parts.items()} == found, source


def test_coco_files_of_captions_and_without_annotations_are_not_used(tmp_path):
    coco(tmp_path)
    document = json.loads((tmp_path / "annotations/instances_val.json").read_text())
    del document["annotations"]
    (tmp_path / "annotations/instances_test.json").write_text(json.dumps(document))
    (tmp_path / "annotations/captions_train.json").write_text("{}")
    found = raw(f"coco:{tmp_path}")
    assert {*found.parts} == {"train", "validation"}
    assert [(bad.path.rpartition("/")[2], bad.reason) for bad in found.skipped] == [
        ("instances_test.json", "it has no annotations")]


def test_coco_as_it_is_exported_beside_its_images(tmp_path):
    for split in ("train", "valid"):
        coco(tmp_path / "x", [Scene("s", (20, 20), (("cell", 1, 2, 9, 8),))])
        (tmp_path / split).mkdir()
        (tmp_path / "x/train/s.png").rename(tmp_path / split / "s.png")
        (tmp_path / "x/annotations/instances_train.json").rename(tmp_path / split / "_annotations.coco.json")
    assert {split: objects(part) for split, part in raw(f"coco:{tmp_path}", size=20).parts.items()} == {
        "train": [[("cell", 1, 2, 9, 8)]], "validation": [[("cell", 1, 2, 9, 8)]]}


def test_classes_are_in_the_order_of_the_categories(tmp_path):
    coco(tmp_path)
    for place in (tmp_path / "annotations").iterdir():
        document = json.loads(place.read_text())
        document["categories"] = [{"id": 9, "name": "zebra"}, *reversed(document["categories"])]
        place.write_text(json.dumps(document))
    assert raw(f"coco:{tmp_path}").classes == ("plate", "cell")     # no object is a zebra


# Folders of VOC.

def test_a_devkit_of_two_years_with_trainval(tmp_path):
    voc(tmp_path / "VOC2007", [SCENES[0], replace(SCENES[1], split="test")])
    voc(tmp_path / "VOC2012", [replace(SCENES[4], split="trainval")])
    found = raw(f"voc:{tmp_path}")
    assert {split: len(part.labels) for split, part in found.parts.items()} == {"train": 2, "test": 1}
    voc(tmp_path / "both/VOC2012", [replace(scene, split="trainval") for scene in SCENES])
    wanted = Splits(train=("trainval",))
    assert len(raw(f"voc:{tmp_path}/both", splits=wanted).parts["train"].labels) == 5
    with pytest.raises(DataError, match=r"data.splits: .*Main has no holdout.txt; it has trainval\."):
        raw(f"voc:{tmp_path}/both", splits=Splits(test=("holdout",)))


def test_voc_that_counts_from_zero_is_told(tmp_path):
    source = voc(tmp_path, SCENES[:1])
    note = tmp_path / "Annotations/a1.xml"
    note.write_text(note.read_text().replace("<xmin>11<", "<xmin>0<"))
    found = raw(source, size=None)
    assert objects(found.parts["train"]) == [[("cell", 0, 5, 30, 20), ("plate", 51, 21, 78, 38)]]
    assert any(line.startswith("coordinates count from 0") for line in found.notices)


def test_voc_says_what_has_no_annotation_and_what_is_in_no_split(tmp_path):
    source = voc(tmp_path)
    (tmp_path / "ImageSets/Main/train.txt").write_text("a1 1\na2 -1\nlost\n")
    save(tmp_path / "JPEGImages/bare.png", SCENES[2].pixels())
    found = raw(source)
    assert len(found.parts["train"].labels) == 2
    assert [(bad.path.rpartition("/")[2], bad.reason) for bad in found.skipped] == [
        ("a3.xml", "1 annotations: in no split"), ("bare.png", "1 images: no annotation"),
        ("lost", "1 names in lists of splits: no annotation")]


# Folders of YOLO.

@pytest.mark.parametrize("names", ["names: {1: plate, 0: cell}", "names:\n  - cell\n  - plate", "names: [cell, plate]"])
def test_yolo_names_are_a_list_or_a_mapping(tmp_path, names):
    source = yolo(tmp_path)
    described = tmp_path / "data.yaml"
    described.write_text(described.read_text().partition("nc:")[0].replace("train/images", "../train/images") + names)
    found = raw(source)
    assert found.classes == ("cell", "plate") and objects(found.parts["validation"]) == [[("plate", 8, 12, 17.6, 20)]]


def test_yolo_folders_with_classes_txt_and_labels_beside_images(tmp_path):
    source = yolo(tmp_path)
    (tmp_path / "data.yaml").unlink()
    (tmp_path / "classes.txt").write_text("cell\nplate\n")
    assert {split: len(part.labels) for split, part in raw(source).parts.items()} == {
        "train": 3, "validation": 1, "test": 1}
    for split in ("train", "val", "test"):
        for place in [*(tmp_path / split / "images").iterdir(), *(tmp_path / split / "labels").iterdir()]:
            place.rename(tmp_path / place.name)
    found = raw(source)
    assert {split: len(part.labels) for split, part in found.parts.items()} == {"train": 5}
    assert found.parts["train"].labels[0] == ("cell", "plate")


def test_yolo_outlines_become_boxes_and_silent_images_background(tmp_path):
    source = yolo(tmp_path, [replace(scene, size=(80, 40), objects=()) for scene in SCENES])
    (tmp_path / "train/labels/a1.txt").write_text("1 0.25 0.5 0.5 0.25 0.75 0.75\n")
    (tmp_path / "train/labels/a2.txt").unlink()
    found = raw(source, size=None, splits=Splits(train=("val",), test=("train",)))
    assert objects(found.parts["test"])[:2] == [[("plate", 20, 10, 60, 30)], []]
    assert [line for line in found.notices if not line.startswith("data.")] == [
        f"1 images without a file of labels count as background, such as {tmp_path}/train/images/a2.png",
        "1 objects are outlines, of which the box around them is taken"]


def test_yolo_lists_of_images(tmp_path):
    source = yolo(tmp_path)
    (tmp_path / "train.txt").write_text("./train/images/a1.png\ntrain/images/a2.png\n")
    described = tmp_path / "data.yaml"
    described.write_text(described.read_text().replace("train: train/images", "train: train.txt"))
    assert len(raw(source).parts["train"].labels) == 2


# Data sets of torchvision.

def test_torchvision_sets_with_boxes_are_read_from_a_folder(tmp_path):
    voc(tmp_path / "v/VOCdevkit/VOC2012")
    assert objects(raw(f"torchvision:VOCDetection:{tmp_path}/v").parts["validation"]) == [[("plate", 8, 12, 17.6, 20)]]
    for scene in SCENES[1::-1]:
        save(tmp_path / f"k/Kitti/raw/training/image_2/{scene.name}.png", scene.pixels())
        place = tmp_path / f"k/Kitti/raw/training/label_2/{scene.name}.txt"
        place.parent.mkdir(exist_ok=True)
        place.write_text("".join(f"{name} 0.00 0 0.1 {left} {top} {right} {bottom} 1 1 1 1 1 1 0.1\n"
                                 for name, left, top, right, bottom in (*scene.objects, ("DontCare", 0, 0, 9, 9))))
    found = raw(f"torchvision:Kitti:{tmp_path}/k")
    assert objects(found.parts["train"]) == [[("cell", 4, 9.6, 12, 16), ("plate", 20, 16, 31.2, 23.2)],
                                             [("cell", 7.1, 16, 17.6, 27.733)]]
    assert "2 regions are called DontCare and are not used" in found.notices
    base = tmp_path / "f/widerface"
    for word, scene in (("train", SCENES[0]), ("val", SCENES[3])):
        save(base / f"WIDER_{word}/images/0/{scene.name}.png", scene.pixels())
        (base / "wider_face_split").mkdir(exist_ok=True)
        rows = [f"{left} {top} {right - left} {bottom - top} 0 0 0 {row} 0 0\n"
                for row, (_, left, top, right, bottom) in enumerate(scene.objects)]
        (base / f"wider_face_split/wider_face_{word}_bbx_gt.txt").write_text(
            f"0/{scene.name}.png\n{len(rows)}\n{''.join(rows)}")
    (base / "WIDER_test").mkdir()
    parts = raw(f"torchvision:WIDERFace:{tmp_path}/f").parts
    assert objects(parts["train"]) == [[("face", 4, 9.6, 12, 16), ("face", 20, 16, 31.2, 23.2)]]
    assert objects(parts["validation"]) == [[("face", 8, 12, 17.6, 20)]]
    assert [list(flags) for flags in parts["train"].ignored] == [[False, True]]


def test_torchvision_sets_with_boxes_that_are_not_there(tmp_path):
    for name, said in (("Kitti", "torchvision:Kitti cannot be read from "), ("WIDERFace", "cannot be read from "),
                       ("VOCDetection", "no XML annotation"), ("CocoDetection", "Write coco:FILE.json, or coco:FILE")):
        with pytest.raises(DataError, match=said):
            raw(f"torchvision:{name}:{tmp_path}")


# Tables.

@pytest.mark.parametrize(("header", "row", "settings"), [
    ("xmin,ymin,xmax,ymax", "10,4,30,20", {}), ("XMin,XMax,YMin,YMax", "10,30,4,20", {}),
    ("x,y,w,h", "10,4,20,16", {}), ("left,top,right,bottom", "10,4,30,20", {}), ("x1,y1,x2,y2", "10,4,30,20", {}),
    ("x_center,y_center,width,height", "20,12,20,16", {}), ("left,top,width,height", "10,4,20,16", {}),
    ("xmin,ymin,xmax,ymax,width,height", "10,4,30,20,80,40", {}),
    ("xmin,ymin,xmax,ymax", "0.125,0.1,0.375,0.5", {}),
    ("a,b,c,d", "4,20,10,30", {"box": Box("c", "a", "d", "b")}),
    ("a,b,c,d", "10,4,20,16", {"box": Box("a", "b", width="c", height="d")}),
    ("a,b,c,d", "20,12,20,16", {"box": Box(x="a", y="b", width="c", height="d")})])
def test_columns_of_boxes(tmp_path, header, row, settings):
    save(tmp_path / "a.png", SCENES[0].pixels())
    (tmp_path / "t.csv").write_text(f"file,{header},label\na.png,{row},cell\n")
    part = raw(f"csv:{tmp_path / 't.csv'}", size=None, table=Table(**settings)).parts["train"]
    assert objects(part) == [[("cell", 10, 4, 30, 20)]]


def test_a_column_of_ignored_objects_and_rows_of_background(tmp_path):
    save(tmp_path / "a.png", SCENES[0].pixels())
    save(tmp_path / "b.png", SCENES[0].pixels())
    (tmp_path / "t.csv").write_text("file,x,y,w,h,label,iscrowd\na.png,1,2,3,4,cell,0\na.png,5,5,9,9,cell,1\n"
                                    "b.png,,,,,,\n")
    part = raw(f"csv:{tmp_path / 't.csv'}").parts["train"]
    assert part.labels == [("cell", "cell"), ()] and [list(one) for one in part.ignored] == [[False, True], []]
    (tmp_path / "t.csv").write_text("file,x,y,w,h,label,blur\na.png,1,2,3,4,cell,0\na.png,5,5,9,9,cell,1\n")
    part = raw(f"csv:{tmp_path / 't.csv'}", table=Table(ignored="blur")).parts["train"]
    assert [list(one) for one in part.ignored] == [[False, True]]


def test_scenes_of_digits_are_brought_to_size_with_their_boxes(monkeypatch):
    monkeypatch.setattr(digit_scenes, "SCENES", {"train": 2, "validation": 1, "test": 5})
    whole = read(Settings("digit_scenes", task="detection")).parts["test"]
    small = read(Settings("digit_scenes", task="detection", size=(48, 192), fit="squash")).parts["test"]
    assert small.images.shape == (5, 1, 48, 192)
    assert torch.equal(small.boxes[3], whole.boxes[3] * torch.tensor([2, 0.5, 2, 0.5]))


def test_other_scenes_with_another_seed(monkeypatch):
    monkeypatch.setattr(digit_scenes, "SCENES", {"train": 2, "validation": 1, "test": 1})
    first, again, other = (read(Settings("digit_scenes", task="detection", seed=seed)).parts["train"]
                           for seed in (2 ** 32 - 1, 2 ** 32 - 1, 1))
    assert torch.equal(first.images, again.images) and not torch.equal(first.images, other.images)
