"""Small networks as ONNX files, and a GPU's runtime library that does its work on the CPU."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from livecut.engines.places import Host


def write_network(
    path: Path, *steps: tuple[str, list[str], float | None], area: int = 64 * 48
) -> Path:
    """A network of stride 16 and output stride 2 whose alpha is made of "blue" (1, h, w) in 0..1.

    A step is an operator, its inputs, and a number that is its last input; it gives "1", "2" and so on,
    the last of which is alpha.
    """
    nodes, constants = [], []

    def constant(name: str, value: Any) -> str:
        constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    starts, ends, by, axes = (
        constant(n, v)
        for n, v in (("s", [0, 0, 0]), ("e", [9999, 9999, 1]), ("b", [2, 2, 1]), ("a", [1, 2, 3]))
    )
    nodes.append(helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT))
    nodes.append(helper.make_node("Slice", ["float", starts, ends, axes, by], ["one"]))
    nodes.append(helper.make_node("Squeeze", ["one", constant("last", [3])], ["levels"]))
    nodes.append(helper.make_node("Div", ["levels", constant("255", np.float32(255))], ["blue"]))
    for number, (op, inputs, value) in enumerate(steps, 1):
        more = [] if value is None else [constant(f"c{number}", np.float32(value))]
        nodes.append(helper.make_node(op, [*inputs, *more], [str(number)]))
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, [1, "h", "w", 3])
    alpha = helper.make_tensor_value_info(str(len(steps)), TensorProto.FLOAT, [1, "a", "b"])
    graph = helper.make_graph(nodes, "fake", [image], [alpha], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    facts = {"network": "fake", "area": area, "stride": 16, "output_stride": 2}
    helper.set_model_props(model, {f"livecut.{k}": str(v) for k, v in facts.items()})
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())
    return path


def blueness(path: Path) -> Path:
    """Takes for a person what is blue."""
    steps = [("Sub", ["blue"], 0.5), ("Mul", ["1"], 40.0), ("Sigmoid", ["2"], None)]
    return write_network(path, *steps)


def fragile(path: Path) -> Path:
    """Alpha is the root of 2 blue - 1: NaN where blue is less than a half."""
    return write_network(path, ("Mul", ["blue"], 2.0), ("Sub", ["1"], 1.0), ("Sqrt", ["2"], None))


class LazyEvent:
    def __init__(self, place: LazyPlace) -> None:
        self.place, self.count = place, 0

    def wait(self) -> None:
        self.place.drain(self.count)


class LazyPlace(Host):
    """Does nothing before somebody waits, and then no more than must have been done: a GPU at its worst."""

    def __init__(self) -> None:
        super().__init__()
        self.jobs: list[Any] = []
        self.done = 0

    def copy(self, to: Any, source: Any) -> None:
        self.jobs.append(lambda: Host.copy(self, to, source))

    def run(self, session: Any, binding: Any) -> None:
        self.jobs.append(lambda: Host.run(self, session, binding))

    def event(self) -> LazyEvent:
        return LazyEvent(self)

    def record(self, event: Any) -> None:
        event.count = len(self.jobs)

    def drain(self, count: int) -> None:
        while self.done < count:
            self.done += 1
            self.jobs[self.done - 1]()

    def settle(self) -> None:
        self.drain(len(self.jobs))


class Function:
    """A function of a library of C, which may be told what it gives."""

    restype: Any = None

    def __init__(self, does: Any) -> None:
        self.does = does

    def __call__(self, *arguments: Any) -> Any:
        return self.does(*arguments)


class FakeRuntime:
    """CUDA's runtime library: copies at once. What is in `broken` fails; `calls` counts the rest."""

    def __init__(self) -> None:
        self.broken: set[str] = set()
        self.calls: dict[str, int] = {}
        self.held: dict[int, Any] = {}
        self.cudaGetErrorString = Function(lambda code: b"out of memory" if code == 2 else b"?")

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("cuda"):
            raise AttributeError(name)

        def call(*arguments: Any) -> int:
            if name in self.broken:
                return 2
            self.calls[name] = self.calls.get(name, 0) + 1
            if name == "cudaMallocHost":
                block = ctypes.create_string_buffer(b"\x77" * arguments[1].value)
                arguments[0]._obj.value = ctypes.addressof(block)
                self.held[ctypes.addressof(block)] = block
            elif name in ("cudaStreamCreateWithFlags", "cudaEventCreateWithFlags"):
                arguments[0]._obj.value = 4096 + len(self.calls)
            elif name == "cudaMemcpyAsync":
                ctypes.memmove(*(a.value for a in arguments[:3]))
            elif name == "cudaFreeHost":
                del self.held[arguments[0].value]
            return 0

        return call
