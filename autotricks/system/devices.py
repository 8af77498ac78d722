"""Devices: which of them one training uses, and with how many threads."""
from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

from ..errors import InputError, ResourceError
from .workers import cores

THREADS = 1024      # that a bundle file may ask for


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
    here = torch.cuda.device_count()
    asked = f"--gpus {gpus}" if gpus else "--device cuda"
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
