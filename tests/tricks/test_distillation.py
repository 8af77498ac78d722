import pytest
import torch

from autotricks import export
from autotricks.core.bundle import Bundle, Use, Window
from autotricks.core.plan import advice, problems
from autotricks.core.run import ModelFactory
from autotricks.data import Loaded
from autotricks.errors import BundleError, RunError
from autotricks.functional.distillation import divergence, taught
from autotricks.runs.champion import bundle_document
from autotricks.trial import prepare, run_trial
from autotricks.tricks.batch.mixup import Mixup
from autotricks.tricks.loss.distillation import Distillation
from autotricks.tricks.loss.label_smoothing import LabelSmoothing
from tests.conftest import make_batch, make_dataset

DATA = make_dataset()


def test_divergence_by_hand():
    student, teacher = torch.tensor([[0.0, 0.0]]), torch.tensor([[0.0, 2 * torch.log(torch.tensor(3.0))]])
    # at T = 2 the teacher says (1/4, 3/4), the student (1/2, 1/2)
    expected = 4 * (0.25 * torch.log(torch.tensor(0.5)) + 0.75 * torch.log(torch.tensor(1.5)))
    assert divergence(student, teacher, 2.0).item() == pytest.approx(expected.item(), abs=1e-6)


def test_no_divergence_from_oneself_whatever_the_offset():
    logits = torch.randn(5, 3)
    assert divergence(logits, logits + 7, 3.0).abs().max().item() < 1e-5


def test_the_power_is_of_the_probabilities():
    student, teacher = torch.randn(5, 4), torch.randn(5, 4)
    soft = (teacher / 3).softmax(1) ** 0.5
    soft = soft / soft.sum(1, keepdim=True)
    expected = 9 * (soft * (soft.log() - (student / 3).log_softmax(1))).sum(1)
    assert torch.allclose(divergence(student, teacher, 3.0, 0.5), expected, atol=1e-5)


def test_a_high_temperature_matches_centered_logits():
    """Hinton et al. 2015, section 2.1: the gradient goes to (z - v) / C, with both centered."""
    student, teacher = torch.randn(4, 5, dtype=torch.float64, requires_grad=True), torch.randn(4, 5).double()
    divergence(student, teacher, 1e4).sum().backward()
    centered = [logits - logits.mean(1, keepdim=True) for logits in (student.detach(), teacher)]
    assert torch.allclose(student.grad, (centered[0] - centered[1]) / 5, atol=1e-4)


def test_the_loss_is_shared_and_the_teacher_sees_the_batch():
    batch, seen = make_batch([0, 1, 2]), []
    logits, wisdom = torch.randn(3, 3), torch.randn(3, 3)

    def teacher(images):
        seen.append(images)
        return wisdom
    loss = taught(lambda logits, batch: torch.tensor([1.0, 2.0, 3.0]), teacher, 0.25, 2.0)(logits, batch)
    assert torch.allclose(loss, 0.75 * torch.tensor([1.0, 2.0, 3.0]) + 0.25 * divergence(logits, wisdom, 2.0))
    assert seen[0] is batch.images


def halfway(restart, **settings):
    uses = (Use(Distillation(restart=restart, **settings), Window(0.5, 1.0)),)
    made = prepare(Bundle(uses, epochs=4, batch_size=16), DATA)
    steps = made.epochs()
    next(steps), next(steps)
    before = {name: value.clone() for name, value in made.run.model.state_dict().items()}
    made.enter(made.plan.phases[1])
    return made, steps, before


@pytest.mark.parametrize("restart", [True, False])
def test_the_model_becomes_its_own_teacher(restart):
    made, steps, before = halfway(restart)
    for name, value in before.items():
        assert torch.equal(made.run.memory[f"teacher.{name}"], value)
    assert torch.equal(made.run.model.stem.weight, before["stem.weight"]) is not restart
    list(steps)
    assert made.run.memory == {}


def test_a_student_begins_as_a_fresh_model_does():
    made, *_ = halfway(True)
    assert made.run.model.bn.running_mean.abs().max() == 0 and float(made.run.model.bn.num_batches_tracked) == 0
    assert not made.optimizer.state
    assert made.run.model.stem.weight.std().item() == pytest.approx((2 / 9) ** 0.5, rel=0.3)  # Kaiming, fan-in 9
    first = prepare(Bundle(epochs=4, batch_size=16), DATA).run.model
    assert not torch.equal(made.run.model.stem.weight, first.stem.weight)


def exported(folder, data=DATA, epochs=6):
    result = run_trial(Bundle(epochs=epochs, batch_size=16), data)
    facts = {"classes": list(data.classes), "image_shape": list(data.image_shape), "mean": list(data.mean),
             "std": list(data.std), "fingerprint": "f"}
    export.bundle.write(folder, bundle_document("teacher", {}, Loaded(data, facts), result.bundle, {}),
                        export.weights_of(result.model))
    return result.model.eval()


@pytest.mark.parametrize("file", ["", "champion.yaml"])
def test_an_exported_bundle_teaches(tmp_path, file):
    model = exported(tmp_path)
    uses = (Use(Distillation(teacher=str(tmp_path / file), alpha=1.0), Window()),)
    made = prepare(Bundle(uses, epochs=2, batch_size=16), DATA)
    made.enter(made.plan.phases[0])
    assert made.run.memory == {}
    images = made.run.normalize(DATA.validation.images)
    with torch.no_grad():
        assert torch.allclose(made.run.teacher(str(tmp_path / file))(images), model(images), atol=1e-4)
    assert [metrics.finite for metrics in made.epochs()] == [True, True]


def test_a_student_of_nothing_but_soft_labels_learns_the_classes(tmp_path):
    exported(tmp_path)
    uses = (Use(Distillation(teacher=str(tmp_path), alpha=1.0, temperature=2.0), Window()),)
    assert run_trial(Bundle(uses, epochs=6, batch_size=16), DATA).metrics["val/accuracy"] > 0.8


def test_a_teacher_that_is_not_there_is_one_clear_line(tmp_path):
    uses = (Use(Distillation(teacher=str(tmp_path / "nobody")), Window()),)
    with pytest.raises(RunError, match="nobody"):
        run_trial(Bundle(uses, epochs=2, batch_size=16), DATA)


def test_a_teacher_of_other_classes_is_one_clear_line(tmp_path):
    exported(tmp_path, make_dataset(counts=(9, 5, 4)), epochs=1)
    uses = (Use(Distillation(teacher=str(tmp_path)), Window()),)
    with pytest.raises(BundleError, match=r"has the classes \('a', 'b', 'c'\), the data has .*Take a teacher"):
        run_trial(Bundle(uses, epochs=2, batch_size=16), DATA)


def test_smoothed_labels_beside_it_are_not_advised():
    uses = [Use(Distillation()), Use(LabelSmoothing())]
    assert problems(uses) == [] and "1906.02629" in advice(uses)[0]
    assert advice([Use(Distillation()), Use(Mixup())]) == []
    apart = [Use(Distillation(), Window(0.5, 1)), Use(LabelSmoothing(), Window(0, 0.5))]
    assert advice(apart) == []


def test_without_a_builder_a_new_student_is_refused():
    from autotricks.functional.distillation import begin
    from tests.conftest import make_run
    with pytest.raises(TypeError, match=r"Supply\.fresh"):
        begin(make_run(), True)
    assert ModelFactory() == ModelFactory(None, None)
