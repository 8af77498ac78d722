"""What a step moves where a part of the model is frozen."""
import torch

from autotricks.core.bundle import Bundle, Use, Window
from autotricks.core.slots import Slot
from autotricks.trial import prepare
from autotricks.tricks.model.pretrained import Pretrained
from autotricks.tricks.optimizer.sgd import Sgd
from tests.conftest import make_dataset


def trainer(*tricks, model="resnet8", window=Window(), epochs=2):
    """A trainer of the tricks, the first of which may have a window, on weights that count as pretrained."""
    data = make_dataset(size=32 if ":" in model else 8, channels=3 if ":" in model else 1)
    uses = [Use(trick, Window() if place else window) for place, trick in enumerate(tricks)]
    base = () if any(trick.seats.get(Slot.OPTIMIZER) == "base" for trick in tricks) else (Use(Sgd(lr=0.05)),)
    return prepare(Bundle((*uses, *base, Use(Pretrained())), model=model, epochs=epochs, batch_size=16), data)


def moved(made):
    """Train to the end; after each step, the names of weights that it changed and of statistics that it moved."""
    seen, ordinary = [], made.step

    def step(rows):
        before = {name: value.clone() for name, value in made.run.model.state_dict().items()}
        loss = ordinary(rows)
        changed = {name for name, value in made.run.model.state_dict().items() if not torch.equal(value, before[name])}
        weights = changed & dict(made.run.model.named_parameters()).keys()
        seen.append((weights, changed - weights))
        return loss
    made.step = step
    list(made.epochs())
    return seen


def slopes(made):
    """The gradients of the first step, by name; weights that have none are left out."""
    made.first_step()()
    return {name: weight.grad.clone() for name, weight in made.run.model.named_parameters() if weight.grad is not None}
