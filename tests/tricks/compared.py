"""A trick against the same training without it."""
from autotricks.core.bundle import Bundle, Use
from autotricks.trial import prepare


def without_and_with(trick, others, data):
    """Train the others alone and beside the trick; return trainer and last figures of each."""
    found = []
    for uses in (others, (trick, *others)):
        trainer = prepare(Bundle(tuple(map(Use, uses)), epochs=2, batch_size=16), data)
        found.append((trainer, list(trainer.epochs())[-1].values))
    return found
