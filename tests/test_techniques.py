"""Every technique has a row, every row names what is there, every trick is in a row."""
from pathlib import Path

from autotricks.cli.views import techniques
from autotricks.core.trick import Trick
from autotricks.tricks.catalog import catalog

ROOT = Path(__file__).parents[1]
FAMILIES = {"A": 10, "B": 11, "C": 10, "D": 18, "E": 8, "F": 9, "G": 7, "H": 7, "I": 5, "J": 14, "K": 15, "L": 9,
            "M": 6, "N": 21, "Q": 17}
NUMBERS = [f"{family}{number}" for family, count in FAMILIES.items() for number in range(1, count + 1)
           if (family, number) != ("E", 6)]      # which was never given
TECHNIQUES = techniques.document()["techniques"]
ROWS = [*techniques.rows(), *techniques.ours()]
OWN = {name for name, kind in catalog().items() if kind.__module__.startswith("autotricks.")}


def test_every_technique_has_its_row_and_there_is_no_other():
    assert list(TECHNIQUES) == NUMBERS
    assert list(dict.fromkeys(row.id for row in techniques.rows())) == NUMBERS
    assert list(techniques.document()["families"]) == list(FAMILIES)


def test_a_technique_is_done_by_tricks_or_by_a_part_or_refused():
    for number, technique in TECHNIQUES.items():
        assert technique["name"], number
        assert sorted(set(technique) - {"name"}) in (["tricks"], ["part", "test"], ["refused"]), number
        assert all(technique[key] for key in technique), number


def test_every_trick_is_in_a_row_or_said_to_be_beyond_them():
    named = {trick for technique in TECHNIQUES.values() for trick in technique.get("tricks", [])}
    assert named | set(techniques.document()["ours"]) == OWN
    assert not named & set(techniques.document()["ours"])


def test_what_does_it_has_a_test_that_names_it_and_a_paper():
    done = [row for row in ROWS if not row.refused]
    assert len(done) > 100
    for row in done:
        text = (ROOT / row.test).read_text()
        assert "def test_" in text, row
        if row.seat:
            assert row.what in text or catalog()[row.what].__name__ in text, row
            assert row.paper.startswith("[") and "](http" in row.paper, row


def test_no_exception_is_listed_without_need():
    for trick, path in techniques.document()["tests"].items():
        assert trick in catalog() and not (ROOT / f"tests/tricks/test_{trick}.py").exists(), path


def test_docs_show_the_table_as_it_is():
    assert (ROOT / "docs" / "tricks.md").read_text() == techniques.markdown(), (
        "write it again: autotricks tricks list --markdown > docs/tricks.md")


def test_the_paper_is_the_first_one_cited():
    class Cited(Trick):
        """Do it.

        Paper: first said by Who et
            al. 2001, https://a.example/1, section 2; then Whoever 2002, https://b.example.
        """

    assert techniques.paper(Cited) == "[first said by Who et al. 2001](https://a.example/1)"


def test_a_row_by_hand():
    row = next(row for row in techniques.rows() if (row.id, row.what) == ("C3", "warmup"))
    assert (row.name, row.seat, row.test) == ("warm-up", "schedule.warmup!", "tests/tricks/test_warmup.py")
    assert [row.what for row in techniques.rows() if row.id == "B6"] == ["sam", "asam"]
    assert next(row for row in techniques.rows() if row.id == "N16").refused
