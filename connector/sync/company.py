"""Whose account it is: a dataset and a working folder belong to one company."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pendulum

from connector.errors import AccountError
from connector.records.kinds import read_id
from connector.records.text import visible
from connector.sync.session import Session
from connector.warehouse import claim, history
from connector.warehouse.destination import working_folder
from connector.warehouse.schema import SYNC_ACCOUNT, AccountRow
from connector.warehouse.store import Warehouse

log = logging.getLogger(__name__)
LARGEST_ID = 2**63 - 1


@dataclass(frozen=True)
class Company:
    """A company at Pipedrive.

    Attributes:
        company_id: What it is known by.
        domain: Its part of the address, which may change.
    """

    company_id: int
    domain: str | None

    def __str__(self) -> str:
        return f"company {self.company_id}{f' ({visible(self.domain)})' if self.domain else ''}"


def company_of(me: Mapping[str, Any]) -> Company:
    """Returns the company of the user whom the token belongs to.

    Raises:
        AccountError: The answer to GET /users/me names none.
    """
    company_id, domain = read_id(me.get("company_id")), me.get("company_domain")
    if not isinstance(company_id, int) or not 0 < company_id <= LARGEST_ID:
        raise AccountError(
            f"GET /users/me names no company: its company_id is {visible(me.get('company_id'))}; "
            "check that base_url is Pipedrive's own; nothing was sent"
        )
    return Company(company_id, visible(domain) if isinstance(domain, str) and domain else None)


def refuse_other(warehouse: Warehouse | None, folder: Path, company: Company) -> None:
    """Refuses an account of another company than the one whose leads are in the tables.

    Args:
        warehouse: The dataset; None where the first plan makes it.
        folder: dlt's working folder.
        company: Whose account it is.

    Raises:
        AccountError: It is another's; the message names both.
    """
    belongs = {}
    if warehouse is not None:
        belongs[f"dataset {warehouse.pipeline.dataset_name}"] = history.owners(warehouse)
    belongs[f"working folder {folder}"] = claim.owners(folder)
    for place, owners in belongs.items():
        for owner in (Company(*one) for one in owners):
            if owner.company_id != company.company_id:
                raise AccountError(
                    f"the {place} belongs to {owner}, and base_url and api_token to {company}; "
                    "mend them, or give this company a dataset_name and a pipeline_name of its "
                    "own; no lead was read or sent"
                )


def confirm_company(session: Session) -> str:
    """Makes sure that the account is the one that the dataset and the working folder belong to.

    The first run makes them its own. So does the first on those of an older version.

    Returns:
        The user whom the token belongs to, by its id.

    Raises:
        AccountError: They are another company's.
        PipedriveError: The account does not answer.
    """
    warehouse, folder = session.warehouse, working_folder(session.settings)
    me = session.client.me()
    company = company_of(me)
    refuse_other(warehouse, folder, company)
    mine = (company.company_id, company.domain)
    if history.owners(warehouse) != [mine]:
        spelling = history.options_as_text(warehouse)
        warehouse.put(SYNC_ACCOUNT, vars(AccountRow(*mine, spelling, pendulum.now("UTC"))))
        log.info("dataset %s belongs to %s", warehouse.pipeline.dataset_name, company)
    claim.note_owner(folder, *mine)
    return str(me.get("id"))
