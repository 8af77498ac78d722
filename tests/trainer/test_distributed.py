"""Two ranks train what one process trains: the same batches, the same gradients, the same weights."""

from dataclasses import replace

import pytest
import torch

from autotricks.core.bundle import Use, Window
from autotricks.core.run import Runtime
from autotricks.trainer.distributed import own_numbers
from autotricks.tricks.average.ema import Ema
from autotricks.tricks.batch.cutmix import Cutmix
from autotricks.tricks.batch.mixup import Mixup
from autotricks.tricks.gradients.classifier_retraining import ClassifierRetraining
from autotricks.tricks.gradients.gradient_clipping import GradientClipping
from autotricks.tricks.gradients.sam import Sam
from autotricks.tricks.loss.class_weights import ClassWeights
from autotricks.tricks.loss.label_smoothing import LabelSmoothing
from autotricks.tricks.loss.seql import Seql
from autotricks.tricks.model.sync_bn import SyncBn
from autotricks.tricks.runtime.gradient_accumulation import GradientAccumulation
from autotricks.tricks.sampler.class_balanced import ClassBalanced
from autotricks.tuning.engines.ranks import RankProcesses
from tests.conftest import make_run
from tests.trainer.made import Doubled, Frozen, Noise, differences, resnet
from tests.trainer.together import DEVICES, Job, Noisy, Partial, Rank, Uneven, together

ROUNDING = {"rtol": 1e-4, "atol": 2e-6}     # of float32 sums in another order, over ten steps


@pytest.fixture(scope="module")
def others():
    followers = RankProcesses(DEVICES, Rank)
    yield followers
    followers.close()


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


def test_what_batch_norm_has_noted_is_the_mean_over_the_ranks(others):
    job = Job(model=resnet, batch_size=80, epochs=1)     # one step
    found, halves = together(others, job).run.model.state_dict(), []
    for half in (0, 1):
        first = job.trainer()
        first.enter(first.plan.phases[0])
        images = first.batch(next(first.rows(1, 0))).images
        first.run.model.train()(images.chunk(2)[half])
        halves.append(first.run.model.state_dict())
    for name in halves[0]:
        if name.endswith(("running_mean", "running_var")):
            assert torch.allclose(found[name], (halves[0][name] + halves[1][name]) / 2, atol=1e-6), name
            assert not torch.allclose(halves[0][name], halves[1][name], atol=1e-4)


def test_all_ranks_go_by_the_figures_of_the_first(others):
    found, expected = together(others, Job(model=Partial)), Job().train()   # Rank compares those of the others
    assert found.history[-1].values["val/loss"] == pytest.approx(expected.history[-1].values["val/loss"], rel=1e-3)


def test_where_devices_cannot_synchronize_batch_norm_it_is_batch_norm(others):
    found, expected = (together(others, Job(tricks, resnet, epochs=1)) for tricks in ((SyncBn(),), ()))
    assert differences(timeless(found), timeless(expected)) == []


def test_a_resumed_run_is_the_uninterrupted_one_bit_for_bit(others):
    job = Job((Noise(), Mixup(), Seql(), Ema()), Noisy, epochs=3, batch_size=15)
    whole, resumed = together(others, job), together(others, replace(job, pause=1))
    assert differences(timeless(whole), timeless(resumed)) == []


def timeless(trainer):
    """The state but for torch's own numbers, which every step of several ranks sets anew."""
    return {name: value for name, value in trainer.state_dict().items() if name != "torch"}


def test_ranks_draw_noise_of_their_own_and_go_on_together():
    runs = [make_run() for _ in range(3)]
    before, drawn = runs[0].generator.get_state(), []
    for run, rank in zip(runs, (0, 1, 1)):
        run.runtime = Runtime(ranks=2, rank=rank)
        with own_numbers(run):
            drawn.append([*torch.rand(4).tolist(), *torch.rand(4, generator=run.generator).tolist()])
        assert torch.equal(run.generator.get_state(), before) and run.generator.initial_seed() == 0
    assert set(drawn[0]).isdisjoint(drawn[1]) and drawn[1] == drawn[2]
    runs[2].progress = 1 / runs[2].steps
    with own_numbers(runs[2]):
        assert torch.rand(1).item() != drawn[2][0]


def test_a_rank_that_runs_out_of_memory_alone_cuts_its_part_and_training_is_the_same(others):
    found = together(others, Job(model=Uneven))
    assert apart(found, Job().train()) == []
    assert found.run.runtime.micro_batches == 1     # this rank's: nobody else has to know
