"""Why a call never left, or brought no answer, and whether trying again may help.

No message repeats an error's own text: it may hold a proxy's password or the token.
"""

from __future__ import annotations

import ssl

import requests

from connector.pipedrive.errors import AccountError, InDoubt, PipedriveError, Unreached

_NO_TLS = ("CERTIFICATE", "VERSION", "PROTOCOL", "HANDSHAKE", "UNKNOWN_CA", "HTTP_REQUEST", "X509")
"""Parts of OpenSSL's reasons that stay as they are, so that trying again is in vain."""
_BUNDLE = "set REQUESTS_CA_BUNDLE to a file with the certificates of those who sign for it"


def no_answer(error: Exception, host: str) -> InDoubt:
    """Returns what it is to a caller that a request has left, and brought no answer.

    Args:
        error: What requests raised.
        host: The host of the account.
    """
    return InDoubt(f"no answer from Pipedrive at {host} ({type(error).__name__})")


def never_left(error: Exception, host: str) -> PipedriveError:
    """Returns what it is to a caller that a request did not leave.

    Args:
        error: What requests raised.
        host: The host of the account.
    """
    kind = type(error).__name__
    if isinstance(error, ValueError):
        return AccountError(f"the request cannot be made ({kind})")
    if isinstance(error, requests.exceptions.SSLError):
        return _no_tls(error, host)
    if not isinstance(error, requests.RequestException) and "CA cert" in str(error):
        bundle = str(error).partition("invalid path: ")[2]
        text = f"there is no CA bundle {bundle}, which should prove {host}'s certificate"
        return AccountError(f"{text}; {_BUNDLE}, or unset it")
    return Unreached(f"no connection with Pipedrive at {host} ({kind})")


def _no_tls(error: BaseException, host: str) -> PipedriveError:
    reason = _reason(error)
    if "CERTIFICATE_VERIFY" in reason:
        text = f"the certificate of {host} cannot be verified ({_why_not_verified(error)})"
        return AccountError(f"{text}; if a proxy or a company signs for it, {_BUNDLE}")
    if any(part in reason for part in _NO_TLS):
        text = f"no TLS connection with {host} ({reason}): it shows no usable certificate"
        return AccountError(f"{text}; check base_url, the proxy and REQUESTS_CA_BUNDLE")
    return Unreached(f"no connection with Pipedrive at {host} (TLS connection broken)")


def _reason(error: BaseException) -> str:
    """Returns OpenSSL's word for it, such as CERTIFICATE_VERIFY_FAILED, or an empty text."""
    found = _openssl(error)
    return str(found.reason or "") if found else ""


def _why_not_verified(error: BaseException) -> str:
    found = _openssl(error)
    return str(getattr(found, "verify_message", "")) or "CERTIFICATE_VERIFY_FAILED"


def _openssl(error: BaseException) -> ssl.SSLError | None:
    """Finds OpenSSL's own error beneath those of urllib3 and requests."""
    waiting: list[object] = [error]
    seen: set[int] = set()
    while waiting:
        one = waiting.pop(0)
        if isinstance(one, ssl.SSLError):
            return one
        if isinstance(one, BaseException) and id(one) not in seen:
            seen.add(id(one))
            beneath = (one.__cause__, one.__context__, getattr(one, "reason", None))
            waiting += [*beneath, *one.args]
    return None
