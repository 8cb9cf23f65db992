"""To which dataset and to which company dlt's working folder belongs, by files beside it.

dlt loads the packages that it finds there into whatever the pipeline points to now, and where that
dataset is new it throws them away.
"""

from __future__ import annotations

import os
from pathlib import Path

import dlt
from dlt.common.configuration.exceptions import ConfigurationValueError
from dlt.destinations.impl.duckdb.configuration import DuckDbClientConfiguration

from connector.errors import WarehouseError
from connector.warehouse.destination import has_pending

COMPANY, RUN = ".company", ".run"


def claim_folder(pipeline: dlt.Pipeline) -> None:
    """Notes beside the working folder where its packages belong.

    Raises:
        WarehouseError: It holds packages that belong elsewhere; the message names both places.
    """
    file = Path(pipeline.working_dir).with_suffix(".place")
    place, held = _place_of(pipeline), _read(file)
    if held == place:
        return
    if held is not None and has_pending(pipeline):
        raise WarehouseError(
            f"an earlier run left results for {held}, and this run writes to {place}: run once "
            "with the earlier settings, or give this dataset a pipeline_name of its own; "
            f"if it has only moved, remove {file}"
        )
    _write(file, place)


def owners(folder: Path) -> list[tuple[int, str | None]]:
    """Returns the company that a working folder belongs to, by its id and its domain, if any."""
    number, _, domain = (_read(folder.with_suffix(COMPANY)) or "").partition(" ")
    return [(int(number), domain or None)] if number.isdecimal() else []


def note_owner(folder: Path, company_id: int, domain: str | None) -> None:
    """Notes beside a working folder which company it belongs to.

    Args:
        folder: The working folder.
        company_id: The company.
        domain: Its domain; None where it is not known.
    """
    if owners(folder) != [(company_id, domain)]:
        _write(folder.with_suffix(COMPANY), f"{company_id} {domain or ''}")


def last_run(folder: Path) -> str | None:
    """Returns the run that used a working folder last, if any has noted it."""
    return _read(folder.with_suffix(RUN))


def note_run(folder: Path, run_id: str) -> None:
    """Notes beside a working folder that a run uses it."""
    _write(folder.with_suffix(RUN), run_id)


def _place_of(pipeline: dlt.Pipeline) -> str:
    """Returns the dataset and where it is, without a user or a password."""
    config = pipeline.destination_client().config
    try:
        location = config.data_location()
    except ConfigurationValueError:
        location = config.destination_type
    if isinstance(config, DuckDbClientConfiguration):
        location = os.path.realpath(str(location))
    return f"dataset {pipeline.dataset_name} at {location}"


def _write(file: Path, text: str) -> None:
    beside = file.with_name(f"{file.name}.new")
    beside.write_text(text, encoding="utf-8")
    beside.replace(file)


def _read(file: Path) -> str | None:
    try:
        return file.read_text(encoding="utf-8") or None
    except (FileNotFoundError, UnicodeDecodeError):
        return None
