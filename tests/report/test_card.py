"""The model card, made from a run folder written by hand."""
import html
import json
import re
from collections import Counter

import pytest
from markdown_it import MarkdownIt

from autotricks import export
from autotricks.errors import RunError
from autotricks.report.card import card

from .made import EVIL, addition, confirmed, data, folder, searched

SAFE = html.escape(EVIL)


def champion(judged=None):
    """What `champion.yaml` holds, for gray pictures of 8 x 8 pixels."""
    return {"name": "made", "model": {"name": "resnet8"}, "classes": ["cat", EVIL],
            "tricks": {"cosine": {"final": 0.0}, "mixup": {"alpha": 0.5}},
            "training": {"epochs": 9, "batch_size": 8, "seed": 1000},
            "images": {"shape": [1, 8, 8], "mean": [0.25], "std": [0.5]},
            "result": {"trial": 1, "score": 0.75, **({"confirmed": judged} if judged else {})}}


@pytest.fixture
def text(tmp_path):
    judged = confirmed()
    return card(searched(tmp_path / "made", confirm_json=judged, champion_yaml=champion(judged),
                         versions_json={"sittings": [{"torch": "9.8.7"}]}))


def test_figures_are_those_of_the_confirmation(text):
    assert "Verdict: **better than the baseline**. On 60 test images" in text
    assert "by which nothing was chosen; mean of 2 fresh seeds.\n" in text
    assert "| **balanced accuracy** | **0.8125** ± 0.0625 | **0.5625** ± 0.0625 |" in text
    assert "| calibration error | 0.0938 | 0.0156 |" in text
    assert "error with temperature scaling | 0.0312 (temperature 1.25) | 0.0312 (temperature 1.25) |" in text
    assert "more is better: +0.2500, 95% interval +0.0312 to +0.4688 (paired differences)." in text
    assert "those of seed 1000: balanced accuracy 0.6875." in text


def test_data_and_preprocessing(text):
    assert f"| cat | 50 | 20 | 40 | 0.750 | 0.750 |\n| {SAFE} | 10 | 20 | 20 | 0.875 | 0.375 |" in text
    assert f"fingerprint {'f' * 64}\n" in text and "Training 60 images, imbalance 5; validation 40; test 60" in text
    assert "2 in train and test, 0 in train and validation" in text
    assert f"Files left out: 1: {SAFE}.png ({SAFE})" in text
    assert f"over all seeds: cat for {SAFE} (25%), {SAFE} for cat (12%)." in text, "20 of 80 and 5 of 40"
    assert "gray images of 8 x 8 pixels" in text and "less mean 0.2500, by standard deviation 0.5000" in text


def test_limits_say_what_was_not_tested(text):
    limits = text.partition("## Limits")[2].partition("## Train it again")[0]
    assert "covers the luck of 2 seeds" in limits and "Worse than the baseline on test: calibration error" in limits
    assert "images of none of the classes" in limits and "Not tested:" in limits


def test_tricks_are_cited_and_the_way_back_is_named(text):
    assert "**mixup** (alpha 0.5). " in text and "(https://arxiv.org/abs/1710.09412)" in text
    assert "autotricks train champion.yaml" in text and "torch 9.8.7" in text


def test_nothing_in_it_is_markup_of_the_data(text):
    assert "<" not in text


MARKUP = ["![x](http://evil.example/a.png)", "[x](http://evil.example)", "http://evil.example", "www.evil.example",
          "a@evil.example", "`rm -rf`", "*loud*", "x | y", "first\n# Heading", "first\r\n- item", "a\u2028# b",
          "back\\slash", "__init__", "_x_ y", "~~gone~~", "<img src=x onerror=alert(1)>", "&lt;b&gt;", "\x1b[31mred"]


def read_markdown(text):
    """Return how many elements of each kind a reader of Markdown with tables sees, and what it shows."""
    tokens = [inner for token in MarkdownIt("commonmark").enable("table").parse(text)
              for inner in (token, *(token.children or ()))]
    return (Counter(token.tag or token.type for token in tokens
                    if token.nesting == 1 or token.type.startswith(("html", "code", "image"))),
            "".join(token.content or " " for token in tokens if token.type in ("text", "text_special", "softbreak")))


@pytest.mark.parametrize("evil", MARKUP)
def test_no_name_or_value_is_markdown(tmp_path, evil):
    """Every text of every file, through a reader of GitHub's Markdown: it is shown as it is, and is nothing else."""
    judged = confirmed(verdict=evil, method=evil)
    given = {**champion(judged), "name": evil, "model": {"name": evil}, "classes": ["cat", evil],
             "tricks": {"mixup": {"alpha": evil}, evil: {evil: evil}}}
    facts = {**data(), "classes": ["cat", evil], "source": evil, "fingerprint": evil, "bad": [
        {"path": evil, "reason": evil}]}
    path = searched(tmp_path / "made", confirm_json=judged, champion_yaml=given,
                    versions_json={"sittings": [{evil: evil}]})
    (path / "data.json").write_text(json.dumps(facts))
    (path / "champion.yaml").write_text(export.text(given))
    text = card(path)
    elements, shown = read_markdown(text)
    assert elements == {"p": 28, "td": 21, "li": 21, "th": 9, "tr": 7, "strong": 6, "ul": 5, "h2": 5, "table": 2,
                        "thead": 2, "tbody": 2, "h1": 1, "code": 1, "a": 1}, "as of names that are words"
    assert not re.search(r"(?:http:/?|www|a(?=@))(?<!\\)[/.@]/?evil", text), "what GitHub makes a link of"
    assert shown.count(re.sub(r"[\0-\x1f\u2028]+", " ", evil).strip()) == 18


def test_names_stay_readable(tmp_path):
    facts = {**data(), "source": "image_folder:/data/my-photos_2024 (old).v1.0/", "classes": ["val/balanced_accuracy",
                                                                                              "n01440764"]}
    path = searched(tmp_path / "made", champion_yaml=champion())
    (path / "data.json").write_text(json.dumps(facts))
    found = card(path)
    assert "Source: image_folder:/data/my-photos_2024 (old).v1.0/, fingerprint ffff" in found
    assert "| val/balanced_accuracy | 50 |" in found and "| n01440764 | 10 |" in found


@pytest.mark.parametrize("content", [None, "{}", '{"counts": {}, "classes": []}', "[" * 200_000])
def test_data_json_is_needed(tmp_path, content):
    path = searched(tmp_path / "made", champion_yaml=champion()) / "data.json"
    path.unlink() if content is None else path.write_text(content)
    with pytest.raises(RunError, match=r"data\.json: is (missing|damaged)") as caught:
        card(path.parent)
    assert len(caught.value.problems) == 1


def test_unconfirmed_champion_is_called_so(tmp_path):
    found = card(searched(tmp_path / "made", champion_yaml=champion()))
    assert "**Not confirmed.** Search score 0.7500" in found
    assert "| cat | 50 | 20 | 40 |  |  |" in found and "±" not in found


def test_without_a_champion_there_is_no_card(tmp_path):
    with pytest.raises(RunError, match=r"holds no champion.yaml"):
        card(folder(tmp_path / "made", data_json={}))


def test_a_single_seed_has_no_interval(tmp_path):
    judged = json.loads(json.dumps(confirmed(difference={"mean": 0.25, "low": None, "high": None})))
    assert "+0.2500, no interval from a single seed" in card(
        searched(tmp_path / "made", confirm_json=judged, champion_yaml=champion(judged)))


def told(tmp_path, found, **changes):
    judged = confirmed(addition=found, **changes)
    return card(searched(tmp_path / "made", confirm_json=judged, champion_yaml=champion(judged)))


@pytest.mark.parametrize(("found", "said"), [
    (addition(2, "mixup_recipe", "added to the published bundle mixup_recipe"),
     "The search: added to the published bundle mixup_recipe: +0.1250 on test, 95% interval +0.0625 to +0.1875."),
    (addition(), "The search: added to the baseline: +0.1250 on test, 95% interval +0.0625 to +0.1875."),
    (addition(2, "mixup_recipe", "no evidence that it added anything to mixup_recipe: one seed gives no interval",
              low=None, high=None),
     "The search: no evidence that it added anything to mixup_recipe: one seed gives no interval: +0.1250 on test."),
    (addition(1, "mixup_recipe", "no more than the published bundle mixup_recipe: on validation nothing was better",
              0.0, 0.0, 0.0),
     "The search: no more than the published bundle mixup_recipe: on validation nothing was better.")])
def test_what_the_search_added_is_said(tmp_path, found, said):
    assert f"\n{said}\n" in told(tmp_path, found)


def test_where_nothing_helps_that_is_said(tmp_path):
    verdict = "nothing helps: on validation no bundle was better than the baseline"
    text = told(tmp_path, addition(0, "baseline", verdict, 0.0, 0.0, 0.0), champion=0)
    assert f"\nThe search: {verdict}.\n" in text


def test_without_an_addition_nothing_is_said_of_it(text):
    assert "The search:" not in text


@pytest.mark.parametrize("evil", MARKUP)
def test_the_name_of_a_start_bundle_is_no_markdown(tmp_path, evil):
    plain, _ = read_markdown(told(tmp_path / "plain", addition(2, "words", "added to the published bundle words")))
    elements, shown = read_markdown(told(tmp_path / "evil", addition(2, evil, f"added to the published bundle {evil}")))
    assert elements == plain, "as of a name that is a word"
    assert re.sub(r"[\0-\x1f\u2028]+", " ", f"added to the published bundle {evil}: +0.1250") in shown
