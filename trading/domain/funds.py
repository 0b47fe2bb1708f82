"""Money that moves by itself: between two accounts, and from the faucet. Pure: no database, no clock."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Protocol
from uuid import UUID

from astrade.core import errors
from astrade.core.clock import to_ms
from astrade.core.money import floor_cash, plain
from trading.domain.admission import check_account
from trading.domain.batch import Batch
from trading.domain.bodies import Body, balance_body
from trading.domain.holds import place_hold
from trading.domain.lifecycle import EntryKind, HoldPurpose, LedgerAccount
from trading.domain.margin import Board, summarise
from trading.domain.payments import PaymentState, moment
from trading.domain.state import AccountState

TRANSFER_MIN = Decimal("0.01")
FAUCET_MIN = Decimal(1)
DOLLARS = frozenset({"USD", "USDT"})
FAUCET_DAILY_MAX = Decimal(100_000)


def transfer(out: Batch, into: Batch, *, amount: Decimal, board: Board, stale_after_s: float, reference: str) -> None:
    """Move `amount` of cash through `clearing`: one entry on each account, one `balance_update` on each.

    Raises AmountBelowMinimum, InsufficientWithdrawable, MarketDataStale where a position of the sender can't be valued,
    UserFrozen or AccountFrozen.
    """
    check_account(into.account)
    check_transfer(out, amount=amount, board=board, stale_after_s=stale_after_s)
    out.post(EntryKind.TRANSFER, amount=-amount, against=LedgerAccount.CLEARING, reference=reference)
    into.post(EntryKind.TRANSFER, amount=amount, against=LedgerAccount.CLEARING, reference=reference)
    for batch in (out, into):
        tell_balance(batch, board)


def hold_for_transfer(out: Batch, *, amount: Decimal, board: Board, stale_after_s: float, reference: str) -> None:
    """Hold what is transferred at a venue until its history shows that it has left; raises as `transfer`."""
    check_transfer(out, amount=amount, board=board, stale_after_s=stale_after_s)
    place_hold(out, amount=amount, purpose=HoldPurpose.TRANSFER, reference=reference)
    tell_balance(out, board)


def check_transfer(out: Batch, *, amount: Decimal, board: Board, stale_after_s: float) -> None:
    """Whether an amount may go from an account to another; raises as `transfer`."""
    check_account(out.account)
    if amount < TRANSFER_MIN:
        raise errors.AmountBelowMinimum(details={"amount": amount, "min": TRANSFER_MIN})
    check_withdrawable(out, amount=amount, board=board, stale_after_s=stale_after_s)


def check_withdrawable(out: Batch, *, amount: Decimal, board: Board, stale_after_s: float) -> None:
    """Whether an amount may leave an account. Raises MarketDataStale, InsufficientWithdrawable."""
    check_valued(out.account, board, now=out.now, stale_after_s=stale_after_s)
    withdrawable = floor_cash(summarise(out.account, board).withdrawable)
    if amount > withdrawable:
        raise errors.InsufficientWithdrawable(details={"amount": amount, "withdrawable": withdrawable})


def faucet(batch: Batch, *, amount: Decimal, granted_today: Decimal, board: Board, reference: str) -> None:
    """Book virtual money, at most 100,000 a user and UTC day with what the user was `granted_today` before.

    Raises AmountBelowMinimum, FundsLimitExceeded, UserFrozen or AccountFrozen.
    """
    check_account(batch.account)
    if amount < FAUCET_MIN:
        raise errors.AmountBelowMinimum(details={"amount": amount, "min": FAUCET_MIN})
    if granted_today + amount > FAUCET_DAILY_MAX:
        figures = {"amount": amount, "granted_today": granted_today, "max_a_day": FAUCET_DAILY_MAX}
        raise errors.FundsLimitExceeded(details=figures)
    batch.post(EntryKind.DEPOSIT, amount=amount, against=LedgerAccount.EXTERNAL, reference=reference)
    tell_balance(batch, board)


def check_valued(account: AccountState, board: Board, *, now: datetime, stale_after_s: float) -> None:
    """Every open position has a fresh mark: an old one could let out money that the market has already taken."""
    oldest = now - timedelta(seconds=stale_after_s)
    for position in account.positions.values():
        if not position.quantity:
            continue
        symbol = board.markets[position.market_id].symbol
        quote = board.quotes.get(symbol)
        if quote is None or quote.at < oldest:
            raise errors.MarketDataStale(details={"symbol": symbol})


def tell_balance(batch: Batch, board: Board) -> None:
    """The `balance_update` of what was booked."""
    batch.emit("balance_update", balance_body(summarise(batch.account, board), asset=batch.account.cash.asset))


class SentTransfer(Protocol):
    """What a body shows of a transfer at a venue."""

    @property
    def state(self) -> str: ...
    @property
    def reason(self) -> str: ...
    @property
    def message(self) -> str: ...
    @property
    def venue_movement_id(self) -> str | None: ...
    @property
    def signed_at(self) -> datetime | None: ...
    @property
    def ended_at(self) -> datetime | None: ...


class TransferLike(Protocol):
    """What a body shows of every transfer."""

    @property
    def uuid(self) -> UUID: ...
    @property
    def asset(self) -> str: ...
    @property
    def amount(self) -> Decimal: ...
    @property
    def at(self) -> datetime: ...


def transfer_body(row: TransferLike, *, sender: UUID, receiver: UUID, at_venue: SentTransfer | None) -> Body:
    """A transfer as its owner sees it; one of practice money is settled at once. `message` is the venue's own words."""
    sent_at, ended_at = (row.at, row.at) if at_venue is None else (at_venue.signed_at, at_venue.ended_at)
    return {
        "id": str(row.uuid),
        "from_account": str(sender),
        "to_account": str(receiver),
        "asset": row.asset,
        "amount": plain(row.amount),
        "status": str(PaymentState.SETTLED if at_venue is None else at_venue.state),
        "reason": "" if at_venue is None else at_venue.reason,
        "message": "" if at_venue is None else at_venue.message,
        "venue_transfer_id": None if at_venue is None else at_venue.venue_movement_id,
        "at": to_ms(row.at),
        "sent_at": moment(sent_at),
        "ended_at": moment(ended_at),
    }


def utc_day(at: datetime) -> datetime:
    """Begin of the UTC day that holds `at`."""
    return at.replace(hour=0, minute=0, second=0, microsecond=0)


def is_cash(amount: Decimal) -> bool:
    """Whether an amount can be booked as it is: a whole number of the asset's smallest units."""
    return floor_cash(amount) == amount


def spellings(currency: str) -> frozenset[str]:
    """Names of an account's cash; USD and USDT are one asset on practice (DESIGN §3)."""
    return DOLLARS if currency in DOLLARS else frozenset({currency})
