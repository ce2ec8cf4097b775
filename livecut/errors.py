"""The errors that livecut raises, and the line on a library that only an extra installs.

    LivecutError
    ├── ConfigError   an option, a background or a configuration file that cannot be used
    ├── ModelError    a model that is missing, damaged or not of the expected form
    ├── SourceError   a camera, file, stream or pipe that cannot be opened or read
    ├── EngineError   a network that cannot be run, or that gave no valid alpha
    └── SinkError     an output that cannot be opened or written

Each message is one line: what was given, what was expected, what to do.
"""

from livecut.urls import redact

EXTRAS = {
    "bench": ("jinja2", "matplotlib", "mss", "psutil", "pynvml"),
    "onnx": ("onnxruntime",),
    "torch": ("onnx", "onnxscript", "safetensors", "torch", "torchvision"),
}
"""Modules that an extra of the package brings, by the extra."""


def missing(module: str) -> str:
    """One line on a library that is not installed, and how to install it."""
    extras = [f"[{extra}]" for extra, modules in EXTRAS.items() if module in modules]
    package = f"'livecut{extras[0]}'" if extras else "--force-reinstall livecut"
    return f"{module} is not installed; install it with: pip install {package}"


class LivecutError(Exception):
    """The base of all of them; the command line turns it into one line and exit status 1.

    URLs in its text lose user, password and query.
    """

    def __init__(self, text: str) -> None:
        super().__init__(redact(text))


class ConfigError(LivecutError):
    """An option, a background or a configuration file that cannot be used."""


class ModelError(LivecutError):
    """A model that is missing, damaged or not of the expected form."""


class SourceError(LivecutError):
    """A camera, file, stream or pipe that cannot be opened or read."""


class EngineError(LivecutError):
    """A network that cannot be run, or that gave no valid alpha."""


class SinkError(LivecutError):
    """An output that cannot be opened or written."""
