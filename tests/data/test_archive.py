"""zip and tar, read where they lie: the same data as from the folder, and nothing that an archive can do to harm."""
import io
import os
import pickle
import stat
import struct
import tarfile
import zipfile
import zlib

import pytest
import torch

from autotricks.data import Group, Settings, load, storage, survey
from autotricks.data.sources import listing
from autotricks.data.storage import OnDisk, Slice, ZipMember
from autotricks.errors import DataError

from .pictures import encoded, folder, noise, save


def packed(root, place, kind, **options):
    """Pack a folder, and call what is in it by its name in there."""
    files = sorted(path for path in root.rglob("*") if path.is_file())
    if kind == "zip":
        with zipfile.ZipFile(place, "w", **options) as archive:
            for path in files:
                archive.write(path, path.relative_to(root).as_posix())
    else:
        with tarfile.open(place, "w", **options) as archive:
            for path in files:
                archive.add(path, path.relative_to(root).as_posix())
    return f"{kind}:{place}"


def png(seed):
    return encoded(noise(seed, 4, 4))


def refused(source, **options):
    with pytest.raises(DataError) as caught:
        load(Settings(source, **options))
    assert len(caught.value.problems) == 1 and len(str(caught.value).splitlines()) == 1
    return str(caught.value)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Classes a and b in train and test, a damaged file, and files that are none."""
    root = tmp_path_factory.mktemp("data") / "photos"
    for split, row, name in [("train", row, "ab"[row % 2]) for row in range(25)] + [
            ("test", row, "ab"[row % 2]) for row in range(30, 37)]:
        save(root / split / name / f"film{row // 3}_{row}.png", noise(row, 6, 6, 3))
    (root / "train" / "b" / "film3_cut.png").write_bytes(png(3)[:60])
    (root / "train" / "a" / ".DS_Store").write_bytes(b"clutter")
    (root / "train" / "readme.txt").write_text("about")
    return root


@pytest.mark.parametrize("memory", [None, 0.0])
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_the_same_data_as_from_the_folder(photos, tmp_path, kind, memory):
    source = packed(photos, tmp_path / "p", kind)
    chosen = {"max_bad": 0.1, "memory": memory, "workers": 0, "group": Group(pattern=r"(film\d+)_")}
    ours, theirs = load(Settings(source, **chosen)), load(Settings(f"image_folder:{photos}", **chosen))
    assert ours.facts["streamed"] is (memory == 0) and ours.dataset.fingerprint == theirs.dataset.fingerprint
    for name in ("counts", "groups", "classes", "mean", "std", "duplicates"):
        assert ours.facts[name] == theirs.facts[name]
    assert [(one["path"], one["reason"][:7]) for one in ours.facts["bad"]] == [
        (f"{tmp_path}/p/train/b/film3_cut.png", "damaged")]
    for name in ("train", "validation", "test"):
        one, other = getattr(ours.dataset, name).images, getattr(theirs.dataset, name).images
        assert torch.equal(torch.cat(list(one.split(4))), torch.cat(list(other.split(4))))


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_data_check_finds_the_same(photos, tmp_path, kind):
    ours = survey(Settings(packed(photos, tmp_path / "p", kind), max_bad=0.1))
    theirs = survey(Settings(f"image_folder:{photos}", max_bad=0.1))
    for name in ("usable", "problems", "counts", "sizes", "modes", "formats", "duplicates", "alike"):
        if name != "duplicates":
            assert ours[name] == theirs[name], name
    assert ours["duplicates"]["copies"] == theirs["duplicates"]["copies"] == 0
    assert [one["path"].replace(f"{tmp_path}/p", "") for one in ours["skipped"]] == [
        one["path"].replace(str(photos), "") for one in theirs["skipped"]]


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_workers_read_from_the_archive(photos, tmp_path, kind):
    """In processes of their own, after the images have travelled: no open file is shared."""
    data = load(Settings(packed(photos, tmp_path / "p", kind), max_bad=0.1, memory=0.0, workers=2)).dataset
    images = pickle.loads(pickle.dumps(data.train.images))
    batches = torch.arange(len(images)).split(3)
    images.announce(batches)
    expected = torch.cat([data.train.images[rows] for rows in batches])
    assert torch.equal(torch.cat([images[rows] for rows in batches]), expected)
    assert set(images.paths) == {str(tmp_path / "p")}
    (tmp_path / "p").write_bytes(b"another file")
    with pytest.raises(DataError, match=r"p/train/.*\.png could be read before and cannot now: damaged"):
        images[torch.tensor([0])]


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_a_table_in_an_archive(tmp_path, kind):
    root = tmp_path / "birds"
    for row in range(12):
        save(root / "img" / f"{row}.png", noise(row, 5, 5))
    lines = "".join(f"{row}.png,{'ab'[row % 2]},{'train' if row < 8 else 'test'}\n" for row in range(12))
    (root / "labels.csv").write_text("file,species,subset\n" + lines)
    for inner in ("", "/labels.csv"):
        ours = load(Settings(packed(root, tmp_path / "x", kind) + inner))
        assert ours.dataset.fingerprint == load(Settings(f"csv:{root}/labels.csv")).dataset.fingerprint
    assert any("the files were found in img" in line for line in ours.facts["notices"])
    assert refused(f"{kind}:{tmp_path}/x/lables.csv").endswith(
        f"{tmp_path}/x/lables.csv: no such file or folder in the archive; beside it are img, labels.csv.")


def test_a_folder_that_is_alone_is_entered_and_one_may_be_named(tmp_path):
    folder(tmp_path / "in" / "birds", {"a": 5, "b": 5})
    folder(tmp_path / "two" / "birds", {"a": 5, "b": 5})
    folder(tmp_path / "two" / "fish", {"c": 5, "d": 5})
    assert load(Settings(packed(tmp_path / "in", tmp_path / "1.zip", "zip"))).dataset.classes == ("a", "b")
    packed(tmp_path / "two", tmp_path / "2.zip", "zip")
    assert load(Settings(f"zip:{tmp_path}/2.zip/fish")).dataset.classes == ("c", "d")
    line = refused(f"zip:{tmp_path}/2.zip")
    assert f"zip:{tmp_path}/2.zip/birds" in line and "image_folder" not in line


HARMFUL = {"../out.png": "a path that leads out of the archive", "a/../../out.png": "a path that leads out",
           "/abs.png": "a path that leads out", "C:/x.png": "a path that leads out"}


def test_members_of_a_zip_that_lead_elsewhere(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        for name in "ab":
            for row in range(5):
                archive.writestr(f"{name}/{row}.png", png(row + 10 * (name == "b")))
        for name in HARMFUL:
            archive.writestr(name, png(1))
        link = zipfile.ZipInfo("a/link.png")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
        pipe = zipfile.ZipInfo("a/pipe.png")
        pipe.external_attr = (stat.S_IFIFO | 0o777) << 16
        archive.writestr(pipe, "")
    facts = load(Settings(f"zip:{tmp_path}/x.zip")).facts
    assert sum(map(sum, facts["counts"].values())) == 10
    reasons = {one["path"].removeprefix(f"{tmp_path}/x.zip/"): one["reason"] for one in facts["skipped"]}
    assert set(reasons) == {*HARMFUL, "a/link.png", "a/pipe.png"}
    assert all(reasons[name].startswith(words) for name, words in HARMFUL.items())
    assert reasons["a/link.png"] == "a link; links inside an archive are not followed"
    assert reasons["a/pipe.png"] == "neither a file nor a folder"
    assert not (tmp_path.parent / "out.png").exists() and os.listdir(tmp_path) == ["x.zip"]


def test_members_of_a_tar_that_lead_elsewhere(tmp_path):
    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        def add(name, content=b"", kind=tarfile.REGTYPE, target=""):
            member = tarfile.TarInfo(name)
            member.size, member.type, member.linkname = len(content), kind, target
            archive.addfile(member, io.BytesIO(content))
        for name in "ab":
            for row in range(5):
                add(f"./{name}/{row}.png", png(row + 10 * (name == "b")))
        for name in HARMFUL:
            add(name, png(1))
        add("a/link.png", b"", tarfile.SYMTYPE, "/etc/passwd")
        add("a/hard.png", b"", tarfile.LNKTYPE, "a/0.png")
        add("a/pipe.png", b"", tarfile.FIFOTYPE)
        add("a/0.png", png(99))     # as tar --append leaves it: the last one counts
    source = f"tar:{tmp_path}/x.tar"
    facts = load(Settings(source)).facts
    reasons = {one["path"].removeprefix(f"{tmp_path}/x.tar/"): one["reason"] for one in facts["skipped"]}
    assert {*HARMFUL, "a/link.png", "a/hard.png", "a/pipe.png", "a/0.png"} == set(reasons)
    assert reasons["a/hard.png"] == "a link; links inside an archive are not followed"
    assert reasons["a/0.png"] == "there twice; the last one counts"
    first, = (entry.path for entry in listing(Settings(source)).entries if str(entry.path).endswith("a/0.png"))
    assert first.open().read() == png(99)


def zipped(tmp_path, members, mode=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(tmp_path / "x.zip", "w", mode) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return tmp_path / "x.zip"


SOUND = {f"{name}/{row}.png": png(row + 10 * (name == "b")) for name in "ab" for row in range(6)}


def test_zips_that_cannot_be_read(tmp_path):
    place = zipped(tmp_path, SOUND)
    whole = place.read_bytes()
    place.write_bytes(whole[:len(whole) - 300])
    assert "x.zip is no zip archive that can be read: File is not a zip file; its directory, at the end, is missing. " \
           "Fetch or pack it again." in refused(f"zip:{place}")
    place.write_bytes(b"text")
    assert "no zip archive that can be read: File is not a zip file. Fetch" in refused(f"zip:{place}")
    zipped(tmp_path, SOUND, zipfile.ZIP_BZIP2)
    assert "a/0.png is compressed by method 12, where deflate (8) is read" in refused(f"zip:{place}")
    secret = bytearray(whole)
    secret[whole.index(b"PK\1\2") + 8] |= 1
    place.write_bytes(secret)
    assert "a/0.png is encrypted" in refused(f"zip:{place}")
    assert "data.source: no/such.zip: no such file or folder." in refused("zip:no/such.zip")
    assert f"{tmp_path} is not a file; zip needs an archive" in refused(f"zip:{tmp_path}")


def test_members_that_share_bytes_are_a_bomb(tmp_path):
    """Each header in the directory points at one member: a few bytes that would inflate many times."""
    place = zipped(tmp_path, SOUND)
    content = bytearray(place.read_bytes())
    at = content.index(b"PK\1\2")
    second = content.index(b"PK\1\2", at + 4)
    content[second + 42:second + 46] = content[at + 42:at + 46]
    place.write_bytes(content)
    assert "a/0.png and a/1.png overlap" in refused(f"zip:{place}")


def test_a_member_that_inflates_to_more_than_it_says_is_not_inflated(tmp_path, monkeypatch):
    inflated = zlib.compressobj(9, zlib.DEFLATED, -15)
    bomb = inflated.compress(bytes(2**24)) + inflated.flush()
    header = struct.pack("<4s22xHH", b"PK\3\4", 1, 0) + b"x"
    (tmp_path / "x").write_bytes(header + bomb)
    member = ZipMember(str(tmp_path / "x"), 0, len(bomb), 100, 0, True, "bomb")
    asked = []
    real = zlib.decompressobj

    class Watched:
        def __init__(self, *words):
            self.real = real(*words)

        def decompress(self, content, most):
            found = self.real.decompress(content, most)
            asked.append(len(found))
            return found

    monkeypatch.setattr(storage.zlib, "decompressobj", Watched)
    with pytest.raises(storage.Unusable, match="checksum"):
        member.open()
    assert asked == [101]
    with pytest.raises(storage.Unusable, match="more than 256 MiB"):
        ZipMember(str(tmp_path / "x"), 0, len(bomb), 2**28 + 1, 0, True, "bomb").open()
    with pytest.raises(storage.Unusable, match="more than 256 MiB"):
        Slice(str(tmp_path / "x"), 0, 2**28 + 1, "large").open()


def test_a_damaged_member_is_set_aside(tmp_path):
    place = zipped(tmp_path, SOUND, zipfile.ZIP_STORED)
    content = bytearray(place.read_bytes())
    content[content.index(b"b/3.png") + 30] ^= 255
    place.write_bytes(content)
    assert "1 of 12 files cannot be read" in refused(f"zip:{place}")
    facts = load(Settings(f"zip:{place}", max_bad=0.1)).facts
    assert [one["reason"] for one in facts["bad"]] == ["damaged: its checksum is another"]


def test_names_of_members(tmp_path):
    """UTF-8 without its flag, as macOS writes it; backslashes, as old programs for Windows do."""
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        for row in range(5):
            archive.writestr(f"caf\u00e9/{row}.png", png(row))
            member = zipfile.ZipInfo(f"b/{row}.png")
            member.create_system = 0
            archive.writestr(member, png(row + 10))
    content = (tmp_path / "x.zip").read_bytes()
    for row in range(5):
        content = content.replace(f"b/{row}.png".encode(), f"b\\{row}.png".encode())
    plain = bytearray(content)
    for mark, flags in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        at = -1
        while (at := plain.find(mark, at + 1)) >= 0:
            plain[at + flags + 1] &= 0xF7
    (tmp_path / "x.zip").write_bytes(plain)
    assert load(Settings(f"zip:{tmp_path}/x.zip")).dataset.classes == ("b", "caf\u00e9")


def test_tars_that_cannot_be_read(photos, tmp_path):
    place = tmp_path / "x.tar"
    source = packed(photos, place, "tar")
    whole = place.read_bytes()
    place.write_bytes(whole[:len(whole) // 2])
    assert "after 20 files: the mark of its end is missing. Fetch or pack it again." in refused(source)
    place.write_bytes(whole[:len(whole) // 2 - 400])
    assert "x.tar is cut off or damaged after 20 files: unexpected end of data" in refused(source)
    with tarfile.open(place, "w") as archive:
        archive.add(photos, ".")
    with tarfile.open(place) as archive:
        third = archive.getmembers()[9]
    damaged = bytearray(place.read_bytes())
    damaged[third.offset:third.offset + 8] = b"\xff" * 8    # tarfile alone takes this for the end, and says nothing
    place.write_bytes(damaged)
    assert f"no header at byte {third.offset:,}. Fetch or pack it again" in refused(source)
    packed(photos, place, "tar", format=tarfile.PAX_FORMAT)
    for kind, method in (("gz", "gzip"), ("bz2", "bzip2"), ("xz", "xz")):
        with tarfile.open(place, f"w:{kind}") as archive:
            archive.add(photos, ".")
        assert f"x.tar is compressed as a whole by {method}, so that no image" in refused(source)
    place.write_bytes(b"text" * 500)
    assert "x.tar is no tar archive that can be read" in refused(source)
    place.write_bytes(b"")
    assert "x.tar is no tar archive that can be read" in refused(source)


def test_what_is_stored_somewhere_is_small_and_travels():
    for one in (OnDisk("a"), Slice("a", 1, 2, "b"), ZipMember("a", 1, 2, 3, 4, True, "b")):
        assert pickle.loads(pickle.dumps(one)) == one and not hasattr(one, "__dict__") and one.file == "a"
