"""`autotricks.testing.check_trick` finds what it says that it finds: one offender for each point of the contract."""
import pytest
import torch

from autotricks.core.domain import Above, Float, tunable
from autotricks.core.slots import Slot
from autotricks.core.trick import Trick
from autotricks.testing import POINTS, check_trick
from autotricks.tricks.catalog import catalog


@pytest.fixture(autouse=True)
def forgotten():
    """The catalog looks for what is derived from Trick in its own package alone, so these are not found there."""
    yield
    assert not {"kept", "told"} & set(catalog())


class Kept(Trick):
    """Add a constant to the loss.

    Paper: nobody, https://example.org.
    Cost: an addition.
    """

    seats = {Slot.LOSS: "term"}
    beta: float = tunable(0.1, search=Float(0.01, 1.0, log=True), legal=Above(0), unit="loss")

    def loss(self, inner, run):
        return lambda logits, batch: inner(logits, batch) + self.beta


class Undocumented(Kept):
    def loss(self, inner, run):
        return inner


class Unsearched(Kept):
    """Add a constant to the loss.

    Paper: nobody, https://example.org.
    Cost: an addition.
    """

    beta: float = tunable(2.0, search=Float(0.01, 1.0, log=True), legal=Above(0), unit="loss")

    def loss(self, inner, run):
        return inner


class Exploding(Kept):
    """Add what is not a number to the loss.

    Paper: nobody, https://example.org.
    Cost: an addition.
    """

    def loss(self, inner, run):
        return lambda logits, batch: inner(logits, batch) * float("nan")


class Moody(Kept):
    """Weigh the loss by what others draw.

    Paper: nobody, https://example.org.
    Cost: a number.
    """

    def loss(self, inner, run):
        return lambda logits, batch: inner(logits, batch) * torch.rand(())


class Waits(Kept):
    """Weigh the loss by its own value.

    Paper: nobody, https://example.org.
    Cost: the device is waited for.
    """

    def loss(self, inner, run):
        return lambda logits, batch: inner(logits, batch) * (1.0 if float(logits.sum()) > 0 else 0.9)


class Unequal(Kept):
    """Add a constant to the loss, and be equal to nobody.

    Paper: nobody, https://example.org.
    Cost: an addition.
    """

    def loss(self, inner, run):
        return inner

    def __eq__(self, other):
        return self is other

    def __hash__(self):
        return id(self)


class Drifting(Kept):
    """Add a constant to the loss, twice of what was asked for.

    Paper: nobody, https://example.org.
    Cost: an addition.
    """

    def __post_init__(self):
        super().__post_init__()
        object.__setattr__(self, "beta", 2 * self.beta)

    def loss(self, inner, run):
        return inner


def test_a_trick_that_keeps_it_passes():
    check_trick(Kept)


OFFENDERS = [
    (Unequal, "is_frozen_hashable_and_equal_to_its_like", "two of the same values are not equal"),
    (Drifting, "survives_the_way_through_a_file", "do not make the same trick"),
    (Undocumented, "says_what_whose_and_at_what_cost", "first line is no sentence"),
    (Unsearched, "has_defaults_that_are_legal_and_searched", "the defaults of beta are not in what is searched"),
    (Exploding, "trains_finite_and_changes_the_weights", "training ended as diverged"),
    (Moody, "is_the_same_from_the_same_seed_and_from_a_checkpoint", "another first epoch from the same seed"),
    (Waits, "never_waits_for_the_device", "a step calls __float__")]


def test_every_point_has_its_offender():
    assert {point for _, point, _ in OFFENDERS} == {*POINTS}


@pytest.mark.parametrize(("cls", "point", "why"), OFFENDERS)
def test_an_offender_is_told_what_it_does_not_keep(cls, point, why):
    assert point in POINTS
    with pytest.raises(AssertionError) as caught:
        check_trick(cls)
    assert f"{cls.__name__}, {point.replace('_', ' ')}: " in str(caught.value) and why in str(caught.value)
