"""channels_last, cudnn_benchmark and torch_compile: what is computed stays the same."""
import pytest
import torch

from autotricks.core.bundle import Bundle, Use
from autotricks.core.plan import advice
from autotricks.errors import ResourceError
from autotricks.trial import prepare
from autotricks.tricks.batch.multi_scale import MultiScale
from autotricks.tricks.runtime.channels_last import ChannelsLast
from autotricks.tricks.runtime.cudnn_benchmark import CudnnBenchmark
from autotricks.tricks.runtime.torch_compile import TorchCompile, missing
from tests.conftest import make_dataset


def trainer(*tricks, size=8):
    return prepare(Bundle(tuple(map(Use, tricks)), model="resnet8", epochs=1, batch_size=16),
                   make_dataset(size=size, channels=3))


def gradient(made):
    made.enter(made.plan.phases[0])
    made.run.model.train()
    made.pipeline.gradients(made.batch(torch.arange(16)))
    return torch.cat([weight.grad.flatten() for weight in made.run.model.parameters()])


@pytest.mark.parametrize(("tricks", "size", "expected"), [
    ((), 8, False), ((), 32, True), ((ChannelsLast(True),), 8, True), ((ChannelsLast(False),), 32, False)])
def test_the_layout_is_that_asked_for(tricks, size, expected):
    made, seen = trainer(*tricks, size=size), []
    made.run.model.stem.register_forward_hook(lambda module, given, out: seen.append(
        given[0].is_contiguous(memory_format=torch.channels_last) and not given[0].is_contiguous()))
    gradient(made)
    assert seen == [expected]
    weight = made.run.model.layers[0].conv1.weight
    assert weight.is_contiguous(memory_format=torch.channels_last) is expected


def test_the_layout_changes_no_gradient():
    torch.testing.assert_close(gradient(trainer(ChannelsLast(True))), gradient(trainer(ChannelsLast(False))),
                               rtol=1e-3, atol=1e-5)


def test_the_benchmark_is_on_for_the_run_that_asks_and_off_for_the_next():
    gradient(trainer(CudnnBenchmark()))
    assert torch.backends.cudnn.benchmark is True
    gradient(trainer())
    assert torch.backends.cudnn.benchmark is False


def test_images_of_many_sizes_are_not_advised():
    for trick in (CudnnBenchmark(), TorchCompile()):
        assert [line.split(" is not")[0] for line in advice([Use(trick), Use(MultiScale())])] == [
            f"{trick.name} beside multi_scale"]


def test_without_a_compiler_there_is_one_clear_line(monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(ResourceError, match=r"torch_compile: .* a C\+\+ compiler \(no-such-compiler is not found\)"):
        trainer(TorchCompile())


def test_the_compiled_model_is_called_where_it_can_be(monkeypatch):
    """Steps call it; evaluation, and a loss that reads features through a hook, call the model itself."""
    calls = []

    def compiled(model):
        def called(images):
            calls.append(model.training)
            return model(images)
        return called

    monkeypatch.setattr(torch, "compile", compiled)
    monkeypatch.setattr("autotricks.tricks.runtime.torch_compile.missing", lambda device: "")
    next(trainer(TorchCompile()).epochs())
    assert calls == [True] * 5


@pytest.mark.slow
@pytest.mark.skipif(bool(missing("cpu")), reason="no C++ compiler")
def test_compiled_gradients_are_those_of_the_model():
    made = trainer(TorchCompile())
    torch.testing.assert_close(gradient(made), gradient(trainer()), rtol=1e-3, atol=1e-5)
    next(made.epochs())
    assert list(made.evaluated.state_dict()) == list(trainer().run.model.state_dict())
