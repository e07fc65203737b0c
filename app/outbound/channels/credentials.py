"""What all credentials of channels have in common: they are read strictly, and never shown."""

from collections.abc import Mapping


class CredentialsInvalid(ValueError):
    """`field` cannot be used; the texts say why, without repeating it."""

    def __init__(self, field: str, *, en: str, zh: str) -> None:
        super().__init__(field)
        self.field = field
        self.en = en
        self.zh = zh


def text_field(document: Mapping[str, object], field: str) -> str:
    """A text that is there; CredentialsInvalid otherwise."""
    value = document.get(field)
    if not isinstance(value, str) or not value.strip():
        raise CredentialsInvalid(field, en="This is missing.", zh="缺少该项。")
    return value.strip()
