"""Frames in and out: JSON text, parsed with limits, encoded once.

Frame(payload)              bytes as published, put into a frame once for all sockets; `.head` holds what orders it
reply(type, **fields)       a frame made here
error_frame(error)          what a refusal looks like
parse(message)              a client's frame as a dict; raises Malformed or TooLarge
"""

import struct
from functools import cached_property
from typing import Any

import msgspec

from astrade.core.api.parsers import depth_of
from astrade.core.api.renderers import encode
from astrade.core.errors import AstradeError, Malformed, TooLarge

MAX_FRAME_BYTES = 64 * 1024
MAX_FRAME_DEPTH = 8
MAX_ID_LENGTH = 128
FINAL_TEXT = 0x81


class Head(msgspec.Struct, frozen=True):
    """What the server itself reads of a frame it forwards."""

    type: str = ""
    sequence: int = 0
    first_sequence: int | None = None  # of a delta; a whole book has none


_head_decoder = msgspec.json.Decoder(Head)
_decoder = msgspec.json.Decoder()


class Frame:
    """One outgoing message; the same object is handed to every socket that gets it."""

    def __init__(self, payload: bytes | str) -> None:
        self.payload = payload.encode() if isinstance(payload, str) else payload
        self.size = len(self.payload)

    @cached_property
    def text(self) -> str:
        """The message as ASGI takes it."""
        return self.payload.decode()

    @cached_property
    def wire(self) -> bytes:
        """The message as a whole WebSocket text frame (RFC 6455, 5.2), for every socket the same."""
        if self.size < 126:
            head = struct.pack("!BB", FINAL_TEXT, self.size)
        elif self.size < 1 << 16:
            head = struct.pack("!BBH", FINAL_TEXT, 126, self.size)
        else:
            head = struct.pack("!BBQ", FINAL_TEXT, 127, self.size)
        return head + self.payload

    @cached_property
    def head(self) -> Head:
        """Type and sequence numbers; an empty head when the payload has none."""
        try:
            return _head_decoder.decode(self.payload)
        except msgspec.DecodeError:
            return Head()


def reply(kind: str, **fields: Any) -> Frame:
    """A frame `{"type": kind, …}`."""
    return Frame(encode({"type": kind, **fields}))


def error_frame(error: AstradeError, *, message_id: str | int | None = None) -> Frame:
    """`{"type": "error", "code", "message"}`, with `details` and the request's `id` where there are any."""
    fields: dict[str, Any] = {"code": error.code, "message": str(error)}
    if error.details:
        fields["details"] = error.details
    if message_id is not None:
        fields["id"] = message_id
    return reply("error", **fields)


def parse(message: dict[str, Any]) -> dict[str, Any]:
    """The JSON object in an ASGI `websocket.receive`; raises Malformed or TooLarge."""
    text = message.get("text")
    if text is None:
        raise Malformed("Frames are JSON text, not binary")
    if len(text) > MAX_FRAME_BYTES or len(text.encode("utf-8", "surrogatepass")) > MAX_FRAME_BYTES:
        raise TooLarge("The frame is too large", details={"limit_bytes": MAX_FRAME_BYTES})
    try:
        value = _decoder.decode(text)
    except (msgspec.DecodeError, RecursionError, ValueError) as exc:
        raise Malformed("The frame is not valid JSON") from exc
    if not isinstance(value, dict):
        raise Malformed("The frame is not a JSON object")
    if depth_of(value, at_most=MAX_FRAME_DEPTH) > MAX_FRAME_DEPTH:
        raise Malformed("The frame is nested too deeply")
    return value


def id_of(message: dict[str, Any]) -> str | int | None:
    """The client's own id of a message, to be echoed; raises Malformed when it is neither text nor integer."""
    value = message.get("id")
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, str | int) or len(str(value)) > MAX_ID_LENGTH:
        raise Malformed("id is a string or an integer")
    return value


_last_beat: tuple[int, Frame] = (0, reply("heartbeat", at=0))


def heartbeat(at_ms: int) -> Frame:
    """The heartbeat without a sequence, encoded once for all sockets."""
    global _last_beat
    if _last_beat[0] != at_ms:
        _last_beat = (at_ms, reply("heartbeat", at=at_ms))
    return _last_beat[1]
