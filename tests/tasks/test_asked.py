"""What an objective asks for reaches the meter: through space and data, to workers and to test."""
import numpy
import pytest
import torch
from sklearn import metrics

from autotricks.errors import InputError
from autotricks.space import load_space
from autotricks.tasks.classification.metrics import METRICS
from autotricks.trainer import evaluate
from autotricks.trial import run_trial
from autotricks.tuning.engines.rung_training import arrays, from_arrays
from autotricks.workflows.reopen import with_data

SPACE = """name: asked
data: {source: digits, size: 8}
training: {epochs: 1, batch_size: 64, precision: fp32, layout: nchw}
search: {trials: 1, rungs: {first: 1}}
objective: {metric: "val/recall[8]", keep: {metric: val/auroc}, costs: {"8": {"1": 5}}}
tricks: {sgd: {lr: 0.05}}
"""


def opened(tmp_path, *overrides):
    (tmp_path / "asked.yaml").write_text(SPACE)
    return with_data(load_space(tmp_path / "asked.yaml", overrides), {}, trust=False)


def test_training_measures_what_is_asked_for_and_test_all_that_there_is(tmp_path):
    loaded, data = opened(tmp_path)
    travelled = from_arrays(arrays(data.dataset))
    assert travelled.task == data.dataset.task
    result = run_trial(loaded.start["baseline"], travelled)
    split = data.dataset.validation
    mean, std = (torch.tensor(values).view(-1, 1, 1) for values in (data.dataset.mean, data.dataset.std))
    model = result.model.eval()
    with torch.inference_mode():
        logits = model((split.images / 255 - mean) / std)
    labels, guess = split.targets.single.numpy(), logits.argmax(1).numpy()
    recall = metrics.recall_score(labels, guess, average=None)[8]
    area = metrics.roc_auc_score(labels, logits.double().softmax(1).numpy(), multi_class="ovr")
    cost = (4 * ((labels == 8) & (guess == 1)) + (labels != guess)).mean()
    for name, value in (("recall[8]", recall), ("auroc", area), ("cost", cost)):
        assert result.metrics[f"val/{name}"] == pytest.approx(value, abs=1e-5)
    assert "val/average_precision" not in result.metrics
    found = evaluate.tested(lambda images: model((images - mean) / std), data.dataset).metrics
    families = {"top_K_accuracy": "top_5_accuracy", "recall[CLASS]": "recall[8]"}
    assert [*found] == [families.get(metric.name, metric.name) for metric in METRICS if metric.name != "few_shot"]


def test_a_class_that_test_lacks_is_refused_before_anything_trains(tmp_path):
    """Confirmation could not tell its recall, after all the training."""
    pixels = numpy.random.default_rng(0).integers(0, 256, (40, 8, 8), dtype=numpy.uint8)
    labels = numpy.arange(40) % 3
    test = labels[:12] % 2
    numpy.savez(tmp_path / "made.npz", x=pixels, y=labels, x_val=pixels[:12], y_val=labels[:12], x_test=pixels[:12],
                y_test=test)
    source = f"data={{source: 'npz:{tmp_path / 'made.npz'}'}}"
    with pytest.raises(InputError, match=r"recall\[2\] does not exist .* or test has too few classes") as caught:
        opened(tmp_path, source, "objective={metric: 'val/recall[2]'}")
    assert len(caught.value.problems) == 1
    assert opened(tmp_path, source, "objective={metric: 'val/recall[1]'}")


@pytest.mark.parametrize(("override", "said"), [
    ("objective.metric=val/recall[88]", "objective.metric: no class is called '88'. Did you mean 8?"),
    ("objective.keep.metric=val/top_10_accuracy", "objective.keep.metric: top_10_accuracy is 1 for every model of 10"),
    ("objective.costs=[[0, 1], [1, 0]]", "objective.costs: has 2 rows; there are 10 classes: 0, 1, 2"),
    ("objective.metric=val/few_shot", "objective.metric: val/few_shot does not exist for this data")])
def test_what_the_data_cannot_have_is_one_line_before_anything_trains(tmp_path, override, said):
    with pytest.raises(InputError) as caught:
        opened(tmp_path, override)
    (line,) = caught.value.problems
    assert line.startswith(f"--set  {said}")
