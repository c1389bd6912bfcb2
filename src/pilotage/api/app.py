"""The control plane as one ASGI application under `/api` (INTERFACE 4).

Bearer keys and tokens only: no cookie is ever read, so no foreign page can act. A service's key needs the operation's
scope; a person acts with the authority of their roles, as on the command line. At most eight requests run at a time;
whether a caller may send a file is asked before it is read. Fail mode: the command's own reasons; an unexpected
exception is `INTERNAL` with a reference.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final, TypeAlias
from urllib.parse import parse_qsl, quote

import msgspec
from anyio import CapacityLimiter, to_thread
from sqlalchemy.exc import DataError, SQLAlchemyError
from starlette.routing import compile_path

from pilotage.api.errors import Answer, of_error, of_refusal, of_serving, problem
from pilotage.api.openapi import document_text
from pilotage.api.operation import Call, File, Operation, Services
from pilotage.api.table import OPERATIONS
from pilotage.control.authenticate_key import evidence_kinds
from pilotage.control.console_session import NEVER, OIDC
from pilotage.core.clock import Clock, to_text
from pilotage.core.errors import PilotageError
from pilotage.core.ids import new_ulid
from pilotage.core.reason import Refusal
from pilotage.gate.records import Login
from pilotage.identity.principal import PrincipalKind
from pilotage.serving.addresses import client_address, may_enter
from pilotage.serving.context import Asker, Bearer
from pilotage.serving.ports import Authenticator
from pilotage.serving.refusal import Refusal as ServingRefusal
from pilotage.serving.uploads import Body as UploadedBody
from pilotage.serving.uploads import UploadRefused, Uploads, Why
from pilotage.workspace.people import IdentityMode

logger = logging.getLogger(__name__)

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]

CONCURRENT: Final = 8
ELSEWHERE: Final = 2
"""How many calls at once may wait for somebody else's service; the others go on meanwhile."""
PREFIX: Final = "/api/v1"
DOCUMENT: Final = "/api/openapi.json"
MAX_BODY: Final = 1024 * 1024
MAX_UPLOAD: Final = 64 * 1024 * 1024
RETRY_AFTER_S: Final = b"30"
_OVERWRITING: Final = frozenset({"PATCH", "PUT"})
_COMPUTED: Final = re.compile(r"unknown field `(status|state|verdict|outcome|claims|digest|approved_by)`")
_HEADERS: Final = (
    (b"content-type", b"application/json"),
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
)


class Api:
    """The application. One instance per process."""

    def __init__(
        self, services: Services, authenticator: Authenticator, clock: Clock, *, uploads: Uploads | None = None
    ) -> None:
        self._services = services
        self._authenticator = authenticator
        self._clock = clock
        self._uploads = uploads or Uploads()
        self._routes = [(operation, compile_path(PREFIX + operation.path)[0]) for operation in OPERATIONS]
        self._document = document_text(OPERATIONS).encode()
        self._limiters: dict[bool, CapacityLimiter] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one HTTP request."""
        method, path = scope["method"], scope["path"]
        if path == DOCUMENT and method in {"GET", "HEAD"}:
            await _send(send, 200, self._document)
            return
        answer = await self._answer(method, path, scope, receive)
        if isinstance(answer, File):
            await self._send_file(send, answer)
            return
        body = json.dumps(answer.body, ensure_ascii=False, default=_told).encode("utf-8", "replace")
        await _send(send, answer.status, body, answer.headers)

    async def _answer(self, method: str, path: str, scope: Scope, receive: Receive) -> Answer | File:
        matched = self._match(method, path)
        if isinstance(matched, Answer):
            return matched
        operation, params = matched
        asker = await self._asker(scope, operation)
        if isinstance(asker, Answer):
            return asker
        refusal = None if operation.uploads is None else operation.uploads(asker.principal)
        if refusal is not None:
            return of_refusal(refusal)
        call = Call(
            services=self._services,
            actor=asker.principal,
            params=params,
            login=login_of(asker),
            evidence_kinds=evidence_kinds(() if asker.key is None else asker.key.scopes),
        )
        most = MAX_BODY if operation.uploads is None else MAX_UPLOAD
        try:
            async with self._uploads.take(receive, most=most, sender=str(asker.principal.id)) as body:
                return await self._in_thread(operation, call, body, scope["query_string"])
        except UploadRefused as refused:
            return _not_taken(operation, refused)

    async def _in_thread(self, operation: Operation, call: Call, body: UploadedBody, query: bytes) -> Answer | File:
        outward = operation.is_outward
        if outward not in self._limiters:
            self._limiters[outward] = CapacityLimiter(ELSEWHERE if outward else CONCURRENT)
        return await to_thread.run_sync(self._run, operation, call, body, query, limiter=self._limiters[outward])

    def _match(self, method: str, path: str) -> tuple[Operation, dict[str, str]] | Answer:
        allowed: list[str] = []
        for operation, pattern in self._routes:
            found = pattern.match(path)
            if found is None:
                continue
            if operation.method == method:
                return operation, found.groupdict()
            allowed.append(operation.method)
        if allowed:
            names = ", ".join(sorted(set(allowed)))
            code, text = "METHOD_NOT_ALLOWED", f"Use {names} at this address."
            if method in _OVERWRITING:
                code = "FIELD_COMPUTED"
                text = f"Nothing here is written field by field: states follow from what is decided. {text}"
            answer = problem(405, code, text)
            return Answer(status=405, body=answer.body, headers=((b"allow", names.encode()),))
        return problem(404, "NOT_FOUND", "There is nothing at this address.", hint=f"See {DOCUMENT}.")

    async def _asker(self, scope: Scope, operation: Operation) -> Asker | Answer:
        tokens = [value for name, value in scope["headers"] if name == b"authorization"]
        scheme, _, token = tokens[0].decode("latin-1").partition(" ") if len(tokens) == 1 else ("", "", "")
        if scheme.lower() != "bearer" or not token.strip():
            text = "Send Authorization: Bearer with a token or a key of this service."
            return problem(401, "MISSING_CREDENTIALS", text)
        asker = await self._authenticator.authenticate(Bearer(token=token.strip()), at=self._clock.now())
        if isinstance(asker, ServingRefusal):
            return of_serving(asker)
        return self._limited(asker, scope, operation) or asker

    def _limited(self, asker: Asker, scope: Scope, operation: Operation) -> Answer | None:
        """Return why the key may not be used for this, or None."""
        key = asker.key
        if key is None:
            return None
        if key.ips:
            workspace = self._services.instance.workspace
            forwarded = [value.decode("latin-1") for name, value in scope["headers"] if name == b"x-forwarded-for"]
            peer = scope["client"][0] if scope.get("client") else ""
            client = client_address(peer, forwarded, workspace.gateway.trusted_proxies)
            is_local = workspace.identity.mode is IdentityMode.LOCAL
            rule = client if isinstance(client, ServingRefusal) else may_enter(client, key.ips, local_mode=is_local)
            if isinstance(rule, ServingRefusal):
                return of_serving(rule)
        # A person's own key proves the person; what they may do is their roles' matter. It must at least read.
        needed = operation.scope if asker.principal.kind is PrincipalKind.SERVICE else "read"
        if key.scopes and needed not in key.scopes:
            return problem(403, "SCOPE_MISSING", f"This key may not do that: it lacks the scope {needed}.")
        return None

    def _run(self, operation: Operation, call: Call, body: UploadedBody, query: bytes) -> Answer | File:
        try:
            call = replace(call, data=body.read())
            fields = _fields(operation, call.data, query)
            result = operation.run(replace(call, fields=fields))
        except (msgspec.DecodeError, UnicodeDecodeError, ValueError) as error:
            computed = _COMPUTED.search(str(error))
            if computed is not None:
                text = f"{computed[1]} is computed and never written; leave it out, and give what it is computed from."
                return problem(422, "FIELD_COMPUTED", text)
            status = 422 if isinstance(error, msgspec.ValidationError) else 400
            return problem(status, "FIELDS_INVALID", str(error))
        except PilotageError as error:
            return of_error(error)
        except DataError:
            # PostgreSQL holds no such value, a NUL say: nothing is called that, and nothing can be kept under it.
            logger.exception("A value of %s cannot be looked up or kept.", operation.command)
            text = "A value of this request can be neither looked up nor kept. Write it differently."
            return problem(422, "VALUE_UNREADABLE", text)
        except SQLAlchemyError:
            logger.exception("The API could not carry out %s.", operation.command)
            return problem(503, "STORE_UNAVAILABLE", "The database does not answer in time. Try again.")
        except Exception:
            # The edge of the process: the caller gets a reference, the log gets the trace.
            reference = new_ulid(self._clock.now())
            logger.exception("The API failed at %s, reference %s.", operation.command, reference)
            return problem(500, "INTERNAL", f"Something went wrong here. Give support the reference {reference}.")
        if isinstance(result, File):
            return result
        return of_refusal(result) if isinstance(result, Refusal) else Answer(status=200, body=result)

    async def _send_file(self, send: Send, file: File) -> None:
        name = f"attachment; filename*=UTF-8''{quote(file.name, safe='')}".encode()
        kept = [(key, value) for key, value in _HEADERS if key != b"content-type"]
        shown = ((b"content-type", b"application/octet-stream"), (b"content-disposition", name))
        headers = [*kept, *shown, (b"content-length", str(file.size).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        pieces = file.pieces()
        while (piece := await to_thread.run_sync(next, pieces, b"", limiter=self._limiters[False])) != b"":
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def login_of(asker: Asker) -> Login | None:
    """Return how a token's holder signed in; a time the provider does not tell is never recent."""
    if asker.principal.via != OIDC:
        return None
    return Login(method=OIDC, at=asker.signed_in_at or NEVER, second_factor=asker.second_factor)


def _fields(operation: Operation, data: bytes, query: bytes) -> Any:  # noqa: ANN401 - an instance of `takes`
    if operation.takes is None:
        return None
    if operation.method == "GET" or operation.uploads:
        pairs = parse_qsl(query.decode("ascii"), keep_blank_values=True, max_num_fields=50)
        return msgspec.convert(dict(pairs), operation.takes, strict=False)
    return msgspec.json.decode(data or b"{}", type=operation.takes)


def _not_taken(operation: Operation, refused: UploadRefused) -> Answer:
    """Return why a body was not read to its end; whoever may try again is told when."""
    code, text = refused.why.value, refused.text
    if refused.why is Why.TOO_LARGE:
        code = "EV_TOO_LARGE" if operation.command == "evidence add" else code
        text = f"The body is larger than this operation reads. {text}"
    answer = problem(refused.status, code, text)
    is_later = refused.status in {429, 503}
    return replace(answer, headers=((b"retry-after", RETRY_AFTER_S),)) if is_later else answer


async def _send(send: Send, status: int, body: bytes, headers: Sequence[tuple[bytes, bytes]] = ()) -> None:
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [*_HEADERS, *headers, length]})
    await send({"type": "http.response.body", "body": body, "more_body": False})


def _told(value: object) -> str:
    return to_text(value) if isinstance(value, datetime) else str(value)
