"""What a route asks for: the transaction, the caller, a page, an idempotency key."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Header, Request
from fastapi.routing import APIRoute
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel, WithJsonSchema
from starlette.responses import Response

from app.api.answers import JSON, json_answer
from app.api.problems import MEDIA_TYPE, respond
from app.api.strict_route import document_of
from app.config import Config
from app.errors import Fault, IdempotencyKeyMissing, Invalid, Malformed, Place, Refusal, ScopeMissing, Unauthenticated
from app.ids import has_valid_checksum, key_hash, mode_of
from app.models.closed_sets import Scope
from app.sealing import Sealer
from app.services import idempotency
from app.services.channel_accounts import Keyring
from app.store.engine import Connection, transaction
from app.store.sites import Caller, caller_of

_BEARER = re.compile(r"bearer ([!-~]{1,255})", re.IGNORECASE)
_IDEMPOTENCY_KEY = re.compile(r"[!-~]{1,255}")
_VERSION_TAG = re.compile(r'"([1-9][0-9]{0,8})"')

_scheme = HTTPBearer(
    scheme_name="ApiKey",
    description="密钥 · `Authorization: Bearer kmr_test_…` or `kmr_live_…`. Test keys see test data only.",
    auto_error=False,
)


async def _open_transaction(request: Request) -> AsyncIterator[Connection]:
    async with transaction(request.app.state.engine) as connection:
        yield connection


# With any other scope a transaction that fails to commit has been seen to answer 200.
Transaction = Annotated[Connection, Depends(_open_transaction, scope="function")]


async def _sealer(request: Request) -> Sealer:
    sealer: Sealer = request.app.state.sealer
    return sealer


Seals = Annotated[Sealer, Depends(_sealer)]


async def _keyring(request: Request) -> Keyring:
    keyring: Keyring = request.app.state.keyring
    return keyring


Keys = Annotated[Keyring, Depends(_keyring)]


async def _config(request: Request) -> Config:
    config: Config = request.app.state.config
    return config


Settings = Annotated[Config, Depends(_config)]


async def _caller(
    request: Request,
    connection: Transaction,
    config: Settings,
    _: Annotated[HTTPAuthorizationCredentials | None, Depends(_scheme)],
) -> Caller:
    """The site behind the key; Unauthenticated for all that is not exactly one valid key."""
    key = _bearer_key(request.headers.getlist("authorization"))
    if key is None or not (has_valid_checksum(key) or key == config.sandbox_key):
        raise Unauthenticated
    caller = await caller_of(connection, key_hash(key))
    if caller is None or caller.site.mode != mode_of(key):
        raise Unauthenticated
    return caller


def _bearer_key(values: list[str]) -> str | None:
    if len(values) != 1:
        return None
    found = _BEARER.fullmatch(values[0])
    return None if found is None else found[1]


AnyCaller = Annotated[Caller, Depends(_caller)]


def _with_scope(scope: Scope) -> Callable[[Caller], Awaitable[Caller]]:
    async def checked(caller: AnyCaller) -> Caller:
        if scope not in caller.scopes:
            raise ScopeMissing(scope)
        return caller

    return checked


def with_any_scope(*scopes: Scope) -> Callable[[Caller], Awaitable[Caller]]:
    """A dependency: the caller has one of them; the first is named where it has none."""

    async def checked(caller: AnyCaller) -> Caller:
        if caller.scopes.isdisjoint(scopes):
            raise ScopeMissing(scopes[0])
        return caller

    return checked


CasesCaller = Annotated[Caller, Depends(_with_scope(Scope.CASES))]
RecordsCaller = Annotated[Caller, Depends(_with_scope(Scope.RECORDS))]
WebhooksCaller = Annotated[Caller, Depends(_with_scope(Scope.WEBHOOKS))]
ReportingCaller = Annotated[Caller, Depends(_with_scope(Scope.REPORT))]
ChannelsCaller = Annotated[Caller, Depends(_with_scope(Scope.CHANNELS))]
RefundsCaller = Annotated[Caller, Depends(with_any_scope(Scope.CASES, Scope.REPORT))]


@dataclass(frozen=True, slots=True)
class Once:
    """A request under its idempotency keys, claimed in the transaction of the effect.

    `replay`: the first answer, where this is not the first request. Without a key everything runs each time.
    """

    connection: Connection
    sealer: Sealer
    caller: Caller
    keys: tuple[str, ...]
    replay: Response | None

    async def refuse(self, request: Request, refusal: Refusal) -> Response:
        """A refusal that leaves something behind: it is answered rather than raised, which would undo everything."""
        response = respond(request.scope, refusal)
        headers = {"Content-Type": MEDIA_TYPE, "Content-Language": response.headers["content-language"]}
        await self._keep(idempotency.Reply(response.status_code, headers, bytes(response.body)))
        return response

    async def answer(
        self, document: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None
    ) -> Response:
        """The answer, kept for a repetition of this request."""
        response = json_answer(document, status, headers)
        await self._keep(idempotency.Reply(status, dict(headers or {}), bytes(response.body)))
        return response

    async def _keep(self, reply: idempotency.Reply) -> None:
        for key in self.keys:
            await idempotency.keep(self.connection, self.sealer, self.caller.site.site_id, key, reply)


async def claimed_once(
    request: Request, connection: Connection, sealer: Sealer, caller: Caller, keys: tuple[str, ...]
) -> Once:
    """The request, once under each of its keys."""
    fingerprint = idempotency.fingerprint(request.method, request.url.path, document_of(request))
    replay = None
    for key in sorted(keys):  # two requests that name the same two keys wait for each other in one order
        found = await idempotency.claim(connection, sealer, caller.site.site_id, key, fingerprint, now=caller.now)
        replay = replay if found is None else _replayed(found)
    return Once(connection, sealer, caller, keys, replay)


def _replayed(found: idempotency.Reply) -> Response:
    return Response(found.body, found.status, {**found.headers, "Idempotency-Replayed": "true"}, JSON)


_KEY_SCHEMA = {
    "type": "string",
    "minLength": 1,
    "maxLength": 255,
    "pattern": "^[!-~]+$",
    "examples": ["case-A-1001-1"],
}
KeyHeader = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        description="幂等键 · 1 to 255 visible ASCII characters; keep it for retries of the same request.",
    ),
    WithJsonSchema(_KEY_SCHEMA),
]


def checked_key(request: Request) -> str | None:
    """The one key of a request; quotes around it do not matter. Malformed for anything unusable."""
    values = request.headers.getlist("idempotency-key")
    if not values:
        return None
    key = values[0].removeprefix('"').removesuffix('"') if len(values) == 1 else ""
    if not _IDEMPOTENCY_KEY.fullmatch(key):
        en = "Send one Idempotency-Key of 1 to 255 visible ASCII characters."
        zh = "请只发送一个 Idempotency-Key，由 1 至 255 个可见 ASCII 字符组成。"
        fault = Fault("Idempotency-Key", "unusable", en, zh, Place.HEADER)
        raise Malformed("idempotency_key_unusable", en=en, zh=zh, faults=(fault,))
    return key


def once(scope: Scope, *, required: bool) -> Callable[..., Awaitable[Once]]:
    """A dependency: the caller has `scope`, and the request's idempotency key is claimed."""

    async def claimed(
        request: Request,
        connection: Transaction,
        sealer: Seals,
        caller: Annotated[Caller, Depends(_with_scope(scope))],
        _: KeyHeader = None,
    ) -> Once:
        key = checked_key(request)
        if key is None and required:
            raise IdempotencyKeyMissing
        return await claimed_once(request, connection, sealer, caller, () if key is None else (key,))

    return claimed


IfMatchHeader = Annotated[
    str | None,
    Header(alias="If-Match", description="版本标签 · Only if this is still its `ETag`; else 412."),
    WithJsonSchema({"type": "string", "pattern": r'^(\*|"[1-9][0-9]{0,8}")$', "examples": ["*"]}),
]


async def expected_version(request: Request, _: IfMatchHeader = None) -> int | None:
    """The version that `If-Match` names; None without one or for `*`. Malformed for a tag of another form."""
    values = request.headers.getlist("if-match")
    if not values or values == ["*"]:
        return None
    found = _VERSION_TAG.fullmatch(values[0]) if len(values) == 1 else None
    if found is None:
        raise Malformed(
            "if_match_unusable",
            en='Send If-Match with one ETag as it was answered, such as "3".',
            zh='If-Match 应为此前返回的一个 ETag，例如 "3"。',
        )
    return int(found[1])


ExpectedVersion = Annotated[int | None, Depends(expected_version)]


async def refuse_unknown_parameters(request: Request, _: AnyCaller) -> None:
    """A query parameter that the operation does not know, or one given twice, is refused like an unknown field.

    Who calls is asked before: without a valid key a caller learns nothing but that.
    """
    known = _known_parameters(request.scope["route"])
    for name in dict.fromkeys(request.query_params.keys()):
        if name not in known:
            raise Invalid(
                Fault(name[:100], "unknown_parameter", "There is no such parameter.", "没有这个参数。", Place.PARAMETER)
            )
        if len(request.query_params.getlist(name)) > 1:
            raise Invalid(Fault(name, "given_twice", "The parameter was given twice.", "参数重复。", Place.PARAMETER))


def _known_parameters(route: APIRoute) -> set[str]:
    """Each by itself, or all the fields of a model that gathers them."""
    known: set[str] = set()
    for field in route.dependant.query_params:
        model = field.field_info.annotation
        if isinstance(model, type) and issubclass(model, BaseModel):
            known |= set(model.model_fields)
        else:
            known.add(field.alias)
    return known
