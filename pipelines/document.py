"""What every part of `result.json` is: immutable, written the same way everywhere."""

from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, SerializerFunctionWrapHandler, model_serializer, model_validator


def writable(text: str) -> str:
    """Text that can be written as UTF-8; what cannot stands as `\\udcXX`."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


_NOTHING: tuple[object, ...] = (None, [], {}, (), "")


class Document(BaseModel):
    """Base of everything in `result.json`: immutable, unknown keys refused."""

    # JSON knows neither NaN nor infinity.
    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True, allow_inf_nan=False)

    # Keys that are left out of the document where they hold nothing.
    optional: ClassVar[frozenset[str]] = frozenset()

    @model_serializer(mode="wrap")
    def _without_what_is_not_there(self, serialise: SerializerFunctionWrapHandler) -> dict[str, Any]:
        content: dict[str, Any] = serialise(self)
        return {key: value for key, value in content.items() if key not in self.optional or value not in _NOTHING}

    @model_validator(mode="before")
    @classmethod
    def _writable(cls, values: Any) -> Any:
        """Bytes of file names that are no UTF-8 travel in `str` as lone surrogates, which no file can hold."""
        if not isinstance(values, dict):
            return values
        return {key: writable(value) if isinstance(value, str) else value for key, value in values.items()}
