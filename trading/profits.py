"""What open positions are worth, told to account sockets as the marks move.

Frames without a sequence: they are neither stored nor replayed, and a slow reader gets the newest only. One pulse a
process serves all sockets: it rests while nobody is connected, reads an account again only after news of it, and all
prices once a round.
"""

import asyncio
import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass
from decimal import Decimal

from django.conf import settings

from astrade.core.api.renderers import encode
from astrade.core.clock import system_clock, to_ms
from astrade.core.errors import MarketDataStale
from astrade.core.sockets.outbox import Outbox
from astrade.core.sockets.protocol import Frame
from astrade.core.sockets.threads import in_thread
from marketdata import live
from marketdata.selectors import markets_by_id
from trading import selectors
from trading.domain.bodies import Body
from trading.domain.margin import Board
from trading.domain.state import AccountState
from trading.loading import read_accounts
from trading.valuation import pnl_body

logger = logging.getLogger(__name__)


class ProfitView:
    """One socket's newest frame, until the socket has room for it; a `Source` of its outbox."""

    has_more = False

    def __init__(self, *, outbox: Outbox, active: Callable[[], None]) -> None:
        self.waiting = False
        self._outbox, self._active = outbox, active
        self._frame: Frame | None = None

    def show(self, frame: Frame) -> None:
        """Send it when there is room, unless a newer one comes first."""
        self._frame = frame
        self._outbox.mark(self)

    def end(self) -> None:
        """Send nothing more."""
        self._frame = None

    async def take(self) -> Frame | None:
        """The writer's turn."""
        frame, self._frame = self._frame, None
        if frame is not None:
            self._active()
        return frame


@dataclass(slots=True)
class _Holding:
    """An account with open positions, and what was last said of it."""

    state: AccountState
    marks: tuple[Decimal, ...] = ()
    data: Body | None = None
    frame: Frame | None = None


class ProfitPulse:
    """All accounts that this process's sockets are joined to."""

    def __init__(self) -> None:
        self._views: dict[int, set[ProfitView]] = {}
        self._unread: set[int] = set()
        self._holdings: dict[int, _Holding] = {}
        self._rounds: asyncio.Task[None] | None = None

    def join(self, account_id: int, view: ProfitView) -> None:
        """Show `view` the account's figures from now on; at once where they are known."""
        holding = self._holdings.get(account_id)
        if holding is not None and holding.frame is not None:
            view.show(holding.frame)
        if account_id not in self._views:
            self._views[account_id] = set()
            self._unread.add(account_id)
        self._views[account_id].add(view)
        if self._rounds is None:
            self._rounds = asyncio.create_task(self._run())

    def leave(self, account_id: int, view: ProfitView) -> None:
        """Stop; with the last view the pulse rests."""
        view.end()
        views = self._views.get(account_id, set())
        views.discard(view)
        if not views:
            self._views.pop(account_id, None)
            self._holdings.pop(account_id, None)
        if not self._views and self._rounds is not None:
            self._rounds.cancel()
            self._rounds = None

    def changed(self, account_id: int) -> None:
        """Something happened on the account: read it again."""
        self._unread.add(account_id)

    async def run(self) -> None:
        """Before each heartbeat: read all again, in case news of one got lost."""
        self._unread.update(self._views)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(settings.WS_PNL_EVERY_S)
            try:
                await self._read_changed()
                await self._tell()
            except MarketDataStale:
                continue  # Redis is away, which the hub says already
            except Exception:  # the database is away: the next round asks again
                logger.warning("pnl_unavailable", exc_info=True)

    async def _read_changed(self) -> None:
        wanted = self._unread & self._views.keys()
        self._unread = set()
        if not wanted:
            return
        try:
            states = await in_thread(_states_of, wanted)
        except Exception:
            self._unread |= wanted
            raise
        for account_id in wanted & self._views.keys():
            self._keep(account_id, states.get(account_id))

    def _keep(self, account_id: int, state: AccountState | None) -> None:
        if state is None:
            self._holdings.pop(account_id, None)
        elif account_id in self._holdings:
            self._holdings[account_id].state = state
            self._holdings[account_id].marks = ()
        else:
            self._holdings[account_id] = _Holding(state)

    async def _tell(self) -> None:
        if not self._holdings:
            return
        for holding in await in_thread(_valued_anew, tuple(self._holdings.values())):
            for view in self._views.get(holding.state.id, ()):
                if holding.frame is not None:
                    view.show(holding.frame)


def _states_of(account_ids: Collection[int]) -> dict[int, AccountState]:
    """The accounts among them that hold a position."""
    holders = selectors.accounts_with_positions(account_ids)
    return {state.id: state for state in read_accounts(holders)} if holders else {}


def _valued_anew(holdings: Collection[_Holding]) -> list[_Holding]:
    """Those about which there is something new to say, with their new frame."""
    board = Board(markets=markets_by_id(), quotes=live.quotes())
    at_ms = to_ms(system_clock())
    return [holding for holding in holdings if _value(holding, board, at_ms=at_ms)]


def _value(holding: _Holding, board: Board, *, at_ms: int) -> bool:
    marks = tuple(board.mark_of(position) for position in holding.state.positions.values())
    if marks == holding.marks:
        return False
    holding.marks = marks
    data = pnl_body(holding.state, board)
    if data == holding.data:
        return False
    holding.data = data
    holding.frame = Frame(encode({"type": "pnl_update", "at": at_ms, "data": data}))
    return True
