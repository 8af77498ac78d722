"""Keep torch's compiler out of a process until something is compiled: importing it doubles the time torch takes.

`torch.optim` imports `torch._dynamo` when the first optimizer is built, only to say that its steps are not for
compiling, and `torch.distributed` bids it forget what it knows when a group of processes forms. A stand-in under that
name answers this much; the first question beyond it, such as `torch.compile`'s, imports the real one in its place.
"""
from __future__ import annotations

import importlib.machinery
import os
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

NAME = "torch._dynamo"


class _Rules:
    """`torch._dynamo.trace_rules` as far as groups of processes call it."""

    def __init__(self, real: Callable[[], ModuleType]):
        self._real = real

    @staticmethod
    def clear_lru_cache() -> None:
        """Do nothing: nothing is known yet."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real().trace_rules, name)


class _StandIn(ModuleType):
    """`torch._dynamo` as far as optimizers and groups of processes call it."""

    def __init__(self) -> None:
        super().__init__(NAME)
        self.__spec__ = importlib.machinery.ModuleSpec(NAME, None)
        self.__file__ = None    # `inspect` asks all modules, at times when the compiler cannot be imported
        self._let_be: list[Callable[..., Any]] = []
        self.trace_rules = _Rules(self._real)

    @staticmethod
    def graph_break() -> None:
        """Do nothing: nothing is being compiled."""

    def disable(self, function: Callable[..., Any], recursive: bool = True,
                wrapping: bool = True) -> Callable[..., Any]:
        """Return a function as it is: nothing is being compiled."""
        self._let_be.append(function)
        return function

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real(), name)

    def _real(self) -> ModuleType:
        """Import the compiler in the stand-in's place; what torch remembers of our answers is forgotten."""
        if sys.modules.get(NAME) is self:
            del sys.modules[NAME]
            for function in self._let_be:
                function.__dict__.pop("__dynamo_disable", None)
        import torch._dynamo  # noqa: F401

        return sys.modules[NAME]    # while it is being imported, the attribute of torch is still the stand-in


def postpone() -> None:
    """Put the stand-in where the compiler would be, unless that has been imported already."""
    import torch

    if NAME not in sys.modules:
        sys.modules[NAME] = torch._dynamo = _StandIn()


def compile_alone(threads: int) -> None:
    """Let the compiler, once it is imported, use so many processes and no more, where nothing else is told.

    It would start one for each core, in each of the processes that train at a time.
    """
    os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", str(threads))
