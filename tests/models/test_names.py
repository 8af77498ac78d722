"""A model's name and its parts: what is written is what is read."""
import pytest

from autotricks.errors import ModelError
from autotricks.models.names import ModelName, parse
from tests.conftest import for_each

NAMES = {
    "resnet8": ModelName("", "resnet8"),
    "my.module:function": ModelName("", "my.module:function"),
    "timm:resnet50": ModelName("timm", "resnet50"),
    "timm:resnet50.a1_in1k": ModelName("timm", "resnet50", "a1_in1k"),
    "timm:vit_tiny_patch16_224.augreg_in21k_ft_in1k?img_size=64":
        ModelName("timm", "vit_tiny_patch16_224", "augreg_in21k_ft_in1k", arguments={"img_size": 64}),
    "timm:hf-hub:USER/a.b-c_1": ModelName("timm", "", repository="USER/a.b-c_1"),
    "timm:hf-hub:USER/MODEL?patch_size=8": ModelName("timm", "", repository="USER/MODEL", arguments={"patch_size": 8}),
    "timm:resnet50@USER/MODEL": ModelName("timm", "resnet50", repository="USER/MODEL"),
    "timm:resnet50.tag@USER/MODEL": ModelName("timm", "resnet50", "tag", "USER/MODEL"),
    "torchvision:resnet50.IMAGENET1K_V2": ModelName("torchvision", "resnet50", "IMAGENET1K_V2"),
    "timm:vit?img_size=(64,96)&qk_norm=true&p=false&rate=0.5&low=1e-05&pool=avg&none=None&depths=[2,2]":
        ModelName("timm", "vit", arguments={"img_size": (64, 96), "qk_norm": True, "p": False, "rate": 0.5, "low": 1e-5,
                                            "pool": "avg", "none": None, "depths": [2, 2]}),
}


def test_names_are_read_and_written_alike():
    @for_each(NAMES.items())
    def each(text, name):
        assert parse(text) == name and str(name) == text
    each()


VALUES = ["", "8", "true", "None", "a b", "a&b=c", "it's", "(1,", "é", "1.5", True, False, None, 0, -3, 2.5, 1e30,
          [1, 2], [True, None], (), (3,), {"a": 1, "b": [2.0]}]


def test_every_value_of_an_argument_survives():
    @for_each([(value,) for value in VALUES])
    def each(value):
        name = ModelName("timm", "vit", arguments={"first": value, "last": 1})
        assert parse(str(name)) == name and type(parse(str(name)).arguments["first"]) is type(value)
    each()


@pytest.mark.parametrize(("name", "said"), [
    ("timm:hf-hub:USER", "'USER' is no repository; write timm:hf-hub:USER/MODEL."),
    ("timm:hf-hub:USER/MODEL/more", "is no repository"),
    ("timm:hf-hub:", "'' is no repository"),
    ("timm:resnet50@../etc", "is no repository"),
    ("timm:resnet50@USER/../etc", "is no repository"),
    ("timm:resnet50@USER/..", "'USER/..' is no repository"),
    ("torchvision:resnet50@USER/MODEL", "torchvision has no repositories; write torchvision:NAME.WEIGHTS"),
    ("torchvision:hf-hub:USER/MODEL", "torchvision has no repositories"),
    ("timm:vit?patch_size", "'patch_size' is no argument; write timm:NAME?patch_size=8&qk_norm=true."),
    ("timm:vit?patch_size=", "is no argument"), ("timm:vit?8=8", "is no argument"),
    ("timm:vit?a=1&", "'' is no argument"),
    ("timm:vit?pretrained=true", "pretrained is not for a name to say. Leave it out; model.pretrained brings weights."),
    ("timm:vit?checkpoint_path=a.pth", "checkpoint_path is not for a name"),
    ("timm:vit?num_classes=3", "num_classes is not for a name"),
    ("torchvision:resnet18?weights=DEFAULT", "weights is not for a name"),
])
def test_what_is_no_name_is_one_line(name, said):
    with pytest.raises(ModelError) as error:
        parse(name)
    assert said in str(error.value) and str(error.value).startswith(f"model.name: {name}: ")
    assert len(error.value.problems) == 1
