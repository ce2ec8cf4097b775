"""The errors that livecut raises, and what is said where plots cannot be drawn."""

MISSING = "plots need matplotlib; install it with: pip install 'livecut[bench]'"


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
