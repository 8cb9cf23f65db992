"""What dlt's own steps are told: dlt reads it at each of them, and here it is read before all."""

from __future__ import annotations

from typing import Final

from dlt.common.configuration import resolve_configuration
from dlt.common.configuration.exceptions import (
    ConfigurationException,
    ConfigValueCannotBeCoercedException,
)
from dlt.common.configuration.specs import BaseConfiguration
from dlt.common.data_writers.buffered import BufferedDataWriter
from dlt.extract.pipe_iterator import PipeIterator
from dlt.load.configuration import LoaderConfiguration
from dlt.normalize.configuration import NormalizeConfiguration

from connector.configuration.providers import one_line, own_configuration, variable
from connector.errors import ConfigError

STEPS: Final[dict[str, type[BaseConfiguration]]] = {
    "extract": PipeIterator.PipeIteratorConfiguration,
    "data_writer": BufferedDataWriter.BufferedDataWriterConfiguration,
    "normalize": NormalizeConfiguration,
    "load": LoaderConfiguration,
}


def refuse_unusable_steps() -> None:
    """Refuses what dlt would fail at when the leads are read already.

    Raises:
        ConfigError: A value is of another type, or there are to be no workers.
    """
    with own_configuration():
        for section, spec in STEPS.items():
            sections = () if spec.__section__ else (section,)
            try:
                found = resolve_configuration(spec(), sections=sections, accept_partial=True)
            except ConfigValueCannotBeCoercedException as error:
                kind = getattr(error.hint, "__name__", error.hint)
                raise _unusable(section, error.field_name, f"is not of the type {kind}") from None
            except ConfigurationException as error:
                raise ConfigError(f"[{section}] cannot be used: {one_line(error)}") from None
            workers = getattr(found, "workers", None)
            if workers is not None and workers < 1:
                raise _unusable(section, "workers", "must be at least 1")


def _unusable(section: str, name: str, wrong: str) -> ConfigError:
    return ConfigError(
        f"{name} under [{section}] {wrong}; mend it, or {variable((section,), name)}"
    )
