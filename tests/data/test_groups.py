import csv
from functools import cache

import numpy as np
import pytest
import torch

from autotricks.core.dataset import Fold
from autotricks.data import Group, Settings, load
from autotricks.data.folds import with_folds
from autotricks.data.groups import cut
from autotricks.errors import DataError, SpaceError
from autotricks.space import load_space

from .pictures import noise, save

CUTS = {"test": 0.25, "validation": 0.25}


def drawn(seed, mixed):
    """Labels and groups of a random data set: up to 80 groups of 1 to 20 images, of one class each or of several."""
    random = np.random.RandomState(seed)
    classes = random.randint(2, 6)
    sizes = random.randint(1, random.randint(2, 21), random.randint(6 * classes, 81))
    groups = np.repeat(np.arange(len(sizes)), sizes)
    own = np.concatenate([np.tile(np.arange(classes), 3), random.randint(0, classes, len(sizes))])[:len(sizes)]
    labels = own[groups]
    if mixed:
        labels = np.where(random.rand(len(groups)) < 0.4, random.randint(0, classes, len(groups)), labels)
    return torch.from_numpy(labels), [f"object {number}" for number in groups]


def tables(labels, groups, rows, of):
    """Images of each class in each group, [G, C], of the groups among some rows and of those among the others."""
    def table(chosen):
        places = {name: place for place, name in enumerate(sorted({groups[row] for row in chosen}))}
        made, numbers = np.zeros((len(places), int(labels.max()) + 1)), labels.tolist()
        for row in chosen:
            made[places[groups[row]], numbers[row]] += 1
        return made
    return table(rows), table(sorted({*of} - {*rows}))


@cache
def split(seed, mixed):
    """Labels, groups and how they are cut: made once for the tests that look at it."""
    labels, groups = drawn(seed, mixed)
    return labels, groups, cut(labels, groups, CUTS, seed)


@pytest.mark.parametrize("mixed", [False, True])
def test_no_group_is_in_two_splits_and_every_class_is_in_each(mixed):
    for seed in range(150):
        labels, groups, found = split(seed, mixed)
        assert sorted(np.concatenate([rows.numpy() for rows in found.values()])) == list(range(len(labels)))
        names = [{groups[row] for row in rows.tolist()} for rows in found.values()]
        assert sum(map(len, names)) == len(set.union(*names)) == len({*groups})
        assert all(set(labels[rows].tolist()) == {*labels.tolist()} for rows in found.values())


def test_classes_keep_within_half_a_group_of_their_fraction():
    """With groups of one class each: half the smallest group on the longer side, wherever one could have moved."""
    held_against = 0
    for seed in range(150):
        labels, groups, found = split(seed, False)
        left = list(range(len(labels)))
        for place, (name, fraction) in enumerate(CUTS.items()):
            out = found[name].tolist()
            held, rest = tables(labels, groups, out, left)
            for number in range(held.shape[1]):
                inside, outside = (side[side[:, number] > 0, number] for side in (held, rest))
                gap = inside.sum() - fraction * (inside.sum() + outside.sum())
                if gap > 0 and len(inside) > 1:
                    assert gap <= inside.min() / 2 + 1e-9
                    held_against += 1
                if gap < 0 and len(outside) > 2 - place:
                    assert -gap <= outside.min() / 2 + 1e-9
                    held_against += 1
            left = sorted({*left} - {*out})
    assert held_against > 500


def test_squared_gaps_of_mixed_groups_keep_below_what_chance_would_leave():
    held_against = 0
    for seed in range(150):
        labels, groups, found = split(seed, True)
        out = found["test"].tolist()
        held, rest = tables(labels, groups, out, range(len(labels)))
        sizes = held.sum(0) + rest.sum(0)
        if ((held > 0).sum(0) < 2).any() or ((rest > 0).sum(0) < 3).any():
            continue        # a class without a choice: the bound does not hold there
        gaps = ((held.sum(0) / sizes - 0.25) ** 2).sum()
        bound = (0.75 * ((held / sizes) ** 2).sum() + 0.25 * ((rest / sizes) ** 2).sum()) / 2
        assert gaps <= bound + 1e-12
        held_against += 1
    assert held_against > 60


def test_groups_of_one_image_are_split_as_images_are():
    labels = torch.tensor([0] * 8 + [1] * 16)
    found = cut(labels, [str(row) for row in range(24)], CUTS, 0)
    assert {name: torch.bincount(labels[rows]).tolist() for name, rows in found.items()} == {
        "test": [2, 4], "validation": [1, 3], "train": [5, 9]}     # a quarter of 8 and 16, then of 6 and 12


def test_a_class_of_few_groups_has_one_in_each_split_however_far_from_its_fraction():
    """A third is farther from a tenth than nothing is, and nothing is not allowed."""
    labels, groups = torch.tensor([0] * 30 + [1] * 30), [str(row // 10) for row in range(60)]
    found = cut(labels, groups, {"test": 0.1, "other": 0.1}, 0)
    assert found.keys() == {"test", "other", "train"}
    assert all(len(rows) == 20 for rows in found.values())


def test_the_seed_decides_and_the_names_of_groups_do_not():
    labels, groups = drawn(3, True)
    one, same, other = (cut(labels, groups, CUTS, seed) for seed in (5, 5, 6))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["test"], other["test"])
    renamed = cut(labels, [f"other {name}" for name in groups], CUTS, 5)
    assert all(torch.equal(one[name], renamed[name]) for name in one)


def test_what_cannot_be_split_is_said():
    """Each class lies in two of three groups: two held out leave one class out of train, one leaves one out of test."""
    with pytest.raises(DataError, match=r"^data\.group: in 20 orders of the groups, none left every class"):
        cut(torch.tensor([0, 1, 0, 2, 1, 2]), list("xxyyzz"), {"test": 0.3}, 0)


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    """Twenty films of 3 to 7 frames, half of cats; the pixels say which film a frame is of."""
    root = tmp_path_factory.mktemp("films")
    for film in range(20):
        for frame in range(3 + film % 5):
            values = noise(100 * film + frame, 4, 4)
            values[0, 0] = film
            save(root / ("cat" if film % 2 else "dog") / f"film{film:02d}_{frame}.png", values)
    return root


def films_of(split):
    return {int(image[0, 0, 0]) for image in split.images}


def table(path, rows, header=("path", "label", "film")):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return f"csv:{path}"


def rows_of(root):
    return [(path, path.parent.name, path.name[:6]) for path in sorted(root.glob("*/*.png"))]


def test_frames_of_a_film_stay_together_by_pattern_and_by_column(films, tmp_path):
    folder = f"image_folder:{films}"
    pattern = load(Settings(folder, group=Group(pattern=r"(film\d+)_\d+\.png$")))
    column = load(Settings(table(tmp_path / "films.csv", rows_of(films)), group=Group(column="Film")))
    in_table = load(Settings(table(tmp_path / "films.csv", rows_of(films)), group=Group(pattern=r"(film\d+)_")))
    for found in (pattern, column, in_table):
        splits = [films_of(split) for split in (found.dataset.train, found.dataset.validation, found.dataset.test)]
        assert set.union(*splits) == set(range(20)) and sum(map(len, splits)) == 20
        assert found.facts["groups"] == 20
        assert found.facts["fingerprint"] == pattern.facts["fingerprint"]
    loose = load(Settings(folder)).dataset
    assert films_of(loose.train) & films_of(loose.validation)      # without groups they do straddle
    assert load(Settings(folder)).facts["fingerprint"] != pattern.facts["fingerprint"]
    assert load(Settings(folder, seed=1, group=Group(pattern=r"(film\d+)"))).facts["fingerprint"] != pattern.facts[
        "fingerprint"]


def test_folds_keep_films_whole_whichever_split_they_are_of(films):
    data = load(Settings(f"image_folder:{films}", group=Group(pattern=r"(film\d+)"))).dataset
    in_folds = with_folds(data, 4, 0)
    validated = []
    for number in range(4):
        part = in_folds.folded(Fold(number, 4))
        assert not films_of(part.train) & films_of(part.validation)
        assert {*part.validation.targets.single.tolist()} == {0, 1}
        validated += films_of(part.validation)
    assert sorted(validated) == sorted(films_of(data.train) | films_of(data.validation))


def test_the_long_tail_and_production_keep_films_apart(films):
    settings = Settings(f"image_folder:{films}", imbalance=4, group=Group(pattern=r"(film\d+)"))
    for joined in (False, True):
        data = load(settings, joined=joined).dataset
        assert not films_of(data.train) & (films_of(data.validation) | films_of(data.test))
    assert films_of(load(settings, joined=True).dataset.test) == films_of(load(settings).dataset.test)


@pytest.mark.parametrize(("group", "said"), [
    (Group(pattern=r"(clip\d+)"), r"data\.group\.pattern: '\(clip.*' finds nothing in any path, such as cat/film01_0"),
    (Group(pattern=r"(film0\d)"), r"finds nothing in 50 of 100 paths, such as cat/film11_0\.png"),
    (Group(pattern=r"(film)"), r"finds the same group, 'film', in every path"),
    (Group(pattern=r"^(cat|dog)"), r"too few groups to split off test and validation in class 'cat' \(1\), 'dog' "
                                   r"\(1\); each class needs 3"),
    (Group(column="film"), r"data\.group\.column: image_folder has no columns")])
def test_groups_that_cannot_be_are_refused(films, group, said):
    with pytest.raises(DataError, match=said) as caught:
        load(Settings(f"image_folder:{films}", group=group))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("values", "said"), [
    ({}, "data.group: give either column or pattern."),
    ({"column": "film", "pattern": "(.)"}, "data.group: give either column or pattern."),
    ({"column": "Label"}, "data.group.column: 'Label' is not allowed"),
    ({"pattern": "film"}, "data.group.pattern: 'film' has 0 groups in parentheses; it must have one"),
    ({"pattern": "(a)(b)"}, "has 2 groups in parentheses"),
    ({"pattern": "(a"}, "data.group.pattern: '(a' is no regular expression: missing ), unterminated subpattern")])
def test_settings_that_cannot_be_are_refused(values, said):
    with pytest.raises(DataError) as caught:
        Settings("csv:x", group=Group(**values))
    assert said in str(caught.value)


def test_a_source_without_paths_has_no_groups():
    with pytest.raises(DataError, match=r"^data\.group: digits has neither paths nor columns"):
        load(Settings("digits", group=Group(pattern="(.)")))


def test_tables_say_which_line_or_column_is_wrong(films, tmp_path):
    rows = [list(row) for row in rows_of(films)]
    with pytest.raises(DataError, match="has no column scene"):
        load(Settings(table(tmp_path / "x.csv", rows), group=Group(column="scene")))
    rows[4][2] = " "
    with pytest.raises(DataError, match=r"data\.group\.column: .*x\.csv:6: film is empty"):
        load(Settings(table(tmp_path / "x.csv", rows), group=Group(column="film")))


def test_splits_of_the_source_that_share_a_group_are_refused(films, tmp_path):
    rows = [(*row, "test" if row[2] < "film06" else "train") for row in rows_of(films)]
    header = ("path", "label", "film", "split")
    settings = Settings(table(tmp_path / "x.csv", rows, header), group=Group(column="film"))
    assert films_of(load(settings).dataset.test) == set(range(6))
    rows[0] = (*rows[0][:3], "train")
    table(tmp_path / "x.csv", rows, header)
    with pytest.raises(DataError, match=r"^data\.group: (train and test|test and train) share 'film01'\. Move each"):
        load(settings)


def test_a_space_names_groups(tmp_path):
    text = "name: x\ndata:\n  source: csv:films.csv\n  group: {%s}\ntricks: {sgd: {}}\n"
    (tmp_path / "x.yaml").write_text(text % "column: film")
    loaded = load_space(tmp_path / "x.yaml")
    assert loaded.document.data.settings().group == Group(column="film")
    assert loaded.resolved["data"]["group"] == {"column": "film", "pattern": None}
    for values, said in (("colum: film", "x.yaml:4:11  data.group.colum: no such key. Did you mean column?"),
                         ("pattern: film", "x.yaml:4:11  data.group.pattern: 'film' has 0 groups"),
                         ("column: 3", "data.group.column: 3 is not text")):
        (tmp_path / "x.yaml").write_text(text % values)
        with pytest.raises(SpaceError) as caught:
            load_space(tmp_path / "x.yaml")
        assert said in str(caught.value)
