"""Classes with too few images: which they are, what stays in train with them, and what is left without them."""
import numpy as np
import pytest
import torch

from autotricks.core.targets import Targets
from autotricks.data import Settings, load
from autotricks.data.load import divided
from autotricks.data.rare import few, pinned, without
from autotricks.data.sources import Part

from .pictures import noise

LABELS = [("a",)] * 9 + [("b",)] * 2 + [("c", "a")] * 3


def test_rare_is_a_class_that_cannot_be_in_every_split():
    assert few(LABELS, None, ["test", "validation"]) == ["b"]
    assert few(LABELS, None, ["test"]) == [] == few(LABELS, None, [])
    assert few(LABELS, [str(row // 3) for row in range(14)], ["test", "validation"]) == ["b", "c"]     # groups count


def test_groups_that_stay_may_make_other_classes_rare():
    """0 has one group, which takes one of the three groups of 1; of 2 there are four."""
    labels = torch.tensor([0, 1, 1, 1, 2, 2, 2, 2])
    groups = list("xxyzpqrs")
    assert pinned(labels, groups, 2).tolist() == [True] * 4 + [False] * 4
    assert pinned(labels, groups, 1).tolist() == [True] * 2 + [False] * 6
    assert pinned(labels, None, 2).tolist() == [True] + [False] * 7


@pytest.mark.parametrize("grouped", [False, True])
def test_images_of_rare_classes_stay_in_train_and_the_others_are_cut_as_before(grouped):
    names = np.repeat([0, 1, 2], [40, 40, 2])
    images = torch.from_numpy(noise(0, 82, 1, 3, 3))
    groups = [f"{row}" for row in range(82)] if grouped else None

    def cut(rows):
        part = Part(images[rows], [(str(names[row]),) for row in rows],
                    None if groups is None else [groups[row] for row in rows])
        targets = Targets.plain(torch.from_numpy(names[rows]))
        return divided({"train": part}, {"train": targets}, ("0", "1", "2"), Settings("digits"))[0]

    whole, less = cut(np.arange(82)), cut(np.arange(80))
    for split in ("validation", "test"):
        assert torch.equal(whole[split].images, less[split].images)
    assert torch.equal(whole["train"].images, torch.cat([less["train"].images, images[80:]]))


def test_dropped_classes_are_gone_from_every_split_and_images_with_other_labels_stay():
    parts = {"train": Part(torch.arange(14).view(-1, 1, 1, 1), LABELS, list("abcdefghijklmn")),
             "test": Part(torch.arange(3).view(-1, 1, 1, 1), [("b",), (), ("a",)])}
    found = without(parts, ["b", "c"])
    assert found["train"].images.flatten().tolist() == [*range(9), 11, 12, 13]
    assert found["train"].labels == [("a",)] * 12 and found["train"].groups == [*"abcdefghi", *"lmn"]
    assert found["test"].images.flatten().tolist() == [1, 2] and found["test"].labels == [(), ("a",)]


@pytest.mark.parametrize(("word", "counts", "said"), [
    ("keep_in_train", [11, 11, 2], "too few images to be split, all of them in train: 2; data.rare: drop leaves such"),
    ("drop", [11, 11], "left out, with too few images to be split: 2 (data.rare: drop)")])
def test_a_rare_class_is_told(tmp_path, word, counts, said):
    np.savez(tmp_path / "x.npz", x=noise(0, 42, 3, 3), y=np.repeat([0, 1, 2], [20, 20, 2]))
    facts = load(Settings(f"npz:{tmp_path}/x.npz", rare=word)).facts
    assert facts["counts"]["train"] == counts       # of 20, 5 are test, and 4 of the other 15 validation
    assert len(facts["notices"]) == 1 and facts["notices"][0].startswith(said)
    assert sum(facts["counts"]["test"]) == 10 and facts["classes"] == [str(one) for one in range(len(counts))]
