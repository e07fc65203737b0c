"""Forms of reports that nobody may send, or that say what cannot be; each is made for one refund at a time."""

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final, TypeAlias

from app.ids import mint_key
from tests.api.conftest import Access
from tests.api.reporting import STOPPED, Refund, as_bytes, result, signed

Headers: TypeAlias = dict[str, str]
CANARY: Final = "c4nary7"  # stands in what is sent, and must not come back
UNKNOWN: Final = "rfd_" + "0" * 26
FEN: Final = 20_000


@dataclass(frozen=True, slots=True)
class Sent:
    """One request: where to, under which headers, with which bytes; a header may come twice."""

    path: str
    headers: tuple[tuple[str, str], ...]
    content: bytes


@dataclass(frozen=True, slots=True)
class Scene:
    """Two sites, one of which wants its reports signed, each with a refund in one state; and who else there is.

    `paid`: another refund of the first site, which has its money. `captured`: a report that was signed for another
    refund of the second site. `retired`: a secret that counted until an hour ago.
    """

    now: datetime
    open: Access
    signing: Access
    stranger: Access
    live: Access
    unscoped: Access
    revoked: str
    secret: str
    retired: str
    refund: Refund
    sealed: Refund
    paid: Refund
    captured: Sent


Form: TypeAlias = Callable[[Scene], Sent]


def sent(access: Access, refund: Refund, content: bytes, extra: Mapping[str, str]) -> Sent:
    """With the key of the site, under an idempotency key of its own."""
    own = {**access.auth, "Content-Type": "application/json", "Idempotency-Key": secrets.token_hex(8)}
    headers = {name: value for name, value in {**own, **extra}.items() if value}
    return Sent(f"/v1/refunds/{refund['id']}/result", tuple(headers.items()), content)


def an_honest_report(scene: Scene) -> Sent:
    """What the adapter of the first site would say."""
    return sent(scene.open, scene.refund, as_bytes(result(scene.refund, "succeeded")), {})


def a_signed_report(scene: Scene) -> Sent:
    """The same of the second site."""
    content = as_bytes(result(scene.sealed, "succeeded"))
    return sent(scene.signing, scene.sealed, content, signed(scene.secret, content, scene.now))


def says(state: str = "succeeded", **changes: Any) -> Form:
    """All in order but for what the body says; None leaves a field out."""
    return lambda scene: sent(scene.open, scene.refund, as_bytes(result(scene.refund, state, **changes)), {})


def at(moment: Callable[[Scene], datetime]) -> Form:
    """Of another moment."""
    return lambda scene: says(at=moment(scene).isoformat())(scene)


def written(spoilt: Callable[[bytes], bytes], **headers: str) -> Form:
    """Other bytes; a header of `""` is left out."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}

    def form(scene: Scene) -> Sent:
        honest = as_bytes(result(scene.refund, "succeeded"))
        return sent(scene.open, scene.refund, spoilt(honest), named)

    return form


def by(key: Callable[[Scene], str]) -> Form:
    """Under another key of the API, or none."""
    return lambda scene: sent(
        scene.open,
        scene.refund,
        as_bytes(result(scene.refund, "succeeded")),
        {"Authorization": f"Bearer {key(scene)}" if key(scene) else ""},
    )


def about(refund_id: Callable[[Scene], str]) -> Form:
    """Of something else."""

    def form(scene: Scene) -> Sent:
        return replace(an_honest_report(scene), path=f"/v1/refunds/{refund_id(scene)}/result")

    return form


def under(spoilt: Callable[[Scene, Headers], Headers]) -> Form:
    """Signed as it should be, then with other headers."""

    def form(scene: Scene) -> Sent:
        content = as_bytes(result(scene.sealed, "succeeded"))
        return sent(scene.signing, scene.sealed, content, spoilt(scene, signed(scene.secret, content, scene.now)))

    return form


def signed_otherwise(secret: Callable[[Scene], str], late: timedelta = timedelta()) -> Form:
    """Signed with another secret, or at another time."""

    def form(scene: Scene) -> Sent:
        content = as_bytes(result(scene.sealed, "succeeded"))
        return sent(scene.signing, scene.sealed, content, signed(secret(scene), content, scene.now - late))

    return form


def _again(scene: Scene) -> Sent:
    """What was signed for another refund, sent to this one under a key of one's own."""
    headers = (*scene.captured.headers, ("Idempotency-Key", secrets.token_hex(8)))
    return replace(scene.captured, path=f"/v1/refunds/{scene.sealed['id']}/result", headers=headers)


def _twice(name: str) -> Form:
    def form(scene: Scene) -> Sent:
        honest = a_signed_report(scene) if name.startswith("webhook") else an_honest_report(scene)
        [value] = [value for each, value in honest.headers if each == name]
        return replace(honest, headers=(*honest.headers, (name, value)))

    return form


def _in_the_query(scene: Scene) -> Sent:
    honest = an_honest_report(scene)
    kept = tuple(each for each in honest.headers if each[0] != "Authorization")
    return Sent(f"{honest.path}?access_token={scene.open.key}", kept, honest.content)


def _cut_elsewhere(scene: Scene) -> Sent:
    """`id.timestamp.body` cut in another place: `a.1` at 2 is what `a` at `1.2` would be."""
    content, key = as_bytes(result(scene.sealed, "succeeded")), _key_of(scene.secret)
    return sent(scene.signing, scene.sealed, content, _by_hand(key, "msg.1", scene.now, content))


def _by_hand(key: bytes, name: str, moment: datetime, content: bytes) -> Headers:
    seconds = str(int(moment.timestamp()))
    digest = hmac.new(key, f"{name}.{seconds}.".encode() + content, hashlib.sha256).digest()
    signature = f"v1,{base64.b64encode(digest).decode()}"
    return {"webhook-id": name, "webhook-timestamp": seconds, "webhook-signature": signature}


def _key_of(secret: str) -> bytes:
    return base64.b64decode(secret.removeprefix("whsec_"))


def _signed_with_the_text(scene: Scene) -> Sent:
    content = as_bytes(result(scene.sealed, "succeeded"))
    return sent(scene.signing, scene.sealed, content, _by_hand(scene.secret.encode(), "msg_1", scene.now, content))


def _changed(name: str, change: Callable[[str], str]) -> Form:
    return under(lambda _, headers: {**headers, name: change(headers[name])})


def _signed_then(spoilt: Callable[[bytes], bytes]) -> Form:
    def form(scene: Scene) -> Sent:
        honest = a_signed_report(scene)
        return replace(honest, content=spoilt(honest.content))

    return form


def _with(content: bytes) -> Callable[[bytes], bytes]:
    return lambda _: content


def _member(text: str) -> Callable[[bytes], bytes]:
    return lambda honest: honest[:-1] + b", " + text.encode() + b"}"


A_MINUTE: Final = timedelta(minutes=1)
A_STRANGERS_SECRET: Final = "whsec_" + base64.b64encode(bytes(range(32))).decode()
WHO: Final[dict[str, Form]] = {
    "no key": by(lambda _: ""),
    "no key that there is": by(lambda _: mint_key("test")),
    "no key at all": by(lambda _: CANARY),
    "a revoked key": by(lambda scene: scene.revoked),
    "another site's key": by(lambda scene: scene.stranger.key),
    "a live key": by(lambda scene: scene.live.key),
    "a key for everything but reports": by(lambda scene: scene.unscoped.key),
    "two keys": _twice("Authorization"),
    "a key in the address": _in_the_query,
    "no idempotency key": written(lambda honest: honest, Idempotency_Key=""),
    "an idempotency key that is none": written(lambda honest: honest, Idempotency_Key=f"{CANARY} " * 40),
    "two idempotency keys": _twice("Idempotency-Key"),
    "a refund that there is not": about(lambda _: UNKNOWN),
    "a refund of another site": about(lambda scene: scene.sealed["id"]),
    "a case in place of the refund": about(lambda scene: scene.refund["case_id"]),
    "its number in place of its id": about(lambda scene: scene.refund["refund_no"]),
    "its id in capitals": about(lambda scene: scene.refund["id"].upper()),
    "an id with a null": about(lambda scene: f"{scene.refund['id']}%00"),
    "an id with a comment": about(lambda scene: f"{scene.refund['id']}'%20--"),
}  # fmt: skip
WHAT: Final[dict[str, Form]] = {
    "one fen less": says(amount=FEN - 1),
    "one fen more": says(amount=FEN + 1),
    "a hundred times as much": says(amount=FEN * 100),
    "another currency": says(currency="USD"),
    "another payment": says(payment_no=f"P-{CANARY}"),
    "another channel": says(channel="wechat_pay"),
    "a number that is another refund's": lambda scene: says(channel_refund_no=scene.paid["channel_refund_no"])(scene),
    "our own word": says(state="requested"),
    "a state that is none": says(CANARY),
    "a state in capitals": says("SUCCEEDED"),
    "success without a number": says(channel_refund_no=None),
    "success with a failure": says(failure={"code": "other"}),
    "a failure without its reason": says("failed", failure=None),
    "closed for no reason": says("closed", failure={"code": CANARY}),
    "an amount as text": says(amount=str(FEN)),
    "an amount in yuan": says(amount=200.0),
    "true for one": says(amount=True),
    "less than nothing": says(amount=-FEN),
    "more than there is": says(amount=10**12 + 1),
    "far more than there is": says(amount=10**400),
    "currency in small letters": says(currency="cny"),
    "a number with a line break": says(channel_refund_no=f"{CANARY}\r\nX: y"),
    "a number of 65": says(channel_refund_no="5" * 65),
    "an unknown field": says(amout=CANARY),
    "the service's own fields": says(settled_at="2026-03-10T12:00:00+08:00", reserved_amount=0),
    "who says so": says(source="channel"),
    "of the year 2099": at(lambda scene: scene.now.replace(year=2099)),
    "in six minutes": at(lambda scene: scene.now + 6 * A_MINUTE),
    "of before the payment": at(lambda scene: scene.now - timedelta(days=400)),
    "of no place on earth": says(at="2026-03-10T12:00:00"),
    "of no calendar": says(at="2026-02-30T12:00:00+08:00"),
    "of a number": says(at=1_770_000_000),
}  # fmt: skip
BYTES: Final[dict[str, Form]] = {
    "one key twice": written(_member(f'"amount": {FEN}')),
    "not a number": written(_member('"amout": NaN')),
    "beyond all numbers": written(lambda honest: honest.replace(str(FEN).encode(), b"1e999")),
    "too deep": written(_with(b"[" * 100_000)),
    "no UTF-8": written(lambda honest: honest.replace(b"CNY", b"C\xffY")),
    "UTF-16": written(lambda honest: honest.decode().encode("utf-16")),
    "a mark of byte order": written(lambda honest: b"\xef\xbb\xbf" + honest),
    "a null": written(lambda honest: honest.replace(b"CNY", b"C\\u0000Y")),
    "half a surrogate": written(_member(f'"amout": "{CANARY}\\ud800"')),
    "nothing": written(_with(b"")),
    "null": written(_with(b"null")),
    "a list": written(lambda honest: b"[" + honest + b"]"),
    "two of them": written(lambda honest: honest + honest),
    "a form": written(_with(b"state=succeeded&amount=20000"), Content_Type="application/x-www-form-urlencoded"),
    "a text": written(lambda honest: honest, Content_Type="text/plain"),
    "of no type": written(lambda honest: honest, Content_Type=""),
    "a mebibyte and a byte": written(lambda honest: honest + b" " * (1_048_577 - len(honest))),
}  # fmt: skip
SIGNATURES: Final[dict[str, Form]] = {
    "not signed": under(lambda *_: {}),
    "signed without an id": under(lambda _, headers: {**headers, "webhook-id": ""}),
    "signed at no time": under(lambda _, headers: {**headers, "webhook-timestamp": ""}),
    "without the signature": under(lambda _, headers: {**headers, "webhook-signature": ""}),
    "by a stranger": signed_otherwise(lambda _: A_STRANGERS_SECRET),
    "by a secret that was rotated out": signed_otherwise(lambda scene: scene.retired),
    "six minutes ago": signed_otherwise(lambda scene: scene.secret, 6 * A_MINUTE),
    "in six minutes from now": signed_otherwise(lambda scene: scene.secret, -6 * A_MINUTE),
    "a year ago": signed_otherwise(lambda scene: scene.secret, timedelta(days=365)),
    "with the text of the secret": _signed_with_the_text,
    "under another id": _changed("webhook-id", lambda value: f"{value}x"),
    "a second later": _changed("webhook-timestamp", lambda value: str(int(value) + 1)),
    "at a time of words": _changed("webhook-timestamp", lambda _: "now"),
    "at an endless time": _changed("webhook-timestamp", lambda _: "9" * 5_000),
    "under an id that can be cut": _cut_elsewhere,
    "another version's": _changed("webhook-signature", lambda value: f"v1a,{value[3:]}"),
    "cut short": _changed("webhook-signature", lambda value: value[:-4]),
    "a probe of a channel's": _changed("webhook-signature", lambda _: "WECHATPAY/SIGNTEST/x"),
    "behind ten others": _changed("webhook-signature", lambda value: "v1,AAAA " * 10 + value),
    "two signatures": _twice("webhook-signature"),
    "two ids": _twice("webhook-id"),
    "over other white space": _signed_then(lambda content: content + b" "),
    "over another amount": _signed_then(lambda content: content.replace(b"succeeded", b"processing")),
    "over another order of fields": _signed_then(lambda content: as_bytes(dict(sorted(json.loads(content).items())))),
    "for another refund": _again,
}  # fmt: skip
FORMS: Final[dict[str, Form]] = {**WHO, **WHAT, **BYTES, **SIGNATURES}
# What contradicts a refund in the one state or the other. A step back is late, which is answered as a success may be.
AGAINST: Final[dict[str, dict[str, Form]]] = {
    "requested": {},
    "processing": {
        "another number than before": says(channel_refund_no="50-another"),
        "closed under another number": says("closed", channel_refund_no="50-another"),
        "a step back": says("accepted"),
    },
    "succeeded": {
        "another number than before": says(channel_refund_no="50-another"),
        **{f"{state} after the success": says(state) for state in ("accepted", "processing", *STOPPED)},
    },
    "closed": {f"{state} after the end": says(state) for state in ("accepted", "processing", "failed", "succeeded")},
}
STATES: Final = tuple(AGAINST)
HARMLESS: Final = frozenset({"a step back"})
