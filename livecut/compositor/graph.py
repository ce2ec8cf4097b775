"""From a frame to its composite as one ONNX graph round a network, for any of ONNX Runtime's providers.

Each step mirrors one of `livecut.compositor.device`, which says what it computes, and is written for one
size of frames. Planes are (1, C, H, W) of 0..255. Those of the frame's size may be float16, small ones
are float32. A packet, in and out, is bytes in a row, so that a frame crosses the bus once each way.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from livecut.backgrounds import box_width, room_size
from livecut.compositor.edges import CLEAR, FLOOR, GAIN, NOISE, cell_size, cells_least
from livecut.compositor.packets import HEADER
from livecut.compositor.scene import Scene, blur_matrix, halved, mean_matrix, spread_matrix
from livecut.engines.graph import BYTE, FLOAT, HALF, Graph, Network
from livecut.form import Size
from livecut.segmenter import CUT, EPSILON, KEEP, LIFT, LIMITS, MARGIN, MOVES, REACH, ROUNDED

GREY = (0.114, 0.587, 0.299)
"""Of blue, green and red, as in ITU-R BT.601."""


class Writer:
    """Writes the graph for frames of `size`, a network's input of `small`, and a scene.

    `network` gives alpha smaller by `stride` than its input. With `half`, planes of the frame's size
    are float16. The inputs are `frame` (a packet with BGR (H, W, 3)), `last` (1, h, w, 3) and `state`
    (1, 1, h/s, w/s), of a network with memory also `before` (1, h, w, 1), which are what `last_out`,
    `state_out` and `before_out` were for the frame before, and for a scene of kind picture `picture` (1,
    H, W, 3); the outputs are those and `made`, a packet with alpha (H, W) and the picture (H, W, C),
    whose header says the frame's index, and 1 where alpha is valid.
    """

    def __init__(
        self,
        network: Network,
        size: Size,
        small: Size,
        stride: int,
        scene: Scene,
        *,
        half: bool = False,
    ) -> None:
        self._graph, self._network = Graph(), network
        self._size, self._small, self._stride, self._scene = size, small, stride, scene
        self._type = HALF if half else FLOAT
        self._kind: type[np.floating[Any]] = np.float16 if half else np.float32

    def write(self) -> bytes:
        """The file."""
        g, (width, height), (w, h) = self._graph, self._size, self._small
        pixels, scene = width * height, self._scene
        packet = g.input("frame", np.uint8, [HEADER + 3 * pixels])
        last = g.input("last", np.uint8, [1, h, w, 3])
        coarse = [1, 1, h // self._stride, w // self._stride]
        state = g.input("state", np.float32, coarse)
        index, follows = self._slice(packet, 0, 8), self._slice(packet, 8, 9)
        frame = self._shaped(self._slice(packet, HEADER, HEADER + 3 * pixels), 1, height, width, 3)
        planes = g("Transpose", g("Cast", frame, to=self._type), perm=[0, 3, 1, 2])
        to_network = halved(self._size, self._small)
        blurs = scene.kind == "blur"
        to_room = halved(self._size, room_size(self._size, scene.strength)) if blurs else []
        to_cells = [] if blurs else halved(self._size, cells_least(self._size))
        sizes = [self._size, *max(to_network, to_room, to_cells, key=len)]
        levels = [planes]
        for size in sizes[:-1]:
            levels.append(self._halve(levels[-1], 3, size))

        reached = [self._size, *to_network][-1]
        seen = self._resize(levels[len(to_network)], 3, reached, self._small)
        seen = g("Add", g("Cast", seen, to=FLOAT), g.constant(0.5))
        seen = g("Cast", g("Transpose", seen, perm=[0, 2, 3, 1]), to=BYTE)
        change = self._difference(seen, last)
        still = g("Less", g("ReduceMean", change, keepdims=0), g.constant(CUT))
        follows = g("And", g("Cast", follows, to=9), still)
        given = seen
        if self._network.channels == 4:
            before = g.input("before", np.uint8, [1, h, w, 1])
            none = g.constant(np.zeros(1, np.uint8))
            given = g("Concat", seen, g("Where", follows, before, none), axis=3)
        alpha = g.network(self._network, given)
        valid = self._in_range(alpha)
        if self._network.channels == 4:
            level = g("Mul", g("Where", valid, alpha, g.constant(0.0)), g.constant(255.0))
            level = g("Cast", g("Add", level, g.constant(0.5)), to=BYTE)
            g.output("before_out", self._shaped(level, 1, h, w, 1), np.uint8, [1, h, w, 1])
            rows = g.constant([coarse[2]])
            alpha = g("Slice", alpha, g.constant([0]), rows, g.constant([1]))
        alpha = self._shaped(alpha, *coarse)
        alpha = self._settle(alpha, state, change, follows)
        valid = g("And", valid, self._in_range(alpha))
        g.output("last_out", seen, np.uint8, [1, h, w, 3])
        g.output("state_out", alpha, np.float32, coarse)

        mask = self._refine(alpha, seen, planes)
        person, shown = planes, mask
        if not blurs:
            reduced = [self._size, *to_cells][-1]
            person, shown = self._soft_edges(planes, mask, levels[len(to_cells)], reduced)
        if scene.kind == "transparent":
            picture = self._cutout(person, shown)
        else:
            if blurs:
                behind = self._room(levels[len(to_room)], mask, [self._size, *to_room])
            else:
                given = g.input("picture", np.uint8, [1, height, width, 3])
                behind = g("Transpose", g("Cast", given, to=self._type), perm=[0, 3, 1, 2])
            picture = self._composite(person, shown, behind)
        flag = self._shaped(g("Cast", valid, to=BYTE), 1)
        zeros = g.constant(np.zeros(HEADER - 9, np.uint8))
        flat = [self._shaped(v, -1) for v in (g("Cast", mask, to=BYTE), picture)]
        made = g("Concat", index, flag, zeros, *flat, axis=0)
        g.output("made", made, np.uint8, [HEADER + pixels + scene.form.count(self._size)])
        return bytes(g)

    # what several steps need

    def _slice(self, value: str, first: int, last: int) -> str:
        return self._graph("Slice", value, *(self._graph.constant([n]) for n in (first, last)))

    def _shaped(self, value: str, *shape: int) -> str:
        return self._graph("Reshape", value, self._graph.constant(list(shape)))

    def _halve(self, planes: str, channels: int, size: Size) -> str:
        """So many planes of half of `size`, which is theirs, rounded down."""
        if size[0] % 2 or size[1] % 2:
            return self._resize(planes, channels, size, (size[0] // 2, size[1] // 2))
        return self._graph("AveragePool", planes, kernel_shape=[2, 2], strides=[2, 2])

    def _resize(self, planes: str, channels: int, size: Size, to: Size) -> str:
        """So many planes of `size` at another size, linear between pixel centres."""
        if size == to:
            return planes
        shape = self._graph.constant([1, channels, to[1], to[0]])
        return self._graph("Resize", planes, "", "", shape, mode="linear")

    def _grey(self, planes: str, kind: type[np.floating[Any]]) -> str:
        """The grey, whole numbers, float32 (1, 1, H, W), of BGR planes of a type."""
        g = self._graph
        grey = g("Conv", planes, g.constant(np.array(GREY, kind).reshape(1, 3, 1, 1)))
        return g("Cast", g("Round", grey), to=FLOAT)

    # the steps

    def _in_range(self, alpha: str) -> str:
        """A bool (): whether all of `alpha` is numbers in 0..1."""
        g = self._graph
        low, high = (g.constant(n) for n in (0.0, ROUNDED))
        good = g("And", g("GreaterOrEqual", alpha, low), g("LessOrEqual", alpha, high))
        bad = g("Cast", g("Not", good), to=FLOAT)
        return g("LessOrEqual", g("ReduceMean", bad, keepdims=0), low)

    def _difference(self, seen: str, last: str) -> str:
        """How far the network's input is from the last in grey, averaged to alpha's size."""
        g, s = self._graph, self._stride
        pair = [g("Cast", image, to=FLOAT) for image in (seen, last)]
        apart = g("Transpose", g("Abs", g("Sub", *pair)), perm=[0, 3, 1, 2])
        grey = self._grey(apart, np.float32)
        if s > 1:
            grey = g("AveragePool", grey, kernel_shape=[s, s], strides=[s, s])
        return g("Round", grey)

    def _settle(self, alpha: str, state: str, change: str, follows: str) -> str:
        """Alpha steadied by `state` where the frame follows the last."""
        g = self._graph
        zero, one = (g.constant(n) for n in (0.0, 1.0))
        reach = len(REACH)
        moved = g("MaxPool", change, kernel_shape=[reach] * 2, pads=[reach // 2] * 4)
        rise = g.constant(1 / (MOVES[1] - MOVES[0]))
        calm = g("Mul", g("Sub", g.constant(MOVES[1]), moved), rise)
        calm = g("Clip", calm, zero, one)
        limit = g("Mul", calm, g.constant(LIMITS[1] - LIMITS[0]))
        limit = g("Add", limit, g.constant(LIMITS[0]))
        d = g("Sub", state, alpha)
        share = g("Sub", one, g("Div", g("Abs", d), limit))
        share = g("Mul", g("Clip", share, zero), g.constant(KEEP))
        most = g("Add", alpha, g.constant(LIFT))
        steadied = g("Add", alpha, g("Min", g("Mul", d, share), most))
        return g("Where", follows, steadied, alpha)

    def _refine(self, alpha: str, seen: str, planes: str) -> str:
        """The guided filter: float32 (1, 1, H, W), whole numbers in 0..255."""
        g, (w, h) = self._graph, self._small
        seen = g("Transpose", g("Cast", seen, to=FLOAT), perm=[0, 3, 1, 2])
        coarse = w // self._stride, h // self._stride
        p = self._resize(alpha, 1, coarse, self._small)
        i = g("Div", self._grey(seen, np.float32), g.constant(255.0))
        means = [g.constant(m) for m in (mean_matrix(h), mean_matrix(w).T.copy())]

        def mean(planes: str) -> str:
            return g("MatMul", g("MatMul", means[0], planes), means[1])

        stack = g("Concat", i, p, g("Mul", i, p), g("Mul", i, i), axis=1)
        im, pm, ipm, iim = g.several("Split", 4, mean(stack), axis=1, num_outputs=4)
        variance = g("Add", g("Sub", iim, g("Mul", im, im)), g.constant(EPSILON))
        slope = g("Div", g("Sub", ipm, g("Mul", im, pm)), variance)
        gain = 1 / (1 - 2 * MARGIN)
        offset = g("Sub", g("Sub", pm, g("Mul", slope, im)), g.constant(MARGIN))
        offset = g("Add", g("Mul", offset, g.constant(gain * 255)), g.constant(0.5))
        model = mean(g("Concat", g("Mul", slope, g.constant(gain)), offset, axis=1))
        model = self._resize(model, 2, self._small, self._size)
        slope, offset = g.several("Split", 2, model, axis=1, num_outputs=2)
        line = g("Add", g("Mul", slope, self._grey(planes, self._kind)), offset)
        return g("Floor", g("Clip", line, g.constant(0.0), g.constant(255.0)))

    def _soft_edges(self, planes: str, mask: str, reduced: str, size: Size) -> tuple[str, str]:
        """The person's colours, and the alpha to show; `reduced` is the frame at `size`."""
        g, (width, height), cell = self._graph, self._size, cell_size(self._size)
        w, h = -(-width // cell), -(-height // cell)
        zero, one = g.constant(0.0), g.constant(1.0)
        a = g("Div", mask, g.constant(255.0))
        mean = g("AveragePool", a, kernel_shape=[cell] * 2, strides=[cell] * 2, ceil_mode=1)
        image = g("Cast", self._resize(reduced, 3, size, (w, h)), to=FLOAT)
        rows, columns = (g.constant(m) for m in (spread_matrix(h), spread_matrix(w).T.copy()))
        half, three = cell // 2, g.constant(np.array([3, 1]))
        begin, end = g.constant([half, half]), g.constant([half + height, half + width])
        floor, tiny = g.constant(FLOOR), g.constant(1e-30)

        def around(weight: str) -> str:
            for _ in range(3):
                weight = g("Mul", weight, weight)
            weighted = g("Concat", g("Mul", image, weight), weight, axis=1)
            whole = g("ReduceSum", weighted, g.constant([2, 3]))
            sums, count = g.several("Split", 2, whole, three, axis=1)
            all_of_it = g("Mul", g("Div", sums, g("Max", count, tiny)), floor)
            near = g("MatMul", g("MatMul", rows, weighted), columns)
            sums, count = g.several("Split", 2, near, three, axis=1)
            colour = g("Div", g("Add", sums, all_of_it), g("Add", count, floor))
            wide = self._resize(colour, 3, (w + 1, h + 1), ((w + 1) * cell, (h + 1) * cell))
            return g("Slice", wide, begin, end, g.constant([2, 3]))

        def summed(planes: str) -> str:
            return g("ReduceSum", planes, g.constant([1]))

        person, room = around(mean), around(g("Sub", one, mean))
        exact, d = g("Cast", planes, to=FLOAT), g("Sub", person, room)
        apart = summed(g("Mul", d, d))
        along = summed(g("Mul", g("Sub", exact, room), d))
        share = g("Clip", g("Div", along, g("Add", apart, g.constant(NOISE))), zero, one)
        sure = g("Div", apart, g("Add", apart, g.constant(CLEAR)))
        s = g("Sub", g.constant(3.0), g("Add", a, a))
        s = g("Mul", g("Mul", a, a), s)
        least = g("Max", a, g.constant(1 / 255))
        keep = g("Min", g("Div", g("Mul", share, g.constant(GAIN)), least), one)
        less = g("Mul", g("Mul", sure, g("Sub", one, keep)), g("Sub", one, s))
        shown = g("Mul", mask, g("Sub", one, less))
        shown = g("Floor", g("Add", shown, g.constant(0.5)))
        own = g("Max", s, g("Mul", share, sure))
        mixed = g("Add", g("Mul", exact, own), g("Mul", person, g("Sub", one, own)))
        return g("Cast", g("Round", mixed), to=self._type), shown

    def _room(self, room: str, mask: str, sizes: list[Size]) -> str:
        """What is behind the person, blurred by its own pixels only: planes of the frame's size.

        `room` is of the last of `sizes`, which begin with the frame's and halve.
        """
        g, (w, h) = self._graph, sizes[-1]
        small = g("Cast", mask, to=self._type)
        for size in sizes[:-1]:
            small = self._halve(small, 1, size)
        share = g("Div", g("Cast", small, to=FLOAT), g.constant(255.0))
        weight = g("Sub", g.constant(1.0), share)
        weight = g("Add", g("Mul", weight, weight), g.constant(1e-4))
        weighted = g("Concat", g("Mul", g("Cast", room, to=FLOAT), weight), weight, axis=1)
        box = box_width(h, self._scene.strength)
        rows, columns = (g.constant(m) for m in (blur_matrix(h, box), blur_matrix(w, box).T.copy()))
        weighted = g("MatMul", g("MatMul", rows, weighted), columns)
        shares = g.constant(np.array([3, 1]))
        sums, weight = g.several("Split", 2, weighted, shares, axis=1)
        blurred = g("Clip", g("Div", sums, weight), g.constant(0.0), g.constant(255.0))
        return self._resize(g("Cast", blurred, to=self._type), 3, sizes[-1], self._size)

    def _composite(self, planes: str, mask: str, behind: str) -> str:
        """Bytes (1, H, W, 3): the planes where `mask` is 255, `behind` where it is 0."""
        g = self._graph
        over = g("Cast", g("GreaterOrEqual", mask, g.constant(128.0)), to=FLOAT)
        weight = g("Mul", g("Add", mask, over), g.constant(1 / 256))
        rest = g("Cast", g("Sub", g.constant(1.0), weight), to=self._type)
        shown = g("Mul", planes, g("Cast", weight, to=self._type))
        shown = g("Round", g("Add", shown, g("Mul", behind, rest)))
        return g("Cast", g("Transpose", shown, perm=[0, 2, 3, 1]), to=BYTE)

    def _cutout(self, planes: str, mask: str) -> str:
        """BGRA bytes (1, H, W, 4): straight alpha, black where it is 0."""
        g = self._graph
        seen = g("Cast", g("Greater", mask, g.constant(0.0)), to=self._type)
        whole = g("Concat", g("Mul", planes, seen), g("Cast", mask, to=self._type), axis=1)
        return g("Cast", g("Transpose", whole, perm=[0, 2, 3, 1]), to=BYTE)
