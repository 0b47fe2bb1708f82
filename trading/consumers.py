"""`/ws/accounts/{account_id}` and the multiplexed `/ws/stream`."""

import asyncio
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

from astrade.core.errors import AstradeError, Malformed, NotAuthenticated, NotFound, ValidationFailed
from astrade.core.sockets.closing import TOO_SLOW
from astrade.core.sockets.consumers import SocketConsumer
from astrade.core.sockets.private import PrivateConsumer
from astrade.core.sockets.protocol import error_frame, id_of, reply
from astrade.core.sockets.threads import in_thread
from marketdata.sockets import MarketStreams, Stream, resolve
from trading.sockets import AccountStream, account_uuid_of, resume_of

ACCOUNT = "account"
MAX_ARGUMENTS = 200
MAX_ARGUMENT_LENGTH = 100


class _WithAccount(SocketConsumer):
    """What both share: at most one account's events."""

    _account: AccountStream | None = None

    def _new_account_stream(self) -> AccountStream:
        return AccountStream(hub=self.hub, outbox=self.outbox, active=self.active, too_slow=self._too_slow)

    def _too_slow(self) -> None:
        self.close(TOO_SLOW, reason="Reads too slowly; resume by sequence")

    def _end_account(self) -> None:
        if self._account is not None:
            self._account.stop()
            self._account = None

    def beat(self, at_ms: int) -> None:
        """With an account the heartbeat carries its sequence."""
        if self._account is not None:
            self._account.beat(at_ms)
        else:
            super().beat(at_ms)

    def closed(self) -> None:
        """Leave the account."""
        super().closed()
        self._end_account()

    async def _resume(self, message: dict[str, Any]) -> None:
        after = resume_of(message["resume"])
        if self._account is None:
            raise Malformed("There is no account to resume on this socket")
        if after is not None:
            await self._account.resume(after)


class AccountConsumer(_WithAccount, PrivateConsumer):
    """Everything that happens on one account."""

    async def entered(self, message: dict[str, Any], *, waits: bool) -> None:
        """Listen to the account that the path names; somebody else's is as absent as one that doesn't exist."""
        account_uuid = account_uuid_of(self.scope["url_route"]["kwargs"]["account_id"])
        if account_uuid is None or self.caller is None:
            raise NotFound("No such account")
        query = parse_qs(self.scope.get("query_string", b"").decode("latin-1"))
        resume = self._resume_or_error(message.get("resume", query.get("resume", [None])[0]))
        stream = self._new_account_stream()
        await stream.open(self.caller, account_uuid)
        self._account = stream
        stream.start(resume=resume, waits=waits)

    def _resume_or_error(self, value: Any) -> int | None:
        """Nonsense is answered with an error frame; the stream then begins at the present."""
        try:
            return resume_of(value)
        except ValidationFailed as error:
            self.outbox.put(error_frame(error))
            return None

    async def on_message(self, message: dict[str, Any]) -> None:
        """`{"resume": 1234}`."""
        if "resume" not in message:
            raise Malformed("Unknown message")
        await self._resume(message)


@dataclass(slots=True)
class _Outcome:
    """What became of the arguments of one subscribe or unsubscribe."""

    streams: list[str] = field(default_factory=list)
    errors: list[dict[str, Any]] = field(default_factory=list)

    def refuse(self, argument: str, error: AstradeError) -> None:
        """Note what is wrong with `argument`."""
        self.errors.append({"arg": argument, "code": error.code, "message": str(error)})

    def fields(self) -> dict[str, Any]:
        """The ack's body; with errors the first one's code and message stand at the top as well."""
        if not self.errors:
            return {"status": "ok", "streams": self.streams}
        first = self.errors[0]
        head = {"status": "error", "code": first["code"], "message": first["message"]}
        return {**head, "streams": self.streams, "errors": self.errors}


class StreamConsumer(_WithAccount):
    """Any number of market streams and one account on one socket."""

    _markets: MarketStreams | None = None

    async def opened(self) -> None:
        """Wait to be told what to send."""

    async def on_message(self, message: dict[str, Any]) -> None:
        """`subscribe`, `unsubscribe`, each answered by an ack with the same `id`, and `resume`."""
        operation = message.get("op")
        if operation == "subscribe":
            await self._subscribe(message)
        elif operation == "unsubscribe":
            await self._unsubscribe(message)
        elif operation is None and "resume" in message:
            await self._resume(message)
        else:
            raise Malformed("op is subscribe, unsubscribe or ping")

    @property
    def markets(self) -> MarketStreams:
        """The market subscriptions of this socket."""
        if self._markets is None:
            self._markets = MarketStreams(hub=self.hub, outbox=self.outbox, active=self.active)
        return self._markets

    async def _subscribe(self, message: dict[str, Any]) -> None:
        arguments, resume = arguments_of(message), resume_of(message.get("resume"))
        outcome = _Outcome()
        opened = await self._open_account(arguments, outcome)
        added = await self._add_markets(arguments, outcome)
        self._acknowledge(message, outcome)
        self.markets.start(added)
        if opened is not None:
            opened.start(resume=resume, waits=False)

    async def _open_account(self, arguments: list[str], outcome: _Outcome) -> AccountStream | None:
        opened: AccountStream | None = None
        for argument in filter(is_account, arguments):
            try:
                opened = await self._account_stream(argument) or opened
                outcome.streams.append(argument)
            except AstradeError as error:
                outcome.refuse(argument, error)
        return opened

    async def _account_stream(self, argument: str) -> AccountStream | None:
        """A new stream of the account meant by `account` or `account:<uuid>`; None when it is subscribed already."""
        if self.caller is None:
            raise NotAuthenticated
        _, _, name = argument.partition(":")
        account_uuid = account_uuid_of(name) if name else None
        if name and account_uuid is None:
            raise NotFound("No such account")
        if self._account is not None:
            if account_uuid in (None, self._account.account_uuid):
                return None
            raise ValidationFailed("A socket carries one account; unsubscribe from it first")
        stream = self._new_account_stream()
        await stream.open(self.caller, account_uuid)
        self._account = stream
        return stream

    async def _add_markets(self, arguments: list[str], outcome: _Outcome) -> list[str]:
        """Subscribe to what can be; the names of the streams."""
        wanted: list[tuple[str, Stream]] = []
        for argument, found in (await in_thread(resolve, market_arguments(arguments))).items():
            if isinstance(found, AstradeError):
                outcome.refuse(argument, found)
            else:
                wanted.append((argument, found))
        results = await asyncio.gather(*(self.markets.add(stream) for _, stream in wanted), return_exceptions=True)
        for (argument, stream), result in zip(wanted, results, strict=True):
            if isinstance(result, AstradeError):
                outcome.refuse(argument, result)
            elif isinstance(result, BaseException):
                raise result
            elif stream.name not in outcome.streams:
                outcome.streams.append(stream.name)
        return outcome.streams

    async def _unsubscribe(self, message: dict[str, Any]) -> None:
        arguments, outcome = arguments_of(message), _Outcome()
        if any(map(is_account, arguments)):
            self._end_account()
            outcome.streams.extend(filter(is_account, arguments))
        for argument, found in (await in_thread(resolve, market_arguments(arguments))).items():
            if isinstance(found, AstradeError):
                outcome.refuse(argument, found)
            else:
                self.markets.remove([found.name])
                outcome.streams.append(found.name)
        self._acknowledge(message, outcome)

    def _acknowledge(self, message: dict[str, Any], outcome: _Outcome) -> None:
        message_id = id_of(message)
        echo = {} if message_id is None else {"id": message_id}
        self.outbox.put(reply("ack", op=message["op"], **echo, **outcome.fields()))

    def closed(self) -> None:
        """Leave everything."""
        super().closed()
        if self._markets is not None:
            self._markets.close()


def arguments_of(message: dict[str, Any]) -> list[str]:
    """The `args` of a subscribe or unsubscribe; raises ValidationFailed."""
    arguments = message.get("args")
    if not isinstance(arguments, list) or not arguments or len(arguments) > MAX_ARGUMENTS:
        raise ValidationFailed(f"args is a list of 1 to {MAX_ARGUMENTS} stream names")
    if not all(isinstance(argument, str) and len(argument) <= MAX_ARGUMENT_LENGTH for argument in arguments):
        raise ValidationFailed(f"A stream name is a string of at most {MAX_ARGUMENT_LENGTH} characters")
    return list(dict.fromkeys(arguments))


def is_account(argument: str) -> bool:
    """Whether `account` or `account:<uuid>` is meant."""
    return argument == ACCOUNT or argument.startswith(f"{ACCOUNT}:")


def market_arguments(arguments: list[str]) -> list[str]:
    """The others."""
    return [argument for argument in arguments if not is_account(argument)]
