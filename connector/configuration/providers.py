"""dlt's configuration, asked for full names alone.

dlt falls back from `sources.pipedrive_leads.base_url` to `sources.base_url` and to BASE_URL, which
is another program's. It does so for the destination (PASSWORD), for a pipeline (REFRESH drops
tables) and for each step of a load (WORKERS) as well. Here a setting is asked for by its full name,
and while a thread is within `own_configuration`, dlt itself gets an answer to such names only.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, Final

from dlt.common.configuration import configspec
from dlt.common.configuration.container import Container
from dlt.common.configuration.providers import ConfigProvider, EnvironProvider
from dlt.common.configuration.providers.dictionary import DictionaryProvider
from dlt.common.configuration.specs.base_configuration import ContainerInjectableContext
from dlt.common.configuration.specs.config_providers_context import ConfigProvidersContainer
from dlt.common.configuration.specs.pluggable_run_context import PluggableRunContext
from dlt.common.exceptions import DltException
from dlt.common.runtime import anon_tracker
from dlt.common.typing import TSecretStrValue

from connector.errors import ConfigError

Section = tuple[str, ...]
WAREHOUSE: Final = ("destination", "warehouse")
DESIRED: Final = ("destination", "desired")
DATA_DIR: Final = "DLT_DATA_DIR"
OF_DLT = frozenset({"extract", "normalize", "load", "data_writer", "runtime"})
"""Sections in which a user may tune dlt's own steps for this job, too."""
NOT_TUNED = frozenset(
    {
        # Else a load that fails counts as done, or its rows are thrown away.
        "raise_on_failed_jobs",
        "auto_abort_on_terminal_error",
        # Else a load that cannot be done is tried for ever, with nobody told.
        "raise_on_max_retries",
        # Else a step looks for the rows elsewhere than the one before it has put them.
        "load_volume_path",
        "normalize_volume_path",
        "schema_volume_path",
        "import_schema_path",
    }
)
"""Names in these sections that stay as dlt has them: another pipeline may want them otherwise."""
DEFAULTS = (
    ("delete_completed_jobs", True, "load"),  # else each run leaves its packages for good
    ("disable_compression", True, "data_writer"),
)


def ask(section: Section, name: str, *, secret: bool = False) -> Any:
    """Returns what a setting is configured as, by its full name; None where it is not.

    Args:
        section: Where it is.
        name: Its name there.
        secret: Whether it must not stand where anybody can read it.

    Raises:
        ConfigError: A file or a vault cannot be read, or a secret stands in the open.
    """
    for provider in providers():
        value = _answer(provider, section, name, TSecretStrValue if secret else str)
        if value is None:
            continue
        if secret and not provider.supports_secrets:
            place = ".".join(section)
            raise ConfigError(
                f"{name} under [{place}] stands in {provider.name}, which holds no secrets; move "
                "it to secrets.toml"
            )
        return value.unwrap() if hasattr(value, "unwrap") else value
    return None


def _answer(provider: ConfigProvider, section: Sequence[str], name: str, hint: Any) -> Any:
    """Asks one provider; what a vault says when it fails may hold a secret, so it is not told."""
    try:
        return None if provider.is_empty else provider.get_value(name, hint, None, *section)[0]
    except Exception as error:
        kind = type(error).__name__
        raise ConfigError(
            f"{'.'.join((*section, name))} cannot be read from {provider.name} ({kind}); see to it"
        ) from None


def providers() -> list[ConfigProvider]:
    """Returns the places that dlt knows, the one that wins first.

    Raises:
        ConfigError: One of its files cannot be read, or the folder that they are looked for in.
    """
    try:
        found = Container()[PluggableRunContext].providers
    except FileNotFoundError:
        told = "the current folder is not there any more; change to one that is"
        raise ConfigError(told) from None
    except (DltException, ValueError) as error:
        hint = (
            f"; mend {variable(('runtime',), 'log_level')}" if "Unknown level" in str(error) else ""
        )
        raise ConfigError(f"the configuration cannot be read: {one_line(error)}{hint}") from None
    return found.everywhere if isinstance(found, ScopedProviders) else found.providers


def looked_in() -> str:
    """Returns the places in which a setting was looked for, in words."""
    paths = [Path(one).absolute() for provider in providers() for one in provider.locations]
    shown = [f"{path}{'' if path.is_file() else ' (not there)'}" for path in paths]
    others = [
        provider.name
        for provider in providers()
        if not provider.locations and not isinstance(provider, EnvironProvider)
    ]
    return ", ".join(["the environment", *shown, *others])


def variable(section: Section, name: str) -> str:
    """Returns the environment variable of a setting."""
    return "__".join((*section, name)).upper()


def one_line(error: BaseException) -> str:
    """Returns an error's text on one line."""
    return " ".join(str(error).split()) or type(error).__name__


@configspec
class OwnConfiguration(ContainerInjectableContext):
    """Marks a thread, and dlt's pool threads of it, as this job's.

    Attributes:
        entered: How often they are within `own_configuration` now.
    """

    global_affinity: ClassVar[bool] = False
    entered: int = 0


_changing = threading.Lock()


@contextmanager
def own_configuration() -> Iterator[None]:
    """Lets dlt find full names alone, and this job's defaults, within this thread.

    Other pipelines of the process are in other threads or at other times: for them dlt stays as
    it is. A thread and dlt's pool threads of it share one mark and leave it in any order, so
    the last of them takes it away.
    """
    providers()  # the first use reads dlt's files, and may fail
    container = Container()
    with _changing:
        _scope_providers(container[PluggableRunContext])
        _keep_quiet()
        mark = container[OwnConfiguration]
        mark.entered += 1
    try:
        yield
    finally:
        with _changing:
            mark.entered -= 1
            if not mark.entered:
                del container[OwnConfiguration]


@contextmanager
def configured_as(document: dict[str, Any], data_dir: Path) -> Iterator[None]:
    """Lets a document alone configure this process, and dlt work in a folder of its own.

    No variable, file or vault is asked meanwhile, by any thread: this is for a command of its own.

    Args:
        document: Settings by section.
        data_dir: Where dlt keeps its working folders.
    """
    providers()  # the first use reads dlt's files, and may fail
    context = Container()[PluggableRunContext]
    whole, only = context.providers, DictionaryProvider()
    before = os.environ.get(DATA_DIR)
    with only.values(document):
        context.providers, os.environ[DATA_DIR] = ConfigProvidersContainer([only]), str(data_dir)
        try:
            yield
        finally:
            context.providers = whole
            os.environ.pop(DATA_DIR)
            os.environ.update({} if before is None else {DATA_DIR: before})


def _scope_providers(context: PluggableRunContext) -> None:
    if not isinstance(context.providers, ScopedProviders):
        context.providers = ScopedProviders(context.providers)


class ScopedProviders(ConfigProvidersContainer):
    """dlt's providers, each answering full names alone where the thread is this job's."""

    def __init__(self, whole: ConfigProvidersContainer) -> None:
        self._whole = whole
        self.context_provider = whole.context_provider

    @property
    def everywhere(self) -> list[ConfigProvider]:
        """The providers as dlt has them."""
        return self._whole.providers

    @property
    def providers(self) -> list[ConfigProvider]:  # type: ignore[override]
        """The providers as this thread is to see them."""
        if OwnConfiguration not in Container():
            return self.everywhere
        return [*(FullNames(provider) for provider in self.everywhere), _defaults()]


class FullNames(ConfigProvider):
    """A provider that answers full names of this job alone."""

    def __init__(self, provider: ConfigProvider) -> None:
        self._provider = provider

    def get_value(
        self, key: str, hint: type[Any], pipeline_name: str | None, *sections: str
    ) -> tuple[Any | None, str]:
        """Returns what a full name stands for; None for any shorter one."""
        is_tuned = bool(sections) and sections[0] in OF_DLT and key not in NOT_TUNED
        is_full = sections[:2] in (WAREHOUSE, DESIRED) or is_tuned
        if pipeline_name or not is_full:
            return None, key
        return self._provider.get_value(key, hint, None, *sections)

    def get_value_location(self, key: str, pipeline_name: str | None, *sections: str) -> str:
        """Returns where it stands."""
        return self._provider.get_value_location(key, pipeline_name, *sections)

    @property
    def supports_secrets(self) -> bool:
        """Whether secrets may stand there."""
        return self._provider.supports_secrets

    @property
    def supports_sections(self) -> bool:
        """Whether it knows sections; the name without one is never full."""
        return self._provider.supports_sections

    @property
    def name(self) -> str:
        """What people call it."""
        return self._provider.name

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing in it."""
        return self._provider.is_empty

    @property
    def locations(self) -> Sequence[str]:
        """Its files."""
        return self._provider.locations


def _defaults() -> DictionaryProvider:
    found = DictionaryProvider()
    for name, value, section in DEFAULTS:
        found.set_value(name, value, None, section)
    return found


def _keep_quiet() -> None:
    """Keeps dlt's log and telemetry silent within this job, unless the configuration asks."""
    logger = logging.getLogger("dlt")
    if _is_quiet not in logger.filters:
        logger.addFilter(_is_quiet)
    if not isinstance(anon_tracker.before_send, _Telemetry):
        anon_tracker.before_send = _Telemetry(anon_tracker.before_send)


def _is_quiet(record: logging.LogRecord) -> bool:
    """Tells whether a line of dlt's log is to be shown."""
    if OwnConfiguration not in Container() or record.levelno >= logging.CRITICAL:
        return True
    return ask_dlt("log_level") is not None


class _Telemetry:
    """Drops the events of this job, and sends those of others as before."""

    def __init__(self, before: Any) -> None:
        self._before = before

    def __call__(self, event: Any) -> Any:
        """Returns what is to be sent of an event; None for nothing."""
        ours = OwnConfiguration in Container() and ask_dlt("dlthub_telemetry") is None
        return None if ours else self._before(event)


def ask_dlt(name: str) -> Any:
    """Returns what dlt's own runtime is told, by its full name."""
    try:
        return ask(("runtime",), name)
    except ConfigError:  # a vault that fails says so where a setting is asked for
        return None
