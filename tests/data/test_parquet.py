"""parquet: images as bytes, as Hugging Face stores them, and as paths; read from the cache as they are."""
import json
import os

import pyarrow
import pytest
import torch
from pyarrow import parquet

from autotricks.data import Group, Settings, Splits, Table, foretold, load, survey
from autotricks.data.sources import read
from autotricks.errors import DataError
from autotricks.io.array_cache import FOLDER

from .pictures import encoded, names, noise, save


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv(FOLDER, str(tmp_path / "cache"))
    return tmp_path / "cache" / "images"


def images(rows):
    return [encoded(noise(row, 5, 5, 3)) for row in rows]


def write(path, columns, features=None, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pyarrow.table(columns)
    if features:
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    parquet.write_table(table, path, **options)
    return f"parquet:{path}"


def refused(source, **settings):
    with pytest.raises(DataError) as caught:
        read(Settings(source, **settings))
    assert len(caught.value.problems) == 1
    return str(caught.value)


ROWS = range(12)
LABELS = [row % 3 for row in ROWS]
CLASSES = {"_type": "ClassLabel", "names": ["zebra", "ant", "bee"]}


@pytest.mark.parametrize("kind", [pyarrow.binary(), pyarrow.large_binary(), pyarrow.binary_view()])
@pytest.mark.parametrize("compression", ["none", "snappy", "zstd"])
def test_bytes(tmp_path, kind, compression):
    source = write(tmp_path / "a.parquet", {"img": pyarrow.array(images(ROWS), kind), "label": LABELS},
                   compression=compression, row_group_size=5)
    part = read(Settings(source)).parts["train"]
    assert names(part) == list(map(str, LABELS))
    for row in ROWS:
        assert (part.images[row].numpy() == noise(row, 5, 5, 3).transpose(2, 0, 1)).all()


def test_as_hugging_face_stores_them(tmp_path):
    """Splits by the names of files, classes by the names that the file holds, some images in files of their own."""
    save(tmp_path / "hub" / "loose.png", noise(99, 5, 5, 3))
    cells = [{"bytes": content, "path": None} for content in images(ROWS)]
    cells[4] = {"bytes": None, "path": "loose.png"}
    features = {"image": {"_type": "Image"}, "label": CLASSES}
    write(tmp_path / "hub" / "train-00000-of-00002.parquet", {"image": cells[:7], "label": LABELS[:7]}, features)
    write(tmp_path / "hub" / "train-00001-of-00002.parquet", {"image": cells[7:], "label": LABELS[7:]}, features)
    write(tmp_path / "hub" / "validation-00000-of-00001.parquet", {"image": cells[:3], "label": LABELS[:3]}, features)
    raw = read(Settings(f"parquet:{tmp_path}/hub"))
    assert raw.classes == ("zebra", "ant", "bee"), "in the order of their numbers"
    assert names(raw.parts["train"]) == [raw.classes[label] for label in LABELS]
    assert names(raw.parts["validation"]) == ["zebra", "ant", "bee"]
    assert raw.origin == {"train": "names of files", "validation": "names of files"}
    assert (raw.parts["train"].images[4].numpy() == noise(99, 5, 5, 3).transpose(2, 0, 1)).all()
    assert (raw.parts["train"].images[11].numpy() == noise(11, 5, 5, 3).transpose(2, 0, 1)).all()


@pytest.mark.parametrize("options", [{"row_group_size": 4}, {"compression": "none"}])
def test_streamed_as_in_memory(tmp_path, cache, options):
    source = write(tmp_path / "a.parquet", {"image": images(range(30)), "label": [row % 3 for row in range(30)]},
                   **options)
    ours, theirs = (load(Settings(source, memory=memory, workers=1)) for memory in (0.0, None))
    assert ours.facts["streamed"] and not theirs.facts["streamed"]
    assert ours.dataset.fingerprint == theirs.dataset.fingerprint
    stream = ours.dataset.train.images
    batches = torch.arange(len(stream)).flip(0).split(4)
    stream.announce(batches)
    for rows in batches:
        assert torch.equal(stream[rows], theirs.dataset.train.images[rows])
    kept, = cache.glob("*.arrow")
    assert set(stream.paths) == {str(kept)}
    content = kept.read_bytes()
    assert all(one in content for one in images(range(30))), "the bytes as they are"


def test_the_cache_is_written_once_and_anew_for_another_file(tmp_path, cache):
    columns = {"image": images(ROWS), "label": LABELS}
    source = write(tmp_path / "a.parquet", columns)
    read(Settings(source))
    kept, = cache.glob("*.arrow")
    os.utime(kept, (1, 1))
    read(Settings(source))
    assert kept.stat().st_mtime == 1
    columns["image"][0] = images([77])[0]
    write(tmp_path / "a.parquet", columns)
    os.utime(tmp_path / "a.parquet", (5, 5))
    assert (read(Settings(source)).parts["train"].images[0].numpy() == noise(77, 5, 5, 3).transpose(2, 0, 1)).all()
    assert len(list(cache.glob("*.arrow"))) == 2 and not list(cache.glob("*.partial"))


def test_a_space_is_checked_without_writing_anything(tmp_path, cache):
    columns = {"image": [encoded(noise(row, 5, 9, 3)) for row in ROWS], "label": LABELS}
    assert foretold(Settings(write(tmp_path / "a.parquet", columns), size=4)) == [] and not cache.exists()


def test_paths_beside_the_file(tmp_path, cache):
    for row in ROWS:
        save(tmp_path / "img" / f"{row}.png", noise(row, 5, 5, 3))
    source = write(tmp_path / "a.parquet", {"file_name": [f"img/{row}.png" for row in ROWS], "species": LABELS})
    part = read(Settings(source, table=Table(label=("species",)))).parts["train"]
    assert names(part) == list(map(str, LABELS)) and not cache.exists()
    assert (part.images[3].numpy() == noise(3, 5, 5, 3).transpose(2, 0, 1)).all()


def test_kinds_of_labels(tmp_path):
    def labels(column, **settings):
        source = write(tmp_path / "a.parquet", {"image": images(range(len(column))), "label": column})
        return list(read(Settings(source, max_bad=0.5, **settings)).parts["train"].labels)

    assert labels([1.0, 2.0, None, 1.0]) == [("1",), ("2",), ("1",)], "whole numbers that pandas gave a point"
    assert labels(pyarrow.array(["b", "a"]).dictionary_encode()) == [("b",), ("a",)]
    assert labels([True, False]) == [("1",), ("0",)]
    assert labels([["p", "q"], ["q"]]) == [("p", "q"), ("q",)]
    assert labels([["p|q", "q|r"], ["q|r"]], task="multilabel") == [("p|q", "q|r"), ("q|r",)], "a list is one"


def test_several_labels_in_a_cell_are_found_out(tmp_path):
    def labelled(column, **settings):
        source = write(tmp_path / "a.parquet", {"image": images(range(len(column))), "tags": column})
        return read(Settings(source, **settings))

    several = ["p|q", "q", "p", ""]
    raw = labelled(several, task="multilabel")
    assert list(raw.parts["train"].labels) == [("p", "q"), ("q",), ("p",), ()]
    assert any("hold several labels with | between them, such as p|q" in line for line in raw.notices)
    with pytest.raises(DataError, match=r"^data\.separator: cells of column tags of .*Set data\.task to multilabel"):
        labelled(several)
    whole = labelled(several[:3], table=Table(separator="none"))
    assert list(whole.parts["train"].labels) == [("p|q",), ("q",), ("p",)]


def test_several_labels_with_names(tmp_path):
    features = {"image": {"_type": "Image"}, "label": {"feature": CLASSES, "_type": "List"}}
    source = write(tmp_path / "a.parquet", {"image": images(range(3)), "label": [[0, 2], [1], [2, 1]]}, features)
    assert read(Settings(source)).parts["train"].labels == [("zebra", "bee"), ("ant",), ("bee", "ant")]
    source = write(tmp_path / "b.parquet", {"image": images(range(3)), "tags": ["a|b", "b", "a"]})
    assert read(Settings(source, table=Table(separator="|"))).parts["train"].labels == [("a", "b"), ("b",), ("a",)]


def test_columns_as_in_a_table_of_text(tmp_path):
    """One-hot labels, a column of splits in words of one's own, a fold, and groups."""
    columns = {"image": images(ROWS), "film": [f"f{row // 2}" for row in ROWS], "fold": [row % 3 for row in ROWS],
               "part": ["dev" if row > 8 else "main" for row in ROWS], "cat": [row % 2 for row in ROWS],
               "dog": [1 - row % 2 for row in ROWS]}
    source = write(tmp_path / "a.parquet", columns)
    raw = read(Settings(source, table=Table(label=("cat", "dog"), split="part"), splits=Splits(test=("dev",)),
                        group=Group(column="film")))
    assert names(raw.parts["train"]) == ["dog", "cat"] * 4 + ["dog"] and raw.parts["test"].groups == ["f4", "f5", "f5"]
    raw = read(Settings(source, table=Table(label=("cat", "dog"), fold="1")))
    assert names(raw.parts["test"]) == ["cat", "dog", "cat", "dog"]


def test_a_label_without_a_name_and_a_test_without_labels(tmp_path):
    features = {"image": {"_type": "Image"}, "label": CLASSES}
    source = write(tmp_path / "a.parquet", {"image": images(ROWS), "label": [*LABELS[:-1], 3]}, features)
    assert "a.parquet:11: label 3, where there are names for 3 classes" in refused(source)
    write(tmp_path / "b" / "train.parquet", {"image": images(ROWS), "label": LABELS}, features)
    write(tmp_path / "b" / "test.parquet", {"image": images(ROWS), "label": [-1] * 12}, features)
    raw = read(Settings(f"parquet:{tmp_path}/b"))
    assert set(raw.parts) == {"train"} and [(one.path, one.reason) for one in raw.skipped] == [
        (f"{tmp_path}/b/test.parquet", "no row of it has a label")]


def test_columns_are_named_in_any_case_and_one_hot_is_no_column(tmp_path):
    features = {"image": {"_type": "Image"}, "label": CLASSES}
    for split in ("train", "test"):
        write(tmp_path / "a" / f"{split}.parquet", {"image": images(ROWS), "label": LABELS}, features)
        write(tmp_path / "b" / f"{split}.parquet", {"image": images(ROWS), "cat": [row % 2 for row in ROWS],
                                                   "dog": [1 - row % 2 for row in ROWS]})
    raw = read(Settings(f"parquet:{tmp_path}/a", table=Table(path="IMAGE", label=(" Label",))))
    assert set(raw.parts) == {"train", "test"} and raw.classes == ("zebra", "ant", "bee")
    raw = read(Settings(f"parquet:{tmp_path}/b", table=Table(label=("one-hot",))))
    assert names(raw.parts["test"]) == ["dog", "cat"] * 6 and raw.skipped == ()


def test_data_check(tmp_path):
    facts = survey(Settings(write(tmp_path / "a.parquet", {"image": images(ROWS), "label": LABELS})))
    assert facts["usable"] and facts["counts"] == {"train": [4, 4, 4]} and facts["formats"] == {"PNG": 12}


def test_rows_without_image_or_label_are_set_aside(tmp_path):
    source = write(tmp_path / "a.parquet", {"image": [*images(range(9)), None, b"no picture", *images([11])],
                                            "label": [*"abcabcabc", "a", "b", None]})
    assert "3 of 12 files cannot be read" in refused(source)
    raw = read(Settings(source, max_bad=0.3))
    assert names(raw.parts["train"]) == list("abcabcabc")
    assert {(one.path, one.reason[:10]) for one in raw.bad} == {
        (f"{tmp_path}/a.parquet:9", "no path"), (f"{tmp_path}/a.parquet:11", "no label"),
        (f"{tmp_path}/a.parquet:10", "not a JPEG")}


@pytest.mark.parametrize(("columns", "message"), [
    ({"id": [1], "label": [2]}, "no column holds images or is called as paths are. Its columns are id (int64), label "),
    ({"one": [b"x"], "two": [b"y"], "label": [1]}, "several columns may be its images, one, two"),
    ({"image": [b"x"], "a": [1], "b": [2]}, "which column of"),
    ({"image": pyarrow.array([[[1, 2]]]), "label": [1]}, "no column holds images")])
def test_errors_of_columns(tmp_path, columns, message):
    line = refused(write(tmp_path / "a.parquet", columns))
    assert message in line and line.startswith("data.") and str(tmp_path) in line


def test_errors_of_files(tmp_path, monkeypatch):
    source = write(tmp_path / "a.parquet", {"image": images(ROWS), "label": LABELS})
    assert "a.parquet: it has no column picture. Its columns are image (binary), label (int64). Name" in refused(
        source, table=Table(path="picture"))
    assert "label holds int64, neither bytes of image files nor paths" in refused(source, table=Table(path="label"))
    whole = (tmp_path / "a.parquet").read_bytes()
    for content in (b"", b"text", whole[:len(whole) // 2], whole[:200] + bytes(900) + whole[1100:]):
        (tmp_path / "a.parquet").write_bytes(content)
        assert "a.parquet is no Parquet file that can be read: " in refused(source)
    (tmp_path / "empty").mkdir()
    assert "empty holds no .parquet file" in refused(f"parquet:{tmp_path}/empty")
    write(tmp_path / "test.parquet", {"image": images(ROWS), "label": LABELS})
    assert "has no line whose split is train" in refused(f"parquet:{tmp_path}/test.parquet")
    (tmp_path / "a.parquet").write_bytes(whole)
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 10}))
    assert "the images need 0.0 GiB in" in (line := refused(source)) and "AUTOTRICKS_CACHE=FOLDER names" in line
