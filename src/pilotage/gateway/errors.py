"""A refusal as HTTP: the OpenAI error body with our stable code, and the headers every answer carries.

Fail mode: nothing here reads documents, questions or other askers; an unknown exception is `internal` without detail.
"""

from __future__ import annotations

from http import HTTPStatus

import msgspec

from pilotage.serving.refusal import Refusal

Headers = list[tuple[bytes, bytes]]

_JSON = (b"content-type", b"application/json")
_NO_STORE = (b"cache-control", b"no-store")


def error_value(refusal: Refusal) -> dict[str, dict[str, str | None]]:
    """Return `{"error": {message, type, param, code}}`."""
    return {
        "error": {
            "message": refusal.message,
            "type": refusal.type,
            "param": refusal.param,
            "code": refusal.code.value,
        }
    }


def error_body(refusal: Refusal) -> bytes:
    """Return the body of an error answer."""
    return msgspec.json.encode(error_value(refusal))


def error_headers(refusal: Refusal) -> Headers:
    """Return content type, caching, `WWW-Authenticate` for 401 and `Retry-After` for 429 and 503."""
    headers: Headers = [_JSON, _NO_STORE]
    if refusal.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    if refusal.wait_s is not None:
        headers.append((b"retry-after", str(refusal.wait_s).encode()))
    return headers


def error_response(refusal: Refusal, *extra: tuple[bytes, bytes]) -> bytes:
    """Return a whole HTTP/1.1 response that closes the connection, for requests that never reach the application."""
    body = error_body(refusal)
    length = (b"content-length", str(len(body)).encode())
    headers = [*error_headers(refusal), *extra, length, (b"connection", b"close")]
    head = f"HTTP/1.1 {refusal.status} {HTTPStatus(refusal.status).phrase}\r\n".encode()
    return head + b"".join(name + b": " + value + b"\r\n" for name, value in headers) + b"\r\n" + body
