"""Images with rectangles whose place is known, to hold boxes against pixels."""
import torch

from autotricks.core.batch import Batch
from autotricks.core.targets import Targets


def one_in_each_channel(count, height, width, seed=0):
    """As many channels as images, black but for a white rectangle of image n in channel n, with label n; its box."""
    chance = torch.Generator().manual_seed(seed)
    images = torch.zeros(count, count, height, width)
    boxes = torch.zeros(count, 1, 4)
    for number in range(count):
        wide, tall = torch.randint(6, 15, (2,), generator=chance).tolist()
        left = int(torch.randint(0, width - wide, (), generator=chance))
        top = int(torch.randint(0, height - tall, (), generator=chance))
        images[number, number, top:top + tall, left:left + wide] = 1
        boxes[number, 0] = torch.tensor([left, top, left + wide, top + tall])
    return Batch(images, Targets(torch.arange(count).unsqueeze(1), torch.ones(count, 1), boxes), torch.arange(count))


def hull(channel):
    """The box of what is more than half as bright as white, [H, W] to four numbers; None where nothing is."""
    bright = channel > 0.5
    rows, columns = bright.any(1).nonzero().flatten(), bright.any(0).nonzero().flatten()
    if not len(rows):
        return None
    return [float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)]
