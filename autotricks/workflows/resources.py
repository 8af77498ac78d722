"""Resources: how many trials run on this machine at a time."""
from __future__ import annotations

from ..errors import ResourceError
from ..space.load import LoadedSpace
from ..system.workers import cores
from ..tricks.runtime.torch_compile import missing


def check_resources(loaded: LoadedSpace, address: str | None = None) -> int:
    """Return how many trials run at a time on this machine, before anything heavy starts.

    Raises:
        ResourceError: When one trial asks for more than there is.
    """
    wanted = loaded.document.resources
    settings = loaded.document.search
    if address and settings.engine != "local":
        return settings.parallel or 1
    problems = []
    here = cores()
    if wanted.cpus > here:
        problems.append(loaded.tree.problem(("resources", "cpus"), f"{wanted.cpus:g} cores a trial, but this machine "
                                            f"offers {here}. Lower it, or name a cluster with --address."))
    slots = max(1, int(here / wanted.cpus + 1e-9))
    if not wanted.gpus:
        slots = min(slots, here)    # a trial has at least one thread, whatever share of a core it asks for
    if settings.parallel and settings.parallel > slots and not problems:
        problems.append(loaded.tree.problem(("search", "parallel"), f"{settings.parallel} trials of {wanted.cpus:g} "
                                            f"core(s) at a time, but this machine offers {here}; trials that share "
                                            f"cores take 10 to 38 times as long. Lower it to {slots}."))
    if wanted.gpus:
        import torch

        gpus = torch.cuda.device_count()
        if wanted.gpus > gpus:
            problems.append(loaded.tree.problem(("resources", "gpus"), f"{wanted.gpus:g} GPUs a trial, but this "
                                                f"machine has {gpus}. Set resources.gpus: 0, or name a cluster with "
                                                "--address."))
        slots = min(slots, max(1, gpus * int(1 / wanted.gpus + 1e-9) if wanted.gpus < 1 else gpus // int(wanted.gpus)))
    lacking = missing("cuda" if wanted.gpus else "cpu")
    if lacking and loaded.document.training.compile is True:
        problems.append(loaded.tree.problem(("training", "compile"), f"this machine has not {lacking}, which compiling "
                                            "needs. Install it, or set training.compile: false."))
    if problems:
        raise ResourceError(problems)
    return min(slots, settings.parallel or slots, settings.trials)
