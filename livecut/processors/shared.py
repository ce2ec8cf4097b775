"""One network for many streams."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

from livecut.backgrounds.base import Background
from livecut.engines import open_engine
from livecut.engines.base import Engine
from livecut.engines.shared import Batcher, Port
from livecut.models import Target
from livecut.options import ProcessorOptions
from livecut.processors import gpu_weights, on_gpu, require_auto
from livecut.processors.base import FrameProcessor
from livecut.processors.cpu import CpuProcessor
from livecut.segmenter import Segmenter
from livecut.stats import Stats

if TYPE_CHECKING:
    from livecut.processors.cuda.processor import Weights


class SharedEngine:
    """A network that is loaded once, for any number of pipelines.

    >>> engine = SharedEngine()   # doctest: +SKIP
    >>> run_all([Pipeline(s, engine=engine) for s in ("0", "1")])   # doctest: +SKIP

    The arguments are those of `Pipeline`; on a CPU `threads` counts the pictures that are in the
    network at once, one thread each (0: as many as there are cores). Raises ConfigError for an
    unknown device. It is loaded when the first pipeline needs it; a fault in that is raised by each
    of them: ModelError, EngineError or ConfigError.
    """

    def __init__(
        self,
        model: str | Path = ProcessorOptions.model,
        *,
        device: str = ProcessorOptions.device,
        engine: str | Engine = ProcessorOptions.engine,
        threads: int = ProcessorOptions.threads,
        precision: str = ProcessorOptions.precision,
    ) -> None:
        self._network = Target.parse(model, device, engine) if isinstance(engine, str) else engine
        self._threads, self._precision = threads, precision
        self._loading = threading.Lock()
        self._loaded: Batcher | Weights | None = None
        self._fault: Exception | None = None

    def open_processor(
        self, *, background: Background, temporal: bool, in_flight: int, stats: Stats
    ) -> FrameProcessor:
        """A processor for one stream, with a state of its own; raises as `open_processor`."""
        with self._loading:
            if self._fault is not None:
                raise self._fault
            if self._loaded is None:
                try:
                    self._loaded = self._load()
                except Exception as error:
                    self._fault = error
                    raise
        loaded = self._loaded
        if isinstance(loaded, Batcher):
            segmenter = Segmenter(
                engine=Port(loaded), temporal=temporal, in_flight=in_flight, stats=stats
            )
            return CpuProcessor(segmenter, background, stats)
        from livecut.processors.cuda.processor import CudaProcessor

        return CudaProcessor(
            loaded, background, temporal=temporal, in_flight=in_flight, stats=stats
        )

    def _load(self) -> Batcher | Weights:
        network = self._network
        weights = gpu_weights(network)
        if weights is not None and isinstance(network, Target):
            return on_gpu(weights, network, self._precision)
        require_auto(self._precision, network)
        if isinstance(network, Target):
            network = open_engine(network, threads=1)
        return Batcher(network, self._threads)
