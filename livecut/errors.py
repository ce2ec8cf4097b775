"""The errors that livecut raises for its user's sake.

    LivecutError
    ├── ConfigError   an option, a background or a configuration file that cannot be used
    ├── ModelError    a model that is missing, damaged or not of the expected form
    ├── SourceError   a camera, file, stream or pipe that cannot be opened or read
    ├── EngineError   a network that cannot be run, or that gave no valid alpha
    └── SinkError     an output that cannot be opened or written

Each message is one line: what was given, what was expected, what to do.
"""

from __future__ import annotations


class LivecutError(Exception):
    """The base of all of them; the command line turns it into one line and exit status 1."""


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
