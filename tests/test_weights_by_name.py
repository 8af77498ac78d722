"""Whole searches that begin with published weights, from a hub on loopback and then from its cache alone."""
import json
import runpy

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load, load_file

from autotricks.core.bundle import Bundle, Use
from autotricks.errors import InputError, ModelError
from autotricks.inference.predictor import Predictor
from autotricks.report import card
from autotricks.space.load import load_bundle_file, load_space
from autotricks.space.sections import ConfirmSection
from autotricks.trial import prepare, run_trial
from autotricks.tricks.model.pretrained import Pretrained
from autotricks.workflows import ablate, confirm, export, search, train
from tests.conftest import make_dataset
from tests.hub import COMMIT, MEAN, STD, point, repository, serving
from tests.search.scripted import in_threads
from tests.tasks.scenes import coco

SPACE = """
name: begun
data: {{source: "npz:{data}"}}
model: {{name: "timm:hf-hub:toy/resnet", pretrained: true}}
training: {{epochs: 3, batch_size: 16}}
search: {{trials: 2, sampler: grid, engine: local, parallel: 1, rungs: {{first: 3}}}}
confirm: {{top: 1, seeds: 1}}
objective: {{metric: val/loss, mode: min}}
tricks:
  sgd: {{lr: 1.0e-9}}
  adamw: {{lr: 0.001}}
"""
WHOLE = "timm:test_resnet@toy/resnet"


@pytest.fixture(scope="module")
def repositories():
    return {"toy/resnet": repository("test_resnet"), "toy/vit": repository("test_vit", licence="apache-2.0")}


@pytest.fixture
def hub(repositories, monkeypatch, tmp_path):
    with serving({name: dict(files) for name, files in repositories.items()}) as made:
        point(monkeypatch, made.url, tmp_path)
        monkeypatch.chdir(tmp_path)
        yield made


@pytest.fixture
def offline(monkeypatch, tmp_path, hub):
    def off():
        hub.broken = True
        point(monkeypatch, hub.url, tmp_path, offline=True)
    return off


@pytest.fixture
def space(tmp_path):
    """Write a space on striped images of 32 x 32 pixels in color, with something else in it."""
    splits, arrays = make_dataset((24, 12, 6, 4), 32, 3), {}
    for name, split in (("train", splits.train), ("val", splits.validation), ("test", splits.test)):
        arrays |= {f"x_{name}": split.images.permute(0, 2, 3, 1).numpy(), f"y_{name}": split.targets.single.numpy()}
    np.savez(tmp_path / "data.npz", **arrays)

    def written(old="", new=""):
        text = SPACE.format(data=tmp_path / "data.npz")
        assert old in text
        (tmp_path / "space.yaml").write_text(text.replace(old, new) if old else text)
        return str(tmp_path / "space.yaml")
    return written


def run(path, *overrides, **options):
    return search.search(load_space(path, overrides), search.Options(engine=in_threads(), tracking="off", **options))


def document(path):
    return yaml.safe_load(path.read_text())


def test_a_search_and_all_that_follows(hub, offline, space, tmp_path, monkeypatch):
    """Fetched once; resumed, confirmed, ablated, trained and exported without a network; served without a cache."""
    found = run(space())
    folder = found.folder
    assert sorted(hub.fetched) == [("toy/resnet", "README.md"), ("toy/resnet", "config.json"),
                                   ("toy/resnet", "model.safetensors")]
    pin = document(folder / "space.yaml")["weights"][WHOLE]
    assert pin["source"] == "toy/resnet" and pin["revision"] == COMMIT and pin["licence"] == "mit"
    assert len(pin["sha256"]) == 64
    written = document(folder / "space.yaml")
    assert written["model"] == {"name": WHOLE, "pretrained": True, "weights": None} and written["data"]["size"] == 32
    champion = document(folder / "champion.yaml")
    assert champion["weights"] == pin and champion["model"]["name"] == WHOLE
    assert champion["tricks"]["pretrained"] == {"weights": "default"}
    assert (champion["images"]["mean"], champion["images"]["std"]) == (MEAN, STD)
    line = f"the weights of toy/resnet, revision {COMMIT[:12]}, SHA-256 {pin['sha256'][:12]}, licence mit."
    assert f"- Begins with {line}" in card.card(folder).replace("\\", "")
    assert line in (folder / "report.html").read_text()
    offline()
    resumed = search.search(search.resume(folder, (), more=1), search.Options(
        resume=folder, engine=in_threads(), tracking="off"))
    assert len(resumed.trials) >= 2 and document(folder / "space.yaml")["weights"] == {WHOLE: pin}
    confirm.confirm_again(folder, ConfirmSection(top=1, seeds=1), engine=in_threads())
    ablate.ablate(folder, 2, engine=in_threads())
    assert document(folder / "champion.yaml")["weights"] == pin
    train.train(load_bundle_file(folder / "champion.yaml"), tmp_path / "trained")
    again = document(tmp_path / "trained" / "champion.yaml")
    assert again["weights"] == pin and again["images"] == champion["images"]
    export.export(str(folder), tmp_path, "script", tmp_path / "out")
    runpy.run_path(str(tmp_path / "out" / "train.py"), run_name="__main__")
    assert document(tmp_path / "trained" / "champion.yaml")["weights"] == pin
    point(monkeypatch, hub.url, tmp_path / "nowhere", offline=True)
    images = torch.zeros(2, 32, 32, 3, dtype=torch.uint8).numpy()
    assert Predictor.load(tmp_path / "trained").predict(images).shape == (2, 4)


def test_images_are_normalized_by_the_data_where_the_space_says_so(hub, space):
    found = run(space("data: {", "data: {normalize: data, "), confirm=False)
    images = document(found.folder / "champion.yaml")["images"]
    assert images["mean"] != MEAN and images["std"] != STD


def test_each_model_of_a_choice_begins_with_its_own(hub, space):
    path = space('name: "timm:hf-hub:toy/resnet"', 'name: {choice: ["timm:hf-hub:toy/resnet", "timm:hf-hub:toy/vit"]}')
    found = run(path, "search.trials=5", "search.sampler=random", confirm=False)
    drawn = {trial.bundle["model"]["name"] for trial in found.trials}
    pins = document(found.folder / "space.yaml")["weights"]
    assert drawn == pins.keys() == {WHOLE, "timm:test_vit@toy/vit"}
    assert {pin["licence"] for pin in pins.values()} == {"mit", "apache-2.0"}
    champion = document(found.folder / "champion.yaml")
    assert champion["weights"] == pins[champion["model"]["name"]]
    assert not [trial for trial in found.trials if trial.end == "failed"]


def refused(path, *overrides):
    """Return the one line by which a space is refused, before a folder is made."""
    with pytest.raises(InputError) as error:
        run(path, *overrides)
    line, = error.value.problems
    return line


@pytest.mark.parametrize(("old", "new", "said"), [
    ("pretrained: true", "pretrained: false", "model.name: timm:hf-hub:toy/resnet names the weights toy/resnet, and "
     "trainings would begin with others, at random. Set model.pretrained: true, or leave that name out."),
    ("timm:hf-hub:toy/resnet", "resnet8", "model.name: resnet8 is one of ours, for which nobody has published weights"),
    ("  sgd: {", "  pretrained: {weights: default}\n  sgd: {", "tricks.pretrained: model.pretrained "
     "says it already"),
    ("timm:hf-hub:toy/resnet", "timm:test_resnet.none", "model.name: timm:test_resnet.none: timm has no such weights. "
     "It has r160_in1k."),
    ('name: "timm:hf-hub:toy/resnet", pretrained: true', 'name: "torchvision:resnet18", weights: V9',
     "torchvision has no weights 'V9' for resnet18. It has IMAGENET1K_V1."),
    ('name: "timm:hf-hub:toy/resnet", pretrained: true', 'name: "timm:test_resnet", weights: none',
     "timm has no such weights. It has r160_in1k."),
    ("timm:hf-hub:toy/resnet", "timm:hf-hub:toy/none", "toy/none: the hub has no such repository"),
    ("timm:hf-hub:toy/resnet", "timm:test_vit@toy/resnet", "do not fit, and "),
    ("timm:hf-hub:toy/resnet", "timm:test_resnet?pretrained=true", "pretrained is not for a name to say"),
])
def test_what_cannot_be_is_refused_before_anything_is_written(hub, space, tmp_path, old, new, said):
    line = refused(space(old, new))
    assert line.startswith(f"{tmp_path / 'space.yaml'}:{10 if said.startswith('tricks.') else 4}:")
    assert said in line and not (tmp_path / "runs").exists()


def test_weights_of_a_file_that_do_not_fit_are_refused_before_anything_is_written(hub, space, tmp_path):
    torch.save({"other.weight": torch.ones(3)}, tmp_path / "other.pt")
    path = space('model: {name: "timm:hf-hub:toy/resnet", pretrained: true}', 'model: {name: resnet8}')
    line = refused(path, f"tricks.pretrained.weights={tmp_path / 'other.pt'}")
    assert "do not fit, and" in line and "Names in the file look like" in line
    assert not (tmp_path / "runs").exists()


def test_offline_without_the_weights_nothing_starts(offline, space, tmp_path, here, monkeypatch):
    offline()
    monkeypatch.setattr("autotricks.workflows.search.start_engine", lambda *given: pytest.fail("the engine started"))
    monkeypatch.setattr("autotricks.workflows.reopen.load_data", lambda *given: pytest.fail("the data were loaded"))
    code, out, err = here("search", "--space", space())
    assert code == 2 and out == "" and len(err.splitlines()) == 1 and not (tmp_path / "runs").exists()
    assert "HF_HUB_OFFLINE is set. Where there is a network: autotricks fetch 'timm:hf-hub:toy/resnet'" in err


def test_fetch_and_check(hub, offline, space, here, tmp_path):
    path = space()
    code, out, err = here("check", path, "--set", "data.size=32", "--set", "data.channels=3")
    assert (code, err) == (0, "") and "Not checked:" in out
    told = " ".join(out.split())
    assert "the weights of timm:test_resnet@toy/resnet, toy/resnet, are not on this machine yet" in told
    assert ("toy/resnet", "model.safetensors") not in hub.fetched
    code, out, err = here("fetch", path)
    name, place = out.splitlines()
    assert (code, err) == (0, "") and place.strip().endswith("model.safetensors")
    assert name == f"timm:hf-hub:toy/resnet: toy/resnet, revision {COMMIT[:12]}, 1.4 MiB, licence mit"
    offline()
    code, out, _ = here("fetch", "timm:hf-hub:toy/resnet", "--json")
    assert code == 0 and json.loads(out)[0]["licence"] == "mit" and json.loads(out)[0]["revision"] == COMMIT
    code, out, err = here("check", path, "--set", "data.size=32", "--set", "data.channels=3")
    assert (code, err) == (0, "") and "on this machine yet" not in out
    assert "timm:hf-hub:toy/resnet begins with the weights of toy/resnet\n" in out


def test_check_without_a_network_says_what_it_could_not_find_out(hub, offline, space, here):
    offline()
    code, out, err = here("check", space())
    assert (code, err) == (0, "") and "Not checked:" in out and "HF_HUB_OFFLINE is set" in " ".join(out.split())
    code, _, err = here("fetch", "timm:hf-hub:toy/resnet")
    assert code == 2 and len(err.splitlines()) == 1


def test_from_python(hub, offline):
    bundle = Bundle((Use(Pretrained("default")),), model="timm:hf-hub:toy/resnet", epochs=1, batch_size=16)
    with pytest.raises(ModelError, match="which architecture it is only the hub knows"):
        run_trial(bundle, make_dataset(size=32, channels=3))
    bundle = Bundle((Use(Pretrained("default")),), model=WHOLE, epochs=1, batch_size=16)
    trainer = prepare(bundle, make_dataset(size=32, channels=1))
    assert trainer.run.mean.flatten().tolist() == pytest.approx([0.5])   # the mean of the three
    offline()
    assert run_trial(bundle, make_dataset(size=32, channels=3)).end.value == "finished"


DETECTOR = """
name: found
data: {{source: "{source}", task: detection}}
model: {{name: "fcos:timm:hf-hub:toy/resnet", pretrained: true}}
training: {{epochs: 1, batch_size: 8}}
search: {{trials: 1, sampler: grid, engine: local, parallel: 1, rungs: {{first: 1}}}}
tricks:
  sgd: {{lr: 1.0e-9}}
"""


@pytest.mark.slow
def test_a_detector_begins_with_its_backbones_weights(hub, offline, tmp_path):
    """Fetched once and pinned; trained again and exported as a script without a network."""
    source = coco(tmp_path / "scenes", count=24, width=32, height=32)
    (tmp_path / "space.yaml").write_text(DETECTOR.format(source=source))
    found = run(str(tmp_path / "space.yaml"), confirm=False)
    name = f"fcos:{WHOLE}"
    written = document(found.folder / "space.yaml")
    champion = document(found.folder / "champion.yaml")
    assert written["model"]["name"] == champion["model"]["name"] == name and written["data"]["size"] is None
    assert written["weights"][name] == champion["weights"] and champion["weights"]["source"] == "toy/resnet"
    assert champion["weights"]["revision"] == COMMIT and champion["images"]["mean"] == MEAN
    held = load_file(found.folder / "champion.safetensors")["backbone.conv1.0.weight"]
    published = load(hub.repositories["toy/resnet"]["model.safetensors"])["conv1.0.weight"]
    torch.testing.assert_close(held, published, rtol=0, atol=1e-6)      # at a rate of 1e-9
    offline()
    train.train(load_bundle_file(found.folder / "champion.yaml"), tmp_path / "trained")
    assert document(tmp_path / "trained" / "champion.yaml")["weights"] == champion["weights"]
    export.export(str(found.folder), tmp_path, "script", tmp_path / "out")
    runpy.run_path(str(tmp_path / "out" / "train.py"), run_name="__main__")
    again = (tmp_path / "trained" / "champion.safetensors").read_bytes()
    assert again == (found.folder / "champion.safetensors").read_bytes()
