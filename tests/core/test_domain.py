"""The value of a domain that is nearest to another."""
import pytest

from autotricks.core.domain import Choice, Float, Int, nearest


@pytest.mark.parametrize(("value", "domain", "found"), [
    (0.3, Float(0.1, 0.5), 0.3), (0.7, Float(0.1, 0.5), 0.5), (-1, Float(0.1, 0.5), 0.1),
    (1e-9, Float(1e-5, 1.0, log=True), 1e-5), (0.3, Float(0.0, 1.0, step=0.25), 0.25),
    (0.4, Float(0.0, 1.0, step=0.25), 0.5), (7.0, Float(0.0, 1.0, step=0.25), 1.0),
    (0.37, Float(0.1, 0.9, step=0.4), 0.5), (2, Int(1, 5), 2), (2.6, Int(1, 5), 3), (9, Int(1, 5), 5),
    (0.2, Int(1, 5), 1),
    (0.9, Choice(0.5, 0.8, 0.95), 0.95), (4, Choice(1, 2, 8), 2), (2, Choice(1, 2, 8), 2),
    ("b", Choice("a", "b"), "b"), ("c", Choice("a", "b"), "a"), (0.5, Choice("a", "b"), "a"),
    (True, Choice(False, True), True), ("c", Choice(1, 2), 1)])
def test_nearest(value, domain, found):
    assert nearest(value, domain) == pytest.approx(found)
    assert type(nearest(value, domain)) is type(found)
    assert nearest(value, domain) in domain


def test_what_is_nearest_is_nearest_to_itself():
    domain = Float(0.1, 0.7, step=0.1)
    for place in range(7):
        value = nearest(0.1 + place * 0.1, domain)
        assert nearest(value, domain) == value and value in domain
