"""Two ranks train what one process trains: the same batches, the same gradients, the same weights."""

import pytest
import torch

from autotricks.core.bundle import Use, Window
from autotricks.ranks import Followers
from autotricks.tricks.average.ema import Ema
from autotricks.tricks.batch.cutmix import Cutmix
from autotricks.tricks.batch.mixup import Mixup
from autotricks.tricks.gradients.classifier_retraining import ClassifierRetraining
from autotricks.tricks.gradients.gradient_clipping import GradientClipping
from autotricks.tricks.gradients.sam import Sam
from autotricks.tricks.loss.class_weights import ClassWeights
from autotricks.tricks.loss.label_smoothing import LabelSmoothing
from autotricks.tricks.runtime.gradient_accumulation import GradientAccumulation
from autotricks.tricks.sampler.class_balanced import ClassBalanced
from tests.trainer.made import Doubled, Frozen, Noise, resnet
from tests.trainer.together import DEVICES, Job, Rank

ROUNDING = {"rtol": 1e-4, "atol": 2e-6}     # of float32 sums in another order, over ten steps


@pytest.fixture(scope="module")
def others():
    followers = Followers(DEVICES, Rank)
    yield followers
    followers.close()


def together(others, job):
    others.tell(job)
    with others.lockstep():
        return Rank("cpu")(job)


def apart(found, expected):
    """The weights, buffers and average of one trainer that are not those of another."""
    found, expected = ({**each.run.model.state_dict(), **{f"average {name}": value for name, value in
                        each.evaluated.state_dict().items()}} for each in (found, expected))
    return [name for name, value in expected.items() if not torch.allclose(found[name], value, **ROUNDING)]


SAME = {
    "plain": Job(),
    "odd batch": Job(batch_size=15),
    "batch of three": Job((Mixup(),), batch_size=3, epochs=1),
    "class-balanced sampling": Job((ClassBalanced(),)),
    "augmentation": Job((Noise(),)),
    "mixup": Job((Mixup(), Noise())),
    "cutmix": Job((Cutmix(),), batch_size=15),
    "class weights": Job((ClassWeights(),), batch_size=15),
    "class weights and mixup": Job((ClassWeights(), Mixup(), LabelSmoothing()), batch_size=15),
    "label smoothing": Job((LabelSmoothing(epsilon=0.2),)),
    "sam": Job((Sam(rho=0.1), Noise()), batch_size=15),
    "ema": Job((Ema(),)),
    "clipping": Job((GradientClipping(max_norm=0.1),)),
    "accumulation": Job((GradientAccumulation(pieces=3), ClassWeights()), batch_size=15),
    "freezing": Job((Use(Frozen(), Window(0.3, 0.7)),)),
    "a new classifier": Job((Use(ClassifierRetraining(), Window(0.5, 1)),)),
    "a window that opens": Job((Use(Doubled(), Window(0.3, 1)), Use(ClassBalanced(), Window(0.6, 1)),
                                Use(Mixup(), Window(0, 0.6)))),
}


@pytest.mark.parametrize("job", SAME.values(), ids=SAME)
def test_two_ranks_train_what_one_process_trains(others, job):
    found, expected = together(others, job), job.train()
    assert apart(found, expected) == []
    assert apart(found, job.trainer())     # it has learned something
    assert found.end is expected.end and len(found.history) == job.epochs
    for left, right in zip(found.history, expected.history, strict=True):
        assert left.values == pytest.approx(right.values, rel=1e-3, abs=1e-5)


def test_batch_norm_normalizes_a_part_as_it_would_a_micro_batch(others):
    job = Job(model=resnet, epochs=1)
    found, expected = together(others, job), Job(model=resnet, epochs=1, pieces=2).train()
    weights = {name for name, _ in expected.run.model.named_parameters()}
    assert weights & set(apart(found, expected)) == set()
    assert weights & set(apart(found, job.train()))
