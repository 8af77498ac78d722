"""autotricks init: what is chosen for data, why, and that the file can be searched as it is."""
import json
import shlex
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from autotricks.errors import SpaceError
from autotricks.space import proposal, recommendation
from autotricks.space.load import load_data_section, load_space
from autotricks.space.proposal import Machine, propose, space_name, trained_on
from autotricks.tasks.multilabel import MULTILABEL

from .data.pictures import folder, noise, save

RESNET, CONVNEXT, VIT = ("timm:resnet18.a1_in1k", "timm:convnext_atto.d2_in1k",
                         "timm:vit_tiny_patch16_224.augreg_in21k_ft_in1k")
NOTHING, EVERYTHING = set(), {RESNET, CONVNEXT, VIT}


def facts(train, size=None, median=(24, 24), distinct=1, formats="PNG", modes="RGB", **splits):
    """What a survey says of data, as far as a proposal asks."""
    counts = {"train": train, **splits}
    return {"task": "classification", "counts": counts, "side": min(median),
            "split_images": {split: sum(each) for split, each in counts.items()},
            "imbalance": max(train) / min(train), "per_class": sum(train) / len(train), "size": size,
            "modes": {modes: 1}, "formats": {formats: 1}, "sizes": {"median": list(median), "distinct": distinct},
            "fit": None, "objects": None}


@pytest.fixture(scope="module", autouse=True)
def _read_once():
    """Read each space that ships once: that takes longer than all else here."""
    with pytest.MonkeyPatch.context() as patch:
        once = cache(load_space)
        for module in (proposal, recommendation):
            patch.setattr(module, "load_space", once)
        yield


def proposed(found, *overrides, held=NOTHING, gpus=0, source="image_folder:photos"):
    return propose(found, load_data_section(source, overrides), Machine(4, gpus, held.__contains__))


PHOTOGRAPHS = {"size": 224, "median": (640, 480), "distinct": 90, "formats": "JPEG"}


@pytest.mark.parametrize(("found", "held", "gpus", "base", "model", "absent"), [
    (facts([100, 90]), EVERYTHING, 0, "from_scratch", "resnet8", ()),
    (facts([100, 90]), EVERYTHING, 1, "from_scratch", "resnet20", ()),
    (facts([100, 10]), NOTHING, 0, "long_tail", "resnet8", ()),
    (facts([5000, 50], median=(32, 32)), NOTHING, 1, "long_tail_cifar", "resnet20", ()),
    (facts([400, 300], **PHOTOGRAPHS), EVERYTHING, 0, "small_data", RESNET, ()),
    (facts([400, 300], **PHOTOGRAPHS), EVERYTHING, 1, "fine_tuning", [RESNET, CONVNEXT, VIT], ()),
    (facts([400, 300], **PHOTOGRAPHS), {VIT}, 0, "fine_tuning", VIT, (RESNET,)),
    (facts([4000, 300], **PHOTOGRAPHS), {CONVNEXT, VIT}, 0, "fine_tuning", [CONVNEXT, VIT], ()),
    (facts([400, 300], **PHOTOGRAPHS), NOTHING, 0, "from_scratch", "resnet8", (RESNET,)),
    (facts([400, 300], **PHOTOGRAPHS), NOTHING, 1, "from_scratch", "timm:resnet18", (RESNET, CONVNEXT, VIT)),
    (facts([4000, 30], **PHOTOGRAPHS), NOTHING, 1, "long_tail", "timm:resnet18", (RESNET, CONVNEXT, VIT))])
def test_the_space_that_ships_and_suits_is_begun_with(found, held, gpus, base, model, absent):
    made = proposed(found, held=held, gpus=gpus)
    name = {"choice": model} if isinstance(model, list) else model
    assert (made.base, made.sections["model"]["name"], made.absent) == (f"{base}.yaml", name, absent)
    assert made.sections["model"].get("pretrained", False) is (base == "fine_tuning")
    assert made.sections["resources"] == ({"cpus": 4, "gpus": 1} if gpus else {"cpus": 1, "gpus": 0})


@pytest.mark.parametrize(("found", "held", "gpus", "overrides", "data", "said"), [
    (facts([9, 9]), NOTHING, 0, (), {"size": 24, "channels": 3}, "Images are 24 x 24, and are taken as they are. Of"),
    (facts([9, 9], modes="L"), NOTHING, 0, (), {"size": 24, "channels": 1}, "as they are"),
    (facts([9, 9], modes="I;16B"), NOTHING, 0, (), {"size": 24, "channels": 1}, "as they are"),
    (facts([9, 9], formats="array"), NOTHING, 0, (), {}, "as they are"),
    (facts([9, 9], median=(40, 30)), NOTHING, 0, (), {}, "Images are 40 x 30, and are taken as they are"),
    (facts([9, 9], 28, (30, 30), 3), NOTHING, 0, (), {"size": 28, "channels": 3},
     "have 30 pixels or more a side; 28 is the usual size next to that"),
    (facts([9, 9], **PHOTOGRAPHS), NOTHING, 0, (), {"size": 64, "channels": 3},
     "64 a side keep a training short, more may show more. The middle of 640 x 480 is taken, 75% of it; data.fit"),
    (facts([400, 300], **PHOTOGRAPHS), EVERYTHING, 0, (), {"size": 128, "channels": 3}, "128 a side keep"),
    (facts([400, 300], None, (128, 96), formats="JPEG"), EVERYTHING, 0, (), {"size": 96, "channels": 3},
     "Images are 128 x 96; 96 is the usual size next to that. The middle of 128 x 96 is taken, 75% of it"),
    (facts([400, 300], None, (96, 96), formats="array"), EVERYTHING, 0, (), {"size": 96, "channels": 3}, "as they are"),
    (facts([400, 300], **{**PHOTOGRAPHS, "modes": "L"}), EVERYTHING, 1, (), {"size": 224, "channels": 3}, "224 a side"),
    (facts([9, 9], **PHOTOGRAPHS), NOTHING, 0, ("data.size=96", "data.validation=0.5"), {"size": 96, "validation": 0.5},
     "data.size is as you set it. The middle of 640 x 480 is taken, 75% of it"),
    (facts([9, 9], test=[2, 2]), NOTHING, 0, (), {"size": 24, "channels": 3},
     "Of train, 25% are set aside for validation."),
    (facts([9, 9], validation=[2, 2]), NOTHING, 0, ("data.test=0.1",), {"size": 24, "channels": 3, "test": 0.1},
     "Of train, 10% are set aside for test."),
    (facts([9, 9]), NOTHING, 0, (), {"size": 24, "channels": 3},
     "Of train, 25% are set aside for test and then 25% are set aside for validation.")])
def test_images_keep_their_size_where_a_training_stays_short(found, held, gpus, overrides, data, said):
    made = proposed(found, *overrides, held=held, gpus=gpus)
    assert made.sections["data"] == {"source": "image_folder:photos", **data}
    assert said in made.reasons["data"]


@pytest.mark.parametrize(("count", "epochs", "batch", "steps"), [
    (100, 60, 16, 7), (799, 60, 16, 50), (800, 60, 32, 25), (1000, 40, 32, 32), (1600, 40, 64, 25), (3200, 40, 128, 25),
    (10_000, 30, 128, 79), (100_000, 20, 128, 782)])
def test_fewer_images_are_seen_more_often_in_smaller_batches(count, epochs, batch, steps):
    """Half of a split of two equal classes each; validation and test are there."""
    made = proposed(facts([count // 2 + count % 2, count // 2], validation=[1, 1], test=[1, 1]))
    assert made.sections["training"] == {"epochs": epochs, "batch_size": batch}
    said = f"{count:,} images to train on: {steps} steps an epoch, {steps * epochs:,} in all"
    assert said in made.reasons["training"]
    assert made.sections["search"]["rungs"]["first"] == epochs // 9


def test_published_weights_take_the_epochs_of_their_space():
    made = proposed(facts([4000, 3000], **PHOTOGRAPHS), held=EVERYTHING, gpus=1)
    document = load_space("fine_tuning.yaml").document
    assert made.sections["training"] == {"epochs": document.training.epochs, "batch_size": document.training.batch_size}
    assert "need few epochs" in made.reasons["training"]


def test_images_to_train_on_are_those_that_are_left():
    assert trained_on(facts([100, 60]), load_data_section("digits")) == 90, "160 * .75 * .75"
    assert trained_on(facts([100, 60], test=[1, 1]), load_data_section("digits", ["data.validation=0.5"])) == 80
    tail = load_data_section("digits", ["data.imbalance.factor=100"])
    assert trained_on(facts([100, 100, 100], test=[1] * 3, validation=[1] * 3), tail) == 100 + 10 + 1


@pytest.mark.parametrize(("train", "overrides", "metric", "said"), [
    ([100, 99], (), "accuracy", "1.01 times the images of the smallest: every image counts alike"),
    ([149, 100], (), "accuracy", "every image"), ([150, 100], (), "balanced_accuracy", "1.5 times"),
    ([100, 100], ("data.imbalance.factor=20",), "balanced_accuracy",
     "20 times the images of the smallest: every class counts alike")])
def test_classes_count_alike_where_some_are_rare(train, overrides, metric, said):
    made = proposed(facts(train), *overrides)
    assert made.sections["objective"] == {"metric": f"val/{metric}"}
    assert said in made.reasons["objective"]
    assert made.base == ("long_tail.yaml" if overrides else "from_scratch.yaml")


def test_several_gpus_are_shared_out_by_ray():
    """The space leaves the engine to the machine that it will run on, so that it is said in a comment alone."""
    assert "Ray shares the GPUs out" in proposed(facts([9, 9]), gpus=2).reasons["search"]
    assert proposed(facts([9, 9]), gpus=2).sections["resources"] == {"cpus": 2, "gpus": 1}
    assert "processes of this machine" in proposed(facts([9, 9]), gpus=1).reasons["search"]
    assert "engine" not in proposed(facts([9, 9]), gpus=2).sections["search"]


def test_a_task_has_no_tricks_and_start_bundles_that_it_refuses(monkeypatch):
    """Without one label an image no softmax is balanced; its own metric is what is searched for."""
    found = facts([5000, 50], median=(32, 32))
    one = proposed(found)
    monkeypatch.setattr(proposal, "find_task", lambda name: MULTILABEL)
    several = proposed(found)
    assert "  balanced_softmax:" in one.tricks and "  balanced_softmax:" not in several.tricks
    assert "  cosine:" in several.tricks and "  # " in several.tricks
    assert "balanced_softmax" in one.sections["start"] and "balanced_softmax" not in several.sections["start"]
    assert several.sections["start"][0] == "baseline"
    assert several.sections["objective"]["metric"] == "val/mean_average_precision"


@pytest.mark.parametrize(("held", "model", "start"), [
    ({RESNET}, RESNET, ["baseline", "asl"]),
    (NOTHING, "resnet8", ["baseline", {"name": "asl", "without": ["pretrained"]}])])
def test_a_task_has_the_space_that_is_made_for_it(held, model, start):
    """Without weights that are here it is begun with all the same, less what is about weights."""
    made = proposed({**facts([400, 300], **PHOTOGRAPHS), "task": "multilabel"}, "data.task=multilabel", held=held)
    assert (made.base, made.sections["model"]["name"], made.sections["start"]) == ("multi_label.yaml", model, start)
    assert made.absent == (() if held else (RESNET,))
    for trick in ("pretrained", "linear_probe"):
        assert (f"  {trick}:" in made.tricks) is bool(held)
    assert ("fine-tuning" in made.tricks) is bool(held), "a comment goes with what it is about"
    assert made.sections["data"]["task"] == "multilabel" and "  asymmetric:" in made.tricks
    assert made.sections["objective"] == {"metric": "val/mean_average_precision"}


@pytest.mark.parametrize(("source", "name"), [
    ("digits", "digits"), ("image_folder:/data/my photos.v2/", "my_photos"), ("csv:a/ä b-1.csv", "b-1"),
    ("npz:x.npz", "x"), ("torchvision:CIFAR10", "CIFAR10"), ("mine.data:function", "function"),
    ("csv:äö.csv", "my_space"), ("csv:con.csv", "my_space"), (f"csv:{'x' * 99}.csv", "x" * 64)])
def test_a_space_is_called_as_its_data(source, name):
    assert space_name(source) == name


def test_the_data_section_is_refused_as_that_of_a_file():
    for overrides, said in ((["data.sise=4"], "Did you mean size?"), (["data.size=x"], "'x' is not a whole number"),
                            (["data.test=2"], "test must be"), (["model.name=x"], "only data.KEY=VALUE says"),
                            (["size"], "only data.KEY=VALUE")):
        with pytest.raises(SpaceError, match=r"^--set") as caught:
            load_data_section("digits", overrides)
        assert said in str(caught.value) and "\n" not in str(caught.value)


@pytest.fixture
def offline(monkeypatch, tmp_path):
    """An empty cache of the hub, in which a model's weights can be put; no GPU."""
    from huggingface_hub import constants

    cache = tmp_path / "cache"
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)

    def put(repository):
        kept = cache / f"models--{repository.replace('/', '--')}"
        (kept / "snapshots" / "abc").mkdir(parents=True)
        (kept / "snapshots" / "abc" / "model.safetensors").write_bytes(b"weights")
        (kept / "refs").mkdir()
        (kept / "refs" / "main").write_text("abc")
    return put


def commands(out):
    """The commands that are printed to follow, as a shell takes them."""
    return [shlex.split(line[6:]) for line in out.splitlines()[-2:]]


def test_digits_give_a_file_that_can_be_searched(here, tmp_path, monkeypatch, offline):
    monkeypatch.chdir(tmp_path)
    code, out, errors = here("init", "digits", "--set", "data.validation=0.3")
    assert (code, errors) == (0, "")
    assert out.startswith("splits: train from the source itself; test and validation cut from train\n"
                          "digits.yaml: as from_scratch.yaml, imbalance 1.05, made for up to 9.99\n")
    assert commands(out) == [["autotricks", "check", "digits.yaml"], ["autotricks", "search", "--space", "digits.yaml"]]
    loaded = load_space("digits.yaml")
    base = load_space("from_scratch.yaml")
    assert loaded.document.name == "digits" and loaded.document.tricks == base.document.tricks
    assert list(loaded.start) == list(base.start)
    assert loaded.document.data.settings() == load_data_section("digits", ["data.validation=0.3"]).settings()
    lines = (tmp_path / "digits.yaml").read_text().splitlines()
    assert lines[0] == "# 1,797 images of 10 classes: train 1,797; a class has 174 to 183 in train."
    assert lines[1].startswith("# Written by: autotricks init digits --set data.validation=0.3. It begins as from_")
    assert max(map(len, lines)) < 140
    sections = [index for index, line in enumerate(lines) if line.split(":")[0] in (
        "data", "model", "training", "objective", "search", "resources", "start")]
    assert len(sections) == 7 and all(lines[index - 1].startswith("# ") for index in sections), "each says why"


def test_no_file_is_written_over_unless_asked(here, tmp_path, monkeypatch, offline):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "digits.yaml").write_text("mine")
    code, out, errors = here("init", "digits")
    assert (code, out) == (2, "") and errors.startswith("digits.yaml: is there already.") and errors.count("\n") == 1
    assert (tmp_path / "digits.yaml").read_text() == "mine"
    code, out, _ = here("init", "digits", "--force", "--json")
    found = json.loads(out)
    assert code == 0 and found["base"] == "from_scratch.yaml" and found["next"][0] == "autotricks check digits.yaml"
    assert load_space("digits.yaml").document.model.name == found["sections"]["model"]["name"] == "resnet8"


def test_a_folder_whose_name_needs_quotes(here, tmp_path, monkeypatch, offline):
    """What is wrong in it is told; the commands can be pasted; the source is found again."""
    monkeypatch.chdir(tmp_path)
    root = Path("it's: a #1 \"set\"")
    folder(root / "train", {"many": 60, "few": 3}, (20, 30, 3))
    folder(root / "test", {"many": 3, "few": 3}, (20, 30, 3), seed=50)
    save(root / "test" / "many" / "copy.png", noise(0, 20, 30, 3))
    code, out, errors = here("init", f"image_folder:{root}", "--out", "a b/it's.yaml", "--set", "data.size=16")
    notices = ["splits: train from folder train; test from folder test; validation cut from train",
               "data.fit: crop cuts 33% off the images on average, by 70 of them; pad or squash keeps all of them",
               "images of test that are, pixel for pixel, in train too: 1, so that figures on test flatter; "
               "data.duplicates: drop takes them out of train"]
    assert (code, errors, out.splitlines()[:3]) == (0, "", notices)
    assert commands(out)[0] == ["autotricks", "check", "a b/it's.yaml"]
    text = Path("a b/it's.yaml").read_text()
    document = load_space("a b/it's.yaml").document
    assert document.data.source == f"image_folder:{root}" and document.data.size == 16
    assert all(notice in text.replace("\n#  ", "") for notice in notices)
    assert "The middle of 30 x 20 is taken, 67% of it" in text and document.objective.metric == "val/balanced_accuracy"
    written = text.replace("\n#  ", "").split("Written by: ")[1].split(". It begins")[0]
    assert shlex.split(written) == ["autotricks", "init", f"image_folder:{root}", "--set", "data.size=16"]


def test_what_training_refuses_is_said_as_training_says_it(here, tmp_path, monkeypatch, offline):
    monkeypatch.chdir(tmp_path)
    folder(tmp_path / "set", {"a": 5, "b": 5})
    (tmp_path / "set" / "a" / "x.png").write_text("no picture")
    code, out, errors = here("init", "image_folder:set")
    assert (code, out) == (2, "") and "1 of 11 files cannot be read" in errors
    code, _, errors = here("init", "image_folder:nowhere")
    assert code == 2 and "no such file or folder" in errors
    code, out, _ = here("init", "image_folder:set", "--set", "data.max_bad=0.2")
    assert code == 0 and "\nleft out, bad: set/a/x.png (not a JPEG" in out
    assert [path.name for path in tmp_path.glob("*.yaml")] == ["set.yaml"]


def test_photographs_begin_with_weights_that_are_here(here, tmp_path, monkeypatch, offline):
    monkeypatch.chdir(tmp_path)
    for label in range(2):
        for row in range(26):
            save(Path("photos") / str(label) / f"{row}.jpg", noise(100 * label + row, 100, 120, 3))
    code, out, _ = here("init", "image_folder:photos")
    assert code == 0 and "autotricks fetch timm:resnet18.a1_in1k, then init again" in out.replace("\n", " ")
    assert load_space("photos.yaml").document.model.name == "resnet8"
    offline("timm/resnet18.a1_in1k")
    code, out, _ = here("init", "image_folder:photos", "--force")
    loaded = load_space("photos.yaml")
    assert code == 0 and "fetch" not in out and "\nphotos.yaml: as small_data.yaml" in out
    assert loaded.document.model.name == RESNET and "pretrained" in loaded.document.tricks
    assert (loaded.document.data.size, loaded.document.data.channels) == (96, 3)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["digits", "image_folder", "csv", "npz"])
def test_the_commands_that_follow_run(here, tmp_path, monkeypatch, offline, kind):
    """Check finds nothing wrong and leaves nothing open; a search of few trials ends with a champion."""
    monkeypatch.chdir(tmp_path)
    rows = ["path,label"]
    images, labels = [], []
    for label, count in enumerate((60, 30, 6)):
        for row in range(count):
            images.append(np.clip(noise(1000 * label + row, 20, 20) // 2 + 60 * label, 0, 255).astype(np.uint8))
            labels.append(label)
            rows.append(f"{save(Path('set') / str(label) / f'{row}.png', images[-1])},{label}")
    Path("set.csv").write_text("\n".join(rows))
    np.savez("set.npz", x=np.stack(images), y=labels)
    source = {"digits": "digits", "image_folder": "image_folder:set", "csv": "csv:set.csv", "npz": "npz:set.npz"}[kind]
    code, out, errors = here("init", source)
    assert code == 0, errors
    check, search = (words[1:] for words in commands(out))
    code, out, errors = here(*check)
    assert (code, errors) == (0, "") and "Not checked" not in out
    code, out, errors = here(*search, "--trials", "2", "--set", "training.epochs=2", "--set", "search.rungs.first=1",
                             "--no-confirm", "--tracking", "off")
    assert code == 0 and "Best val/" in out, errors


@pytest.mark.slow
@pytest.mark.parametrize(("found", "gpus"), [
    (facts([500, 20], **PHOTOGRAPHS), 1), (facts([500, 400], **PHOTOGRAPHS), 1), (facts([500, 20], **PHOTOGRAPHS), 0),
    (facts([5000, 50], median=(32, 32)), 1), (facts([500, 20], 48, (60, 50), 9, modes="L"), 0)])
def test_tricks_suit_the_model_that_is_chosen(found, gpus, tmp_path):
    """As `check` tries them, on images of the size that is chosen."""
    from autotricks.probes.compatibility import require_suited

    (tmp_path / "made.yaml").write_text(proposed(found, gpus=gpus).text("made", ["made"]))
    assert require_suited(load_space(tmp_path / "made.yaml")) is None
