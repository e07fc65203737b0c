"""Files of evidence: as announced with a piece of evidence, and as they are then."""

from datetime import datetime
from typing import Annotated, Final
from uuid import UUID

from pydantic import AfterValidator, Field, StrictInt, StrictStr

from app.api.schemas.base import BodyIn, BodyOut
from app.api.text import Sha256
from app.files.media_types import MediaType
from app.files.names import LONGEST_NAME, neutral_name
from app.models.closed_sets import FileState
from app.store.case_rows import FileRow

LARGEST_ANNOUNCED: Final = 100 * 1024 * 1024
_LONGEST_GIVEN_NAME: Final = 5_000


class FileIn(BodyIn):
    """文件: announced with a piece of evidence; its bytes go to the address that the answer names, within 24 hours."""

    name: Annotated[StrictStr, AfterValidator(neutral_name)] = Field(
        max_length=_LONGEST_GIVEN_NAME,
        description=f"文件名 · Kept without path, control characters and what exceeds {LONGEST_NAME} characters. "
        "请勿包含卡密。",
        examples=["聊天记录.png"],
    )
    media_type: MediaType = Field(description="文件类型 · The bytes must be of it.")
    size: StrictInt = Field(
        ge=1, le=LARGEST_ANNOUNCED, description="字节数 · Of exactly so many bytes.", examples=[183_204]
    )
    sha256: Sha256 | None = Field(default=None, description="文件哈希 · If given, the bytes must have it.")

    def row(self, file_id: UUID, expires_at: datetime) -> FileRow:
        """The file as it is awaited."""
        return FileRow(file_id, FileState.AWAITED, self.name, self.media_type.value, self.size, self.sha256, expires_at)


class UploadOut(BodyOut):
    """上传地址: where the bytes of an announced file go."""

    method: str = Field(description="方法 · PUT.", examples=["PUT"])
    url: str = Field(
        description="相对地址 · Relative to this service.", examples=["/v1/uploads/file_01jcb0v8e4f5k9q6w1x2y3z4a5"]
    )
    until: datetime = Field(description="截止时间 · Afterwards the file has to be announced again.")


class FileOut(BodyOut):
    """文件."""

    id: str = Field(description="文件编号.", examples=["file_01jcb0v8e4f5k9q6w1x2y3z4a5"])
    state: FileState = Field(description="状态 · `awaited`: does not count as evidence yet; `stored`: it is there.")
    name: str = Field(description="文件名 · Neutralised.")
    media_type: MediaType = Field(description="文件类型 · As announced; as found in the bytes once stored.")
    size: int = Field(description="字节数 · In bytes.")
    sha256: str | None = Field(description="文件哈希 · Taken by the service once the file is stored.")
    upload: UploadOut | None = Field(description="上传地址 · While the file is awaited.")


class StoredFileOut(BodyOut):
    """已存储的文件: a file that has become part of its case."""

    case_id: str = Field(description="案件编号.", examples=["case_01jcb0v8e4f5k9q6w1x2y3z4a5"])
    n: int = Field(description="证据序号 · Its piece of evidence in the case.")
    reused: bool = Field(description="重复使用 · The same bytes were put forward in the case of another order.")
    file: FileOut
