import pytest
import torch
from scipy import stats

from autotricks.core.bundle import Bundle, Use, Window
from autotricks.core.plan import advice, problems
from autotricks.errors import BundleError, ModelError
from autotricks.models.resnet import ResNet
from autotricks.nn.activation_maps import training_maps
from autotricks.trainer import checkpoint
from autotricks.trial import prepare
from autotricks.tricks.catalog import make
from autotricks.tricks.load.cam_sampling import MAPS, CamSampling
from tests.conftest import make_run

C10_LT_100 = (5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50)
STILL = 1 / 3 / 25      # a third is shifted, on 8 x 8 by one of 25 shifts, one of which is none


def loaded(run, trick, rows):
    """Return what is loaded, and what would be without the trick."""
    images = run.images.float() / 255
    return trick.load(lambda rows: images[rows], run)(rows), images[rows]


def everywhere(run, value=0.0):
    run.memory[MAPS] = torch.full((len(run.targets), 2, 2), value, dtype=torch.float16)


def test_each_class_is_replaced_as_often_as_in_the_enlarged_set():
    run = make_run(counts=C10_LT_100, image_shape=(1, 8, 8))
    everywhere(run)
    times = 4000
    rows = torch.cat([torch.randint(int(count), (times,), generator=run.generator) + int(before)
                      for count, before in zip(run.counts, run.counts.cumsum(0) - run.counts, strict=True)])
    found, originals = loaded(run, CamSampling(), rows)
    changed = ((found - originals).abs().amax((1, 2, 3)) > 1e-4).view(10, times).sum(1)
    for count, size in zip(changed.tolist(), C10_LT_100, strict=True):
        share = (5050 - size) / 5050 * (1 - STILL)
        assert stats.binomtest(count, times, share).pvalue > 1e-4, (size, count / times, share)


def test_drawing_classes_alike_is_drawing_from_the_enlarged_set():
    """Original images among all: 12406 of 50500 there; here the mean over classes of n / 5050."""
    run = make_run(counts=C10_LT_100, image_shape=(1, 8, 8))
    everywhere(run)
    rows = make("class_balanced", {}).trick.sampler(None, run)(0.0)
    found, originals = loaded(run, CamSampling(), rows)
    same = int(((found - originals).abs().amax((1, 2, 3)) < 1e-4).sum())
    assert stats.binomtest(same, len(rows), (12406 + 38094 * STILL) / 50500).pvalue > 1e-4


def test_only_the_foreground_moves():
    """A box of 8 x 8, turned and enlarged, lies within 7 of its middle; shifted, it lies within 12."""
    run = make_run(counts=(60, 1), image_shape=(3, 32, 32))
    maps = torch.zeros(61, 32, 32)
    maps[:, 12:20, 12:20] = 1
    run.memory[MAPS] = maps.half()
    found, originals = loaded(run, CamSampling(threshold=1.0), torch.arange(60).repeat(5))
    reach = torch.zeros(32, 32, dtype=torch.bool)
    reach[4:28, 4:28] = True
    assert torch.equal(found[:, :, ~reach], originals[:, :, ~reach])
    assert not torch.equal(found[:, :, 12:20, 12:20], originals[:, :, 12:20, 12:20])


def test_the_threshold_says_how_much_moves():
    run = make_run(counts=(200, 1), image_shape=(1, 16, 16))
    run.memory[MAPS] = torch.linspace(0, 1, 16).expand(201, 16, 16).half()
    def changed(threshold):
        run.generator.manual_seed(0)
        found, originals = loaded(run, CamSampling(threshold=threshold), torch.full((500,), 200))
        return float((found != originals).any(1).float().mean())
    assert changed(0.1) > changed(0.75) > changed(1.25) > changed(2.1) == 0.0


def test_each_image_has_its_own_map():
    run = make_run(counts=(40, 2), image_shape=(1, 16, 16))
    run.memory[MAPS] = torch.full((42, 4, 4), 0.5).half()          # nothing is twice the mean
    run.memory[MAPS][41] = torch.eye(4).half()
    found, originals = loaded(run, CamSampling(threshold=2.0), torch.tensor([40, 41]).repeat(100))
    changed = (found != originals).flatten(1).any(1)
    assert not changed[::2].any() and int(changed[1::2].sum()) > 80


def test_it_wraps_what_is_inside(run):
    everywhere(run)
    found = CamSampling().load(lambda rows: torch.full((len(rows), 2, 4, 4), 0.25), run)(torch.arange(10))
    assert torch.allclose(found, torch.full_like(found, 0.25))


def trained(dataset, start=0.5, stop=1.0, epochs=3):
    return prepare(Bundle((Use(CamSampling(), Window(start, stop)),), epochs=epochs, batch_size=16), dataset)


def test_maps_are_those_of_the_model_when_the_window_opens(dataset):
    """Of 15 steps the window opens before the 9th, inside the second epoch."""
    trainer, done, expected = trained(dataset), [], []
    step = trainer.step

    def watched(rows):
        done.append(MAPS in trainer.run.memory)
        loss = step(rows)
        if len(done) == 8:
            expected.append(training_maps(trainer.run))
        return loss
    trainer.step = watched
    steps = trainer.epochs()
    next(steps), next(steps)
    assert done == [False] * 8 + [True] * 2
    assert torch.equal(trainer.run.memory[MAPS], expected[0])
    assert not torch.equal(training_maps(trainer.run), expected[0])


def test_killed_inside_the_window_it_goes_on_bit_for_bit(dataset, tmp_path, monkeypatch):
    whole = trained(dataset)
    history = list(whole.epochs())
    first = trained(dataset)
    steps = first.epochs()
    next(steps), next(steps)
    checkpoint.save(first.state_dict(), tmp_path / "state")
    maps = first.run.memory[MAPS]
    second = trained(dataset)
    monkeypatch.setattr(CamSampling, "enter", lambda trick, run: pytest.fail("the maps are in the checkpoint"))
    second.load_state_dict(checkpoint.load(tmp_path / "state"))
    assert torch.equal(second.run.memory[MAPS], maps)
    assert list(second.epochs()) == history[2:]
    expected = whole.evaluated.state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in second.evaluated.state_dict().items())


def test_the_maps_matter_to_what_comes_after(dataset):
    """Else the test above could not fail."""
    def last(level):
        trainer = trained(dataset)
        steps = trainer.epochs()
        next(steps), next(steps)
        trainer.run.memory[MAPS] = torch.full_like(trainer.run.memory[MAPS], level)
        trainer.run.memory[MAPS][:, 0, 0] = 1
        return next(steps)
    assert last(0.0) != last(1.0)


def test_the_maps_are_forgotten_when_the_window_closes_and_the_state_still_loads(dataset):
    trainer = trained(dataset, 0.0, 0.5, 2)
    steps = trainer.epochs()
    next(steps)
    assert MAPS in trainer.run.memory
    next(steps)
    assert MAPS not in trainer.run.memory
    finished = trained(dataset, epochs=1)
    list(finished.epochs())
    again = trained(dataset, epochs=1)
    again.load_state_dict(finished.state_dict())
    assert MAPS not in again.run.memory and list(again.epochs()) == []


def test_a_model_without_maps_is_told_when_the_window_opens():
    with pytest.raises(ModelError, match="Sequential has no feature maps that are averaged over the image"):
        CamSampling().enter(make_run())


def test_what_it_notes(run):
    run.model = ResNet(8, 3, channels=2)
    run.images = run.images.repeat(1, 1, 4, 4)
    before = run.generator.get_state()
    CamSampling().enter(run)
    maps = run.memory[MAPS]
    assert maps.shape == (10, 4, 4) and maps.dtype == torch.float16
    assert maps.amin((1, 2)).unique().tolist() == [0] and maps.amax((1, 2)).unique().tolist() == [1]
    assert torch.equal(run.generator.get_state(), before)
    CamSampling().leave(run)
    assert run.memory == {}


def test_re_weighting_beside_it_is_not_advised_and_re_sampling_is():
    def said(*names):
        return advice([Use(CamSampling(), Window(0.5, 1.0)), *(make(name, {}) for name in names)])
    assert [line for line in said("cost_sensitive") if "cam_sampling beside cost_sensitive is not advised" in line
            and "Zhang et al. 2021" in line]
    assert said("class_balanced") == said("square_root") == said("progressive") == said("balanced_softmax") == []


def test_its_seat_is_that_of_the_whole_image_and_it_opens_late():
    both = [Use(CamSampling()), make("image_transform", {})]
    assert ["load.synthesis" in line for line in problems(both)] == [True]
    assert both[0].window == both[1].window == Window(0.8, 1.0)


def test_refuses_a_threshold_of_nothing():
    with pytest.raises(BundleError, match=r"cam_sampling\.threshold: 0 is not allowed; threshold must be > 0 \(times"):
        CamSampling(threshold=0)
