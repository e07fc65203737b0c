"""A small service on the foundations alone: every type of the wire, and routes that fail on purpose."""

from collections.abc import AsyncIterator, Callable
from enum import StrEnum
from typing import Annotated, Any, Literal

import httpx
from fastapi import APIRouter, Depends, FastAPI, Header, Path, Query, Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field, field_validator

from app.api import documentation, limits, problems
from app.api.strict_route import StrictRoute, document_of
from app.api.text import Amount, AmountOrZero, Duration, Flag, FreeText, Identifier, Instant, Sha256, refuse
from app.errors import Unauthenticated


class Via(StrEnum):
    PLATFORM = "platform"
    PRIVATE = "private"


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Alipay(Strict):
    channel: Literal["alipay"]
    trade_no: Identifier


class Balance(Strict):
    channel: Literal["balance"]
    amount: Amount


class Claim(Strict):
    order_no: Identifier = "A-1"
    amount: Amount = 1
    refunded: AmountOrZero = 0
    description: FreeText = ""
    filed_at: Instant | None = None
    window: Duration | None = None
    sha256: Sha256 | None = None
    stamped: Flag = False
    via: Via = Via.PLATFORM
    remedy: Literal["refund", "return_and_refund"] = "refund"
    tags: Annotated[list[Identifier], Field(max_length=3)] = []
    payments: Annotated[list[Annotated[Alipay | Balance, Field(discriminator="channel")]], Field(max_length=9)] = []
    either: int | Identifier | None = None
    shape: Annotated[str, Field(pattern="^[a-z]+$", min_length=2, max_length=5)] = "abc"
    careless: Any = None
    bilingual: Any = None

    @field_validator("careless")
    @classmethod
    def _quotes_the_value(cls, value: object) -> object:
        if value is not None:
            raise ValueError(f"cannot take {value!r}")
        return value

    @field_validator("bilingual")
    @classmethod
    def _in_both(cls, value: object) -> object:
        if value is not None:
            raise refuse("odd", en="Is odd {x}.", zh="不寻常 {x}。")
        return value


class Body(Strict):
    claim: Claim


def authenticate(authorization: Annotated[str | None, Header()] = None) -> None:
    if authorization == "Bearer bad":
        raise Unauthenticated


def build(calls: list[object], fail: Callable[[], object] | None = None) -> FastAPI:
    """The app. `calls` collects what each route saw, so that a test can tell that a refusal had no effect."""

    def claim_key(request: Request) -> None:
        calls.append(document_of(request))

    app = FastAPI(docs_url=None, redoc_url=None, title="Test")
    router = APIRouter(prefix="/v1", route_class=StrictRoute, dependencies=[Depends(authenticate)])

    @router.post("/claims")
    async def claim(body: Body) -> dict[str, object]:
        calls.append(body)
        return {"description": body.claim.description, "filed_at": body.claim.filed_at}

    @router.post("/notes")
    async def note(document: Annotated[object, Depends(document_of)], body: Body | None = None) -> dict[str, object]:
        calls.append(document)
        return {"body": body is not None}

    @router.post("/keyed")
    async def keyed(_: Annotated[None, Depends(claim_key)], body: Body) -> bool:
        return body is not None

    @router.get("/orders/{order_no}")
    async def order(
        order_no: Annotated[Identifier, Path()], limit: Annotated[int, Query(ge=1, le=100)] = 20
    ) -> dict[str, object]:
        calls.append(order_no)
        return {"order_no": order_no, "limit": limit}

    @router.put("/orders/{order_no}")
    async def put_order(order_no: Annotated[Identifier, Path()]) -> str:
        return order_no

    app.include_router(router)
    _add_failing_routes(app, calls, fail)
    documentation.install(app)
    problems.install(app)
    limits.install(app)
    return app


def _add_failing_routes(app: FastAPI, calls: list[object], fail: Callable[[], object] | None) -> None:
    @app.get("/v1/failing")
    async def failing() -> object:
        return fail() if fail else None

    @app.get("/v1/breaking")
    async def breaking() -> StreamingResponse:
        return StreamingResponse(_half())

    @app.post("/raw")
    async def raw(request: Request) -> int:
        return len(await request.body())

    @app.post("/swallowing")
    async def swallowing(request: Request) -> str:
        try:
            await request.body()
        except Exception:  # noqa: BLE001 - the point of this route
            calls.append("swallowed")
        return "ok"


async def _half() -> AsyncIterator[bytes]:
    yield b"half"
    raise RuntimeError("canary-in-the-middle")


def client(app: FastAPI) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service.test")


def valid() -> dict[str, Any]:
    return {"claim": {"order_no": "A-1", "amount": 20000, "filed_at": "2026-03-10T12:00:00+08:00"}}
