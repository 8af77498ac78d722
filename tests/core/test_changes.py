"""What tells two bundles apart, taken out of the one or put into the other; nothing is trained."""
import pytest

from autotricks.core.bundle import Bundle
from autotricks.core.plan import problems
from autotricks.tricks.catalog import make
from autotricks.workflows.contrasts import alone, changed, pairs, singles, without


def bundle(**tricks):
    return Bundle(tuple(make(name, values) for name, values in tricks.items()))


PLAIN = bundle(sgd={"lr": 0.1}, cosine={})


def test_what_differs_and_what_it_is_called():
    champion = bundle(sgd={"lr": 0.2}, cosine={}, mixup={"alpha": 0.3}, ema={})
    assert changed(champion, PLAIN) == {"ema": "ema", "mixup": "mixup", "sgd": "sgd: other values"}
    assert changed(PLAIN, PLAIN) == {}
    assert changed(bundle(adamw={}, cosine={}), PLAIN) == {"adamw": "adamw"}, "sgd gave its seat to adamw"
    assert changed(bundle(sgd={"lr": 0.1}, mixup={}), PLAIN) == {"mixup": "mixup", "cosine": "no cosine"}
    windows = bundle(class_weights={"start": 0.8}), bundle(class_weights={})
    assert changed(*windows) == {"class_weights": "class_weights: other values"}


def test_one_of_several_leaves_and_joins():
    champion = bundle(sgd={"lr": 0.2}, cosine={}, mixup={"alpha": 0.3}, ema={})
    assert without(champion, PLAIN, ["ema"]) == (bundle(sgd={"lr": 0.2}, cosine={}, mixup={"alpha": 0.3}), ())
    assert alone(champion, PLAIN, "ema") == (bundle(sgd={"lr": 0.1}, cosine={}, ema={}), (), ())
    assert without(champion, PLAIN, ["sgd"])[0] == bundle(sgd={"lr": 0.1}, cosine={}, mixup={"alpha": 0.3}, ema={})
    assert alone(champion, PLAIN, "sgd")[0] == bundle(sgd={"lr": 0.2}, cosine={})
    assert without(champion, PLAIN, changed(champion, PLAIN))[0] == PLAIN, "all of it leaves the baseline"


def test_who_takes_a_seat_gives_it_back():
    champion = bundle(adamw={"lr": 0.01}, cosine={}, ema={})
    assert without(champion, PLAIN, ["adamw"]) == (bundle(sgd={"lr": 0.1}, cosine={}, ema={}), ())
    assert alone(champion, PLAIN, "adamw") == (bundle(adamw={"lr": 0.01}, cosine={}), (), ("sgd",))
    assert without(champion, PLAIN, ["ema"])[0] == bundle(adamw={"lr": 0.01}, cosine={})
    notes = {(change.trick, change.kind): change.note for change in singles(champion, PLAIN)}
    assert notes == {("adamw", "without"): "sgd back in its place", ("adamw", "alone"): "sgd made room for it",
                     ("ema", "without"): "", ("ema", "alone"): ""}


def test_who_needs_another_goes_and_comes_with_it():
    champion = bundle(sgd={"lr": 0.1}, cosine={}, ldam={}, cosine_head={"scale": 20.0}, ema={})
    assert without(champion, PLAIN, ["cosine_head"]) == (bundle(sgd={"lr": 0.1}, cosine={}, ema={}), ("ldam",))
    assert without(champion, PLAIN, ["ldam"]) == (
        bundle(sgd={"lr": 0.1}, cosine={}, cosine_head={"scale": 20.0}, ema={}), ())
    assert alone(champion, PLAIN, "ldam") == (
        bundle(sgd={"lr": 0.1}, cosine={}, ldam={}, cosine_head={"scale": 20.0}), ("cosine_head",), ())
    assert alone(champion, PLAIN, "cosine_head") == (
        bundle(sgd={"lr": 0.1}, cosine={}, cosine_head={"scale": 20.0}), (), ())
    notes = {(change.trick, change.kind): change.note for change in singles(champion, PLAIN) if change.note}
    assert notes == {("cosine_head", "without"): "ldam taken out with it, for want of cosine_head",
                     ("ldam", "alone"): "cosine_head put in with it, for ldam needs it"}


def test_what_needs_is_kept_where_the_baseline_gives_what_is_needed():
    champion = bundle(cosine_head={"scale": 20.0}, ldam={})
    baseline = bundle(cosine_head={"scale": 30.0})
    assert without(champion, baseline, ["cosine_head"]) == (bundle(cosine_head={"scale": 30.0}, ldam={}), ())
    assert alone(champion, baseline, "ldam") == (bundle(cosine_head={"scale": 30.0}, ldam={}), (), ())


def test_a_loss_of_the_baseline_that_needs_what_left_goes_too():
    champion, baseline = bundle(cosine={}), bundle(cosine={}, ldam={}, cosine_head={})
    assert changed(champion, baseline) == {"cosine_head": "no cosine_head", "ldam": "no ldam"}
    assert alone(champion, baseline, "cosine_head")[0] == champion
    assert without(champion, baseline, ["cosine_head"])[0] == bundle(cosine={}, cosine_head={})
    assert without(champion, baseline, ["ldam"])[0] == champion, "without its head it cannot come back"


def test_a_trick_the_champion_lacks():
    champion = bundle(sgd={"lr": 0.1}, ema={})
    assert without(champion, PLAIN, ["cosine"])[0] == bundle(sgd={"lr": 0.1}, cosine={}, ema={})
    assert alone(champion, PLAIN, "cosine")[0] == bundle(sgd={"lr": 0.1})


def test_what_is_never_active_is_said_to_be_so():
    champion = bundle(sgd={"lr": 0.1}, cosine={}, ema={}, mixup={"start": 0.5, "stop": 0.5})
    found = {(change.trick, change.kind): change for change in singles(champion, PLAIN)}
    assert found["mixup", "alone"].terms == found["mixup", "without"].terms == ()
    assert "never active" in found["mixup", "without"].note and found["ema", "alone"].terms


def test_effects_are_with_less_without():
    champion = bundle(sgd={"lr": 0.1}, cosine={}, ema={}, mixup={})
    found = {(change.trick, change.kind): change.terms for change in singles(champion, PLAIN)}
    no_ema = bundle(sgd={"lr": 0.1}, cosine={}, mixup={})
    assert found["ema", "without"] == ((1, champion), (-1, no_ema))
    assert found["mixup", "alone"] == ((1, no_ema), (-1, PLAIN))
    only, = pairs(champion, PLAIN, ["ema", "mixup"])
    assert {each: sign for sign, each in only.terms} == {
        champion: 1, no_ema: -1, bundle(sgd={"lr": 0.1}, cosine={}, ema={}): -1, PLAIN: 1}


def test_those_who_need_each_other_cannot_be_parted():
    champion = bundle(ldam={}, cosine_head={}, ema={})
    found = {change.trick: change for change in pairs(champion, bundle(), ["cosine_head", "ema", "ldam"])}
    assert found["cosine_head x ldam"].terms == ()
    assert found["cosine_head x ldam"].note == "cannot be parted: ldam needs cosine_head"
    assert [len(found[name].terms) for name in ("cosine_head x ema", "ema x ldam")] == [4, 4]


@pytest.mark.parametrize("champion", [
    bundle(adamw={}, cosine={}, class_balanced={"start": 0.8}, class_weights={"stop": 0.8}, mixup={"stop": 0.8}),
    bundle(adabound={}, step={}, ldam={}, cosine_head={}, ema={}, warmup={}),
    bundle(sgd={"lr": 0.3}, one_cycle={}, balanced_softmax={}, classifier_retraining={"start": 0.6})])
def test_whatever_leaves_or_joins_nothing_quarrels(champion):
    found = [bundle for change in singles(champion, PLAIN) for _, bundle in change.terms]
    assert len(found) == 4 * len(changed(champion, PLAIN))
    assert [line for each in found for line in problems(each.uses)] == []
