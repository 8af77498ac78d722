import pytest
import torch
from scipy import stats
from torchvision.transforms import v2

from autotricks.core.batch import Batch
from autotricks.functional import augmentation_policies
from autotricks.functional.augmentation_policies import Range, standard, uniform
from autotricks.functional.image_operations import Operation

CPU = torch.device("cpu")
NAMES = {Operation.SHEAR_X: "ShearX", Operation.SHEAR_Y: "ShearY", Operation.TRANSLATE_X: "TranslateX",
         Operation.TRANSLATE_Y: "TranslateY", Operation.AUTO_CONTRAST: "AutoContrast"}


def named(operation):
    return NAMES.get(operation, operation.name.capitalize())


def torchvisions(space, operation, level, levels, height, width):
    """The magnitude of torchvision's table; its solarize counts from 0 to 1, ours in 256ths."""
    values = space[named(operation)][0](levels, height, width)
    if values is None:
        return 0.0
    return float(values[level]) * (256 if operation is Operation.SOLARIZE else 1)


@pytest.mark.parametrize("levels", [10, 31])
def test_standard_magnitudes_are_torchvisions(levels):
    found = Range.of(standard(40, 32), CPU)
    assert {named(operation) for operation in found.operations} == set(v2.RandAugment._AUGMENTATION_SPACE)
    for place, operation in enumerate(found.operations):
        for level in range(levels):
            expected = torchvisions(v2.RandAugment._AUGMENTATION_SPACE, operation, level, levels, 40, 32)
            share = torch.tensor([level / (levels - 1)])
            magnitude = found.magnitudes(torch.tensor([place]), share, torch.tensor([False]))
            magnitude = magnitude.round() if operation is Operation.POSTERIZE else magnitude
            assert float(magnitude) == pytest.approx(expected, abs=1e-4), (operation, level)


def test_signs_are_those_of_torchvision():
    found, full = Range.of(standard(40, 32), CPU), torch.ones(1)
    for place, operation in enumerate(found.operations):
        signed = v2.RandAugment._AUGMENTATION_SPACE[named(operation)][1]
        there, back = (found.magnitudes(torch.tensor([place]), full, torch.tensor([negative]))
                       for negative in (False, True))
        assert torch.equal(back, -there if signed else there), operation


def test_the_rest_of_an_operation_may_be_another():
    found = Range.of({Operation.POSTERIZE: 0.0, Operation.SHEAR_X: 2.0}, CPU, {Operation.POSTERIZE: 4.0})
    levels, signs = torch.tensor([0.25, 0.25]), torch.tensor([True, True])
    assert found.magnitudes(torch.tensor([0, 1]), levels, signs).tolist() == [3.0, -0.5]


def test_each_operation_and_each_sign_is_as_likely(monkeypatch):
    seen = []
    monkeypatch.setattr(augmentation_policies, "operated", lambda batch, numbers, magnitudes, fill, among: seen.append(
        (numbers, magnitudes)) or batch)
    found = Range.of(standard(8, 8), CPU)
    rows = torch.arange(28_000)
    batch = Batch.plain(torch.zeros(28_000, 1, 1, 1), rows, rows)
    uniform(batch, found, torch.ones(28_000), torch.zeros(1, 1, 1), torch.Generator().manual_seed(1))
    numbers, magnitudes = seen[0]
    assert stats.chisquare(torch.bincount(numbers, minlength=14)).pvalue > 1e-3
    rotated = magnitudes[numbers == Operation.ROTATE]
    assert set(rotated.tolist()) == {30.0, -30.0}
    assert stats.binomtest(int((rotated > 0).sum()), len(rotated)).pvalue > 1e-3
    both = torch.bincount(14 * numbers[0::2] + numbers[1::2], minlength=196)   # neighbors are independent
    assert stats.chisquare(both).pvalue > 1e-3
