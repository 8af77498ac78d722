"""Advice on pretrained weights: the rules, the arithmetic, and real probes on digits."""
import pytest
import torch
from safetensors.torch import save_file

from autotricks.core.bundle import Bundle
from autotricks.data import load
from autotricks.errors import InputError
from autotricks.models import build
from autotricks.probes.transfer import Advice, advise
from autotricks.space import load_space
from autotricks.trial import run_trial
from autotricks.tricks.catalog import make


@pytest.mark.parametrize(("per_class", "found", "said"), [
    (999.0, 0.55, "train the classifier alone"),       # 0.5 of the errors left by 0.1 are avoided
    (999.0, 0.54, "train from scratch"),
    (1000.0, 0.55, "train all of it from these weights; freeze nothing"),
    (1000.0, 0.54, "from these weights or from scratch; freeze nothing")])
def test_the_four_rules(per_class, found, said):
    assert said in Advice("m", "w", per_class, found, 0.1).rule


@pytest.mark.parametrize(("found", "random", "share"), [(0.9, 0.2, 0.875), (0.1, 0.2, 0.0), (1.0, 0.0, 1.0),
                                                        (1.0, 1.0, 0.0)])
def test_the_share_of_errors_avoided_by_hand(found, random, share):
    assert Advice("m", "w", 10.0, found, random).avoided == pytest.approx(share)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Weights trained for a few epochs on digits, and weights drawn at random."""
    folder = tmp_path_factory.mktemp("weights")
    loaded = load_space("optimizers.yaml")
    bundle = Bundle((make("sgd", {"lr": 0.2}), make("cosine", {})), epochs=4, batch_size=64)
    data = load(loaded.document.data.settings()).dataset
    save_file(run_trial(bundle, data).model.state_dict(), folder / "digits.safetensors")
    torch.manual_seed(99)
    save_file(build("resnet8", 10, 1).state_dict(), folder / "random.safetensors")
    return folder


def space(folder, weights):
    path = folder / "mine.yaml"
    path.write_text(f"name: mine\ndata: {{source: digits}}\nmodel: {{name: resnet8}}\ntricks:\n  sgd: {{}}\n{weights}")
    return load_space(path)


def test_weights_of_the_same_data_are_alike_and_random_ones_are_not(files):
    listed = f"['', {files / 'digits.safetensors'}, {files / 'random.safetensors'}]"
    trained, random = advise(space(files, f"  pretrained: {{weights: {{choice: {listed}}}}}\n"))
    assert trained.per_class == pytest.approx(100.9) and trained.weights.endswith("digits.safetensors")
    assert trained.alike and trained.accuracy > 0.9 and "classifier alone" in trained.rule
    assert not random.alike and random.avoided < 0.4 and "from scratch" in random.rule


def test_a_fixed_file_is_probed_too_and_one_that_is_missing_is_one_line(files):
    with pytest.raises(InputError, match=r"mine\.yaml:6:16  tricks\.pretrained\.weights: .*nowhere\.pt: no such file"):
        advise(space(files, "  pretrained: {weights: nowhere.pt, always: true}\n"))


def test_a_model_of_ours_has_no_published_weights(files):
    with pytest.raises(InputError, match=r"mine\.yaml:3:9  model\.name: resnet8 is one of ours, for which nobody has"):
        space(files, "  pretrained: {}\n")


@pytest.mark.parametrize("listed", ["", "  pretrained: {weights: ''}\n"])
def test_a_space_without_weights_is_told_where_to_name_them(files, listed):
    with pytest.raises(InputError, match=r"^mine: names no weights to probe\. Set model\.pretrained: true, or "
                       r"tricks\.pretrained\.weights to a file"):
        advise(space(files, listed))
