"""Folders and tables as people have them: each is understood as it is meant, with what is told, or refused in a line.

A layout is spelled as paths: `{a,b}` is each of several, `*3` so many images of 4 x 4 pixels.
"""
import itertools
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from autotricks.data import Settings, load, survey, understood as told
from autotricks.data.settings import Splits, Table
from autotricks.errors import DataError

from .pictures import noise, save

SEEDS = itertools.count()


@dataclass(frozen=True)
class Layout:
    """Files, and what must be understood: images of each class by split and words of the notices, or of a refusal."""

    files: str
    found: str = ""
    said: tuple[str, ...] = ()
    refused: str = ""
    table: str = ""
    encoding: str = "utf-8"
    keys: dict[str, Any] = field(default_factory=dict)


def spelled(pattern: str) -> list[str]:
    """Return the paths of a pattern."""
    match = re.search(r"\{([^}]*)\}", pattern)
    if match:
        return [path for word in match[1].split(",")
                for path in spelled(pattern[:match.start()] + word + pattern[match.end():])]
    stem, star, count = pattern.partition("*")
    return [f"{stem}{number}.png" for number in range(int(count))] if star else [pattern]


def write(root: Path, layout: Layout) -> None:
    for path in itertools.chain.from_iterable(map(spelled, layout.files.split())):
        place = root / path
        if path.endswith("/"):
            place.mkdir(parents=True)
        elif place.suffix in (".png", ".jpg", ".bmp"):
            save(place, noise(next(SEEDS), 4, 4, 3))
        else:
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text("no image")
    if layout.table:
        (root / "t.csv").write_bytes(layout.table.encode(layout.encoding))


def counted(found: str) -> dict[str, dict[str, int]]:
    """Read `train: cat 3, dog 2; test: cat 1`."""
    return {split: {name: int(count) for name, count in (words.rsplit(" ", 1) for words in classes.split(", "))}
            for split, classes in (part.split(": ") for part in found.split("; "))}


DEEP = "the folders lie deeper"
FOLDERS = {
    "classes": Layout("{cat,dog}/*4", "train: cat 4, dog 4"),
    "train and test": Layout("train/{cat,dog}/*4 test/{cat,dog}/*2", "train: cat 4, dog 4; test: cat 2, dog 2",
                             ("test from folder test",)),
    "three splits": Layout("train/{a,b}/*3 val/{a,b}/*1 test/{a,b}/*2",
                           "train: a 3, b 3; validation: a 1, b 1; test: a 2, b 2"),
    "Training and Testing": Layout("Training/{glioma,pituitary}/*4 Testing/{glioma,pituitary}/*2",
                                   "train: glioma 4, pituitary 4; test: glioma 2, pituitary 2",
                                   ("train from folder Training", "test from folder Testing")),
    "dev": Layout("train/{a,b}/*4 dev/{a,b}/*2", "train: a 4, b 4; validation: a 2, b 2",
                  ("validation from folder dev",)),
    "a part of the name": Layout("seg_train/{sea,street}/*4 seg_test/{sea,street}/*2",
                                 "train: sea 4, street 4; test: sea 2, street 2", ("test from folder seg_test",)),
    "a folder in itself": Layout("seg_train/seg_train/{a,b}/*4 seg_test/seg_test/{a,b}/*2",
                                 "train: a 4, b 4; test: a 2, b 2", ("train from folder seg_train/seg_train",)),
    "a split that is called otherwise": Layout(
        "train/{a,b}/*4 test/{a,b}/*2 holdout/{a,b}/*2", refused=(
            "holdout holds the same folders as train does. Say which split it is: data.splits: {train: train, test: "
            "test, validation: holdout}; or leave it out: data.splits: {train: train, test: test}.")),
    "a fourth split": Layout(
        "train/{a,b}/*4 test/{a,b}/*2 val/{a,b}/*2 more/{a,b}/*2", refused=(
            "more holds the same folders as train does. Leave it out: data.splits: {train: train, validation: val, "
            "test: test}.")),
    "it is named": Layout("train/{a,b}/*4 test/{a,b}/*2 holdout/{a,b}/*3", "train: a 4, b 4; validation: a 3, b 3; "
                          "test: a 2, b 2", keys={"splits": Splits(("train",), ("holdout",), ("test",))}),
    "it is left out": Layout("train/{a,b}/*4 test/{a,b}/*2 holdout/{a,b}/*3", "train: a 4, b 4; test: a 2, b 2",
                             ("not used: ROOT/holdout",), keys={"splits": Splits(("train",), test=("test",))}),
    "folds": Layout("fold{1,2,3}/{a,b}/*2", refused="but the same folders, a, b. If fold1, fold2, fold3 are"),
    "a fold is held out": Layout("fold{1,2,3}/{a,b}/*2", "train: a 4, b 4; test: a 2, b 2",
                                 ("train from folder fold1, fold2", "test from folder fold3"),
                                 keys={"splits": Splits(test=("fold3",))}),
    "a split that is not there": Layout("{x,y}/{a,b}/*2", refused="data.splits: ROOT has no folder z; its folders are",
                                        keys={"splits": Splits(test=("z",))}),
    "two of one split": Layout("train/{a,b}/*3 val/{a,b}/*1 valid/{a,b}/*1", refused="are both the validation split"),
    "no train": Layout("test/{a,b}/*3", refused="has test but no train folder"),
    "splits below classes": Layout("{cat,dog}/{train,test}/*3", "train: cat 3, dog 3; test: cat 3, dog 3",
                                   ("train from folders train in the classes",)),
    "classes that are called as splits": Layout("train/*4 bus/*4", "train: bus 4, train 4"),
    "day and night": Layout("{cat,dog}/{day,night}/*3", refused="the same folders, day, night. If cat, dog are splits"),
    "day and night in train": Layout("train/{cat,dog}/{day,night}/*3", refused=(
        "the same folders, day, night. If cat, dog are classes, set data.classes: first; if day, night are, leaf.")),
    "two kinds of images": Layout("{color,gray}/{apple,corn}/*2", refused="color, gray hold no images but the same"),
    "a set within a set": Layout("{train,test}/{a,b}/*4 brains/{train,test}/{a,b}/*4",
                                 "train: a 4, b 4; test: a 4, b 4",
                                 ("not used: ROOT/brains (lies in no folder of a class)",)),
    "annotations without a suffix": Layout("Images/{a,b}/*3 Annotation/{a,b}/{x,y}", refused="folder:ROOT/Images?"),
    "classes above": Layout("{cat,dog}/{day,night}/*3", "train: cat 6, dog 6", keys={"classes": "first"}),
    "classes below": Layout("{site1,site2}/{ill,well}/*3", "train: ill 6, well 6",
                            ("of the same name in several places are one class: ill, well",), keys={"classes": "leaf"}),
    "a taxonomy": Layout("animal/{cat,dog}/*3 vehicle/{car,bus}/*3",
                         refused="hold no images but folders, such as animal/cat. Set data.classes: first"),
    "its leaves": Layout("animal/{cat,dog}/*3 vehicle/{car,bus}/*4", "train: bus 4, car 4, cat 3, dog 3",
                         keys={"classes": "leaf"}),
    "leaves in splits": Layout("train/animal/{cat,dog}/*3 test/animal/{cat,dog}/*1",
                               "train: cat 3, dog 3; test: cat 1, dog 1", keys={"classes": "leaf"}),
    "one class lies deeper": Layout("cat/*4 dog/{pug,poodle}/*2", "train: cat 4, dog 4",
                                    ("1 of 2 class folders in ROOT hold folders, such as dog/",)),
    "images in each class": Layout("train/{n01,n02}/images/*4", "train: n01 4, n02 4",
                                   ("2 of 2 class folders in ROOT/train hold folders, such as n01/images",)),
    "masks beside images": Layout("{ill,well}/{images,masks}/*4", "train: ill 4, well 4",
                                  ("not used: ROOT/**/masks/* (8 files: masks of images)",)),
    "masks among images": Layout("{ill,well}/case*4 {ill,well}/case{0,1}_mask.png",
                                 "train: ill 4, well 4",
                                 ("not used: ROOT/**/*_mask.png (4 files: masks of images)",)),
    "images and masks are no classes": Layout("images/*4 masks/*4", refused="holds images, masks, which are no"),
    "classes in images, beside masks": Layout("images/{a,b}/*4 masks/{a,b}/*4",
                                              refused="Did you mean image_folder:ROOT/images?"),
    "a class of people with masks": Layout("mask/*4 no_mask/*4", "train: mask 4, no_mask 4"),
    "one level too high": Layout("archive/{a,b,c}/*3", refused="Did you mean image_folder:ROOT/archive?"),
    "two levels too high": Layout("archive/data/{train,test}/{a,b}/*3", refused="image_folder:ROOT/archive/data?"),
    "one class": Layout("cat/*4", refused="every training image is of class 'cat'; at least 2"),
    "no folders": Layout("*4", refused="holds no folder for a class; CLASS/*.jpg is needed"),
    "no folders, a table": Layout("*4 labels.csv", refused="Are the labels in csv:ROOT/labels.csv?"),
    "a test without labels": Layout("train/{a,b}/*4 test/*4", refused="Without test, test is split off from train"),
    "notes beside images": Layout("{a,b}/*4 {a,b}/{0,1}.xml a/0.npy labels.json", "train: a 4, b 4",
                                  ("ROOT/**/*.npy (1 files: no images); ROOT/**/*.xml (4 files: no images)",)),
    "yolo": Layout("images/{train,val}/*3 labels/{train,val}/{0,1}.txt", refused="image_folder:ROOT/images?"),
    "searched from within": Layout(
        "{a,b}/*4 runs/mlflow.db runs/b-1/{champion.safetensors,trials.jsonl} runs/artifacts/m/{MLmodel,conda.yaml} "
        "champion/{champion.yaml,champion.safetensors,MODEL_CARD.md} trained/{model.onnx,model.pt2}", "train: a 4, b 4",
        ("no image lies in champion, runs, trained of ROOT, which are no classes therefore",)),
    "an empty class": Layout("{a,b}/*4 c/", "train: a 4, b 4", ("no image lies in c of ROOT, which are no",)),
    "a class that test lacks": Layout("train/{a,b}/*4 test/a/*2", "train: a 4, b 4; test: a 2, b 0",
                                      ("test has no image of b; figures on test are over the other classes",)),
    "a class that train lacks": Layout("train/{a,b}/*4 test/{a,c}/*2", refused="test has 'c', which train has not"),
    "a rare class": Layout("{a,b}/*9 c/*2", "train: a 9, b 9, c 2", (
        "too few images to be split, all of them in train: c; data.rare: drop",)),
    "a rare class is dropped": Layout("{a,b}/*9 c/*2", "train: a 9, b 9, c 2", ("left out, with too few images",),
                                      keys={"rare": "drop"}),
    "clutter": Layout("{a,b}/*4 __MACOSX/a/*2 .git/x*1 a/.DS_Store", "train: a 4, b 4")}



def rows(line: str, first: str = "") -> str:
    """Return a table of six rows: `N` is their number, `LABEL` cat or dog, `PART` what is 0 of four rows, else 1."""
    return first + "".join(line.replace("N", str(number)).replace("LABEL", ("cat", "dog")[number % 2]).replace(
        "PART", str(number // 4)) + "\n" for number in range(6))


def listed(column: str, *labels: str) -> str:
    """Return a table with a row for each label."""
    return f"path,{column}\n" + "".join(f"{number}.png,{label}\n" for number, label in enumerate(labels))


PLAIN = rows("N.png,LABEL", "path,label\n")
IDS = rows("N,LABEL", "image_id,dx\n")
ALL = "train: cat 3, dog 3"
TEST = "train: cat 2, dog 2; test: cat 1, dog 1"
TABLES = {
    "path and label": Layout("*6", ALL, table=PLAIN),
    "other names": Layout("*6", ALL, ("column filename names the image files", "column species holds the label"),
                          table=rows("N.png,LABEL", "filename,species\n")),
    "names that are told": Layout("*6", ALL, ("columns that are not used: a",), table=rows("N,N.png,LABEL", "a,b,c\n"),
                                  keys={"table": Table(path="B", label=("c",))}),
    "a name that is not there": Layout("*6", refused="ROOT/t.csv has no column dx; its columns are path, label.",
                                       table=PLAIN, keys={"table": Table(label=("dx",))}),
    "several could be the label": Layout("*6", refused="holds the label is not clear: class, breed could. Name",
                                         table=rows("N.png,LABEL,x", "path,class,breed\n")),
    "a column twice": Layout("*6", refused="has 2 columns called 'label'. Give each its own name",
                             table=rows("N.png,LABEL,x", "path,label,label\n")),
    "semicolons": Layout("*6", ALL, ("has ; between its cells",), table=rows("N.png;LABEL;0,5", "path;label;share\n")),
    "tabs": Layout("*6", ALL, ("has tab between its cells",), table=rows("N.png\tLABEL", "path\tlabel\n")),
    "a delimiter that is told": Layout("*6", ALL, table=rows("N.png^LABEL", "path^label\n"),
                                       keys={"table": Table(delimiter="^")}),
    "UTF-16": Layout("*6", "train: cät 3, dog 3", table=PLAIN.replace("cat", "cät"), encoding="utf-16"),
    "UTF-16 without a mark": Layout("*6", "train: cät 3, dog 3", table=PLAIN.replace("cat", "cät"),
                                    encoding="utf-16-be"),
    "cp1252": Layout("*6", "train: cät 3, dog 3", ("is not in UTF-8; it was read as cp1252",),
                     table=PLAIN.replace("cat", "cät"), encoding="cp1252"),
    "an encoding that is told": Layout("*6", "train: cжt 3, dog 3", table=PLAIN.replace("cat", "cжt"),
                                       encoding="koi8-r", keys={"table": Table(encoding="koi8-r")}),
    "no header": Layout("*6", ALL, ("has no line that names its columns; they are numbered 1 to 2",
                                    "column 1 names the image files"), table=rows("N.png,LABEL")),
    "no header, a space": Layout("*6", ALL, ("has space between its cells",), table=rows("N.png LABEL")),
    "no header, numbers are told": Layout("*6", ALL, ("columns that are not used: 2",), table=rows("N.png,x,LABEL"),
                                          keys={"table": Table(path="1", label=("3",))}),
    "backslashes": Layout("img/*6", ALL, ("paths with backslashes are read as with slashes",),
                          table=rows(r"img\N.png,LABEL", "path,label\n")),
    "ids": Layout("*6", ALL, ("the files were found with .png",), table=IDS),
    "ids in a folder": Layout("images/*6", ALL, ("the files were found in images with .png",), table=IDS),
    "ids in two folders": Layout("part_1/{0,1,2}.png part_2/{3,4,5}.png", ALL,
                                 ("the files were found in part_1, part_2 with .png",), table=IDS),
    "ids of images and of masks": Layout("images/*6 masks/*6", table=IDS,
                                         refused="could lie in ROOT/images or ROOT/masks. Set data.folder"),
    "folder and suffix are told": Layout("images/*6 masks/*6", ALL, table=IDS,
                                         keys={"table": Table(folder=("images",), suffix=".png")}),
    "files that are nowhere": Layout("x*2", table=PLAIN, refused="none of the files that ROOT/t.csv names is there, "
                                                                 "such as ROOT/0.png. Set data.folder and data.suffix"),
    "a column of splits": Layout("*6", TEST, ("column subset says the split of each image",
                                              "test from column subset (testing)"),
                                 table=rows("N.png,LABEL,PART", "path,label,subset\n").replace(
                                     ",0", ",training").replace(",1\n", ",testing\n")),
    "words of splits that are told": Layout(
        "*6", TEST, ("test from column is_test (1)",), table=rows("N.png,LABEL,PART", "path,label,is_test\n"),
        keys={"table": Table(split="is_test"), "splits": Splits(train=("0",), test=("1",))}),
    "folds are named": Layout("*6", ALL, ("not used: fold; data.fold: K holds the images of fold K out as test",),
                              table=rows("N.png,LABEL,PART", "path,label,fold\n")),
    "a fold is test": Layout("*6", TEST, ("test from column fold (1.0)",),
                             table=rows("N.png,LABEL,PART.0", "path,label,fold\n"), keys={"table": Table(fold="1")}),
    "a fold that is not there": Layout("*6", refused="the column fold of ROOT/t.csv holds no 7; it holds 0, 1.",
                                       table=rows("N.png,LABEL,PART", "path,label,fold\n"),
                                       keys={"table": Table(fold="7")}),
    "a word that is not there": Layout("*6", refused="data.splits: the column part of ROOT/t.csv holds no dev; it",
                                       table=rows("N.png,LABEL,PART", "path,label,part\n"), keys={
                                           "table": Table(split="part"), "splits": Splits(("0",), ("dev",), ("1",))}),
    "a row for each label": Layout("*6", "train: cat 6, dog 3", ("3 files stand in several rows, such as 1.png",),
                                   table=PLAIN + "1.png,cat\n3.png,cat\n5.png,cat\n", keys={"task": "multilabel"}),
    "a file in several rows": Layout("*6", "train: cat 4, dog 3", ("1 files stand in several rows, such as 0.png",),
                                     table=PLAIN + "0.png,cat\n"),
    "a split that is no word": Layout("*6", refused="t.csv:6: split 'tset' is not allowed",
                                      table=rows("N.png,LABEL,PART", "path,label,split\n").replace(
                                          ",0", ",train").replace("cat,1", "cat,tset").replace(",1\n", ",test\n")),
    "one-hot": Layout("*6", "train: MEL 3, nv 3", ("a class for each column of 0 and 1: MEL, nv",),
                      table=rows("N,LABEL", "image,MEL,nv\n").replace("cat", "1.0,0.0").replace("dog", "0.0,1.0")),
    "a column without a 1": Layout("*6", "train: MEL 3, nv 3", ("no row has a 1 in unk, which are no classes",),
                                   table=rows("N,LABEL,0", "image,MEL,nv,unk\n").replace("cat", "1,0").replace(
                                       "dog", "0,1")),
    "one-hot columns are told": Layout("*6", "train: MEL 3, nv 3", ("columns that are not used: old",),
                                       table=rows("N,LABEL,PART", "image,MEL,nv,old\n").replace("cat", "1,0").replace(
                                           "dog", "0,1"), keys={"table": Table(label=("MEL", "nv"))}),
    "columns of 0 and 1": Layout("*6", refused="2 hold 0 and 1 alone: MEL, nv. data.label: one-hot takes",
                                 table=rows("N,LABEL", "image,MEL,nv\n").replace("cat", "1,1").replace("dog", "0,0")),
    "several ones and none": Layout("*6", "train: MEL 3, nv 3", table=rows("N,LABEL", "image,MEL,nv\n").replace(
        "cat", "1,1").replace("dog", "0,0"), keys={"table": Table(label=("one-hot",)), "task": "multilabel"}),
    "several labels in a cell, and none": Layout(
        "*6", "train: cat 3, dog 5", table=rows("N.png,LABEL", "path,labels\n").replace("cat", "dog | cat").replace(
            "1.png,dog", "1.png,"), keys={"table": Table(separator="|"), "task": "multilabel"}),
    "several labels in a cell are found out": Layout(
        "*13", "train: cat 8, dog 6, emu 5", ("cells of column tags hold several labels with ; between them, such as "
                                              "cat ; dog; data.separator: none takes each cell for one",
                                              "without a label: 1 images"),
        table=listed("tags", *["cat ; dog", "cat;emu", "dog;emu"] * 2, *["cat"] * 4, "dog ;emu", "dog", ""),
        keys={"task": "multilabel"}),
    "several labels in a cell, where one is needed": Layout(
        "*4", refused="cells of column label of ROOT/t.csv look like several labels with | between them, such as "
                      "cat|dog. Set data.task to multilabel, or, where each cell is one label, data.separator to none",
        table=listed("label", "cat|dog", "cat", "", "dog")),
    "cells that are one label, as is told": Layout(
        "*9", "train: cat 3, cat|dog 3, dog 3", table=listed("label", *["cat", "cat|dog", "dog"] * 3),
        keys={"table": Table(separator="none")}),
    "names with a mark that share nothing": Layout(
        "*6", "train: big|cat 3, small|dog 3", table=listed("label", *["big|cat", "small|dog"] * 3)),
    "several labels, where one is needed": Layout("*6", refused="3 images have no label or several",
                                                  table=PLAIN.replace("cat", "cat|dog"),
                                                  keys={"table": Table(separator="|")}),
    "no label": Layout("*8", ALL, ("left out, bad: ROOT/t.csv:8 (no label); ROOT/t.csv:9 (no label)",),
                       table=PLAIN + "6.png,nan\n7.png,\n", keys={"max_bad": 0.4}),
    "no path": Layout("*6", refused="1 of 7 files cannot be read, 14.29% where data.max_bad allows 1.00%: ROOT/t.csv",
                      table=PLAIN + "NaN,cat\n"),
    "more cells than columns": Layout("*6", refused="ROOT/t.csv:8 (3 cells where there are 2 columns)",
                                      table=PLAIN + "0.png,cat, striped\n"),
    "keys of tables with folders": Layout("{a,b}/*3", refused="data.label: image_folder:ROOT is no table. Leave it out",
                                          keys={"table": Table(label=("dx",))}),
    "keys of folders with tables": Layout("*6", refused="data.classes: csv:ROOT/t.csv has no folders. Leave it out",
                                          table=PLAIN, keys={"classes": "leaf"})}


def understood(root: Path, layout: Layout) -> tuple[dict[str, Any], str]:
    """Return what is found, and told; by a search as by `data check`, a refusal in the same line."""
    write(root, layout)
    settings = Settings(f"csv:{root}/t.csv" if layout.table else f"image_folder:{root}", **layout.keys)
    found = survey(settings)
    if found["problems"]:
        with pytest.raises(DataError) as refusal:
            load(settings)
        assert list(refusal.value.problems) == found["problems"]
        raise DataError(found["problems"])
    loaded = load(settings).facts
    assert loaded["notices"] == found["notices"] and loaded["skipped"] == found["skipped"]
    assert loaded["bad"] == found["bad"] and loaded["origin"].items() >= found["origin"].items()
    return found, "\n".join(told(found)).replace(str(root), "ROOT")


@pytest.mark.parametrize("name", [*FOLDERS, *TABLES])
def test_understood_or_refused(tmp_path, name):
    layout = (FOLDERS | TABLES)[name]
    if layout.refused:
        with pytest.raises(DataError) as refusal:
            understood(tmp_path, layout)
        assert len(refusal.value.problems) == 1
        assert layout.refused in str(refusal.value).replace(str(tmp_path), "ROOT")
        return
    found, lines = understood(tmp_path, layout)
    assert {split: dict(zip(found["classes"], counts)) for split, counts in found["counts"].items()} == counted(
        layout.found)
    for words in layout.said:
        assert words in lines


def test_nothing_is_told_where_nothing_was_left_open(tmp_path):
    for name, layout in {"a": FOLDERS["classes"], "b": FOLDERS["three splits"], "c": TABLES["path and label"]}.items():
        (tmp_path / name).mkdir()
        assert understood(tmp_path / name, layout)[0]["notices"] == []
