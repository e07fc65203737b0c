"""What `PUT` and `GET` of the four kinds of records share."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends
from starlette.responses import Response

from app.api.answers import entity_tag, json_answer
from app.api.dependencies import RecordsCaller, Transaction
from app.api.schemas.records import RecordOut
from app.errors import Fault, Invalid
from app.services.records import get_record, put_record
from app.store.engine import Connection
from app.store.record_rows import Change, Row, Stored
from app.store.sites import Caller

ETAG = {"ETag": {"description": "版本标签 · The version, for `If-Match`.", "schema": {"type": "string"}}}
GET_ANSWERS: dict[int | str, dict[str, Any]] = {200: {"description": "记录 · The record", "headers": ETAG}}


def put_answers(shown: type[RecordOut]) -> dict[int | str, dict[str, Any]]:
    """What a `PUT` of one kind answers with."""
    return {
        200: {"description": "已更新，或内容未变 · Updated, or unchanged", "headers": ETAG},
        201: {"description": "已创建 · Created", "headers": ETAG, "model": shown},
        409: {"description": "与已承诺的退款冲突 · At odds with a refund that is promised"},
    }


def refuse_another_number(field: str, told: str | None, path: str) -> None:
    """The number in a body, where there is one, is the path's."""
    if told is not None and told != path:
        en, zh = f"{field} is not the one in the path.", f"{field} 与路径中的编号不一致。"
        raise Invalid(Fault(f"/{field}", "another_number", en, zh))


@dataclass(frozen=True, slots=True)
class Records:
    """The records of the calling site, answered with their versions."""

    connection: Connection
    caller: Caller

    async def put(
        self,
        row: type[Row],
        record: Row,
        number: str,
        show: Callable[[Stored[Row]], dict[str, Any]],
        expected: int | None,
    ) -> Response:
        """Store what differs; the answer is the record as it stands then. 201 if it is new."""
        site_id = self.caller.site.site_id
        put = await put_record(self.connection, site_id, record, self.caller.now, expected=expected)
        return await self.get(row, number, show, status=201 if put.change is Change.CREATED else 200)

    async def get(
        self, row: type[Row], number: str, show: Callable[[Stored[Row]], dict[str, Any]], *, status: int = 200
    ) -> Response:
        """One record with its version as `ETag`."""
        stored = await get_record(self.connection, self.caller.site.site_id, row, number)
        return json_answer(show(stored), status, {"ETag": entity_tag(stored.version)})


async def _records(connection: Transaction, caller: RecordsCaller) -> Records:
    return Records(connection, caller)


OfSite = Annotated[Records, Depends(_records)]
