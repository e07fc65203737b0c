"""Why a webhook address is not called: a stable code, and a sentence in each language without the address itself."""

from enum import StrEnum
from typing import Final


class RefusalCode(StrEnum):
    """What is wrong with an address."""

    MALFORMED = "address_malformed"
    TOO_LONG = "address_too_long"
    SCHEME = "address_scheme"
    USERINFO = "address_userinfo"
    FRAGMENT = "address_fragment"
    PORT = "address_port"
    HOST = "address_host"
    INTERNAL_NAME = "address_internal_name"
    NOT_PUBLIC = "address_not_public"
    TOO_MANY = "address_too_many"
    OWN = "address_own"


TEXTS: Final[dict[RefusalCode, tuple[str, str]]] = {
    RefusalCode.MALFORMED: (
        "The address is not a plain URL: visible ASCII without spaces or backslashes, like https://example.com/hooks.",
        "地址不是规范的 URL：只能用可见 ASCII 字符，不含空格和反斜杠，例如 https://example.com/hooks。",
    ),
    RefusalCode.TOO_LONG: ("The address is longer than 2048 characters.", "地址超过 2048 个字符。"),
    RefusalCode.SCHEME: ("The address must begin with https://.", "地址必须以 https:// 开头。"),
    RefusalCode.USERINFO: (
        "The address must not contain a user name, a password or an @ before the path.",
        "地址的路径之前不能含用户名、密码或 @。",
    ),
    RefusalCode.FRAGMENT: ("The address must not contain a fragment (#…).", "地址不能含片段（#…）。"),
    RefusalCode.PORT: (
        "This port is not called. Use 443, or a port from 1024 to 65535 that no other protocol owns.",
        "不允许该端口。请使用 443，或 1024 至 65535 之间未被其他协议占用的端口。",
    ),
    RefusalCode.HOST: (
        "The host is not a full domain name or a plainly written IP address. Names outside ASCII are written as xn--….",
        "主机不是完整域名，也不是规范书写的 IP 地址。中文域名请写成 xn--… 形式。",
    ),
    RefusalCode.INTERNAL_NAME: (
        "The host is a name of private networks, not of the public Internet.",
        "主机是内部网络的名称，不是公网域名。",
    ),
    RefusalCode.NOT_PUBLIC: (
        "The host is, or resolves to, an address outside the public Internet.",
        "主机是非公网地址，或解析到了非公网地址。",
    ),
    RefusalCode.TOO_MANY: ("The host resolves to more than 16 addresses.", "主机解析出的地址超过 16 个。"),
    RefusalCode.OWN: ("The address is this service's own.", "该地址是本服务自己的地址。"),
}


class AddressRefused(Exception):
    """`code` is stable; `en` and `zh` say what to change."""

    def __init__(self, code: RefusalCode) -> None:
        super().__init__(code.value)
        self.code = code
        self.en, self.zh = TEXTS[code]
