"""A long-tailed toy on which softmax regression takes a second: ten Gaussian clouds."""
from functools import cache

import torch
import torch.nn.functional as F
from torch import nn

from autotricks.core.slots import Slot
from tests.conftest import make_batch, make_run

COUNTS = tuple(int(400 * 0.01 ** (label / 9)) for label in range(10))
LOG_PRIOR = (torch.tensor(COUNTS) / sum(COUNTS)).double().log()


@cache
def points(each=200):
    """Ten Gaussian clouds in 8 dimensions, 400 to 4 points to learn from and `each` to be tested on."""
    generator = torch.Generator().manual_seed(2)
    centers = 3 * F.normalize(torch.randn(10, 8, generator=generator), dim=1)

    def drawn(counts):
        labels = torch.repeat_interleave(torch.arange(10), torch.tensor(counts))
        found = centers[labels] + torch.randn(len(labels), 8, generator=generator)
        return found.double(), labels
    return drawn(COUNTS), drawn((each,) * 10)


@cache
def fitted(*tricks):
    """Fit softmax regression with tricks of the model and the loss; return the predicted logits of the test points."""
    (inputs, labels), (shown, _) = points()
    run, batch, loss = make_run(counts=COUNTS), make_batch(labels, 10, (1, 1, 1)), None
    run.model = nn.Sequential(nn.Linear(8, 10, dtype=torch.float64))
    for weight in run.model.parameters():
        nn.init.zeros_(weight)
    for trick in tricks:
        if Slot.MODEL in trick.seats:
            run.model = trick.model(run.model, run)
        else:
            loss = trick.loss(loss, run)
    optimizer = torch.optim.LBFGS(run.model.parameters(), max_iter=150, tolerance_change=1e-10,
                                  line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        value = loss(run.model(inputs), batch).mean() + 1e-3 * run.model[0].weight.square().sum()
        value.backward()
        return value
    optimizer.step(closure)
    return run.model.eval()(shown).detach()


def accuracy(logits):
    return float((logits.argmax(1) == points()[1][1]).double().mean())
