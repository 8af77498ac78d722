import pytest
import torch

from autotricks.core.bundle import Bundle, Use
from autotricks.errors import BundleError
from autotricks.trial import prepare
from autotricks.tricks.batch.manifold_mixup import ManifoldMixup
from autotricks.tricks.catalog import catalog
from autotricks.tricks.model.cross_iteration_bn import CrossIterationBn
from autotricks.tricks.runtime.activation_checkpointing import ActivationCheckpointing
from autotricks.tricks.runtime.torch_compile import TorchCompile
from tests.conftest import make_dataset

DATA = make_dataset()


def state(*tricks, model="resnet8"):
    made = prepare(Bundle(tuple(map(Use, tricks)), model=model, epochs=2, batch_size=16), DATA)
    list(made.epochs())
    return made, made.run.model.state_dict()


@pytest.mark.parametrize("names", [(), ("sam",), ("bf16",), ("batch_renorm",), ("dropout",),
                                   ("acnet", "ema"), ("gradient_accumulation",)])
def test_training_is_bit_for_bit_that_without_it(names):
    others = [catalog()[name]() for name in names]
    (_, expected), (made, found) = state(*others), state(*others, ActivationCheckpointing())
    assert type(made.run.model.layers[0]).__mro__[1].__name__ == "_Recomputed"
    assert expected.keys() == found.keys()
    assert [name for name in expected if not torch.equal(expected[name], found[name])] == []


def test_what_it_does_not_go_with_is_refused():
    for other in (TorchCompile(), ManifoldMixup(), CrossIterationBn()):
        with pytest.raises(BundleError, match=f"activation_checkpointing excludes {other.name}"):
            state(ActivationCheckpointing(), other)
