import pytest
import torch

from autotricks.core.bundle import Bundle, Use, Window
from autotricks.functional.distillation import divergence
from autotricks.trial import prepare
from autotricks.tricks.loss.balanced_softmax import BalancedSoftmax
from autotricks.tricks.loss.dive import Dive
from tests.conftest import make_dataset

DATA = make_dataset()


def test_its_loss_is_half_balanced_softmax_half_the_flattened_teacher():
    uses = (Use(BalancedSoftmax()), Use(Dive(alpha=0.5, temperature=3.0, power=0.5, restart=False), Window(0.5, 1.0)))
    made = prepare(Bundle(uses, epochs=2, batch_size=16), DATA)
    steps = made.epochs()
    next(steps)
    made.enter(made.plan.phases[1])
    rows = torch.arange(0, 90, 6)
    batch, model = made.batch(rows), made.run.model
    teacher = prepare(Bundle(epochs=2, batch_size=16), DATA).run.model
    teacher.load_state_dict({name.removeprefix("teacher."): value for name, value in made.run.memory.items()})
    with torch.no_grad():
        wisdom = teacher.eval()(batch.images)
        model.train()
        logits = model(batch.images)
    prior = torch.tensor([48.0, 24.0, 12.0, 6.0]).log()
    balanced = -(logits + prior).log_softmax(1)[torch.arange(len(rows)), made.run.targets.single[rows]]
    expected = (0.5 * balanced + 0.5 * divergence(logits, wisdom, 3.0, 0.5)).mean()
    assert torch.allclose(made.pipeline.gradients(batch), expected, atol=1e-5)


def test_a_flatter_teacher_says_more_of_rare_classes():
    """The gradient of a student that says 1/3 of each class is 1/3 less the teacher's share.

    Shares of 8, 3 and 1 twelfth become, at a power of 1/2, those of sqrt(8), sqrt(3) and 1 in their sum, 5.560478.
    """
    teacher = torch.tensor([[8.0, 3.0, 1.0]]).log()
    for power, shares in ((1.0, (8 / 12, 3 / 12, 1 / 12)), (0.5, (0.508666, 0.311493, 0.179841))):
        student = torch.zeros(1, 3, requires_grad=True)
        divergence(student, teacher, 1.0, power).sum().backward()
        assert student.grad[0].tolist() == pytest.approx([1 / 3 - share for share in shares], abs=1e-5)
