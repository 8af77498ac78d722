"""Resources: what this machine offers, and how many trials run on it at a time."""
from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

from .errors import InputError, ResourceError
from .processes import cores
from .space.load import LoadedSpace

THREADS = 1024      # that a bundle file may ask for


def check_resources(loaded: LoadedSpace, address: str | None = None) -> int:
    """Return how many trials run at a time on this machine, before anything heavy starts.

    Raises:
        ResourceError: When one trial asks for more than there is.
    """
    wanted, settings = loaded.document.resources, loaded.document.search
    if address and settings.engine == "ray":
        return settings.parallel or 1
    found, here = [], cores()
    if wanted.cpus > here:
        found.append(loaded.tree.problem(("resources", "cpus"), f"{wanted.cpus:g} cores a trial, but this machine "
                                         f"offers {here}. Lower it, or name a cluster with --address."))
    slots = max(1, int(here / wanted.cpus + 1e-9))
    if not wanted.gpus:
        slots = min(slots, here)    # a trial has at least one thread, whatever share of a core it asks for
    if settings.parallel and settings.parallel > slots and not found:
        found.append(loaded.tree.problem(("search", "parallel"), f"{settings.parallel} trials of {wanted.cpus:g} "
                                         f"core(s) at a time, but this machine offers {here}; trials that share cores "
                                         f"take 10 to 38 times as long. Lower it to {slots}."))
    if wanted.gpus:
        import torch

        gpus = torch.cuda.device_count()
        if wanted.gpus > gpus:
            found.append(loaded.tree.problem(("resources", "gpus"), f"{wanted.gpus:g} GPUs a trial, but this machine "
                                             f"has {gpus}. Set resources.gpus: 0, or name a cluster with --address."))
        slots = min(slots, max(1, gpus * int(1 / wanted.gpus + 1e-9) if wanted.gpus < 1 else gpus // int(wanted.gpus)))
    if found:
        raise ResourceError(found)
    return min(slots, settings.parallel or slots, settings.trials)


def training_devices(device: str, gpus: int | None = None) -> tuple[str, ...]:
    """Return the devices of one training: `cuda` is every GPU of this machine, unless `gpus` says how many.

    Raises:
        ResourceError: When there are not so many.
        InputError: When there is no such device, or one is named, and more asked for.
    """
    if gpus is None and device != "cuda":
        return (check_device(device),)
    import torch

    if device not in ("cpu", "cuda"):
        raise InputError(f"--gpus {gpus}: --device {device} is one. Name cuda, or leave --gpus out.")
    here, asked = torch.cuda.device_count(), f"--gpus {gpus}" if gpus else "--device cuda"
    if here < (gpus or 1):
        raise ResourceError(f"{asked}: torch finds {here or 'no'} GPU{'s' * (here > 1)} on this machine. "
                            + (f"Ask for {here} or fewer." if here else "Leave it out to train on the CPU."))
    return tuple(f"cuda:{number}" for number in range(gpus or here))


def check_device(device: str) -> str:
    """Return the device of one training, which is there.

    Raises:
        ResourceError: When this machine has no such GPU.
        InputError: When nothing is trained on a device of this name.
    """
    if device == "cpu":
        return device
    named = re.fullmatch(r"cuda(?::([0-9]{1,4}))?", device)
    if not named:
        raise InputError(f"--device {device!r}: not offered. Write cpu, cuda, or cuda:N for one GPU.")
    import torch

    here = torch.cuda.device_count()
    if int(named[1] or 0) >= here:
        raise ResourceError(f"--device {device}: torch finds {here or 'no'} GPU{'s' * (here > 1)} on this machine. "
                            + (f"The last is cuda:{here - 1}." if here else "Leave it out to train on the CPU."))
    return device


def threads_of(result: Mapping[str, Any]) -> int:
    """Return the CPU threads that a bundle file's `result` says a search used; 0 if it does not.

    Raises:
        InputError: When nothing was ever trained with so many.
    """
    count = result.get("threads", 0)
    if type(count) is not int or not 0 <= count <= THREADS:
        raise InputError(f"result.threads: {str(count)[:40]!r} is not allowed; the bundle file must give a whole "
                         f"number from 0 to {THREADS}, or leave it out.")
    return count


def set_threads(count: int) -> None:
    """Fix the number of CPU threads; sums over another number of threads round differently. 0 leaves it as it is.

    Raises:
        ResourceError: When this machine has not so many cores; a million threads end the process.
    """
    if count > cores():
        raise ResourceError(f"--threads {count}: this machine offers {cores()}. Ask for {cores()} or fewer.")
    if count > 0:
        os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(count)))
        import torch

        torch.set_num_threads(count)
