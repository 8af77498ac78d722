import pytest
import torch

from autotricks import export
from autotricks.core.bundle import Bundle, Use
from autotricks.errors import BundleError, ModelError
from autotricks.inference.predictor import Predictor
from autotricks.models import build
from autotricks.trial import prepare, run_trial
from autotricks.tricks.catalog import bundle_from, make
from autotricks.tricks.model.acnet import Acnet
from autotricks.tricks.model.cosine_head import CosineHead
from autotricks.tricks.model.group_norm import GroupNorm
from autotricks.tricks.model.pretrained import Pretrained
from autotricks.tricks.model.resnet_variant import ResnetVariant
from autotricks.tricks.model.xavier import Xavier
from autotricks.tricks.model.zero_gamma import ZeroGamma
from tests.conftest import make_dataset

DATA = make_dataset()


@pytest.fixture
def file(tmp_path):
    """Weights of a ResNet-8 that knew nine classes of color images."""
    torch.manual_seed(5)
    state = build("resnet8", 9, 3).state_dict()
    state["bn.running_mean"] += 2
    torch.save(state, tmp_path / "weights.pt")
    return tmp_path / "weights.pt"


def trainer(*tricks):
    return prepare(Bundle(tuple(map(Use, tricks)), model="resnet8", epochs=1, batch_size=16), DATA)


def test_the_model_begins_with_the_weights_of_the_file(file):
    held = torch.load(file)
    found, own = trainer(Pretrained(str(file))).run.model.state_dict(), trainer().run.model.state_dict()
    for name, value in found.items():
        if name.startswith("head."):
            assert torch.equal(value, own[name])    # drawn as without it
        elif name == "stem.weight":
            torch.testing.assert_close(value, held[name].sum(1, keepdim=True))
        else:
            assert torch.equal(value, held[name])


def test_without_a_file_the_model_has_its_own(file):
    found, own = trainer(Pretrained()).run.model.state_dict(), trainer().run.model.state_dict()
    assert all(torch.equal(found[name], own[name]) for name in own)


def test_other_tricks_act_on_top(file):
    model = trainer(Pretrained(str(file)), CosineHead()).run.model
    assert torch.equal(model.state_dict()["layers.0.conv1.weight"], torch.load(file)["layers.0.conv1.weight"])
    assert hasattr(model.head, "cosine_scale")


def test_what_cannot_be_loaded_is_one_line(tmp_path):
    torch.save(build("resnet20", 4, 1).state_dict(), tmp_path / "other.pt")
    for path, said in ((tmp_path / "none.pt", "no such file"), (tmp_path / "other.pt", "do not fit")):
        with pytest.raises(ModelError, match=said) as error:
            trainer(Pretrained(str(path)))
        assert str(path) in str(error.value) and len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize("other", [Acnet(), GroupNorm(), ResnetVariant(), ZeroGamma(), Xavier()])
def test_what_makes_other_weights_is_refused(other):
    with pytest.raises(BundleError, match=f"pretrained.*{other.name}"):
        trainer(Pretrained(), other)


def test_what_is_exported_needs_the_file_no_more(file, tmp_path):
    bundle = Bundle((make("sgd", {"lr": 0.05}), make("pretrained", {"weights": str(file)})), model="resnet8", epochs=1,
                    batch_size=16)
    result = run_trial(bundle, DATA)
    document = {"name": "x", "classes": list(DATA.classes), **bundle.document(), "result": {},
                "images": {"shape": list(DATA.image_shape), "mean": list(DATA.mean), "std": list(DATA.std)}}
    export.write(tmp_path, document, export.weights_of(result.model))
    file.unlink()
    probabilities = Predictor.load(tmp_path).predict(DATA.validation.images.permute(0, 2, 3, 1).numpy())
    right = (probabilities.argmax(1) == DATA.validation.targets.single.numpy()).mean()
    assert right == pytest.approx(result.metrics["val/accuracy"], abs=1e-6)
    assert bundle_from(document) == bundle
