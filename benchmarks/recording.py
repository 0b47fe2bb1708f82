"""Statements with their parameters, read from what a client sends in PostgreSQL's protocol (`CountingProxy`'s tap)."""

import struct
import uuid
from dataclasses import dataclass, field

PROTOCOL_3 = 3
INTEGERS = {21, 23, 20}  # type ids of int2, int4, int8
UUID = 2950
Value = str | None


@dataclass(frozen=True)
class Statement:
    """One executed statement, and the round trip of its connection that it travelled in."""

    connection: int
    text: str
    values: tuple[Value, ...]
    round_trip: int


@dataclass
class _Dialogue:
    """What one connection has said so far."""

    buffer: bytes = b""
    is_started: bool = False
    prepared: dict[bytes, tuple[str, tuple[int, ...]]] = field(default_factory=dict)


class Recorder:
    """Collects in `statements` what all connections execute, in the order of arrival."""

    def __init__(self) -> None:
        self.statements: list[Statement] = []
        self._dialogues: dict[int, _Dialogue] = {}

    def __call__(self, connection: int, round_trip: int, chunk: bytes) -> None:
        dialogue = self._dialogues.setdefault(connection, _Dialogue())
        dialogue.buffer += chunk
        while message := _next_message(dialogue):
            kind, body = message
            if kind == b"P":
                _remember(dialogue, body)
            elif kind == b"B":
                self.statements.append(_bound(dialogue, body, connection, round_trip))
            elif kind == b"Q":
                self.statements.append(Statement(connection, body.rstrip(b"\0").decode(), (), round_trip))

    def transactions(self) -> list[list[Statement]]:
        """The statements from each BEGIN to its COMMIT; what was rolled back or ran outside is left out."""
        found: list[list[Statement]] = []
        open_ones: dict[int, list[Statement]] = {}
        for statement in self.statements:
            word = statement.text.strip().upper()
            if word.startswith("BEGIN"):
                open_ones[statement.connection] = []
            if statement.connection not in open_ones:
                continue
            open_ones[statement.connection].append(statement)
            if word in {"COMMIT", "ROLLBACK"}:
                ended = open_ones.pop(statement.connection)
                found += [ended] if word == "COMMIT" else []
        return found


def _next_message(dialogue: _Dialogue) -> tuple[bytes, bytes] | None:
    """The next whole message; those before the protocol begins have no kind."""
    skip = 1 if dialogue.is_started else 0
    if len(dialogue.buffer) < skip + 4:
        return None
    (length,) = struct.unpack_from("!i", dialogue.buffer, skip)
    if len(dialogue.buffer) < skip + length:
        return None
    kind, body = dialogue.buffer[:skip], dialogue.buffer[skip + 4 : skip + length]
    dialogue.buffer = dialogue.buffer[skip + length :]
    if not dialogue.is_started:
        dialogue.is_started = struct.unpack_from("!h", body)[0] == PROTOCOL_3
    return kind, body


def _remember(dialogue: _Dialogue, body: bytes) -> None:
    name, text, rest = body.split(b"\0", 2)
    (count,) = struct.unpack_from("!h", rest)
    dialogue.prepared[name] = text.decode(), struct.unpack_from(f"!{count}i", rest, 2)


def _bound(dialogue: _Dialogue, body: bytes, connection: int, round_trip: int) -> Statement:
    _, name, rest = body.split(b"\0", 2)
    text, types = dialogue.prepared[name]
    (format_count,) = struct.unpack_from("!h", rest)
    formats = struct.unpack_from(f"!{format_count}h", rest, 2)
    offset = 2 + 2 * format_count
    (count,) = struct.unpack_from("!h", rest, offset)
    offset += 2
    values: list[Value] = []
    for index in range(count):
        (length,) = struct.unpack_from("!i", rest, offset)
        offset += 4
        raw = None if length < 0 else rest[offset : offset + length]
        offset += max(length, 0)
        is_binary = bool(formats and formats[index if len(formats) > 1 else 0])
        values.append(_text(raw, is_binary=is_binary, type_id=types[index] if index < len(types) else 0))
    return Statement(connection, text, tuple(values), round_trip)


def _text(raw: bytes | None, *, is_binary: bool, type_id: int) -> Value:
    """A parameter in PostgreSQL's text form."""
    if raw is None:
        return None
    if not is_binary:
        return raw.decode()
    if type_id in INTEGERS:
        return str(int.from_bytes(raw, "big", signed=True))
    if type_id == UUID:
        return str(uuid.UUID(bytes=raw))
    raise ValueError(f"a binary parameter of type {type_id} can't be replayed")
