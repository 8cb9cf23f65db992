"""Where the API token goes, and where it does not."""

from __future__ import annotations

import base64
import html
import json
import logging
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import requests

from connector.pipedrive.auth import ApiToken, SignIn
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


class Bearer(SignIn):
    """Another way to say who sends a request, as OAuth has it."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["authorization"] = f"Bearer {self._secret}"
        return request


def test_another_way_to_sign_in_is_one_more_class(recorder: Recorder) -> None:
    client = Pipedrive(recorder.base_url, Bearer("access"))
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


ODD = 'x"\\/%+&<0123456789'
"""A token that JSON, URLs and HTML each spell in their own way."""
ECHOES = {
    "as it is": lambda token: token,
    "in capitals": str.upper,
    "for a URL": lambda token: quote(token, safe=""),
    "in JSON in JSON": lambda token: json.dumps({"x-api-token": token}),
    "as Go writes JSON": lambda token: json.dumps(token).replace("&", "\\u0026"),
    "in HTML": html.escape,
    "in base64": lambda token: base64.b64encode(f"{token}:".encode()).decode(),
    "somewhere in base64": lambda token: base64.b64encode(f"api:{token}".encode()).decode(),
    "in an object": lambda token: {"headers": [token]},
}


def error_of(recorder: Recorder, status: int, said: Any, token: str) -> PipedriveError:
    """What a client makes of an answer whose every text and some headers repeat something."""
    told = {"success": False, "error": said, "error_info": [said], "code": {"is": said}}
    recorder.status, recorder.body = status, json.dumps(told).encode()
    recorder.headers = {"location": f"/?{quote(token)}", "x-echo": str(said), "retry-after": "0"}
    client = Pipedrive(recorder.base_url, ApiToken(token), attempts=1)
    with pytest.raises(PipedriveError) as raised:
        client.patch(LEADS, LEAD, {"title": "T"}, Usage())
    return raised.value


@pytest.mark.parametrize("status", [200, 302, 400, 401, 403, 404, 429, 503])
def test_an_answer_that_repeats_the_token_brings_it_into_no_error(
    recorder: Recorder, status: int
) -> None:
    error = error_of(recorder, status, f"headers were x-api-token: {TOKEN}", TOKEN)
    assert TOKEN not in "".join([*traceback.format_exception(error), repr(error.answer)])
    assert error.answer
    assert error.answer.text("error") == "headers were x-api-token: …"


@pytest.mark.parametrize("token", [TOKEN, ODD], ids=["token", "odd"])
@pytest.mark.parametrize("echo", ECHOES.values(), ids=ECHOES.keys())
def test_the_token_is_hidden_however_it_is_spelled(
    recorder: Recorder, echo: Callable[[str], Any], token: str
) -> None:
    error = error_of(recorder, 400, echo(token), token)
    shown = "".join([*traceback.format_exception(error), repr(error.answer)])
    end = {token[-8:], base64.b64encode(token[-9:].encode()).decode()[:8]}
    assert not [one for one in end if one.lower() in shown.lower()]
    assert error.answer
    assert all("…" in error.answer.text(key) for key in ("error", "error_info", "code"))


def test_no_part_of_a_token_is_left_where_a_text_is_cut(recorder: Recorder) -> None:
    recorder.status = 400
    client = Pipedrive(recorder.base_url, ApiToken(TOKEN), attempts=1)
    for before in range(440, 500):
        told = {"success": False, "error": "x" * before + TOKEN}
        recorder.body = json.dumps(told).encode()
        with pytest.raises(PipedriveError) as raised:
            client.me()
        assert TOKEN[:8] not in str(raised.value)


@pytest.mark.parametrize("before", ["", "x" * 60])
def test_what_is_wrong_with_a_200_does_not_show_the_token(recorder: Recorder, before: str) -> None:
    client = Pipedrive(recorder.base_url, ApiToken(TOKEN), attempts=1)
    echo = f"{before}{TOKEN}"
    recorder.body = json.dumps({"success": True, "data": {"id": echo}}).encode()
    with pytest.raises(PipedriveError, match="another lead") as raised:
        client.get(LEADS, LEAD)
    assert TOKEN[:8] not in "".join(traceback.format_exception(raised.value))
    extra = {"more_items_in_collection": True, "next_start": echo}
    page = {"success": True, "data": [{"id": LEAD}], "additional_data": extra}
    recorder.body = json.dumps(page).encode()
    with pytest.raises(PipedriveError, match="as the next one") as raised:
        list(client.pages(LEADS))
    assert TOKEN[:8] not in "".join(traceback.format_exception(raised.value))


def test_what_a_lead_says_stays_as_it_is(recorder: Recorder) -> None:
    """A token may be a word that is in a title; what is hidden there would be written back."""
    lead = {"id": LEAD, "title": "A sandbox for children"}
    recorder.body = json.dumps({"success": True, "data": lead}).encode()
    assert Pipedrive(recorder.base_url, ApiToken("sandbox")).get(LEADS, LEAD) == lead


def test_headers_that_cannot_be_read_are_not_logged(
    recorder: Recorder, caplog: pytest.LogCaptureFixture
) -> None:
    """urllib3 logs them whole, and a gateway may have put there what it was sent."""
    caplog.set_level(logging.DEBUG)
    recorder.headers = {"x-first": f"1\r\nno header {TOKEN}"}
    Pipedrive(recorder.base_url, ApiToken(TOKEN)).me()
    assert TOKEN not in caplog.text


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
