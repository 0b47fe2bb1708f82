"""What trading asks of a venue, whatever its wire: one protocol, an adapter for each (DESIGN §2).

Calls go out after the commit, outside any lock. They end with an answer or raise one of `astrade.venues.errors`:
`Refused` and `Unavailable` where nothing was done, `Unknown` where nobody knows, `AlreadyThere` where an earlier try
arrived.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from accounts.models import Signing
from astrade.venues.extended.signing import Signature
from trading.domain.lifecycle import OrderType, Side, TimeInForce, TriggerBy
from trading.domain.reports import ShownMovement, ShownOrder, VenueFunding, VenueTrade


@dataclass(frozen=True, slots=True, kw_only=True)
class OutgoingLeg:
    """A take profit or stop loss that goes out with an order: its trigger, and the worst price it then trades at."""

    trigger_price: Decimal
    price: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """An order as it goes out: base units, quote per base. `price` is the worst one for what trades at market,
    `fee_rate` the highest fee as a share of the notional; both are signed, with `nonce` and `expires_at`. `signature`
    is there where the user signed.

    `trigger_by` is also that of its legs. One that `closes_position` is its legs alone, on the side they trade, for
    whatever the position's size is then. `replaces` is the external id of the order whose place it takes.
    """

    external_id: str
    symbol: str
    side: Side
    type: OrderType
    time_in_force: TimeInForce
    quantity: Decimal
    price: Decimal
    post_only: bool
    reduce_only: bool
    fee_rate: Decimal
    nonce: int
    expires_at: datetime
    signature: Signature | None = None
    trigger_price: Decimal | None = None
    trigger_by: TriggerBy = TriggerBy.MARK
    take_profit: OutgoingLeg | None = None
    stop_loss: OutgoingLeg | None = None
    closes_position: bool = False
    replaces: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningRequest:
    """What a user signs: the hash, and all that it is made of, in the venue's own units."""

    hash: int
    message: Mapping[str, int]
    domain: Mapping[str, str]
    public_key: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownPosition:
    """A position as the venue shows it: signed quantity, average entry price."""

    symbol: str
    quantity: Decimal
    entry_price: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Holdings:
    """An account as the venue shows it: cash in its currency, open positions, leverage by market."""

    balance: Decimal
    leverage: Mapping[str, int]
    positions: Sequence[ShownPosition]


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """What one message of an account's stream tells; any of it may come twice, late or out of order."""

    orders: Sequence[ShownOrder] = ()
    trades: Sequence[VenueTrade] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class OutgoingWithdrawal:
    """A withdrawal as it goes out: `amount` in the account's currency, `recipient` an address of the venue's network.
    `nonce` and `signed_at` are signed with it, so that the same withdrawal is never another one. `signature` is there
    where the user signed.
    """

    recipient: int
    amount: Decimal
    nonce: int
    signed_at: datetime
    signature: Signature | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OutgoingTransfer:
    """A transfer as it goes out to another account of the same wallet, by its vault and Stark public key; see
    `OutgoingWithdrawal`.
    """

    vault: int
    public_key: int
    amount: Decimal
    nonce: int
    signed_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class DepositChain:
    """A chain that deposits come from, and the contract that takes them."""

    chain: str
    contract: str


class VenueFunds(Protocol):
    """Money that comes to an account at a venue and leaves it."""

    def movements_since(self, since: datetime) -> Sequence[ShownMovement]:
        """What moved from that time on (the venue's), oldest first, whatever has become of it."""

    def withdraw(self, withdrawal: OutgoingWithdrawal) -> str:
        """Sign and send, once; returns the venue's id, under which `movements_since` tells what becomes of it."""

    def transfer(self, transfer: OutgoingTransfer) -> str:
        """The same to another account of the user's at the venue."""

    def to_sign(self, withdrawal: OutgoingWithdrawal) -> SigningRequest:
        """What the withdrawal's signature is given for; nothing is sent."""

    def sendable_before(self, signed_at: datetime) -> datetime:
        """Until when the venue takes a withdrawal that was signed at that instant."""

    def claim(self) -> str:
        """Ask for test money where the venue gives some; returns the movement's id."""

    def deposit_chains(self) -> Sequence[DepositChain]:
        """The bridges that deposits come by."""


class VenueAccount(Protocol):
    """One account at a venue, with what it takes to act for it: the Stark public key its orders are signed for
    (canonical hex), and who signs them.
    """

    public_key: str
    signing: Signing

    @property
    def funds(self) -> VenueFunds:
        """Its deposits and withdrawals."""

    def place(self, order: Outgoing) -> int:
        """Send an order, once; returns the venue's id. The venue may still refuse it later, which its reports tell."""

    def to_sign(self, order: Outgoing) -> SigningRequest:
        """What the order's signature is given for; nothing is sent."""

    def cancel(self, external_ids: Sequence[str]) -> None:
        """Ask for the orders' end; the venue's reports tell whether it came to that."""

    def find(self, external_id: str) -> Sequence[ShownOrder]:
        """The orders the venue knows under this id, open and ended; empty where it knows none."""

    def open_orders(self) -> Sequence[ShownOrder]:
        """Every open order."""

    def order(self, venue_order_id: int) -> ShownOrder | None:
        """One order by the venue's id, open or ended; None where the venue knows none."""

    def trades_since(self, trade_id: str | None, *, at_most: int) -> Sequence[VenueTrade]:
        """Trades after the one named, oldest first; without one the newest `at_most`."""

    def funding_since(self, payment_id: str | None, *, at_most: int) -> Sequence[VenueFunding]:
        """Funding after the payment named, oldest first; without one the newest `at_most`."""

    def set_leverage(self, symbol: str, leverage: int) -> None:
        """The leverage of a market from now on; it may be set any number of times."""

    def set_switch(self, timeout_s: int) -> None:
        """Let the venue cancel every order in so many seconds unless this is called again; 0 switches it off."""

    def holdings(self) -> Holdings:
        """Balance and positions."""

    def stream(self) -> AbstractAsyncContextManager[AsyncIterator[News]]:
        """The account's stream, opened by entering; reading it ends by raising."""
