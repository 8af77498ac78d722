"""Schedules step by step: a trick's, and torch's OneCycleLR."""
import torch

from tests.conftest import make_run


def factors(trick, steps):
    schedule = trick.schedule(lambda progress: 1.0, make_run(counts=(6,), batch_size=6, epochs=steps))
    return [schedule(place / steps) for place in range(steps)]


def one_cycle_lr(steps, **settings):
    """The rates of torch's OneCycleLR with a peak of 1."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1.0, total_steps=steps, cycle_momentum=False,
                                                    **settings)
    rates = []
    for place in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if place < steps - 1:
            scheduler.step()
    return rates
