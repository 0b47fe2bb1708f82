"""The venues that can be emulated, each as what `manage.py emulate` needs of it."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from astrade.core.messages import Message
from astrade.emulators.binance import memory as binance_memory
from astrade.emulators.binance import server as binance_server
from astrade.emulators.binance import ws_api
from astrade.emulators.binance.exchange import Exchange as BinanceExchange
from astrade.emulators.binance.symbols import symbols
from astrade.emulators.extended import memory as extended_memory
from astrade.emulators.extended import server as extended_server
from astrade.emulators.extended.exchange import Exchange as ExtendedExchange
from astrade.emulators.extended.markets import instruments
from marketdata.feeds.base import SteppedFeed
from marketdata.selectors import MarketInfo


class Exchange(Protocol):
    """An emulated venue; `changes` counts how often one of its accounts may have changed."""

    changes: int

    @property
    def feed(self) -> SteppedFeed:
        """The one of its own making."""

    def take(self, messages: Sequence[Message]) -> None:
        """One batch of a feed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Emulated:
    """One venue. `served` serves an exchange, `remembered` and `take_up` are its state as text, `line` says where it
    is.
    """

    port: int
    markets: Callable[[], list[MarketInfo]]
    exchange: Callable[..., Any]
    served: Callable[..., AbstractAsyncContextManager[str]]
    remembered: Callable[[Any], str]
    take_up: Callable[[Any, str], None]
    line: str


VENUES: Mapping[str, Emulated] = {
    "extended": Emulated(
        port=8600,
        markets=lambda: [instrument.rules for instrument in instruments().values()],
        exchange=ExtendedExchange,
        served=extended_server.served,
        remembered=extended_memory.remembered,
        take_up=extended_memory.take_up,
        line=f"Extended, emulated: {{url}}{extended_server.BASE} (streams: {extended_server.STREAMS}; "
        "accounts: {url}/emulator/accounts)",
    ),
    "binance": Emulated(
        port=8601,
        markets=lambda: [symbol.rules for symbol in symbols().values()],
        exchange=BinanceExchange,
        served=binance_server.served,
        remembered=binance_memory.remembered,
        take_up=binance_memory.take_up,
        line=f"Binance, emulated: {{url}}{binance_server.BASE} (streams: /ws and /stream; WebSocket API: "
        f"{ws_api.PATH}; accounts: {{url}}/emulator/accounts)",
    ),
}
