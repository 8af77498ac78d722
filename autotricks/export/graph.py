"""Graphs for production: what a trained model computes from pixels to what a person is told, as PT2 and as ONNX."""
from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.export import Dim, ExportedProgram

from ..errors import InputError
from ..io.files import write_atomic

EXAMPLES = 2                # images to trace with; one would be taken for a constant
NEEDED = ("onnx", "onnxscript", "onnxruntime")
INPUT = "images"
Runner = Callable[[NDArray[np.uint8]], NDArray[np.float32]]


def captured(pixels: nn.Module, shape: tuple[int, ...]) -> ExportedProgram:
    """Return the graph of a module for batches of any size, without anything of this machine in it.

    Args:
        pixels: Maps uint8 images to probabilities, or what else its task decodes.
        shape: (D, H, W) of an image.
    """
    images = torch.zeros(EXAMPLES, *shape, dtype=torch.uint8)
    with _quiet(), torch.no_grad():
        program = torch.export.export(pixels.eval(), (images,), dynamic_shapes=({0: Dim("batch")},))
    program.example_inputs = None               # they would be pickled
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)      # lines of code with the paths of this machine
    return program


def write_pt2(program: ExportedProgram, path: Path) -> Runner:
    """Write a graph for `torch.export.load` and return what runs the file."""
    buffer = io.BytesIO()
    with _quiet():
        torch.export.save(program, buffer)
    write_atomic(path, buffer.getvalue())
    module = torch.export.load(path).module()

    def run(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        with torch.inference_mode():
            answer: NDArray[np.float32] = module(torch.from_numpy(images)).numpy()
        return answer
    return run


def write_onnx(program: ExportedProgram, path: Path, output: str) -> Runner:
    """Write a graph as ONNX, weights inside, and return what runs the file.

    Args:
        program: The graph.
        path: Of the file.
        output: What the graph's output is called.

    Raises:
        InputError: When onnx, onnxscript or onnxruntime is not installed.
    """
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise InputError(f"--format onnx needs {', '.join(missing)}. Install: pip install 'autotricks[export]'")
    import onnxruntime

    with _quiet():
        onnx_program = torch.onnx.export(program, dynamo=True, input_names=[INPUT], output_names=[output],
                                         verbose=False, dynamic_shapes=({0: "batch"},))
    assert onnx_program is not None
    write_atomic(path, onnx_program.model_proto.SerializeToString())
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])

    def run(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        answer: NDArray[np.float32] = session.run([output], {INPUT: images})[0]
        return answer
    return run


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporters' notes to themselves: what goes wrong is raised."""
    loud = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(loud)
