"""Published weights: from a hub and an address on loopback, and from the caches when nothing answers."""
import hashlib
import json
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
import torch

from autotricks.errors import HubError, ModelError
from autotricks.models import Pin, build, cached, load_weights, published
from autotricks.nn.pretrained import begin_with
from tests.hub import COMMIT, MEAN, STD, point, repository, serving

TOY, NAME = "toy/resnet", "timm:test_resnet@toy/resnet"


@pytest.fixture(scope="module")
def files():
    return repository("test_resnet")


@pytest.fixture
def hub(files, monkeypatch, tmp_path):
    """A hub with one small model, and an empty cache."""
    with serving({TOY: dict(files)}) as made:
        point(monkeypatch, made.url, tmp_path)
        yield made


@pytest.fixture
def offline(monkeypatch):
    """Switch the network off, as HF_HUB_OFFLINE=1 does."""
    return partial(monkeypatch.setattr, "huggingface_hub.constants.HF_HUB_OFFLINE", True)


def refused(name=NAME, pin=None):
    """Return the one line that says why weights cannot be had."""
    with pytest.raises(ModelError) as error:
        load_weights(name, pin=pin)
    line, = error.value.problems
    assert line.startswith("model.") and not set(line) & {"\n", "\x1b"} and ".." not in line.replace("...", "")
    return line


def blob(tmp_path, files):
    """Return the large file of the cache."""
    digest = hashlib.sha256(files["model.safetensors"]).hexdigest()
    return tmp_path / "hub" / "models--toy--resnet" / "blobs" / digest


def test_a_model_of_the_hub_says_all_that_must_be_known(hub, files):
    found = published("timm:hf-hub:toy/resnet")
    assert (str(found.name), found.source, found.side) == (NAME, TOY, 32)
    weights = load_weights("timm:hf-hub:toy/resnet")
    assert weights.facts() == {"source": TOY, "revision": COMMIT, "licence": "mit",
                               "sha256": hashlib.sha256(files["model.safetensors"]).hexdigest()}
    assert (list(weights.mean), list(weights.std)) == (MEAN, STD)
    model = begin_with(build(NAME, 6, 3), weights, 6)
    assert all(torch.equal(value, weights.tensors[name]) for name, value in model.state_dict().items())


def test_it_is_fetched_once_and_then_lies_here(hub, offline, monkeypatch):
    assert not cached(published(NAME))
    first = load_weights(NAME)
    assert cached(published(NAME)) and cached(published(NAME), COMMIT) and not cached(published(NAME), "0" * 40)
    load_weights(NAME)
    assert sorted(hub.fetched) == [(TOY, "README.md"), (TOY, "config.json"), (TOY, "model.safetensors")]
    offline()
    asked = len(hub.fetched)
    assert load_weights(NAME).facts() == first.facts() and len(hub.fetched) == asked
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    hub.broken = True
    pin = Pin(first.source, first.sha256, first.revision, "of then")
    assert load_weights(NAME).facts() == first.facts()
    assert load_weights(NAME, pin=pin).facts() == {**first.facts(), "licence": "of then"}


def test_a_name_of_timm_is_its_repository(hub, offline):
    hub.repositories["timm/test_resnet.r160_in1k"] = repository("test_resnet", 1000, 160)
    offline()
    found = published("timm:test_resnet")
    assert found == published("timm:test_resnet.r160_in1k") or found.source == "timm/test_resnet.r160_in1k"
    assert (found.source, found.side, found.licence) == ("timm/test_resnet.r160_in1k", 160, "apache-2.0")
    line = refused("timm:test_resnet.r160_in1k")
    assert line == ("model.name: timm:test_resnet.r160_in1k: timm/test_resnet.r160_in1k: not on this machine, and "
                    "HF_HUB_OFFLINE is set. Where there is a network: autotricks fetch 'timm:test_resnet.r160_in1k', "
                    "then copy the cache, or set HF_HOME to a folder that both see.")


def test_a_name_of_timm_is_served_by_the_hub(hub):
    hub.repositories["timm/test_resnet.r160_in1k"] = repository("test_resnet", 1000, 160, "other")
    weights = load_weights("timm:test_resnet.r160_in1k")
    assert (weights.source, weights.licence) == ("timm/test_resnet.r160_in1k", "apache-2.0")    # timm's word for it
    assert weights.revision == COMMIT and len(weights.mean) == 3


@pytest.mark.parametrize(("name", "said"), [
    ("timm:test_resnet.a1", "timm has no such weights. It has r160_in1k."),
    ("timm:test_resnet.a1@toy/resnet", None),
    ("torchvision:squeezenet1_1.V9", "torchvision has no weights 'V9' for squeezenet1_1. It has IMAGENET1K_V1."),
    ("torchvision:fcn_resnet50", "is no classifier of images."),
    ("timm:resnet34_gn_x", "timm has no such weights"),
    ("resnet8", "nobody has published weights for resnet8"),
    ("timm:hf-hub:toy/none", "toy/none: the hub has no such repository; a private one needs HF_TOKEN.")])
def test_what_is_not_published_is_said(hub, name, said):
    if said is None:
        assert published(name).source == TOY
    else:
        assert said in refused(name)


def test_a_hub_that_is_broken_is_one_line_with_the_way_on(hub):
    hub.broken = True
    line = refused("timm:hf-hub:toy/resnet")
    assert line == ("model.name: timm:hf-hub:toy/resnet: toy/resnet: not on this machine, and the hub cannot be "
                    "reached. Where there is a network: autotricks fetch 'timm:hf-hub:toy/resnet', then copy the "
                    "cache, or set HF_HOME to a folder that both see.")
    with pytest.raises(HubError):
        load_weights("timm:hf-hub:toy/resnet")


def test_a_hub_that_asks_for_terms_or_lost_a_revision(hub, files):
    pin = Pin(TOY, "0" * 64, "0" * 40)
    assert "toy/resnet: the repository has no such revision any more." in refused(pin=pin)
    hub.gated.add(TOY)
    assert "toy/resnet: its terms must be accepted on the hub first, and HF_TOKEN set." in refused()


@pytest.mark.parametrize(("config", "said"), [
    (b"{", "JSONDecodeError"), (b"[]", "AttributeError"), (b"{}", "KeyError: 'architecture'"),
    (json.dumps({"architectures": ["ViT"]}).encode(), "KeyError"), (None, "KeyError"),
    (json.dumps({"architecture": "a:b@c/d"}).encode(), "no repository"),
    (json.dumps({"architecture": "a?b=1"}).encode(), "no name can say 'a?b=1'"),
    (json.dumps({"architecture": "test_resnet", "pretrained_cfg": {"mean": "white"}}).encode(), "ValueError"),
    (json.dumps({"architecture": 3}).encode(), "Error")])
def test_a_repository_that_is_not_of_timm_is_said(hub, files, config, said):
    hub.repositories[TOY] = {**files, **({"config.json": config} if config is not None else {})}
    if config is None:
        del hub.repositories[TOY]["config.json"]
    line = refused("timm:hf-hub:toy/resnet")
    assert said in line and ("toy/resnet has no config.json that timm would write: " in line or said == "no repository")


def test_what_a_repository_says_of_its_model_is_part_of_the_name(hub, files):
    config = json.loads(files["config.json"])
    config["model_args"] = {"pretrained": True, "checkpoint_path": "/etc/passwd", "img_size": 96, "act_layer": "gelu",
                            "global_pool": "max"}
    hub.repositories[TOY] = {**files, "config.json": json.dumps(config).encode()}
    found = published("timm:hf-hub:toy/resnet?act_layer=relu")
    assert str(found.name) == "timm:test_resnet@toy/resnet?act_layer=relu&global_pool=max"
    assert build(str(found.name), 6, 3).global_pool.pool_type == "max"


def test_a_repository_without_weights(hub, files):
    hub.repositories[TOY] = {"config.json": files["config.json"]}
    assert "toy/resnet holds none of model.safetensors, pytorch_model.bin." in refused()


def test_weights_that_torch_saved(hub, files, tmp_path):
    model = build("timm:test_resnet", 6, 3)
    torch.save(model.state_dict(), tmp_path / "weights")
    saved = (tmp_path / "weights").read_bytes()
    hub.repositories[TOY] = {"config.json": files["config.json"], "pytorch_model.bin": saved}
    weights = load_weights(NAME)
    assert torch.equal(weights.tensors["fc.weight"], model.state_dict()["fc.weight"]) and weights.licence == ""


@pytest.mark.parametrize("harm", [lambda content: content[:-100], lambda content: content[:1000],
                                  lambda content: content[:-50] + bytes([content[-50] ^ 1]) + content[-49:]])
def test_a_file_that_was_harmed_is_named_and_not_used(hub, files, tmp_path, offline, harm):
    load_weights(NAME)
    path = blob(tmp_path, files)
    path.write_bytes(harm(path.read_bytes()))
    for _ in range(2):
        line = refused()
        assert "model.safetensors is damaged: it is not what toy/resnet gave. Delete it, then: autotricks fetch" in line
        assert str(tmp_path / "hub") in line
        offline()


def test_a_file_that_the_hub_breaks_off_is_not_kept(hub, files, tmp_path):
    hub.cut = 1000
    line = refused()
    assert "toy/resnet: " in line
    assert not blob(tmp_path, files).exists()
    hub.cut = None
    assert load_weights(NAME).sha256 == blob(tmp_path, files).name


def test_weights_other_than_those_of_the_run_are_refused(hub):
    line = refused(pin=Pin(TOY, "f" * 64, COMMIT))
    assert f"the weights of {TOY} have the checksum" in line and "began with ffffffffffff. Start a new search." in line


@pytest.fixture
def address(tmp_path, monkeypatch):
    """An address from which torchvision's SqueezeNet comes, with its checksum in the file's name."""
    import torchvision.models as zoo

    (tmp_path / "www").mkdir()
    torch.save(zoo.squeezenet1_1(num_classes=5).state_dict(), tmp_path / "weights.pth")
    content = (tmp_path / "weights.pth").read_bytes()
    name = f"squeezenet1_1-{hashlib.sha256(content).hexdigest()[:8]}.pth"
    (tmp_path / "weights.pth").rename(tmp_path / "www" / name)

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=tmp_path / "www"))
    Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    url = f"http://127.0.0.1:{server.server_address[1]}/{name}"
    chosen = zoo.SqueezeNet1_1_Weights.IMAGENET1K_V1
    monkeypatch.setattr(chosen, "_value_", chosen.value.__class__(url, chosen.value.transforms, chosen.value.meta))
    yield url, tmp_path / "www" / name
    server.shutdown()
    server.server_close()


def test_weights_of_an_address(hub, address, tmp_path, offline):
    url, _ = address
    offline()
    line = refused("torchvision:squeezenet1_1")
    assert f"{url}: not on this machine, and HF_HUB_OFFLINE is set. " in line
    assert "autotricks fetch 'torchvision:squeezenet1_1'" in line


def test_weights_of_an_address_are_fetched_once(hub, address, tmp_path):
    url, served = address
    weights = load_weights("torchvision:squeezenet1_1.IMAGENET1K_V1")
    assert weights.facts() == {"source": url, "revision": "", "licence": "",
                               "sha256": hashlib.sha256(served.read_bytes()).hexdigest()}
    assert weights.mean == (0.485, 0.456, 0.406) and published("torchvision:squeezenet1_1").side == 224
    kept = tmp_path / "torch" / "hub" / "checkpoints" / served.name
    served.unlink()
    assert load_weights("torchvision:squeezenet1_1").sha256 == weights.sha256
    kept.write_bytes(kept.read_bytes()[:-9])
    assert f"{kept} is damaged: it is not what {url} gave. Delete it" in refused("torchvision:squeezenet1_1")
    kept.unlink()
    assert f"{url}: " in refused("torchvision:squeezenet1_1")


def test_an_address_that_gives_something_else(hub, address, tmp_path):
    _, served = address
    served.write_bytes(b"other")
    assert "invalid hash" in refused("torchvision:squeezenet1_1")
    assert not (tmp_path / "torch" / "hub" / "checkpoints" / served.name).exists()


def test_what_torchvision_normalizes_twice_is_normalized_once():
    assert published("torchvision:googlenet").mean == (0.5, 0.5, 0.5) == published("torchvision:inception_v3").std
