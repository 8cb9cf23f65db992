"""Where the API token goes, and where it does not."""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import Any

import pytest
import requests
from requests.auth import AuthBase

from connector.pipedrive.auth import ApiToken
from connector.pipedrive.client import Pipedrive
from connector.pipedrive.errors import PipedriveError
from connector.pipedrive.usage import Usage
from connector.records.leads import LEADS
from connector.sandbox import LocalPipedrive
from tests.support.recorder import TOKEN, Recorder, recording

LEAD = "adf21080-0e10-11eb-879b-05d71fb426ec"


def test_the_token_goes_in_its_header_alone(recorder: Recorder) -> None:
    client = Pipedrive(recorder.base_url, ApiToken(TOKEN))
    client.me()
    recorder.body = b'{"success": true, "data": {"id": "%s"}}' % LEAD.encode()
    client.patch(LEADS, LEAD, {"title": "T"}, Usage())
    recorder.body = b'{"success": true, "data": [{"key": "title"}]}'
    client.definitions(LEADS)
    assert [one.path for one in recorder.arrived] == [
        "/api/v1/users/me",
        f"/api/v1/leads/{LEAD}",
        "/api/v1/leadFields?start=0&limit=500",
    ]
    for one in recorder.arrived:
        assert one.headers["x-api-token"] == TOKEN
        assert TOKEN not in "".join(
            value for name, value in one.headers.items() if "api" not in name
        )
        assert TOKEN.encode() not in one.body
        assert "authorization" not in one.headers


def test_only_a_body_has_a_content_type(recorder: Recorder) -> None:
    client = Pipedrive(recorder.base_url, ApiToken(TOKEN))
    client.me()
    recorder.body = b'{"success": true, "data": {"id": "%s"}}' % LEAD.encode()
    client.patch(LEADS, LEAD, {"title": "T"}, Usage())
    types = [one.headers.get("content-type") for one in recorder.arrived]
    assert types == [None, "application/json"]


def test_a_netrc_file_adds_no_password(
    recorder: Recorder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login intruder password secret\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    Pipedrive(recorder.base_url, ApiToken(TOKEN)).me()
    [request] = recorder.arrived
    assert "authorization" not in request.headers
    assert request.headers["x-api-token"] == TOKEN


def test_a_proxy_is_not_used_for_loopback(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only loopback may be plain HTTP: a proxy would read the token on its way."""
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    with recording() as proxy:
        url = proxy.base_url.replace("://", "://intruder:secret@")
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, url)
        Pipedrive(recorder.base_url, ApiToken(TOKEN)).me()
    assert proxy.arrived == []
    [request] = recorder.arrived
    assert not {"authorization", "proxy-authorization"} & request.headers.keys()


class Bearer(AuthBase):
    """Another way to say who sends a request, as OAuth has it."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["authorization"] = "Bearer access"
        return request


def test_another_way_to_sign_in_is_one_more_class(recorder: Recorder) -> None:
    client = Pipedrive(recorder.base_url, Bearer())
    client.me()
    recorder.body = b'{"success": true, "data": []}'
    client.users()
    assert [one.headers["authorization"] for one in recorder.arrived] == ["Bearer access"] * 2
    assert not any("x-api-token" in one.headers for one in recorder.arrived)


def test_a_client_does_not_show_its_token(client: Pipedrive) -> None:
    client.me()
    auth = ApiToken(TOKEN)
    shown = [repr(client), str(client), *map(repr, vars(client).values()), f"{auth} {auth!r}"]
    assert TOKEN not in "".join(shown)


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("status", {"status": 401}),
        ("status", {"status": 500}),
        ("status", {"status": 400}),
        ("reset_before", {}),
        ("hang", {"seconds": 1.0}),
        ("truncated", {"close": True}),
        ("redirect", {}),
        ("html403", {}),
    ],
)
def test_an_error_does_not_show_the_token(
    pipedrive: LocalPipedrive, kind: str, options: dict[str, Any]
) -> None:
    pipedrive.fault(kind, **options)
    client = Pipedrive(pipedrive.base_url, ApiToken(TOKEN), attempts=1, timeout_seconds=0.3)
    with pytest.raises(PipedriveError) as raised:
        client.me()
    error = raised.value
    assert TOKEN not in "".join([str(error), repr(error), repr(error.answer)])
    assert TOKEN not in "".join(traceback.format_exception(error))


@pytest.mark.parametrize("token", ["to ken\n", "tök€n", "token\r\nx-other: 1"])
def test_a_token_that_no_header_can_carry_is_an_error_that_does_not_show_it(
    recorder: Recorder, token: str
) -> None:
    with pytest.raises(PipedriveError) as raised:
        Pipedrive(recorder.base_url, ApiToken(token), attempts=1).me()
    assert token not in "".join(traceback.format_exception(raised.value))
    assert recorder.arrived == []


def test_nobody_listens() -> None:
    with recording() as gone:
        pass
    with pytest.raises(PipedriveError, match="ConnectionError") as raised:
        Pipedrive(gone.base_url, ApiToken(TOKEN), attempts=1).me()
    assert TOKEN not in "".join(traceback.format_exception(raised.value))
