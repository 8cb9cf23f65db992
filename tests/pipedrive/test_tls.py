"""Certificates: what is wrong is said in one line, once, and nothing is sent."""

from __future__ import annotations

import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from connector.pipedrive.auth import ApiToken
from connector.pipedrive.client import Pipedrive
from connector.pipedrive.errors import AccountError, InDoubt, Unreached
from connector.pipedrive.usage import Usage
from connector.records.leads import LEADS
from tests.support.recorder import TOKEN, Recorder

BUNDLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


@dataclass
class Host:
    """A host that speaks TLS, and how many connections it has had."""

    base_url: str
    certificate: Path
    connections: list[str] = field(default_factory=list)


@pytest.fixture(autouse=True)
def _no_bundle(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in BUNDLES:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate and its key in one file, signed by nobody else."""
    folder = tmp_path_factory.mktemp("tls")
    asked = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    named = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    places = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "certificate.pem")]
    subprocess.run([*asked, *named, *places], check=True, capture_output=True)
    both = folder / "both.pem"
    both.write_text((folder / "key.pem").read_text() + (folder / "certificate.pem").read_text())
    return both


def send_plainly(connection: ssl.SSLSocket, answer: bytes) -> None:
    """Send over a connection what is no TLS, amid it."""
    with socket.socket(fileno=connection.detach()) as raw:
        raw.sendall(answer)


@contextmanager
def listening(
    certificate: Path, send: Callable[[ssl.SSLSocket, bytes], None] = ssl.SSLSocket.sendall
) -> Iterator[Host]:
    """Serve one answer a connection over TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with socket.create_server(("127.0.0.1", 0)) as server:
        host = Host(f"https://127.0.0.1:{server.getsockname()[1]}", certificate)

        def serve() -> None:
            while True:
                try:
                    raw, peer = server.accept()
                    host.connections.append(str(peer))
                except OSError:
                    return
                try:
                    with context.wrap_socket(raw, server_side=True) as connection:
                        connection.recv(65536)
                        body = b'{"success": true, "data": {"id": 1}}'
                        head = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
                        send(connection, head % len(body) + body)
                except OSError:
                    raw.close()  # the client has hung up

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield host
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()


@pytest.fixture
def host(certificate: Path) -> Iterator[Host]:
    with listening(certificate) as made:
        yield made


def refusal_of(base_url: str) -> str:
    with pytest.raises(AccountError) as raised:
        Pipedrive(base_url, ApiToken(TOKEN)).me()
    message = str(raised.value)
    assert "\n" not in message
    assert TOKEN not in message
    return message


def test_a_certificate_that_nobody_vouches_for_is_named_once(host: Host) -> None:
    message = refusal_of(host.base_url)
    assert "the certificate of 127.0.0.1 cannot be verified (self-signed certificate)" in message
    assert "REQUESTS_CA_BUNDLE" in message
    assert "GET /api/v1/users/me" in message
    assert len(host.connections) == 1


def test_the_bundle_that_the_message_names_helps(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(host.certificate))
    assert Pipedrive(host.base_url, ApiToken(TOKEN)).me() == {"id": 1}


@pytest.mark.parametrize("name", BUNDLES)
def test_a_bundle_that_is_not_there_is_named(
    host: Host, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "/nowhere/at all.pem")
    message = refusal_of(host.base_url)
    assert "no CA bundle /nowhere/at all.pem" in message
    assert "REQUESTS_CA_BUNDLE" in message
    assert host.connections == []


@pytest.mark.parametrize("content", ["", "no certificate\n"])
def test_a_bundle_without_certificates_is_said(
    host: Host, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: str
) -> None:
    bundle = tmp_path / "bundle.pem"
    bundle.write_text(content)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(bundle))
    message = refusal_of(host.base_url)
    assert "certificate" in message
    assert "REQUESTS_CA_BUNDLE" in message


def test_a_host_that_speaks_no_tls_is_said(recorder: Recorder) -> None:
    message = refusal_of(recorder.base_url.replace("http://", "https://"))
    assert "no TLS connection with 127.0.0.1" in message
    assert "base_url" in message
    assert recorder.arrived == []


def test_what_breaks_the_connection_after_the_request_has_left_says_nothing_of_it(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    usage = Usage()
    with listening(certificate, send_plainly) as host:
        client = Pipedrive(host.base_url, ApiToken(TOKEN))
        with pytest.raises(InDoubt, match="no answer"):
            client.patch(LEADS, "a", {"title": "T"}, usage)
    assert usage.tokens == 10


def test_a_connection_that_breaks_is_tried_again() -> None:
    tries = 0
    with socket.create_server(("127.0.0.1", 0)) as server:

        def hang_up() -> None:
            nonlocal tries
            for _ in range(2):
                server.accept()[0].close()
                tries += 1

        thread = threading.Thread(target=hang_up)
        thread.start()
        client = Pipedrive(
            f"https://127.0.0.1:{server.getsockname()[1]}", ApiToken(TOKEN), attempts=2
        )
        with pytest.raises(Unreached, match="2 tries"):
            client.me()
        thread.join()
    assert tries == 2
