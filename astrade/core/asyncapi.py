"""The AsyncAPI document of the sockets, served at `/api/asyncapi`: what stands in API.md, "WebSocket", for machines."""

from collections.abc import Mapping, Sequence
from typing import Any

Json = dict[str, Any]

DESCRIPTION = """JSON text frames; each carries `type`. Decimals are strings, times milliseconds since the Unix epoch.

**Who.** Private sockets take `Authorization: Bearer <access token or API key>`, `X-Api-Key`, `?ticket=` (from
`POST /auth/ws-ticket`, once, 60 s) or a first frame `{"token": …}` within 10 s. Cookies are never looked at, so a
foreign page that opens a socket is nobody. Over 10 sockets a user or 20 an anonymous address: HTTP 503 with code 1202
before the upgrade. A socket holds at most 200 subscriptions.

**Account frames** carry the same `sequence` as `GET /events`: no gap, no repeat. `{"resume": n}` as first message (also
beside `token`, in a `subscribe`, or as `?resume=n`) replays all after `n`; sent later it goes back to `n` after a frame
`resumed`. The `heartbeat` carries the sequence up to which everything was sent.

**Order books** begin with `orderbook_snapshot`; an `orderbook_delta` applies to the book whose sequence is
`first_sequence - 1`. After a gap, or when the reader was too slow, a fresh snapshot comes instead. Other market streams
are cut to their latest frame for a slow reader; an account's socket is closed with 4408 and can be resumed.

**Alive.** A heartbeat every 15 s. A socket that carried nothing but heartbeats for 60 s is closed; `{"type":"ping"}`,
answered `{"type":"pong"}`, keeps it. A bad frame (not JSON, not an object, binary, over 64 KiB, nested over 8 levels)
is answered with an `error` frame and the socket stays; who talks faster than 50 frames a second is read more slowly.

**Close codes.** 1000 idle · 1012 the server restarts, connect again · 1013 too many connections · 4401 not
authenticated · 4403 frozen, revoked or without the scope · 4404 no such account or market · 4408 reads too slowly."""

TEXT: Json = {"type": "string"}
DECIMAL: Json = {"type": "string", "format": "decimal"}
NUMBER: Json = {"type": "integer", "format": "int64"}
MILLIS: Json = {"type": "integer", "format": "int64", "description": "Milliseconds since the Unix epoch"}
FLAG: Json = {"type": "boolean"}
ID: Json = {"type": ["string", "integer"], "description": "The client's own, echoed"}
UUID: Json = {"type": "string", "format": "uuid"}
ANY: Json = {"type": "object"}
NAMES: Json = {"type": "array", "items": TEXT}
LEVELS: Json = {"type": "array", "items": {"type": "array", "items": DECIMAL}, "description": "[price, quantity]"}


def nullable(schema: Mapping[str, Any]) -> Json:
    """The same or null."""
    return {**schema, "type": [schema["type"], "null"]}


def record(**fields: Json) -> Json:
    """An object."""
    return {"type": "object", "properties": fields, "required": list(fields)}


def listing(**fields: Json) -> Json:
    """An array of objects."""
    return {"type": "array", "items": {"type": "object", "properties": fields}}


def message(summary: str, fields: Mapping[str, Json], *, kind: str | None = None, optional: Sequence[str] = ()) -> Json:
    """One message; `kind` is its `type`."""
    properties = {**({"type": {"const": kind}} if kind else {}), **fields}
    required = [name for name in properties if name not in optional]
    return {
        "summary": summary,
        "contentType": "application/json",
        "payload": {"type": "object", "properties": properties, "required": required},
    }


ACCOUNT_EVENTS: Mapping[str, str] = {
    "order_update": "An order changed",
    "trade_update": "An order was filled, wholly or in part",
    "position_update": "A position changed",
    "balance_update": "Money moved",
    "withdrawal_update": "A withdrawal changed",
    "transfer_update": "A transfer out of this account, which is at a venue, changed",
    "liquidation": "A step of a liquidation: orders cancelled, or part of a position closed, with its figures",
    "funding": "A position got or paid funding for an hour",
    "dead_man_switch": "The dead-man switch was set, switched off, or fired and cancelled all orders",
    "market_data_gap": "Prices were missing for a while; orders were evaluated at the first fresh one",
}
PRICES = dict.fromkeys(("last", "mark", "index", "bid", "ask"), DECIMAL)
DAY = dict.fromkeys(("change_24h", "high_24h", "low_24h", "volume_24h", "open_interest"), nullable(DECIMAL))
FUNDING = {"funding_rate": DECIMAL, "next_funding_at": nullable(MILLIS)}
TRADE = {"trade_id": NUMBER, "side": TEXT, "price": DECIMAL, "quantity": DECIMAL, "at": MILLIS}
CANDLE = {
    "symbol": TEXT, "timeframe": TEXT, "kind": TEXT, "open_time": MILLIS,
    **dict.fromkeys(("open", "high", "low", "close", "volume"), DECIMAL), "trades": NUMBER, "closed": FLAG,
}  # fmt: skip
BOOK = {"symbol": TEXT, "sequence": NUMBER, "bids": LEVELS, "asks": LEVELS, "at": MILLIS}
PNL = record(
    **dict.fromkeys(("balance", "equity", "unrealized_pnl", "margin_ratio"), DECIMAL),
    positions=listing(
        id=UUID, symbol=TEXT, **dict.fromkeys(("mark_price", "unrealized_pnl", "pnl_percentage"), DECIMAL)
    ),
)
REFUSAL = {"code": NUMBER, "message": TEXT}
ACK = {"op": TEXT, "id": ID, "status": {"enum": ["ok", "error"]}, "streams": NAMES, **REFUSAL}
XP = {"amount": NUMBER, "source": TEXT, "total_xp": NUMBER, "level": NUMBER, "xp_to_next": NUMBER, "at": MILLIS}


def client_messages() -> dict[str, Json]:
    """What clients send."""
    args = {"op": {"enum": ["subscribe", "unsubscribe"]}, "args": NAMES, "id": ID, "resume": NUMBER}
    return {
        "token": message("Sign in", {"token": TEXT, "resume": NUMBER, "id": ID}, optional=["resume", "id"]),
        "resume": message("Send everything after this sequence", {"resume": NUMBER}),
        "ping": message("Are you there?", {"id": ID}, kind="ping", optional=["id"]),
        "ping_op": message("The same, answered by an ack", {"op": {"const": "ping"}, "id": ID}, optional=["id"]),
        "subscribe": message(
            "`orderbook:`, `trades:`, `candles:…:1m`, `funding:`, `ticker:` with a symbol; `account` or `account:<id>`",
            args,
            optional=["id", "resume"],
        ),
    }


def talk_messages() -> dict[str, Json]:
    """What any socket may say."""
    refusals = listing(arg=TEXT, **REFUSAL)
    return {
        "ack": message(
            "Answer to `op`; `errors` names the arguments that were refused, `code` and `message` are the first one's",
            {**ACK, "errors": refusals},
            kind="ack",
            optional=["id", "streams", "code", "message", "errors"],
        ),
        "pong": message("Answer to `ping`", {"id": ID}, kind="pong", optional=["id"]),
        "error": message("A refusal", {**REFUSAL, "details": ANY, "id": ID}, kind="error", optional=["details", "id"]),
        "heartbeat": message(
            "Every 15 s; with `sequence` where there is an account",
            {"at": MILLIS, "sequence": NUMBER},
            kind="heartbeat",
            optional=["sequence"],
        ),
        "authenticated": message("The token was good", {"id": ID}, kind="authenticated", optional=["id"]),
        "resync": message("Frames may be lost; read the present state over HTTP", {}, kind="resync"),
        "connected": message(
            "The socket is ready; an account's carries its present sequence",
            {"account_id": UUID, "sequence": NUMBER},
            kind="connected",
            optional=["account_id", "sequence"],
        ),
        "resumed": message("What follows begins after `sequence` again", {"sequence": NUMBER}, kind="resumed"),
    }


def market_messages() -> dict[str, Json]:
    """Public streams."""
    ticker = {"symbol": TEXT, **PRICES, **DAY, **FUNDING, "at": MILLIS, "age_ms": NUMBER, "stale": FLAG}
    delta = {**BOOK, "first_sequence": NUMBER}
    return {
        "orderbook_snapshot": message("The whole book", {**BOOK, "stale": FLAG}, kind="orderbook_snapshot"),
        "orderbook_delta": message('New quantities by price; "0" removes it', delta, kind="orderbook_delta"),
        "trades": message("Public trades, oldest first", {"symbol": TEXT, "trades": listing(**TRADE)}, kind="trades"),
        "candle": message("A candle as it stands", CANDLE, kind="candle"),
        "funding": message("What applies next", {"symbol": TEXT, **FUNDING, "at": MILLIS}, kind="funding"),
        "ticker": message("All prices of a market", ticker, kind="ticker"),
    }


def account_messages() -> dict[str, Json]:
    """Private streams."""
    event = {"sequence": NUMBER, "schema": NUMBER, "at": MILLIS, "data": ANY}
    events = {kind: message(summary, event, kind=kind) for kind, summary in ACCOUNT_EVENTS.items()}
    summary = "About once a second while positions are open and marks move; without a sequence, never replayed"
    return {**events, "pnl_update": message(summary, {"at": MILLIS, "data": PNL}, kind="pnl_update")}


def progress_messages() -> dict[str, Json]:
    """The game."""
    step = {"mission": TEXT, "count": NUMBER, "target": NUMBER, "at": MILLIS}
    done = {"mission": TEXT, "reward_xp": NUMBER, "at": MILLIS}
    return {
        "xp": message("XP was awarded", XP, kind="xp"),
        "level_up": message("A new level", {"level": NUMBER, "at": MILLIS}, kind="level_up"),
        "mission_progress": message("A mission advanced", step, kind="mission_progress"),
        "mission_completed": message("A mission is done", done, kind="mission_completed"),
    }


class Socket:
    """One path, with the names of the messages that go each way."""

    def __init__(
        self, address: str, summary: str, *, takes: Sequence[str], sends: Sequence[str], private: bool
    ) -> None:
        self.address, self.summary, self.private = address, summary, private
        self.takes, self.sends = takes, sends

    def channel(self) -> Json:
        """The channel object."""
        names = (*self.takes, *self.sends)
        parameters: Json = {part[1:-1]: {} for part in self.address.split("/") if part.startswith("{")}
        return {
            "address": self.address,
            "summary": self.summary,
            "parameters": parameters,
            "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in names},
        }

    def operations(self, key: str) -> dict[str, Json]:
        """What the server receives and sends on it."""
        security = {"security": [{"$ref": f"#/components/securitySchemes/{name}"} for name in SECURITY]}
        return {
            f"{action}_{key}": {
                "action": action,
                "channel": {"$ref": f"#/channels/{key}"},
                "messages": [{"$ref": f"#/channels/{key}/messages/{name}"} for name in names],
                **(security if self.private else {}),
            }
            for action, names in (("receive", self.takes), ("send", self.sends))
        }


SECURITY: dict[str, Json] = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "An access token or an API key"},
    "api_key": {"type": "httpApiKey", "name": "X-Api-Key", "in": "header"},
    "ticket": {"type": "httpApiKey", "name": "ticket", "in": "query", "description": "POST /auth/ws-ticket"},
}
PLAIN = ("ping", "ping_op")
ANSWERS = ("ack", "pong", "error", "heartbeat")


def sockets() -> dict[str, Socket]:
    """Every path."""
    markets, events, game = tuple(market_messages()), tuple(account_messages()), tuple(progress_messages())
    stream_sends = (*ANSWERS, "authenticated", "connected", "resumed", *markets, *events)
    found = {
        "stream": Socket(
            "/ws/stream",
            "Any number of market streams and, signed in, one account",
            takes=("token", "subscribe", "resume", *PLAIN),
            sends=stream_sends,
            private=False,
        ),
        "account": Socket(
            "/ws/accounts/{account_id}",
            "Everything that happens on one account",
            takes=("token", "resume", *PLAIN),
            sends=(*ANSWERS, "authenticated", "connected", "resumed", *events),
            private=True,
        ),
        "progress": Socket(
            "/ws/progress",
            "The game",
            takes=("token", *PLAIN),
            sends=(*ANSWERS, "authenticated", "connected", "resync", *game),
            private=True,
        ),
    }
    kinds = {"orderbook": ("orderbook_snapshot", "orderbook_delta"), "trades": ("trades",), "candles": ("candle",)}
    for kind, names in {**kinds, "funding": ("funding",), "ticker": ("ticker",)}.items():
        address, sends = f"/ws/markets/{{symbol}}/{kind}", (*ANSWERS, *names)
        found[kind] = Socket(address, f"One market's {kind}", takes=PLAIN, sends=sends, private=False)
    return found


def document() -> Json:
    """AsyncAPI 3.0."""
    paths = sockets()
    messages = {
        **client_messages(),
        **talk_messages(),
        **market_messages(),
        **account_messages(),
        **progress_messages(),
    }
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "AsTrade sockets", "version": "1.0.0", "description": DESCRIPTION},
        "defaultContentType": "application/json",
        "servers": {
            "this": {"host": "{host}", "protocol": "wss", "variables": {"host": {"default": "localhost:8000"}}}
        },
        "channels": {key: socket.channel() for key, socket in paths.items()},
        "operations": {name: each for key, path in paths.items() for name, each in path.operations(key).items()},
        "components": {"messages": messages, "securitySchemes": SECURITY},
    }
