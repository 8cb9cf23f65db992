"""What the client needs to know of a type of record; who declares one stands above this room."""

from __future__ import annotations

from typing import Protocol


class CallTokens(Protocol):
    """What calls about one type of record cost, in Pipedrive's tokens."""

    @property
    def page(self) -> int:
        """A page of the list, whatever its size."""

    @property
    def archived_page(self) -> int:
        """A page of the list of archived ones."""

    @property
    def one(self) -> int:
        """A record by its id."""

    @property
    def patch(self) -> int:
        """A PATCH of a record."""

    @property
    def definitions(self) -> int:
        """A page of the definitions of their fields."""


class RecordApi(Protocol):
    """Where the API has one type of record, and what calls about it cost."""

    @property
    def name(self) -> str:
        """What one of them is called in messages."""

    @property
    def path(self) -> str:
        """Of the list, below `/api/v1`; a record is at the path and its id."""

    @property
    def archived_path(self) -> str:
        """Of the list of archived ones."""

    @property
    def fields_path(self) -> str:
        """Of the definitions of their fields."""

    @property
    def page_limit(self) -> int:
        """Most rows on a page, of records and of definitions."""

    @property
    def tokens(self) -> CallTokens:
        """What calls cost."""
