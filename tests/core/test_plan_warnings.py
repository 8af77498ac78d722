from autotricks.core.bundle import Bundle
from autotricks.core.plan import warnings
from autotricks.space import load_space
from autotricks.tricks.catalog import make


def test_a_batch_too_small_for_batch_norm_is_told():
    assert warnings(Bundle(batch_size=16)) == []
    (line,) = warnings(Bundle(batch_size=8))
    assert line.startswith("training.batch_size: 8 images are few for batch norm") and "1803.08494" in line
    assert warnings(Bundle((make("group_norm", {}),), batch_size=8)) == []


def test_a_space_tells_it():
    assert any("images are few" in line for line in load_space("long_tail", ["training.batch_size=4"]).space.warnings())
    assert not any("images are few" in line for line in load_space("long_tail").space.warnings())
