import copy
import zipfile

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from autotricks.errors import ModelError
from autotricks.models import build
from autotricks.models.checkpoint import read
from autotricks.nn.pretrained import adapted, fitted


def written(state, path):
    (save_file if path.suffix == ".safetensors" else torch.save)(state, path)
    return path


def test_a_file_is_read_in_each_of_its_forms(tmp_path):
    state = build("resnet8", 4, 3).state_dict()
    forms = {"a.safetensors": state, "b.pth": state, "c.pt": {"state_dict": state, "epoch": 3},
             "d.pt": {"model": {f"module.{name}": value for name, value in state.items()}}}
    for name, form in forms.items():
        found = read(written(form, tmp_path / name))
        assert found.keys() == state.keys() and all(torch.equal(found[key], state[key]) for key in state)


class Trap:
    def __reduce__(self):
        return print, ("executed",)


def test_a_file_that_is_none_is_one_clear_line(tmp_path, capsys):
    (tmp_path / "cut.safetensors").write_bytes(b"\x10")
    (tmp_path / "noise.pt").write_bytes(bytes(range(200)))
    (tmp_path / "empty.pt").write_bytes(b"")
    torch.save(Trap(), tmp_path / "trap.pt")
    torch.save([1, 2], tmp_path / "list.pt")
    said = {"cut.safetensors": "cannot be read as weights", "noise.pt": "cannot be read", "empty.pt": "cannot be read",
            "trap.pt": "cannot be read", "list.pt": "holds list, not weights by name", "none.pt": "no such file",
            ".": "cannot be read"}
    for name, line in said.items():
        with pytest.raises(ModelError, match=line) as error:
            read(tmp_path / name)
        assert len(str(error.value).splitlines()) == 1 and str(error.value).startswith("pretrained.weights: ")
    assert "executed" not in capsys.readouterr().out


def test_a_classifier_of_other_classes_is_left_out(tmp_path):
    state = build("resnet8", 7, 3).state_dict()
    fits = fitted(build("resnet8", 4, 3), state, 4, tmp_path)
    assert state.keys() - fits.keys() == {"head.weight", "head.bias"}
    assert fitted(build("resnet8", 7, 3), state, 7, tmp_path).keys() == state.keys()


def test_what_may_lack_and_what_may_be_left_over(tmp_path):
    state = build("torchvision:resnet18", 7, 3).state_dict()
    old = {name: value for name, value in state.items() if not name.endswith("num_batches_tracked")}
    model = build("torchvision:resnet18", 4, 3)
    fits = fitted(model, {**old, "aux.0.weight": torch.ones(3)}, 4, tmp_path)
    assert fits.keys() == old.keys() - {"fc.weight", "fc.bias"}


@pytest.mark.parametrize(("mine", "theirs", "said"), [
    ("resnet8", "resnet20", r"of 44 weights of ResNet do not fit"),
    ("resnet20", "resnet8", r"layers.1.conv1.weight is \[16, 16, 3, 3\] in the model, \[32, 16, 3, 3\] in the file"),
    # every weight of the smaller one is in the larger one, of the same shape
    ("torchvision:resnet18", "torchvision:resnet34", r": 0 of 122 weights of ResNet do not fit, and \d+ of the file "
     r"are left over; layer1.2.conv1.weight is not in the model, \[64, 64, 3, 3\] in the file"),
    ("torchvision:resnet34", "torchvision:resnet18", r"layer1.2.conv1.weight is \[64, 64, 3, 3\] in the model, "),
])
def test_another_architecture_is_refused(mine, theirs, said, tmp_path):
    with pytest.raises(ModelError, match=said):
        fitted(build(mine, 4, 3), build(theirs, 4, 3).state_dict(), 4, tmp_path)


@pytest.mark.parametrize("channels", [1, 2, 5])
def test_a_gray_image_gives_what_it_gave(channels):
    weight, gray = torch.randn(6, 3, 3, 3), torch.randn(2, 1, 8, 8)
    expected = nn.functional.conv2d(gray.expand(-1, 3, -1, -1), weight)
    found = nn.functional.conv2d(gray.expand(-1, channels, -1, -1), adapted(weight, channels))
    torch.testing.assert_close(found, expected)
    assert adapted(weight, 3) is weight


def test_one_channel_takes_the_sum_of_three(tmp_path):
    state = build("resnet8", 4, 3).state_dict()
    fits = fitted(build("resnet8", 4, 1), state, 4, tmp_path)
    torch.testing.assert_close(fits["stem.weight"], state["stem.weight"].sum(1, keepdim=True))


def test_a_file_that_unpacks_to_more_than_it_has_is_not_unpacked(tmp_path):
    """Of records that are compressed, and of one record that is listed again and again."""
    torch.save({"weight": torch.zeros(100_000)}, tmp_path / "whole.pt")
    with zipfile.ZipFile(tmp_path / "whole.pt") as whole:
        with zipfile.ZipFile(tmp_path / "bomb.pt", "w", zipfile.ZIP_DEFLATED) as packed:
            for record in whole.infolist():
                packed.writestr(record.filename, whole.read(record))
        with zipfile.ZipFile(tmp_path / "again.pt", "w") as listed:
            listed.writestr("a/data/0", whole.read("whole/data/0"))
            for number in range(1, 9):
                twin = copy.copy(listed.filelist[0])
                twin.filename = f"a/data/{number}"
                listed.filelist.append(twin)
    assert read(tmp_path / "whole.pt")["weight"].shape == (100_000,)
    for name in ("bomb.pt", "again.pt"):
        with pytest.raises(ModelError, match=r"it unpacks to [\d,]+ bytes, more than it has"):
            read(tmp_path / name)
