"""Every trick trains on a pretended GPU: tensors keep to one device, and no step waits for it.

By default each trick of the catalog trains one step of a tiny model, is evaluated, and stays on the device. The slow
run trains each in every task, and twenty drawn bundles in two precisions, in memory and streamed: an epoch, its
evaluation, a checkpoint, and another epoch from it; and holds the weights to those of a CPU, bit for bit.
"""
import copy
import random
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from autotricks.core.bundle import Bundle, Use
from autotricks.core.constants import constants
from autotricks.core.plan import problems, unsuited
from autotricks.core.run import ModelFactory
from autotricks.data.stream import Files, Reading, Streamed
from autotricks.testing import companions, striped, striped_scenes, striped_sets, weights
from autotricks.trainer import Trainer, checkpoint
from autotricks.trial import prepare
from autotricks.tricks.catalog import catalog, plan_of
from tests.conftest import for_each

from .pretended_gpu import OnGpu, Read, Watch, pretended, watches
from .test_check_trick import Kept, Waits
from .test_pairs import SETTINGS, bundles, names_of, uses

RUN, PHASE, EPOCH = "run", "phase", "epoch"
UNSHOWN = {"torch_compile"}     # asks for what compiles for a GPU


@dataclass(frozen=True)
class Known:
    """A file that may read from the device.

    Args:
        why: It reads.
        often: Once a run, a phase or an epoch; never once a step.
        trick: One that reads there; every training does unless told.
        task: In which it does.
        images: As they are there.
        inside: Whether it is within a step, the last one of an epoch.
    """

    why: str
    often: str
    trick: str = "sgd"
    task: str = "classification"
    images: str = "in memory"
    inside: bool = False


READS = {
    "core/targets.py": Known("classes are counted", RUN),
    "data/stream.py": Known("which images are to be read in an epoch; for an average's batch norm, at its end", EPOCH,
                            images="streamed", inside=True),
    "trainer/trainer.py": Known("the loss of the steps; those of a search for a rate", EPOCH),
    "trainer/evaluate.py": Known("the figures, all at once", EPOCH),
    "tasks/classification/figures.py": Known("means over the classes that are there", EPOCH),
    "tasks/classification/metrics.py": Known("which figures there are, and over which classes", EPOCH),
    "tasks/shots.py": Known("names of the groups of classes", EPOCH),
    "functional/ranking_metrics.py": Known("which classes have both kinds of images", EPOCH, task="multilabel"),
    "tasks/multilabel/metrics.py": Known("which classes have images", EPOCH, task="multilabel"),
    "tasks/detection/matching.py": Known("what is there and what was found, to compare on the CPU", EPOCH,
                                        task="detection"),
    "functional/label_sets.py": Known("whether each image has a label", PHASE, "square_root"),
    "functional/sampling.py": Known("images of a class as far as they go", EPOCH, "over_sampling"),
    "functional/distillation.py": Known("whether the teacher knows the classes", PHASE, "distillation"),
    "io/array_cache.py": Known("features of a frozen network, to keep them", PHASE, "classifier_retraining"),
    "nn/activation_maps.py": Known("whether maps follow from the last layer", PHASE, "cam_sampling"),
    "trainer/frozen.py": Known("what features follow from; whether an average differs below", EPOCH,
                               "classifier_retraining"),
    "tricks/predict/nearest_class_mean.py": Known("which classes have images", EPOCH, "nearest_class_mean"),
    "tricks/sampler/capped_sampling.py": Known("the largest class", PHASE, "capped_sampling"),
    "tricks/sampler/over_sampling.py": Known("the largest class", PHASE, "over_sampling"),
    "tricks/sampler/under_sampling.py": Known("how many images an epoch has", EPOCH, "under_sampling"),
}


FIRST = Known("what is not known", RUN)


class Watched(Trainer):
    """A trainer that tells when a step begins and ends."""

    def step(self, rows: Tensor) -> Tensor:
        """Train a step, watched."""
        watch = watches[-1]
        watch.steps += 1
        watch.inside = True
        try:
            return super().step(rows)
        finally:
            watch.inside = False


def faults(watch: Watch, trainer: Trainer) -> list[str]:
    """Return what the host waited for and may not: in a step, in a file that is not listed, or too often."""
    late = {place for place, known in READS.items() if known.inside}
    found = {f"{read.place}:{read.line}: a step waits ({read.kind})" for read in watch.reads
             if read.inside and read.place not in late}
    limits = {RUN: 1, PHASE: len(trainer.plan.phases), EPOCH: trainer.epoch}
    moments: dict[str, set[int]] = {}
    for read in watch.reads:
        begun = read.steps or READS.get(read.place, FIRST).often != EPOCH   # before the first step is once a run
        if read.kind != "send" and begun and (read.place in late or not read.inside):
            moments.setdefault(read.place, set()).add(read.steps)
    for place, when in moments.items():
        if place not in READS:
            found.add(f"{place} is not among READS: it reads {len(when)} times")
        elif len(when) > limits[READS[place].often]:
            found.add(f"{place} reads {len(when)} times, allowed is once each {READS[place].often}")
    return sorted(found)


def elsewhere(trainer: Trainer) -> list[str]:
    """Return what of a trainer is on the CPU, but for numbers, which torch's optimizers keep there."""
    run = trainer.run
    parts = {"model": run.model.state_dict(), "evaluated": trainer.evaluated.state_dict(), "memory": run.memory,
             "run": {name: value for name, value in vars(run).items() if isinstance(value, Tensor)},
             "optimizer": {f"{index} {name}": value for index, state in enumerate(trainer.optimizer.state.values())
                           for name, value in state.items() if isinstance(value, Tensor) and value.ndim}}
    return [f"{part}: {name} is on the CPU" for part, values in parts.items() for name, value in values.items()
            if isinstance(value, Tensor) and not isinstance(value, OnGpu)]


def stepped(bundle, task):
    """Train one step of a tiny model; return what is wrong, and the files that read."""
    data, model = SETTINGS[task].images(), SETTINGS[task].model
    torch.manual_seed(0)
    with pretended() as watch:
        trainer = Watched(plan_of(bundle, data.task, data.traits), model(), data, "cuda",
                          supply=ModelFactory(fresh=model))
        metrics = next(trainer.epochs())
    wrong = faults(watch, trainer) + elsewhere(trainer) + ([] if metrics.finite else [f"{metrics} are not finite"])
    return wrong, {read.place for read in watch.reads if read.kind != "send"}


@cache
def one_step(name, task="classification"):
    """Train one step with a trick; return what is wrong, and the files that read."""
    return stepped(Bundle(uses((name,)), epochs=1, batch_size=16), task)


@pytest.mark.parametrize("name", [name for name in names_of("classification") if name not in UNSHOWN])
def test_every_trick_trains_a_step(name):
    assert one_step(name)[0] == []


REFUSED = {
    "a tensor of the CPU": lambda gpu: gpu + torch.ones(3),
    "a tensor of the CPU first": lambda gpu: torch.ones(3) * gpu,
    "a choice of the CPU": lambda gpu: torch.where(torch.ones(3) > 0, gpu, 0.0),
    "a number of the CPU in a list": lambda gpu: torch.stack([gpu.sum(), torch.ones(())]),
    "an index of the GPU": lambda gpu: torch.ones(3)[gpu.long()],
    "weights of the CPU": lambda gpu: torch.nn.Linear(3, 2)(gpu),
    "a generator of the CPU": lambda gpu: torch.rand(3, device="cuda", generator=torch.Generator()),
    "a generator of the CPU, in place": lambda gpu: gpu.uniform_(generator=torch.Generator()),
    "a generator of the GPU": lambda gpu: torch.rand(3, generator=torch.Generator("cuda")),
    "a generator of the GPU to initialize": lambda gpu: torch.nn.init.normal_(
        torch.empty(3), generator=torch.Generator("cuda")),
    "numpy": lambda gpu: gpu.numpy()}
AWAITED = {
    "_local_scalar_dense": [lambda gpu: gpu.sum().item(), lambda gpu: float(gpu[0]), lambda gpu: bool(gpu[0] > 0),
                            lambda gpu: torch.ones(3)[int(gpu[0])]],
    "tolist": [lambda gpu: gpu.tolist()], "nonzero": [lambda gpu: gpu.nonzero(), lambda gpu: torch.where(gpu > 0)],
    "mask": [lambda gpu: gpu[gpu > 0], lambda gpu: gpu.masked_fill_(gpu > 0, 0).__setitem__(gpu > 0, gpu[:1])],
    "_unique2": [lambda gpu: gpu.unique()], "bincount": [lambda gpu: gpu.long().bincount()],
    "equal": [lambda gpu: torch.equal(gpu, gpu)], "allclose": [lambda gpu: torch.allclose(gpu, gpu)],
    "_linalg_check_errors": [lambda gpu: torch.linalg.inv(gpu.diag())],
    "read": [lambda gpu: gpu.cpu(), lambda gpu: gpu.to("cpu"), lambda gpu: torch.zeros(3).copy_(gpu)],
    "send": [lambda gpu: torch.tensor([1.0], device="cuda"), lambda gpu: torch.ones(3).to("cuda"),
             lambda gpu: gpu.new_tensor([1.0]), lambda gpu: gpu[[0, 1]], lambda gpu: gpu.copy_(torch.ones(3)),
             lambda gpu: torch.ones(3).cuda()]}
FREE = [lambda gpu: gpu * torch.tensor(2.0), lambda gpu: gpu.clamp(0, 1).sort(), lambda gpu: gpu[gpu.long() % 3],
        lambda gpu: torch.rand(3, device="cuda", generator=torch.Generator("cuda")), lambda gpu: torch.zeros_like(gpu),
        lambda gpu: torch.full((2,), 3, device="cuda"), lambda gpu: torch.linalg.inv_ex(gpu.diag()),
        lambda gpu: len(gpu), lambda gpu: torch.ones(3).to("cuda", non_blocking=True),
        lambda gpu: constants((1, 2), gpu)]


@pytest.mark.parametrize("what", REFUSED)
def test_what_a_gpu_refuses_is_refused(what):
    with pretended(), pytest.raises((RuntimeError, TypeError), match=r"device|convert cuda"):
        REFUSED[what](torch.ones(3, device="cuda"))


@for_each([(kind, act) for kind, acts in AWAITED.items() for act in acts])
def test_what_the_host_waits_for_is_noted(kind, act):
    with pretended() as watch:
        act(torch.ones(3, device="cuda"))
    assert [read.kind for read in watch.reads][-1:] == [kind]


@for_each(FREE)
def test_what_it_does_not_wait_for_is_not(act):
    with pretended() as watch:
        act(torch.ones(3, device="cuda"))
    assert watch.reads == []


def test_what_is_made_there_is_there_and_stays():
    with pretended():
        model = torch.nn.Linear(2, 2)
        weight = model.weight
        model.to("cuda")
        assert model.weight is weight and weight.is_cuda and weight.device == torch.device("cuda", 0)
        model(torch.ones(1, 2, device="cuda")).sum().backward()
        assert weight.grad.is_cuda and copy.deepcopy(weight).is_cuda and weight.data.is_cuda
        assert not weight.cpu().is_cuda and weight.cpu().tolist() == weight.tolist()


def test_what_reads_too_often_or_is_not_known_is_told():
    watch = Watch()
    trainer = SimpleNamespace(plan=SimpleNamespace(phases=(1, 2)), epoch=2)
    for watch.steps in (1, 2, 3):
        watch.note("tolist")
    found = [replace(read, place=place) for place in ("trainer/evaluate.py", "io/array_cache.py", "core/targets.py")
             for read in watch.reads]
    watch.reads = [*found[:5], found[6], *watch.reads[:1], Read("send", "elsewhere", 1, 9, False)]
    assert faults(watch, trainer) == ["elsewhere is not among READS: it reads 1 times",
                                      "trainer/evaluate.py reads 3 times, allowed is once each epoch"]


class Forgetful(Kept):
    """Notes something on the CPU."""

    def loss(self, inner, run):
        run.memory["forgetful.note"] = torch.ones(3)
        return inner


def test_a_trick_whose_steps_wait_or_that_keeps_something_elsewhere_is_found():
    wrong, _ = stepped(Bundle((Use(Waits()),), epochs=1, batch_size=16), "classification")
    assert len(wrong) == 1 and wrong[0].endswith(": a step waits (_local_scalar_dense)")
    wrong, _ = stepped(Bundle((Use(Forgetful()),), epochs=1, batch_size=16), "classification")
    assert wrong == ["memory: forgetful.note is on the CPU"]


class Held(Files):
    """Images that are streamed, though not from files."""

    def __init__(self, images: Tensor):
        super().__init__([], tuple(images.shape[1:]), None, None)
        self._images = images

    def __getitem__(self, rows):
        """Return the images of these rows."""
        return self._images[rows]


def streamed(dataset):
    """Return a data set whose images are read when they are asked for."""
    def of(split):
        return replace(split, images=Streamed(Held(split.images), [], torch.arange(len(split)), Reading(workers=0)))
    return replace(dataset, train=of(dataset.train), validation=of(dataset.validation))


@cache
def data(task):
    """Images of a task, enough for two steps an epoch."""
    whole = {"classification": lambda: striped((8, 4, 2, 2), channels=3),
             "multilabel": lambda: striped_sets(count=16, channels=3),
             "detection": lambda: striped_scenes(count=16, channels=3)}[task]()
    return replace(whole, validation=whole.validation.take(torch.arange(0, len(whole.validation), 4)))


MODELS = {"classification": "resnet8", "multilabel": "resnet8", "detection": "fcos:resnet8"}
SLOW = Use(catalog()["sgd"](lr=0.01))      # at the default a detector's loss leaps at first


def trained(bundle, dataset, device):
    """Train an epoch, and the rest from a checkpoint; return both trainers."""
    first = prepare(bundle, dataset, device, kind=Watched)
    next(first.epochs())
    with TemporaryDirectory() as folder:
        checkpoint.save(first.state_dict(), Path(folder) / "state")
        state = checkpoint.load(Path(folder) / "state")
    return first, state


def resumed(bundle, dataset, device, state):
    """Return a trainer that went on from a checkpoint to the end."""
    second = prepare(bundle, dataset, device, kind=Watched)
    second.load_state_dict(state)
    list(second.epochs())
    return second


def wrong_in(bundle, dataset):
    """Train on the pretended GPU and on the CPU; return what is wrong."""
    with pretended() as watch:
        first, state = trained(bundle, dataset, "cuda")
    with pretended() as again:
        second = resumed(bundle, dataset, "cuda", state)
    wrong = faults(watch, first) + elsewhere(first) + faults(again, second) + elsewhere(second)
    plain = prepare(bundle, dataset)
    list(plain.epochs())
    theirs = weights(plain)
    ours = {name: value.held for name, value in weights(second).items()}
    return wrong + [f"{name} is another on the CPU" for name, value in theirs.items()
                    if not torch.equal(value, ours[name])]


def alone(name, task):
    """Return a trick with what it needs, and a rate that the task's model bears."""
    trick = catalog()[name]
    own = (Use(trick()), *companions(trick))
    slow = (SLOW,) if task == "detection" and not problems((*own, SLOW)) else ()
    return Bundle((*own, *slow), MODELS[task], epochs=2, batch_size=8)


@pytest.mark.filterwarnings("ignore:.*pin_memory")      # there is nothing to pin it for
@pytest.mark.parametrize("place", READS)
def test_each_read_that_is_known_is_still_there(place):
    known = READS[place]
    if (known.task, known.images) == ("classification", "in memory"):
        read = one_step(known.trick)[1]
    else:
        read = read_in(known)
    assert place in read


def read_in(known):
    """Return the files that read in an epoch of the trick, task and images of one that is known."""
    images = data(known.task)
    with pretended() as watch:
        next(prepare(alone(known.trick, known.task), streamed(images) if known.images == "streamed" else images,
                     "cuda").epochs())
    return {read.place for read in watch.reads if read.kind != "send"}


def fitting(task):
    return [name for name, trick in catalog().items()
            if name not in UNSHOWN and not unsuited(trick, data(task).traits)]


@pytest.mark.slow
@pytest.mark.parametrize(("task", "name"), [(task, name) for task in MODELS for name in fitting(task)])
def test_every_trick_trains_and_goes_on_as_on_a_cpu(task, name):
    assert wrong_in(alone(name, task), data(task)) == []


LIES = [(lies, precision) for lies in ("in memory", "streamed") for precision in ("fp32", "bf16")]


def drawn(task, number):
    """Return one of some bundles drawn from those of up to eighteen tricks in which every legal pair is together."""
    names = random.Random(0).sample(bundles(task), number + 1)[number]
    return tuple(name for name in names if name not in {"bf16", "fp16", *UNSHOWN})


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*pin_memory")      # there is nothing to pin it for
@pytest.mark.parametrize(("task", "number"), [
    *(("classification", number) for number in range(12)), *(("detection", number) for number in range(8))])
def test_drawn_bundles_train_and_go_on_as_on_a_cpu(task, number):
    lies, precision = LIES[number % 4]
    half = (Use(catalog()["bf16"]()),) if precision == "bf16" else ()
    bundle = Bundle((*uses(drawn(task, number)), *half), MODELS[task], epochs=2, batch_size=8)
    assert wrong_in(bundle, streamed(data(task)) if lies == "streamed" else data(task)) == []
