"""Whether the process lives, and whether it can serve."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.api.answers import json_answer
from app.api.schemas.health import HealthOut
from app.errors import Unavailable
from app.store.engine import transaction
from app.store.sites import can_write

router = APIRouter(tags=["health"])


@router.get("/healthz", summary="存活检查 · The process answers", response_model=HealthOut)
async def alive() -> Response:
    """200 as long as the process answers, whatever the database does. 进程存活。"""
    return json_answer({"status": "ok"})


@router.get("/readyz", summary="就绪检查 · The service can serve", response_model=HealthOut)
async def ready(request: Request) -> Response:
    """200 if the database can be reached and written to, else 503. 数据库可读写。"""
    async with transaction(request.app.state.engine) as connection:
        if not await can_write(connection):
            raise Unavailable
    return json_answer({"status": "ok"})
