"""A second task, made on the spot: the trainer, the pipeline and the engines carry one that they do not know.

Each image has a bright left half, a bright right half, both or neither: two places, each with a share where it is so.
"""
from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch
import torch.nn.functional as F

from autotricks import export
from autotricks.core.bundle import Bundle
from autotricks.core.dataset import Dataset, Split
from autotricks.core.domain import Float, at_least, tunable
from autotricks.core.slots import Slot
from autotricks.core.targets import Targets
from autotricks.core.task import UNFITTED
from autotricks.core.trick import Trick
from autotricks.errors import BundleError
from autotricks.inference import predictor, pyfunc
from autotricks.models import build
from autotricks.runs.trial import RungPlan
from autotricks.trial import run_trial
from autotricks.tricks import catalog as tricks
from autotricks.tuning.engines.rung_training import RungTrainer, arrays, from_arrays
from autotricks.workflows.predict import predict

from ..data.pictures import save

NAMES = ("left", "right")


def hot(targets):
    """Return 1 for each label that an image has, [B, C]."""
    return torch.zeros(len(targets), len(NAMES)).scatter_reduce_(1, targets.labels, targets.shares, "amax")


class EachForItself(Trick):
    """Answer yes or no to each label; in a mixture each answer is asked for by its share."""

    seats = {Slot.LOSS: "base"}
    weight: float = tunable(1.0, search=Float(0.5, 2.0), legal=at_least(0))

    def loss(self, inner, run):
        def summed(logits, batch):
            wanted = hot(batch.targets)
            return self.weight * F.binary_cross_entropy_with_logits(logits, wanted, reduction="none").sum(1)
        return summed


class Answers:
    """Counts right answers."""

    names = ("loss", "right")

    def __init__(self):
        self.losses, self.right = [], []

    def update(self, output, targets):
        wanted = hot(targets)
        self.losses.append(F.binary_cross_entropy_with_logits(output, wanted, reduction="none").flatten())
        self.right.append(((output > 0) == (wanted > 0)).float().flatten())

    def compute(self):
        return {"loss": torch.cat(self.losses).mean(), "right": torch.cat(self.right).mean()}


@dataclass(frozen=True)
class SeveralLabels:
    """Any number of labels an image."""

    name: ClassVar[str] = "several_labels"
    brings: ClassVar[frozenset] = frozenset()
    defaults: ClassVar[tuple] = ("sgd", "constant", "instance", "each_for_itself")
    metrics: ClassVar[tuple] = Answers.names
    train_metrics: ClassVar[tuple] = ("right",)
    objective: ClassVar[str] = "right"
    makes: ClassVar[str] = "A model"
    gives: ClassVar[str] = "left, right, both or neither"
    strangers: ClassVar[str] = "there are none"
    counted: ClassVar[str] = "images"
    fits: ClassVar[tuple] = ()

    def build(self, name, classes, image_shape, trust=False):
        return build(name, classes, image_shape[0], trust)

    def meter(self, counts, targets):
        return Answers()

    def blind_loss(self, classes):
        return classes * 0.6931

    def decode(self, output):
        return output.sigmoid()

    def blank(self, classes):
        return torch.zeros(1, classes)

    def placed(self, decoded, moves):
        return decoded

    def answers(self, decoded, classes, topk=1, fitted=UNFITTED):
        return [dict(zip(classes, row, strict=True)) for row in decoded.tolist()]


def split(count, seed):
    generator = torch.Generator().manual_seed(seed)
    has = torch.rand(count, 2, generator=generator) < 0.5
    images = torch.randint(0, 60, (count, 1, 8, 8), generator=generator)
    images[:, :, :, :4] += 150 * has[:, 0].view(-1, 1, 1, 1)
    images[:, :, :, 4:] += 150 * has[:, 1].view(-1, 1, 1, 1)
    return Split(images.to(torch.uint8), Targets(torch.arange(2).expand(count, 2).contiguous(), has.float()))


@pytest.fixture
def data(monkeypatch):
    known = {**tricks.catalog(), "each_for_itself": EachForItself}
    monkeypatch.setattr(tricks, "catalog", lambda: known)
    return Dataset(split(120, 0), split(40, 1), None, NAMES, (0.4,), (0.3,), "made", "made", SeveralLabels())


def bundle(**named):
    return Bundle(tuple(tricks.make(name, values) for name, values in {"sgd": {"lr": 0.1}, **named}.items()),
                  epochs=8, batch_size=20)


def test_it_is_trained_and_measured_by_its_own_loss_and_meter(data):
    assert data.counts.tolist() == data.train.targets.shares.sum(0).tolist()
    result = run_trial(bundle(), data)
    assert {name for name in result.metrics if name.startswith("val/")} == {"val/loss", "val/right"}
    assert result.metrics["val/right"] > 0.97 and result.metrics["train/right"] > 0.97


def test_tricks_of_no_task_work_on_it_and_those_of_one_label_refuse(data):
    mixed = run_trial(bundle(mixup={}, cutout={"size": 0.25}, ema={}, cosine={}), data)
    assert mixed.metrics["val/right"] > 0.9
    with pytest.raises(BundleError, match="balanced_softmax requires data with one label an image"):
        run_trial(bundle(balanced_softmax={}), data)


def test_files_are_answered_for_in_its_own_words(data, tmp_path, monkeypatch):
    """Columns of its own, in predictions and in what is served."""
    monkeypatch.setattr(predictor, "find_task", {SeveralLabels.name: SeveralLabels()}.__getitem__)
    result = run_trial(bundle(), data)
    document = {"name": "made", "data": {"task": SeveralLabels.name}, "classes": list(NAMES), "result": {},
                "images": {"shape": [1, 8, 8], "mean": [0.4], "std": [0.3]}, **result.bundle.document()}
    export.write(tmp_path, document, export.weights_of(result.model))
    files = [save(tmp_path / f"{row:02d}.png", image[0].numpy()) for row, image in enumerate(data.validation.images)]
    rows = predict(tmp_path, files)
    assert [list(row) for row in rows] == [["path", *NAMES, "error"]] * len(files)
    found = torch.tensor([[row[name] for name in NAMES] for row in rows])
    assert ((found > 0.5) == (hot(data.validation.targets) > 0)).float().mean() == pytest.approx(
        result.metrics["val/right"], abs=1e-6)
    served = pyfunc.Served(predictor.Predictor.load(tmp_path)).predict({"images": [files[0].read_bytes()]})
    assert list(served) == [*NAMES, "probabilities"]
    assert served["probabilities"][0] == {name: served[name][0] for name in NAMES}


def test_engines_carry_it(data):
    travelled = from_arrays(arrays(data))
    assert travelled.task == SeveralLabels() and torch.equal(travelled.train.targets.shares, data.train.targets.shares)
    outcome = RungTrainer(bundle(), RungPlan((8,)), travelled).reach(0)
    assert outcome.metrics["val/right"] == run_trial(bundle(), data).metrics["val/right"]
