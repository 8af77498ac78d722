"""Why uses cannot make one bundle: each kind of conflict, and which of them a further trick could end."""
from itertools import combinations

from autotricks.core.bundle import Use, Window
from autotricks.core.plan import Kind, clashes, conflicts, problems
from autotricks.space.space import clash
from autotricks.tricks.catalog import catalog, make


def test_two_tricks_in_one_seat():
    found, = conflicts([make("mixup", {}), make("cutmix", {})])
    assert (found.kind, found.tricks) == (Kind.SEAT, ("mixup", "cutmix"))
    assert conflicts([make("mixup", {"stop": 0.5}), make("cutmix", {"start": 0.5})]) == []


def test_a_window_of_what_is_built_once():
    found, = conflicts([Use(catalog()["adam"](), Window(0.0, 0.5))])
    assert (found.kind, found.tricks) == (Kind.WINDOW, ("adam",))


def test_a_trick_without_what_it_needs():
    found, = conflicts([make("cosface", {})])
    assert (found.kind, found.tricks) == (Kind.MISSING, ("cosface",))
    assert conflicts([make("cosface", {}), make("cosine_head", {})]) == []


def test_a_trick_that_refuses_another():
    refusing = next((left, right) for left, right in combinations(catalog().values(), 2)
                    if left.excludes & right.provides)
    found = [conflict for conflict in conflicts([Use(refusing[0]()), Use(refusing[1]())])
             if conflict.kind is Kind.EXCLUDED]
    assert [conflict.tricks for conflict in found] == [tuple(trick.name for trick in refusing)]


def test_only_what_is_missing_may_still_come():
    """What clashes is every conflict but those in which something is missing, for every pair of the catalog."""
    kinds = set()
    for left, right in combinations(catalog().values(), 2):
        uses = (Use(left()), Use(right()))
        met = conflicts(uses)
        kinds |= {conflict.kind for conflict in met}
        assert clashes(uses) == [conflict for conflict in met if conflict.kind is not Kind.MISSING]
        assert clash(*uses, avoid=False) == bool(clashes(uses))
        assert problems(uses) == [conflict.text for conflict in met]
    assert kinds == {Kind.SEAT, Kind.MISSING, Kind.EXCLUDED}
