"""A local Pipedrive with another company than the made-up one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from connector.sandbox import LocalPipedrive, values
from connector.sandbox.company import move_in
from tests.support.api import Api

TIER, SIZE = "a" * 40, "b" * 40
LABEL, OTHER = "1d6b7a30-0000-4000-8000-000000000001", "1d6b7a30-0000-4000-8000-000000000002"
LEAD = "adf21080-0e10-11eb-879b-05d71fb426ec"
COMPANY = {
    "fields": [
        {"key": TIER, "name": "Tier", "field_type": "enum", "options": {"7": "Gold"}},
        {"key": SIZE, "name": "Size", "field_type": "enum", "options": None},
    ],
    "labels": [{"id": LABEL, "name": "Warm"}],
    "users": [{"id": 4, "email": "eve@example.com"}],
}
RECORD = {"id": LEAD, "title": "As it is", "owner_id": 9, "label_ids": [], "person_id": 77}


def written(folder: Path, company: dict[str, Any], *leads: dict[str, Any]) -> Path:
    file = folder / "world"
    file.write_text("\n".join(map(json.dumps, (company, *leads))) + "\n")
    return file


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalPipedrive]:
    file = written(tmp_path_factory.mktemp("company"), COMPANY, RECORD)
    with LocalPipedrive(leads=0, world=file) as pipedrive:
        yield pipedrive


@pytest.fixture
def its_api(company: LocalPipedrive) -> Api:
    return Api(company)


def test_it_has_what_the_file_has(its_api: Api, company: LocalPipedrive) -> None:
    [lead] = its_api.get("leads").json()["data"]
    assert lead["title"] == "As it is"
    assert lead["is_archived"] is False
    assert [one["name"] for one in its_api.get("leadLabels").json()["data"]] == ["Warm"]
    assert [one["email"] for one in its_api.get("users").json()["data"]] == ["eve@example.com"]
    found = its_api.get("leadFields", limit=500).json()["data"]
    own = {one["key"]: one["options"] for one in found if len(one["key"]) == 40}
    assert own == {TIER: [{"id": 7, "label": "Gold"}], SIZE: None}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({TIER: 7}, 200),
        ({TIER: 8}, 400),
        ({SIZE: 12345}, 200),
        ({SIZE: "Gold"}, 400),
        ({"label_ids": [LABEL]}, 200),
        ({"label_ids": [OTHER]}, 400),
        ({"owner_id": 4}, 200),
        ({"owner_id": 9}, 200),  # who owns a lead exists
        ({"owner_id": 5}, 400),
        ({"person_id": 123456, "organization_id": 654321, "channel": 99}, 200),
        ({"title": 5}, 400),
    ],
    ids=str,
)
def test_it_takes_what_is_known_and_any_id_of_what_is_not(
    its_api: Api, body: dict[str, Any], status: int
) -> None:
    assert its_api.patch(LEAD, body).status_code == status


def test_of_a_company_that_is_not_known_any_id_is_taken(tmp_path: Path) -> None:
    file = written(tmp_path, {"fields": [], "labels": None, "users": None}, RECORD)
    with LocalPipedrive(leads=0, world=file) as pipedrive:
        api = Api(pipedrive)
        body = {"label_ids": [OTHER], "owner_id": 5}
        assert api.patch(LEAD, body).status_code == 200
        assert api.patch(LEAD, {"label_ids": ["Warm"]}).status_code == 400
        assert api.get("users").json()["data"] == []
        assert pipedrive.lead(LEAD)["label_ids"] == [OTHER]


def test_a_process_serves_one_company(tmp_path: Path) -> None:
    assert values.__name__ == "connector.sandbox.values"  # it is in use here
    with pytest.raises(RuntimeError, match="has begun with another"):
        move_in(written(tmp_path, COMPANY))
