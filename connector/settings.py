"""A run's settings: each with its default, and with what reads and checks it.

They come from an argument, or from the section `sources.pipedrive_leads` by their full names.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from typing import Any, Final, Literal, TypeVar, get_args

from dlt.common.typing import ConfigValueSentinel

from connector.configuration import readers
from connector.configuration.origin import may_hold_password, parse_origin
from connector.configuration.providers import WAREHOUSE, ask, looked_in, variable
from connector.configuration.readers import parse_age
from connector.configuration.spelling import Names, nearest, refuse_misspelt
from connector.errors import ConfigError
from connector.planning.columns import OnConflict, OnNull
from connector.planning.guards import GUARDS, Limits, limits_of
from connector.planning.model import FreshLook, Status

SECTION: Final = ("sources", "pipedrive_leads")
DESTINATION: Final = WAREHOUSE[1]
HOURS_OF_A_YEAR: Final = 8760
DAYS_OF_A_CENTURY: Final = 36_525
SECONDS_OF_A_DAY: Final = 86_400
SECONDS_OF_A_YEAR: Final = 3600 * HOURS_OF_A_YEAR
MANY: Final = 1_000_000_000
LONGEST_SHOWN: Final = 80
SECRETS: Final = frozenset({"api_token", "attached", "base_url"})
"""Settings whose values are, or may hold, what no message repeats."""
AnySettings = TypeVar("AnySettings", bound="WarehouseSettings")


def _setting(read: readers.Reader[Any], default: Any = MISSING) -> Any:
    """Declares a setting; without a default it is required."""
    return field(default=default, metadata={"read": read})


def _origin(value: Any) -> str:
    return parse_origin(readers.text(value))


@dataclass(frozen=True, kw_only=True)
class WarehouseSettings:
    """Where things are in the warehouse.

    Attributes:
        desired_table: The warehouse table with the desired leads, schema and name.
        dataset_name: The warehouse schema for the tables written.
        pipeline_name: Names dlt's working folder; two companies need two names.
        attached: Databases that DuckDB opens beside the desired table's, to read only: alias →
            file or URL, which may hold a password.
    """

    desired_table: str = _setting(readers.table_name, "crm.lead_changes")
    dataset_name: str = _setting(readers.text, "pipedrive_leads")
    pipeline_name: str = _setting(readers.folder_name, "pipedrive_leads")
    attached: Mapping[str, str] = field(
        default_factory=dict, repr=False, metadata={"read": readers.databases}
    )


@dataclass(frozen=True, kw_only=True, repr=False)
class Settings(WarehouseSettings):
    """What a run is told.

    Attributes:
        base_url: Scheme, host and port of the account, such as https://acme.pipedrive.com.
        api_token: A personal API token.
        columns: Column name → field name or key, where they do not match by themselves.
        on_null: What NULL does: `clear`, `keep` or `reject`, for all fields or for each by name.
        only_if_blank: Fields that are filled where they are unset, and never overwritten.
        on_conflict: Who wins over an edit in the CRM: `warehouse`, `crm`, `newest` or `fail`, for
            all fields or for each by name.
        fresh_look: Whether a lead is read directly before its PATCH: `auto` where the PATCH depends
            on what else the lead has, `always` or `never`.
        unarchive: Whether `is_archived = false` may bring an archived lead back.
        timezone: Where timestamps with a zone become dates.
        workers: PATCHes in flight at once; `auto` for as many as use up the burst limit.
        chunk_size: Leads applied between two loads of outcomes.
        max_attempts: Tries of one call before a lead fails.
        timeout_seconds: Longest silence of the server during one call.
        burst_limit: Requests in two seconds; 0 takes Pipedrive's own word.
        token_budget: Tokens that a command may spend; 0 for no limit of its own.
        token_reserve: Tokens of the day that a run leaves to others.
        max_seconds: Stop cleanly after so long; 0 for no limit.
        lease_seconds: How long a run has its turn on the dataset unless it renews it.
        lock_wait_seconds: How long to wait for another run's end; 0 does not wait.
        breaker_failures: Stop after so many PATCHes in a row that failed or were not taken.
        breaker_percent: Stop when more than this share of the PATCHes failed or were not taken; 0
            for never.
        full_refresh_every: Hours after which a run reads all leads again, where those before it
            read only what was updated since; 0 for always. Up to 5,000 leads are always all read.
        recheck_hours: A lead found gone or archived is known to be so for so long, unless the
            list shows it; 0 for asking in every run.
        tolerate: Statuses that do not turn the exit code to 3.
        max_patches: Guard: leads changed at most; for this and the next, `off` is no limit.
        max_changed_percent: Guard: the same, of the leads compared.
        max_clears: Guard: leads that lose a value at most.
        max_clears_percent: Guard: the same, of the leads compared.
        max_overwrites: Guard: leads on which a value is replaced by another at most.
        max_overwrites_percent: Guard: the same, of the leads compared.
        max_archived: Guard: leads archived at most.
        empty_desired: Guard: `stop` at an empty desired table, or `allow` it.
        min_desired_percent_of_last: Guard: least rows, of those that the last run found.
        max_not_found_percent: Guard: desired leads that the account does not have, at most.
        max_age: Longest time between making a plan and applying it.
        retention_days: Plans, outcomes, changed fields and runs are kept for so long; 0 for good.
    """

    base_url: str = _setting(_origin)
    api_token: str = _setting(readers.token)
    columns: Mapping[str, str] = field(default_factory=dict, metadata={"read": readers.mapping})
    on_null: Any = _setting(readers.rules(get_args(OnNull)), "clear")
    only_if_blank: list[str] | None = _setting(readers.names, None)
    on_conflict: Any = _setting(readers.rules(get_args(OnConflict)), "warehouse")
    fresh_look: FreshLook = _setting(readers.choice(get_args(FreshLook)), "auto")
    unarchive: bool = _setting(readers.flag, False)
    timezone: str = _setting(readers.zone, "UTC")
    workers: int | Literal["auto"] = _setting(readers.whole_or_auto(1, 512), "auto")
    chunk_size: int = _setting(readers.whole(1, 100_000), 500)
    max_attempts: int = _setting(readers.whole(1, 100), 5)
    timeout_seconds: float = _setting(readers.number(0.001, 3600), 30.0)
    burst_limit: int = _setting(readers.whole(0, MANY), 0)
    token_budget: int = _setting(readers.whole(0, MANY), 0)
    token_reserve: int = _setting(readers.whole(0, MANY), 0)
    max_seconds: float = _setting(
        readers.number(0, SECONDS_OF_A_YEAR, f"must be 0 to {SECONDS_OF_A_YEAR}, a year"), 0.0
    )
    lease_seconds: float = _setting(readers.number(1, 3600), 60.0)
    lock_wait_seconds: float = _setting(readers.number(0, SECONDS_OF_A_DAY), 0.0)
    breaker_failures: int = _setting(readers.whole(1, MANY), 25)
    breaker_percent: int = _setting(readers.whole(0, 99, "must be 1 to 99, or 0 for off"), 50)
    recheck_hours: float = _setting(
        readers.number(0, HOURS_OF_A_YEAR, f"must be 0 to {HOURS_OF_A_YEAR}, a year"), 24.0
    )
    full_refresh_every: float = _setting(
        readers.number(0, HOURS_OF_A_YEAR, f"must be 0 to {HOURS_OF_A_YEAR}, a year"), 24.0
    )
    tolerate: list[str] | None = _setting(readers.chosen_names(get_args(Status)), None)
    max_patches: Any = _setting(readers.limit, None)
    max_changed_percent: Any = _setting(readers.limit, None)
    max_clears: Any = _setting(readers.limit, None)
    max_clears_percent: Any = _setting(readers.limit, None)
    max_overwrites: Any = _setting(readers.limit, None)
    max_overwrites_percent: Any = _setting(readers.limit, None)
    max_archived: Any = _setting(readers.limit, None)
    empty_desired: str = _setting(readers.text, "stop")
    min_desired_percent_of_last: Any = _setting(readers.limit, None)
    max_not_found_percent: Any = _setting(readers.limit, None)
    max_age: Any = _setting(readers.limit, "24h")
    retention_days: float = _setting(readers.number(0, DAYS_OF_A_CENTURY), 0.0)

    def __repr__(self) -> str:
        return f"Settings(base_url={self.base_url!r}, desired_table={self.desired_table!r})"

    @property
    def limits(self) -> Limits:
        """What a whole plan may come to."""
        return limits_of({name: getattr(self, name) for name in GUARDS})


NAMES: Final = Names(SECTION, {one.name for one in fields(Settings)}, {}, is_whole=True)


def load_settings(**given: Any) -> Settings:
    """Resolves the settings; arguments that are not None win over configuration.

    Raises:
        ConfigError: One is missing or cannot be used, or a name is no setting.
    """
    return _resolve(Settings, given)


def load_warehouse_settings(**given: Any) -> WarehouseSettings:
    """Resolves what is needed to read the tables that runs have written."""
    return _resolve(WarehouseSettings, given)


def read_argument(name: str, read: readers.Reader[readers.Read], value: Any) -> readers.Read:
    """Reads an argument of Python as the same setting of the environment would be.

    Args:
        name: The argument's name.
        read: Reads the setting.
        value: What was given.

    Raises:
        ConfigError: It cannot be used.
    """
    try:
        return read(value)
    except ValueError as error:
        raise ConfigError(_problem(name, value, error)) from None


def _resolve(kind: type[AnySettings], given: Mapping[str, Any]) -> AnySettings:
    _refuse_unknown(given, {one.name for one in fields(kind)})
    configured = {one.name: _value(one, given.get(one.name)) for one in _token_first(kind)}
    refuse_misspelt(NAMES)
    missing = [one.name for one in fields(kind) if _is_missing(one, configured[one.name])]
    if missing:
        raise ConfigError(_missing(missing))
    values, problems = {}, []
    for one in fields(kind):
        if (value := configured[one.name]) is None:
            continue
        try:
            values[one.name] = one.metadata["read"](value)
        except ValueError as error:
            problems.append(_problem(one.name, value, error))
    problems += _guard_problems({one.name: one.default for one in fields(kind)} | values)
    if problems:
        raise ConfigError("; ".join(problems))
    return kind(**values)


def _guard_problems(values: Mapping[str, Any]) -> Iterator[str]:
    """Yields what is wrong with the settings that whoever uses them reads, one line each."""
    if "max_age" not in values:
        return
    for read in (lambda: limits_of(values), lambda: parse_age(values["max_age"])):
        try:
            read()
        except ValueError as error:
            yield str(error)


def _refuse_unknown(given: Mapping[str, Any], known: set[str]) -> None:
    if unknown := sorted(given.keys() - known):
        near = ", ".join(nearest(name, known) for name in unknown)
        raise ConfigError(f"no such setting: {', '.join(unknown)}; the nearest: {near}")


def _token_first(kind: type[WarehouseSettings]) -> Iterator[Field[Any]]:
    """Yields the settings, the token first: a vault may show the others only after a secret."""
    return iter(sorted(fields(kind), key=lambda one: one.name != "api_token"))


def _value(one: Field[Any], given: Any) -> Any:
    if given is not None and not isinstance(given, ConfigValueSentinel):
        return given
    value = ask(SECTION, one.name, secret=one.name == "api_token")
    if one.name == "attached" and value is not None and may_hold_password(str(value)):
        return ask(SECTION, one.name, secret=True)
    return value


def _is_missing(one: Field[Any], value: Any) -> bool:
    return value is None and one.default is MISSING and one.default_factory is MISSING


def _problem(name: str, value: Any, error: ValueError) -> str:
    return f"{name} {error}" if name in SECRETS else f"{name} {_shown(value)} {error}"


def _shown(value: Any) -> str:
    """Shows a value that may be anything on one line."""
    try:
        text = " ".join(repr(value).split())
    except ValueError:  # Python spells no number of thousands of digits
        text = f"a huge {type(value).__name__}"
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}…"


def _missing(names: list[str]) -> str:
    variables = ", ".join(variable(SECTION, name) for name in names)
    return (
        f"missing setting {', '.join(names)}; put it under [{'.'.join(SECTION)}] in "
        f".dlt/secrets.toml, or set {variables}; looked in {looked_in()}"
    )
