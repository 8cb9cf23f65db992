"""One reading of the list in place of many looks, where an increment left out what is to change."""

from __future__ import annotations

import logging

from connector.pipedrive.errors import AccountError, PipedriveError, TooManyPages
from connector.records.leads import LEADS
from connector.sync.leads import most_pages
from connector.sync.plans import Plan, patches_to_send
from connector.sync.session import Session
from connector.warehouse.listing import least_listed
from connector.warehouse.record import RunRecord

log = logging.getLogger(__name__)


def spare_looks(session: Session, record: RunRecord, plan: Plan) -> AccountError | None:
    """Reads the list where that costs less than a look at each lead that this run has not read.

    A lead that is there as the plan takes it to be counts as read. Any other one is still looked
    at directly before its PATCH, and so is each where the list cannot be read to its end.

    Args:
        session: The run.
        record: Whether it has read all of the list before.
        plan: What is to be sent.

    Returns:
        Why nothing can be sent at all, where the list has told.
    """
    if record.leads_listed is not None or session.settings.fresh_look != "auto":
        return None
    if plan.leads * LEADS.tokens.one <= LEADS.list_tokens(0):
        return None
    listed = least_listed(session.warehouse)
    if not _would_save(session, plan, LEADS.list_tokens(listed)):
        return None
    log.info("so many leads are to change that the list is read once, in place of a look at each")
    shown = 0
    try:
        for page in session.client.pages(LEADS, most_pages(session), expected=listed):
            shown += len(page)
            session.scratch.confirm(lead for lead in page if lead.get("id"))
            session.tell(record, "refresh", shown, None)
    except PipedriveError as error:
        if isinstance(error, AccountError) and not isinstance(error, TooManyPages):
            return error
        log.info("the list was not read to its end: %s", error)
    return None


def _would_save(session: Session, plan: Plan, cost: int) -> bool:
    """Tells whether looks cost more than the list, among the patches that the tokens last for.

    Where the tokens last for all patches, fewer are spent; else more patches are sent.
    """
    look, left = LEADS.tokens.one, session.client.tokens_left
    with_list, with_looks = cost, 0
    for patches in patches_to_send(session, plan):
        with_list += sum(LEADS.tokens.patch + look * bool(one.conditions) for one in patches)
        with_looks += sum(
            LEADS.tokens.patch + look * (one.unread or bool(one.conditions)) for one in patches
        )
        if left is not None and with_list > left:
            return False
        if with_looks > with_list:
            return True
    return False
