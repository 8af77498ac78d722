"""Draws from the space that ships: three hundred, and two thousand in the slow run."""
import pytest

from autotricks.core.plan import advice, problems
from autotricks.space import load_space
from autotricks.tasks.classification import CLASSIFICATION
from autotricks.tricks.catalog import plan_of

from .made import key, picker


@pytest.fixture(scope="module")
def long_tail():
    return load_space("long_tail.yaml").space


@pytest.fixture(scope="module", params=[300, pytest.param(2000, marks=pytest.mark.slow)])
def draws(long_tail, request):
    """Draws: the bundle, and what was picked from which domain."""
    result = []
    for seed in range(request.param):
        pick, asked = picker(seed), {}

        def noted(name, domain, pick=pick, asked=asked):
            assert name not in asked, "nothing is asked twice in one draw"
            asked[name] = (pick(name, domain), domain)
            return asked[name][0]
        result.append((long_tail.draw(noted), asked))
    return result


def test_draws_are_legal_and_plannable(draws):
    for number, (bundle, _) in enumerate(draws):
        assert not problems(bundle.uses) and not advice(bundle.uses)
        assert number >= 50 or plan_of(bundle, CLASSIFICATION).phases
    assert len({key(bundle) for bundle, _ in draws}) > 0.995 * len(draws)
    assert {name for bundle, _ in draws for name in bundle.names()} == set(
        load_space("long_tail.yaml").document.tricks), "every trick listed is drawn"


def test_draws_are_located_by_their_own_picks(long_tail, draws):
    for bundle, asked in draws:
        picks = long_tail.locate(bundle)
        assert picks == {name: value for name, (value, _) in asked.items()}
        assert long_tail.draw(lambda name, domain, picks=picks: picks[name]).hash == bundle.hash


def test_one_name_has_one_set_of_options(draws):
    domains = {}
    for _, asked in draws:
        for name, (value, domain) in asked.items():
            assert value in domain
            assert domains.setdefault(name, domain) == domain, name
    shrunk = [name for name in domains if "(" in name and not name.endswith("taken")]
    assert shrunk, "class-balanced sampling takes balanced softmax from the losses"
    for name in shrunk:
        full, _, options = name.rstrip(")").partition("(")
        assert set(options.split("|")) == set(domains[name].options)
        assert full not in domains or set(domains[name].options) < set(domains[full].options)
