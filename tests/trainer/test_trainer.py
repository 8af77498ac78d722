import math

import pytest
import torch
import torch.nn.functional as F

from autotricks.core.batch import Batch
from autotricks.core.bundle import Use, Window
from autotricks.core.reporting import End
from autotricks.core.run import Runtime
from autotricks.core.targets import Targets
from autotricks.trainer import checkpoint
from autotricks.trainer.pipeline import pipeline
from autotricks.tricks.average.ema import Ema
from autotricks.tricks.gradients.gradient_clipping import GradientClipping
from autotricks.tricks.optimizer.adabound import Adabound
from autotricks.tricks.optimizer.adamw import Adamw
from autotricks.tricks.optimizer.sgd import Sgd
from autotricks.tricks.schedule.cosine import Cosine
from autotricks.tricks.schedule.warmup import Warmup
from tests.trainer.made import (
    DATASET,
    EPOCHS,
    EVENTS,
    STEPS,
    Doubled,
    Hungry,
    Noise,
    Sevens,
    Watch,
    copied,
    differences,
    make_trainer,
    resnet,
    trained,
)

# Determinism

def test_same_bundle_and_seed_give_the_same_bits():
    uses = Noise(), Ema(), Warmup(epochs=1.0), Cosine()
    assert differences(trained(*uses).state_dict(), trained(*uses).state_dict()) == []


def test_another_seed_gives_other_weights():
    assert differences(trained(seed=0).run.model.state_dict(), trained(seed=1).run.model.state_dict())


def test_it_learns():
    trainer = trained(Sgd(lr=0.05), Cosine(), epochs=None)
    assert trainer.end is End.FINISHED and trainer.epoch == EPOCHS
    assert trainer.history[-1].values["train/loss"] < 0.7 * trainer.history[0].values["train/loss"]


# What the model sees, and which weights are judged

def test_steps_see_images_normalized_as_evaluation_does():
    trainer, rows, seen = make_trainer(model=Hungry), [], []
    step = trainer.step
    trainer.step = lambda drawn: rows.append(drawn) or step(drawn)
    trainer.run.model.register_forward_pre_hook(lambda model, given: seen.append(given[0]))
    next(trainer.epochs())
    expected = (DATASET.train.images[rows[0]] / 255 - DATASET.mean[0]) / DATASET.std[0]
    assert seen[0].shape == (16, 1, 8, 8) and torch.allclose(seen[0], expected, atol=1e-6)


def test_the_average_is_of_the_weights_after_each_step():
    """The first weights whole, then (1 + n) / (10 + n) of the average with n models in it and the rest of the next."""
    trainer, after = make_trainer(Ema(), model=Hungry), []
    weight = trainer.run.model.body[1].weight
    trainer.optimizer.register_step_post_hook(lambda *rest: after.append(weight.detach().clone()))
    next(trainer.epochs())
    expected = after[0]
    for count, value in enumerate(after[1:], start=1):
        expected = (expected * (1 + count) + value * 9) / (10 + count)
    assert len(after) == 5
    assert torch.allclose(trainer.average.module.body[1].weight, expected, atol=1e-6)


def test_figures_are_those_of_the_average():
    trainer = make_trainer(Ema(), Sgd(lr=0.05), model=Hungry)
    values = next(trainer.epochs()).values
    images = (DATASET.validation.images / 255 - DATASET.mean[0]) / DATASET.std[0]
    with torch.no_grad():
        losses = [F.cross_entropy(model.eval()(images), DATASET.validation.targets.single).item()
                  for model in (trainer.average.module, trainer.run.model)]
    assert values["val/loss"] == pytest.approx(losses[0], rel=1e-5)
    assert values["val/loss"] != pytest.approx(losses[1], rel=1e-2)


# Micro-batches and memory

def gradients_of(pieces, *tricks):
    trainer = make_trainer(*tricks, model=Hungry, runtime=Runtime(micro_batches=pieces))
    rows = torch.arange(0, 80, 5)
    images = (DATASET.train.images[rows] / 255 - trainer.run.mean) / trainer.run.std
    labels = torch.stack([DATASET.train.targets.single[rows], (DATASET.train.targets.single[rows] + 1) % 4], 1)
    batch = Batch(images, Targets(labels, torch.tensor([0.7, 0.3]).repeat(len(rows), 1)), rows)
    loss = pipeline(trainer.plan.phases[0], trainer.run).gradients(batch)
    return loss, [weight.grad for weight in trainer.run.model.parameters()], trainer, batch


@pytest.mark.parametrize("pieces", [1, 3, 16, 40])
def test_micro_batches_add_up_to_the_gradient_of_the_batch(pieces):
    loss, gradients, trainer, batch = gradients_of(pieces)
    model = trainer.run.model
    soft = torch.zeros(16, 4).scatter_add_(1, batch.targets.labels, batch.targets.shares)
    expected = F.cross_entropy(model(batch.images), soft)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)
    for found, weight in zip(gradients, torch.autograd.grad(expected, list(model.parameters())), strict=True):
        assert torch.allclose(found, weight, rtol=1e-5, atol=1e-7)


def test_clipping_sees_the_gradient_of_the_whole_batch():
    _, whole, *_ = gradients_of(1)
    _, clipped, *_ = gradients_of(3, GradientClipping(max_norm=0.1))
    length = torch.cat([gradient.flatten() for gradient in whole]).norm()
    for found, gradient in zip(clipped, whole, strict=True):
        assert torch.allclose(found, gradient * 0.1 / length, rtol=1e-4, atol=1e-7)


def test_out_of_memory_halves_the_micro_batch_and_training_is_the_same():
    roomy, tight = trained(Noise(), model=Hungry), trained(Noise(), model=lambda: Hungry(limit=5))
    assert (roomy.run.runtime.micro_batches, tight.run.runtime.micro_batches) == (1, 4)
    assert tight.run.model.refused == 2  # 16 and 8 images, in the first step only
    assert tight.end is End.FINISHED and tight.run.batch_size == 16
    for name, value in roomy.run.model.state_dict().items():
        assert torch.allclose(value, tight.run.model.state_dict()[name], rtol=1e-3, atol=1e-5), name


def test_a_micro_batch_found_is_kept_when_resuming(tmp_path):
    tight = trained(model=lambda: Hungry(limit=5), epochs=1)
    checkpoint.save(tight.state_dict(), tmp_path / "state")
    resumed = make_trainer(model=lambda: Hungry(limit=5))
    resumed.load_state_dict(checkpoint.load(tmp_path / "state"))
    assert len(list(resumed.epochs())) == EPOCHS - 1
    assert resumed.run.model.refused == 0


def test_where_not_even_one_image_fits_the_error_is_passed_on():
    with pytest.raises(torch.OutOfMemoryError, match="simulated"):
        trained(model=lambda: Hungry(limit=0))


# Divergence

@pytest.mark.parametrize("model", [resnet, Hungry])
def test_divergence_ends_training_within_an_epoch(model):
    trainer = trained(Sgd(lr=1e6), model=model)
    assert trainer.end is End.DIVERGED
    assert trainer.epoch == len(trainer.history) == 1


def test_a_loss_that_is_not_a_number_is_divergence():
    trainer = make_trainer(model=Hungry)
    trainer.run.model.body[1].weight.data[0, 0] = math.nan
    assert len(list(trainer.epochs())) == 1 and trainer.end is End.DIVERGED


# The probe

@pytest.mark.parametrize("optimizer", [Sgd(), Adamw(), Adabound()])
@pytest.mark.parametrize("done", [0, 2])
def test_the_probe_leaves_everything_as_it_was(optimizer, done):
    trainer = trained(optimizer, Noise(), Ema(), epochs=done) if done else make_trainer(optimizer, Noise(), Ema())
    before = copied(trainer.state_dict())
    losses = trainer.run.probe(trainer.optimizer, [1e-3, 1e-2, 1e30])
    assert len(losses) == 3 and math.isfinite(losses[0])
    after = trainer.state_dict()
    assert after.pop("extra_steps") == before.pop("extra_steps") + 3
    assert differences(after, before) == []


def test_the_probe_leaves_dropout_as_it_was():
    trainer = make_trainer(model=lambda: Hungry(dropout=0.5))
    before = torch.get_rng_state()
    trainer.run.probe(trainer.optimizer, [1e-3])
    assert torch.equal(torch.get_rng_state(), before)


def test_the_probe_trains_whatever_mode_the_model_came_in():
    trainer = make_trainer(model=lambda: resnet().eval())
    other = make_trainer()
    assert trainer.run.probe(trainer.optimizer, [0.1]) == other.run.probe(other.optimizer, [0.1])


def test_the_probe_trains_at_the_rates_given():
    trainer = make_trainer(Sgd(momentum=0.0, weight_decay=0.0), model=Hungry)
    still = trainer.run.probe(trainer.optimizer, [1e-12] * 10)
    moved = trainer.run.probe(trainer.optimizer, [0.1] * 10)
    assert still[0] == moved[0]
    assert moved[-1] < still[-1]


# Windows

@pytest.mark.parametrize(("start", "stop", "first", "last"), [
    (0.3, 0.55, 6, 11), (0.0, 0.2, 0, 4), (0.33, 0.67, 7, 13), (0.8, 1.0, 16, 20)])
def test_windows_open_and_close_at_whole_steps(start, stop, first, last):
    EVENTS.clear()
    trained(Use(Watch(), Window(start, stop)), model=Hungry)
    names = [name for name, _ in EVENTS]
    assert [place for name, place in EVENTS if name == "step"] == list(range(first, last))
    assert names[0] == "enter" and names.count("enter") == 1
    assert names[-1] == "leave" and names.count("leave") == 1


def test_a_window_of_less_than_half_a_step_never_opens():
    EVENTS.clear()
    trained(Use(Watch(), Window(0.5, 0.52)), model=Hungry)
    assert EVENTS == []


def test_tricks_hear_the_progress_at_which_their_window_opens():
    EVENTS.clear()
    trained(Use(Watch(), Window(0.35, 0.65)), model=Hungry)
    assert EVENTS[0] == ("enter", 7) and EVENTS[-1] == ("leave", 13)


def test_outside_its_window_a_trick_changes_nothing():
    late = Use(Doubled(), Window(0.5, 1.0))
    plain, doubled = trained(epochs=2), trained(late, epochs=2)
    assert differences(plain.run.model.state_dict(), doubled.run.model.state_dict()) == []
    plain, doubled = trained(epochs=3), trained(late, epochs=3)
    assert differences(plain.run.model.state_dict(), doubled.run.model.state_dict())


def test_an_empty_window_is_no_window():
    assert differences(trained(Use(Noise(), Window(0.4, 0.4))).state_dict(), trained().state_dict()) == []


def rows_of_an_epoch(*uses):
    trainer, drawn = make_trainer(*uses, model=Hungry), []
    step = trainer.step
    trainer.step = lambda rows: drawn.append(rows) or step(rows)
    next(trainer.epochs())
    return torch.cat(drawn)


def test_every_row_is_drawn_once_an_epoch_but_for_the_last_incomplete_batch():
    rows = rows_of_an_epoch()
    assert len(rows) == 80 == len(rows.unique())


def test_a_window_edge_inside_an_epoch_draws_no_row_twice():
    rows = rows_of_an_epoch(Use(Noise(), Window(0.0, 0.1)))
    assert len(rows) == 80 == len(rows.unique())


def test_a_sampler_that_opens_inside_an_epoch_draws_from_its_first_step():
    rows = rows_of_an_epoch(Use(Sevens(), Window(0.1, 1.0)))     # from the third step of five on
    assert len(rows[:32].unique()) == 32 and rows[32:].tolist() == [7] * 48


# The learning rate

def test_each_step_has_the_rate_of_its_progress():
    trainer, rates = make_trainer(Sgd(lr=0.2), Cosine(), model=Hungry), []
    step = trainer.step
    trainer.step = lambda rows: rates.append(trainer.optimizer.param_groups[0]["lr"]) or step(rows)
    list(trainer.epochs())
    assert rates == pytest.approx([0.1 * (1 + math.cos(math.pi * place / STEPS)) for place in range(STEPS)])
