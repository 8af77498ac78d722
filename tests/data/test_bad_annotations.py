"""Bad annotations: each is mended, set aside with its place and a reason, or refused in one clear line."""
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from autotricks.data import Settings, load
from autotricks.data.settings import Box, Splits, Table
from autotricks.data.sources import read
from autotricks.errors import DataError

from .annotations import Scene, coco, table, voc, yolo
from .pictures import save

SCENES = [Scene(f"s{row:02d}", (40, 20), ((("cell", "plate")[row % 2], 10, 4, 30, 16),)) for row in range(6)]
FIRST = ("cell", 10, 4, 30, 16)


@dataclass(frozen=True)
class Case:
    """What is wrong, and what comes of it: the objects of the first image, with words that are told, or a refusal."""

    change: Any                         # of the document of COCO; of others (old, new) in the first file
    found: Any = None
    told: str = ""
    refused: str = ""
    keys: dict[str, Any] = field(default_factory=dict)


def bbox(*values, **more):
    """Change the first annotation."""
    return lambda document: document["annotations"][0].update({"bbox": list(values)} if values else {}, **more)


def put(key, value, row=0, of="annotations"):
    return lambda document: document[of][row].__setitem__(key, value)


def drop(key, row=0, of="annotations"):
    return lambda document: document[of][row].pop(key)


def add(of, **values):
    return lambda document: document[of].append(values)


COCO = {
    "over the right border": Case(bbox(30, 4, 20, 12), [("cell", 30, 4, 40, 16)],
                                  "cut at the border of their image: 1 box, such as FILE: annotations[0]"),
    "over the left border": Case(bbox(-10, -4, 20, 12), [("cell", 0, 0, 10, 8)], "cut at the border"),
    "a rounded edge over the border": Case(bbox(30, 4, 10.4, 12), [("cell", 30, 4, 40, 16)]),
    "larger than the image": Case(bbox(-5, -5, 500, 500), [("cell", 0, 0, 40, 20)], "cut at the border"),
    "without width": Case(bbox(10, 4, 0, 12), [], "FILE: annotations[0] (1 box: no area)"),
    "a negative width": Case(bbox(10, 4, -5, 12), [],
                             "FILE: annotations[0] (1 box: its right or lower edge lies before the left or upper one)"),
    "outside": Case(bbox(60, 4, 5, 5), [], "FILE: annotations[0] (1 box: outside of its image)"),
    "outside above": Case(bbox(10, -9, 5, 5), [], "(1 box: outside of its image)"),
    "not a number": Case(bbox(float("nan"), 4, 5, 5), [], "FILE: annotations[0] (1 box: an edge is no finite number)"),
    "without end": Case(bbox(1, 4, float("inf"), 5), [], "an edge is no finite number"),
    "three numbers": Case(bbox(1, 4, 5), [], "(1 box: no bbox of four numbers, [x, y, width, height])"),
    "words": Case(bbox("1", 4, 5, 6), [], "(1 box: no bbox of four numbers, [x, y, width, height])"),
    "no box": Case(drop("bbox"), [], "(1 box: no bbox of four numbers, [x, y, width, height])"),
    "written twice": Case(add("annotations", image_id=7, category_id=3, bbox=[10, 4, 20, 12]), [FIRST],
                          "written twice, counted once: 1 box, such as FILE: annotations[6]"),
    "the same place of two classes": Case(add("annotations", image_id=7, category_id=4, bbox=[10, 4, 20, 12]),
                                          [FIRST, ("plate", *FIRST[1:])]),
    "an unknown class": Case(put("category_id", 99), [], "(1 box: of category 99, which categories does not list)"),
    "a class that is a list": Case(put("category_id", [3]), [], "of category [3], which categories does not list"),
    "an unknown image": Case(put("image_id", 99), [], "(1 box: of image 99, which images does not list)"),
    "no image at all": Case(drop("image_id"), [], "of image None, which images does not list"),
    "a crowd": Case(put("iscrowd", 1, 2), [FIRST],
                    "ignored, being crowds or difficult, neither right nor wrong to find: 1 box, such as FILE: "
                    "annotations[2]"),
    "a missing image": Case(put("file_name", "gone.png", 5, "images"), [FIRST], "gone.png (no such file)"),
    "another size than the file": Case(put("width", 41, 5, "images"), [FIRST],
                                       "s05.png (its annotation is of 41 x 20 pixels, the file has 40 x 20)"),
    "no size": Case(drop("width", 0, "images"), [FIRST]),
    "two images of an id": Case(put("id", 8, 0, "images"),
                                refused="FILE: images[1] has the id 8, which another has too. Give each its own."),
    "two images of a name": Case(put("file_name", "s01.png", 0, "images"), refused=(
        "FILE: images[1] is called s01.png, as images[0] is. Make them one.")),
    "an image without a name": Case(drop("file_name", 2, "images"), refused=(
        "FILE: images[2] has no file_name; images must be [{id, file_name}].")),
    "two classes of a name": Case(put("name", "plate", 0, "categories"),
                                  refused="FILE: categories[1] is called plate, as categories[0] is."),
    "a class without a name": Case(put("name", " ", 0, "categories"), refused="categories[0] has no name"),
    "images that are no list": Case(lambda document: document.update(images={}), refused=(
        "FILE: images is not what COCO has; images must be [{id, file_name}].")),
    "an annotation that is no mapping": Case(lambda document: document["annotations"].append(3), refused=(
        "FILE: annotations[6] is not what COCO has; annotations must be [{image_id, category_id, bbox}].")),
    "none of the images is there": Case(lambda document: [image.update(file_name=f"x{image['id']}.png")
                                                          for image in document["images"]], refused=(
        "none of the images that FILE names is there, such as")),
    "no categories": Case(lambda document: document.pop("categories"), refused=(
        "FILE holds images, annotations; COCO's images, annotations, categories are needed.")),
}


def seen(part, row=0):
    return sorted((name, *box.tolist()) for name, box in zip(part.labels[row], part.boxes[row], strict=True))


def told_of(found) -> str:
    return "\n".join([*found.notices, *(f"{one.path} ({one.reason})" for one in (*found.bad, *found.skipped))])


def check(source: str, case: Case, place: Path) -> None:
    settings = Settings(source, task="detection", **{"max_bad": 0.2, **case.keys})
    if case.refused:
        with pytest.raises(DataError) as caught:
            read(settings)
        assert case.refused.replace("FILE", str(place)) in str(caught.value) and "\n" not in str(caught.value)
        assert str(caught.value).startswith("data.")
        return
    found = read(settings)
    assert seen(found.parts["train"]) == sorted(map(tuple, case.found))
    words = case.told.replace("FILE", str(place))
    assert words in told_of(found) if words else not told_of(found)
    if found.skipped and not found.bad:     # what was set aside is refused where no more than a share may be
        with pytest.raises(DataError, match=r"boxes cannot be used, \d+\.\d+% where data.max_bad allows 1.00%: "):
            load(Settings(source, task="detection", **{**case.keys, "max_bad": 0.01}))


@pytest.mark.parametrize("name", COCO)
def test_coco(tmp_path, name):
    case = COCO[name]
    coco(tmp_path, SCENES)
    place = tmp_path / "annotations/instances_train.json"
    document = json.loads(place.read_text())
    case.change(document)
    place.write_text(json.dumps(document))
    check(f"coco:{place}", case, place)


@pytest.mark.parametrize(("content", "said"), [
    ("{", "is no JSON: Expecting property name enclosed in double quotes: line 1 column 2 (char 1). Write it anew."),
    ("[1]", "holds a list; COCO's images, annotations, categories are needed."),
    ("{}", "holds nothing; COCO's images"), ("[" * 100_000, "is no JSON"), ("", "is no JSON"),
    (b"\xff\xfe\x00", "is no JSON"),
    ('{"images": [], "annotations": [], "categories": []}', "has no images to train on")])
def test_json_that_is_no_coco(tmp_path, content, said):
    place = tmp_path / "a.json"
    place.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DataError) as caught:
        read(Settings(f"coco:{place}", task="detection"))
    assert said in str(caught.value) and str(tmp_path) in str(caught.value)


BOX = "<xmin>11</xmin><ymin>5</ymin><xmax>30</xmax><ymax>16</ymax>"
VOC = {
    "a class without a name": Case(("<name>cell</name>", "<name> </name>"), [],
                                   "FILE: object 1 (1 box: no name of a class)"),
    "no bndbox": Case((f"<bndbox>{BOX}</bndbox>", "<polygon/>"), [], "FILE: object 1 (1 box: no bndbox)"),
    "a word": Case(("<xmin>11<", "<xmin>left<"), [],
                   "FILE: object 1 (1 box: xmin, ymin, xmax, ymax are not four numbers)"),
    "a missing edge": Case(("<ymin>5</ymin>", ""), [], "are not four numbers"),
    "not a number": Case(("<xmin>11<", "<xmin>nan<"), [], "are not four numbers"),
    "edges changed": Case(("<xmax>30<", "<xmax>3<"), [], "its right or lower edge lies before the left or upper one"),
    "no area": Case(("<xmax>30<", "<xmax>11<"), [], "FILE: object 1 (1 box: no area)"),
    "over the border": Case(("<xmax>30<", "<xmax>300<"), [("cell", 10, 4, 40, 16)],
                            "cut at the border of their image: 1 box, such as FILE: object 1"),
    "difficult": Case(("<difficult>0<", "<difficult>1<"), [FIRST], "ignored, being crowds or difficult"),
    "another size": Case(("<width>40<", "<width>400<"), [("plate", *FIRST[1:])],
                         "s00.png (its annotation is of 400 x 20 pixels, the file has 40 x 20)"),
    "no size": Case(("<width>40<", "<width>0<"), [FIRST]),
    "parts of objects": Case(("</object>", "<part><name>head</name><bndbox><xmin>1</xmin></bndbox></part></object>"),
                             [FIRST]),
    "cut off": Case(("</annotation>", ""), [("plate", *FIRST[1:])], "FILE (no XML: no element found: line 1"),
    "another root": Case(("<annotation>", "<doc><annotation>", "</annotation>", "</annotation></doc>"),
                         [("plate", *FIRST[1:])], "FILE (<doc> where VOC has <annotation>)"),
    "entities": Case(("<annotation>", '<!DOCTYPE a [<!ENTITY b "c">]><annotation>'), [("plate", *FIRST[1:])],
                     "FILE (it declares entities, which annotations have no use for)"),
}


@pytest.mark.parametrize("name", VOC)
def test_voc(tmp_path, name):
    source = voc(tmp_path, SCENES)
    place = tmp_path / "Annotations/s00.xml"
    text = place.read_text()
    pairs = VOC[name].change
    for old, new in zip(pairs[::2], pairs[1::2], strict=True):
        assert old in text
        text = text.replace(old, new, 1)
    place.write_text(text)
    check(source, VOC[name], place)


def test_voc_without_an_image_and_in_two_splits(tmp_path):
    source = voc(tmp_path, SCENES)
    (tmp_path / "JPEGImages/s03.png").unlink()
    found = read(Settings(source, task="detection", max_bad=0.2))
    assert told_of(found) == f"{tmp_path}/Annotations/s03.xml (its image, s03.png, is not there)"
    (tmp_path / "ImageSets/Main/val.txt").write_text("s00\n")
    with pytest.raises(DataError, match=r"ImageSets/Main: s00 is in train and in validation\. Take it out of one"):
        read(Settings(source, task="detection"))
    with pytest.raises(DataError, match="holds no XML annotation with an image"):
        read(Settings(f"voc:{tmp_path}/JPEGImages", task="detection"))
    with pytest.raises(DataError, match="is a file; voc needs the folder that holds Annotations and JPEGImages"):
        read(Settings(f"voc:{tmp_path}/Annotations/s00.xml", task="detection"))


LINE = "0 0.5 0.5 0.5 0.6"
YOLO = {
    "four words": Case("0 0.5 0.5 0.5", [], "FILE:1 (1 box: 4 words where class, x, y, width and height are needed)"),
    "six words": Case(f"{LINE} 0.9", [], "FILE:1 (1 box: 6 words where class, x, y, width and height are needed)"),
    "a word that is no number": Case("0 0.5 x 0.5 0.6", [], "FILE:1 (1 box: a word is no finite number)"),
    "not a number": Case("0 0.5 nan 0.5 0.6", [], "a word is no finite number"),
    "pixels": Case("0 20 10 20 12", [], "FILE:1 (1 box: a number above 1: centers, widths and heights are shares of "
                                        "the image's sides)"),
    "an unknown class": Case("7 0.5 0.5 0.5 0.6", [], "FILE:1 (1 box: of class 7, which names does not have)"),
    "a class by its name": Case("cell 0.5 0.5 0.5 0.6", [], "of class cell, which names does not have"),
    "half a class": Case("0.5 0.5 0.5 0.5 0.6", [], "of class 0.5, which names does not have"),
    "no area": Case("0 0.5 0.5 0 0.6", [], "FILE:1 (1 box: no area)"),
    "a negative width": Case("0 0.5 0.5 -0.5 0.6", [], "its right or lower edge lies before the left or upper one"),
    "over the border": Case("0 0.9 0.5 0.5 0.5", [("cell", 26, 5, 40, 15)], "cut at the border"),
    "written twice": Case(f"{LINE}\n\n{LINE}", [FIRST], "written twice, counted once: 1 box, such as FILE:3"),
    "not text": Case("\0\0\0 \1", [], "FILE:1 (1 box: 2 words where class"),
}


@pytest.mark.parametrize("name", YOLO)
def test_yolo(tmp_path, name):
    source = yolo(tmp_path, SCENES)
    place = tmp_path / "train/labels/s00.txt"
    place.write_text(YOLO[name].change)
    check(source, YOLO[name], place)


@pytest.mark.parametrize(("text", "said"), [
    ("train: train/images\nnames: [cell, cell]", "must name each class once, a line each"),
    ("train: train/images\nnames: {0: cell, 1: cell}", "names has 'cell' twice. Give each class its own."),
    ("train: train/images\nnames: {a: cell}", "names must be a list of classes, or a mapping of their numbers."),
    ("train: train/images\nnames: []", "names must be a list of classes"),
    ("train: train/images\nnc: 3\nnames: [cell, plate]", "nc is 3, and names has 2. Mend one of them."),
    ("train: elsewhere/images\nnames: [cell, plate]", "train: ROOT/elsewhere/images: no such folder, nor a .txt with a "
                                                      "path a line."),
    ("val: train/images\nnames: [cell, plate]", "has no train images. Name their folder: train: images/train."),
    ("train: train/images\nval: train/images\nnames: [cell, plate]", "s00.png is in train and in validation. Take it "
                                                                     "out of one."),
    ("names: [cell, plate]", "has names; names, train and val are needed."),
    ("- a", "has no mapping; names, train and val are needed."),
    ("train: [", "data.yaml:2:1  not valid YAML: did not find"),
    ("train: empty\nnames: [cell, plate]", "has no train images")])
def test_data_yaml(tmp_path, text, said):
    source = yolo(tmp_path, SCENES)
    (tmp_path / "empty").mkdir()
    (tmp_path / "data.yaml").write_text(text)
    with pytest.raises(DataError) as caught:
        read(Settings(source, task="detection"))
    assert said.replace("ROOT", str(tmp_path)) in str(caught.value) and str(tmp_path / "data.yaml") in str(caught.value)


def test_yolo_without_labels_images_or_names(tmp_path):
    source = yolo(tmp_path, SCENES)
    (tmp_path / "train/labels/extra.txt").write_text(LINE)
    found = read(Settings(source, task="detection", max_bad=0.2))
    assert told_of(found) == f"{tmp_path}/train/labels/extra.txt (no image of its name)"
    for place in (tmp_path / "train/labels").iterdir():
        place.unlink()
    with pytest.raises(DataError, match=r"none of 6 images has labels, such as .*s00.png in .*labels/s00.txt\. An "):
        read(Settings(source, task="detection"))
    (tmp_path / "data.yaml").unlink()
    with pytest.raises(DataError, match=r"needs data\.yaml or classes\.txt and has neither"):
        read(Settings(source, task="detection"))
    for name in ("a.yaml", "b.yaml"):
        (tmp_path / name).write_text("names: [cell]")
    with pytest.raises(DataError, match=r"and has several, a.yaml, b.yaml\. Name the file: yolo:FILE"):
        read(Settings(source, task="detection"))


TABLE = {
    "a word": Case(("10,4,30,16,cell", "10,x,30,16,cell"), [], "FILE:2 (1 box: no box of four numbers)"),
    "an edge is missing": Case(("10,4,30,16,cell", "10,4,,16,cell"), [], "FILE:2 (1 box: no box of four numbers)"),
    "no box": Case(("10,4,30,16,cell", ",,,,cell"), [], "FILE:2 (1 box: no box of four numbers)"),
    "no label": Case(("10,4,30,16,cell", "10,4,30,16,"), [], "FILE:2 (1 box: no label)"),
    "edges changed": Case(("10,4,30,16,cell", "30,4,10,16,cell"), [], "its right or lower edge lies before the left"),
    "no area": Case(("10,4,30,16,cell", "10,4,10,16,cell"), [], "FILE:2 (1 box: no area)"),
    "outside": Case(("10,4,30,16,cell", "110,4,130,16,cell"), [], "FILE:2 (1 box: outside of its image)"),
    "over the border": Case(("10,4,30,16,cell", "10,4,130,16,cell"), [("cell", 10, 4, 40, 16)], "cut at the border"),
    "a missing image": Case(("s05.png", "s99.png"), [FIRST], "s99.png (no such file)"),
    "no columns of boxes": Case(("xmin,ymin", "a,b"), refused=(
        "data.box: which columns of FILE are the edges of boxes is not clear: its columns are file, a, b, xmax, ymax, "
        "label, split. Name them: data.box: {left: A, top: B, right: C, bottom: D}, or width and height instead of ")),
    "a column that is not there": Case(("split", "split"), refused="data.box.left: FILE has no column a; its columns",
                                       keys={"table": Table(box=Box("a", "ymin", "xmax", "ymax"))}),
}


@pytest.mark.parametrize("name", TABLE)
def test_table(tmp_path, name):
    source = table(tmp_path, SCENES)
    place = tmp_path / "boxes.csv"
    old, new = TABLE[name].change
    assert old in place.read_text()
    place.write_text(place.read_text().replace(old, new, 1))
    case = TABLE[name]
    keys = {**case.keys}
    check(source, Case(case.change, case.found, case.told, case.refused, keys), place)


@pytest.mark.parametrize(("box", "said"), [
    (Box("a", "b"), "data.box: left, top is not allowed; box must name the columns of left, top, right, bottom, or of"),
    (Box("a", "b", "c", width="d"), "data.box: left, top, right, width is not allowed"),
    (Box(), "data.box: nothing is not allowed"), (Box("", "b", "c", "d"), "data.box: a name is empty")])
def test_columns_of_a_box_are_four_that_go_together(box, said):
    with pytest.raises(DataError) as caught:
        Settings("csv:x.csv", table=Table(box=box))
    assert str(caught.value).startswith(said)


@pytest.mark.parametrize("source", ["coco:no.json", "coco:no.json:images", "voc:nowhere", "yolo:nowhere",
                                    "coco:x_{split}.json"])
def test_what_is_not_there_is_named(tmp_path, source, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=r"data\.source: .*no such file"):
        read(Settings(source, task="detection"))


@pytest.mark.parametrize("key", [{"table": Table(path="a")}, {"classes": "leaf"}])
def test_keys_of_other_sources_are_refused(key):
    with pytest.raises(DataError, match="Leave it out"):
        Settings("coco:a.json", **key)


def test_splits_that_bring_no_training_images(tmp_path):
    coco(tmp_path, SCENES)
    with pytest.raises(DataError, match=r"data.splits: no name says x, such as annotations/instances_train.json\. N"):
        read(Settings(f"coco:{tmp_path}", task="detection", splits=Splits(train=("x",))))
    with pytest.raises(DataError, match=r"has no images to train on: none of instances_train.json is called train and "
                                        r"has annotations\. data.splits says which is what\."):
        read(Settings(f"coco:{tmp_path}", task="detection", splits=Splits(train=("x",), test=("train",))))


def test_more_boxes_than_may_be_bad_are_refused_with_the_first(tmp_path):
    coco(tmp_path, SCENES)
    place = tmp_path / "annotations/instances_train.json"
    document = json.loads(place.read_text())
    for annotation in document["annotations"][1:]:
        annotation["bbox"][2] = 0
    place.write_text(json.dumps(document))
    with pytest.raises(DataError) as caught:
        read(Settings(f"coco:{place}", task="detection", max_bad=0.5))
    assert str(caught.value) == (
        f"data.source: 5 of 6 boxes cannot be used, 83.33% where data.max_bad allows 50.00%: {place}: annotations[1], "
        f"{place}: annotations[2], {place}: annotations[3] (no area); and 2 more. Mend or remove them, or raise "
        "data.max_bad.")


def test_images_that_cannot_be_read_count_as_files(tmp_path):
    coco(tmp_path, SCENES)
    (tmp_path / "train/s01.png").write_bytes(b"no image")
    save(tmp_path / "train/s02.png", SCENES[2].pixels())
    with pytest.raises(DataError, match=r"1 of 6 files cannot be read, 16.67%.*s01.png \(not a JPEG"):
        read(Settings(f"coco:{tmp_path}", task="detection"))
    found = read(Settings(f"coco:{tmp_path}", task="detection", max_bad=0.2))
    assert len(found.parts["train"].labels) == 5 and "s01.png (not a JPEG" in told_of(found)
