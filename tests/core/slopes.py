"""A run whose loss is half w A w: its gradient A w and its curvature A are known."""
import torch
from torch import nn

from tests.conftest import make_batch, make_run

CURVATURE = torch.tensor([[2.0, 1.0, 0.0], [1.0, 3.0, -1.0], [0.0, -1.0, 4.0]], dtype=torch.float64)
START = torch.tensor([3.0, -1.0, 2.0], dtype=torch.float64)


class Bowl(nn.Module):
    """Three weights in two tensors, one frozen weight, and a buffer that counts the passes."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Parameter(START[:2].clone()), nn.Parameter(START[2:].clone())
        self.frozen = nn.Parameter(torch.ones(5), requires_grad=False)
        self.register_buffer("passes", torch.zeros((), dtype=torch.int64))
        self.seen = []

    @property
    def point(self):
        return torch.cat([self.first, self.second]).detach()

    @property
    def slope(self):
        return torch.cat([self.first.grad, self.second.grad])

    def loss(self):
        point = torch.cat([self.first, self.second])
        return (point @ CURVATURE @ point) / 2


def bowl():
    run = make_run()
    run.model = Bowl()
    return run


def steep(run):
    """Fill gradients of the bowl; note where they were taken."""
    def gradients(batch):
        model = run.model
        model.zero_grad()
        model.passes += 1
        model.seen.append(model.point)
        loss = model.loss()
        loss.backward()
        return loss.detach()
    return gradients


def taken(trick):
    """Gradients of the bowl under a trick: the run after one step, and the loss that came back."""
    run = bowl()
    loss = trick.gradients(steep(run), run)(make_batch([0, 1]))
    return run, loss
