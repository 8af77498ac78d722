"""A finished bundle, read again from its files, and the graph that is handed over."""
import torch

from autotricks import export
from autotricks.core.bundle import Bundle
from autotricks.export.graph import captured
from autotricks.inference.predictor import Predictor
from autotricks.trial import run_trial
from autotricks.tricks.catalog import make
from tests.conftest import make_dataset


def handed_over(tricks, folder):
    """Train the tricks, `{name: values}`; check that files and graph predict as training did, and return the graph."""
    data = make_dataset()
    bundle = Bundle(tuple(make(name, values) for name, values in tricks.items()), model="resnet8", epochs=2,
                    batch_size=16)
    result = run_trial(bundle, data)
    document = {"name": "x", "classes": list(data.classes), **bundle.document(), "result": {},
                "images": {"shape": list(data.image_shape), "mean": list(data.mean), "std": list(data.std)}}
    export.write(folder, document, export.weights_of(result.model))
    predictor = Predictor.load(folder)
    images, labels = data.validation.images, data.validation.targets.single
    found = torch.from_numpy(predictor.predict(images.permute(0, 2, 3, 1).numpy()))
    assert abs(float(-found[torch.arange(len(labels)), labels].log().mean()) - result.metrics["val/loss"]) < 1e-5
    program = captured(predictor.pixels(), data.image_shape)
    assert torch.allclose(program.module()(images), found, atol=1e-5)
    return program
