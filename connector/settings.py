"""A run's settings: dlt's own configuration, section `sources.pipedrive_leads`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, TypeVar, get_args
from urllib.parse import urlsplit
from zoneinfo import available_timezones

from dlt.common.configuration import configspec
from dlt.common.configuration.exceptions import ConfigFieldMissingException, ConfigurationException
from dlt.common.configuration.resolve import resolve_configuration
from dlt.common.configuration.specs import BaseConfiguration
from dlt.common.typing import TSecretStrValue

from connector.diff import Status
from connector.errors import ConfigError
from connector.guards import GUARDS, Limits, limits_of
from connector.pipedrive.client import LOOPBACK
from connector.values import from_json, parse_age

SECTION: Final = ("sources", "pipedrive_leads")
DESTINATION: Final = "warehouse"
HOURS_OF_A_YEAR: Final = 8760
SECONDS_OF_A_YEAR: Final = 3600 * HOURS_OF_A_YEAR
AnySettings = TypeVar("AnySettings", bound="WarehouseSettings")


@configspec
class WarehouseSettings(BaseConfiguration):
    """Where things are in the warehouse.

    Attributes:
        desired_table: The warehouse table with the desired leads, schema and name.
        dataset_name: The warehouse schema for the tables written.
        pipeline_name: Names dlt's working folder; two accounts need two names.
    """

    desired_table: str = "crm.lead_changes"
    dataset_name: str = "pipedrive_leads"
    pipeline_name: str = "pipedrive_leads"


@configspec
class Settings(WarehouseSettings):
    """What a run is told, each by config.toml, secrets.toml or the environment.

    Attributes:
        base_url: Scheme and host of the account, such as https://acme.pipedrive.com.
        api_token: A personal API token.
        columns: Column name → field name or key, where they do not match by themselves.
        on_null: What NULL does: `clear`, `keep` or `reject`, for all fields or for each by name.
        only_if_blank: Fields that are filled where they are unset, and never overwritten.
        on_conflict: Who wins over an edit in the CRM: `warehouse`, `crm`, `newest` or `fail`, for
            all fields or for each by name.
        unarchive: Whether `is_archived = false` may bring an archived lead back.
        timezone: Where timestamps with a zone become dates.
        workers: PATCHes in flight at once.
        chunk_size: Leads applied between two loads of outcomes.
        max_attempts: Tries of one call before a lead fails.
        timeout_seconds: Longest silence of the server during one call.
        burst_limit: Requests in two seconds; 0 takes Pipedrive's own word.
        token_budget: Tokens that a run may spend; 0 for no limit of its own.
        token_reserve: Tokens of the day that a run leaves to others.
        max_seconds: Stop cleanly after so long; 0 for no limit.
        breaker_failures: Stop after so many failed PATCHes in a row.
        breaker_percent: Stop when more than this share of the PATCHes has failed; 0 for never.
        recheck_hours: A lead found gone or archived is known to be so for so long, unless the
            list shows it; 0 for asking in every run.
        tolerate: Statuses that do not turn the exit code to 3.
        max_patches: Guard: leads changed at most; for this and the next, `off` is no limit.
        max_changed_percent: Guard: the same, of the leads compared.
        max_clears: Guard: leads that lose a value at most.
        max_clears_percent: Guard: the same, of the leads compared.
        max_archived: Guard: leads archived at most.
        empty_desired: Guard: `stop` at an empty desired table, or `allow` it.
        min_desired_percent_of_last: Guard: least rows, of those that the last run found.
        max_age: Longest time between making a plan and applying it.
    """

    # None without Optional is how dlt marks a setting as required
    base_url: str = None  # type: ignore[assignment]
    api_token: TSecretStrValue = None  # type: ignore[assignment]
    columns: Any = ""
    on_null: Any = "clear"
    only_if_blank: list[str] | None = None
    on_conflict: Any = "warehouse"
    unarchive: bool = False
    timezone: str = "UTC"
    workers: int = 8
    chunk_size: int = 500
    max_attempts: int = 5
    timeout_seconds: float = 30.0
    burst_limit: int = 0
    token_budget: int = 0
    token_reserve: int = 0
    max_seconds: float = 0
    breaker_failures: int = 25
    breaker_percent: int = 50
    recheck_hours: float = 24.0
    tolerate: list[str] | None = None
    max_patches: str | None = None
    max_changed_percent: str | None = None
    max_clears: str | None = None
    max_clears_percent: str | None = None
    max_archived: str | None = None
    empty_desired: str = "stop"
    min_desired_percent_of_last: str | None = None
    max_age: str = "24h"

    def __repr__(self) -> str:
        return f"Settings(base_url={self.base_url!r}, desired_table={self.desired_table!r})"

    def on_resolved(self) -> None:
        """Refuses what could not work, before anything is opened or sent."""
        self.api_token = str(self.api_token).strip()
        self.columns = _mapping(self.columns)
        if problems := problems_of(self):
            raise ConfigError("; ".join(problems))

    @property
    def limits(self) -> Limits:
        """What a whole plan may come to."""
        return limits_of({name: getattr(self, name) for name in GUARDS})


def load_settings(**given: Any) -> Settings:
    """Resolves the settings; arguments that are not None win over configuration.

    Raises:
        ConfigError: One is missing or cannot be used.
    """
    return _resolve(Settings(), given)


def load_warehouse_settings(**given: Any) -> WarehouseSettings:
    """Resolves what is needed to read the tables that runs have written."""
    return _resolve(WarehouseSettings(), given)


def _resolve(settings: AnySettings, given: Mapping[str, Any]) -> AnySettings:
    unknown = given.keys() - dict(settings).keys()
    if unknown:
        raise ConfigError(f"no such setting: {', '.join(sorted(unknown))}")
    explicit = {name: value for name, value in given.items() if value is not None}
    try:
        return resolve_configuration(settings, sections=SECTION, explicit_value=explicit)
    except ConfigFieldMissingException as error:
        raise ConfigError(_missing(error)) from None
    except ConfigurationException as error:
        raise ConfigError(f"the configuration cannot be read: {error}") from None


def problems_of(settings: Settings) -> list[str]:
    """Returns what is wrong with the settings, one clear line each."""
    return [
        *_url_problems(settings),
        *_name_problems(settings),
        *_number_problems(settings),
        *_guard_problems(settings),
    ]


def _url_problems(settings: Settings) -> Iterator[str]:
    url, shown = urlsplit(settings.base_url or ""), f"base_url {settings.base_url!r}"
    if url.scheme not in {"http", "https"} or not url.hostname:
        yield f"{shown} is no URL; write it like https://acme.pipedrive.com"
    elif url.scheme == "http" and url.hostname not in LOOPBACK:
        yield f"{shown} would send the token unencrypted; use https"


def _name_problems(settings: Settings) -> Iterator[str]:
    if not re.fullmatch(r"\w[\w$]*(\.\w[\w$]*){0,2}", settings.desired_table):
        yield f"desired_table {settings.desired_table!r} is no table name; write schema.table"
    if unknown := set(settings.tolerate or ()) - set(get_args(Status)):
        known = ", ".join(get_args(Status))
        yield f"tolerate names {', '.join(sorted(unknown))}; the statuses are {known}"
    if settings.timezone not in available_timezones():
        yield f"timezone {settings.timezone!r} is unknown; write it like Europe/Berlin"
    if not re.fullmatch(r"[!-~]+", settings.api_token):
        yield "api_token is empty or holds what no token holds; copy it again from Pipedrive"
    if not re.fullmatch(r"[\w-]+", settings.pipeline_name):
        yield f"pipeline_name {settings.pipeline_name!r} cannot name a folder; use letters and _"


def _number_problems(settings: Settings) -> Iterator[str]:
    for name in ("workers", "chunk_size", "max_attempts", "timeout_seconds", "breaker_failures"):
        if getattr(settings, name) <= 0:
            yield f"{name} {getattr(settings, name)} must be more than 0"
    for name in ("burst_limit", "token_budget", "token_reserve", "max_seconds"):
        if getattr(settings, name) < 0:
            yield f"{name} {getattr(settings, name)} must not be negative"
    if not settings.max_seconds <= SECONDS_OF_A_YEAR:  # nor is nan any time
        yield f"max_seconds {settings.max_seconds} must be 0 to {SECONDS_OF_A_YEAR}, a year"
    if not 0 <= settings.breaker_percent <= 99:
        yield f"breaker_percent {settings.breaker_percent} must be 1 to 99, or 0 for off"
    if not 0 <= settings.recheck_hours <= HOURS_OF_A_YEAR:
        yield f"recheck_hours {settings.recheck_hours} must be 0 to {HOURS_OF_A_YEAR}, a year"


def _guard_problems(settings: Settings) -> Iterator[str]:
    for read in (lambda: settings.limits, lambda: parse_age(settings.max_age)):
        try:
            read()
        except ValueError as error:
            yield str(error)


def _mapping(columns: Any) -> dict[str, Any]:
    """Reads the mapping of columns, which the environment gives as JSON.

    dlt falls back to the bare name of a setting, and COLUMNS is the width of a terminal.
    """
    if not columns or str(columns).isdigit():
        return {}
    try:
        mapping = from_json(columns) if isinstance(columns, str) else columns
    except ValueError:
        mapping = None
    if not isinstance(mapping, Mapping):
        raise ConfigError(
            f"columns {columns!r} is no mapping; write it like {{'score': 'Lead score'}}"
        )
    return {str(name).lower(): str(target) for name, target in mapping.items()}


def _missing(error: ConfigFieldMissingException) -> str:
    names = ", ".join(error.fields)
    variables = ", ".join("__".join((*SECTION, name)).upper() for name in error.fields)
    place = ".".join(SECTION)
    return (
        f"missing setting {names}; put it under [{place}] in .dlt/secrets.toml, or set {variables}"
    )
