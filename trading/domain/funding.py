"""Funding of a position for one hour (extended-api.md, "Funding": paid hourly, longs pay a positive rate). Pure."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from astrade.core.money import floor_cash
from trading.domain import bodies, insurance
from trading.domain.batch import Batch
from trading.domain.ending import tell_position
from trading.domain.lifecycle import EntryKind, LedgerAccount
from trading.domain.margin import Board, summarise
from trading.domain.state import PositionState


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """What applied on one market at one hour: a fraction of notional at `mark`, positive when longs pay."""

    market_id: int
    hour: datetime
    rate: Decimal
    mark: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What an account held at the hour: signed quantity, and the row of the position if it closed since."""

    quantity: Decimal
    closed_id: int | None = None
    closed_uuid: UUID | None = None


def payment(*, quantity: Decimal, mark: Decimal, rate: Decimal) -> Decimal:
    """What a position of signed `quantity` gets (negative: pays), in quote units, rounded once: who pays pays up."""
    return floor_cash(-quantity * mark * rate)


def settle(
    batch: Batch, position: PositionState, *, held: Held, rate: Rate, board: Board, paid: Decimal | None = None
) -> Decimal:
    """Book one hour's funding onto the account: payment row, ledger entry, sums, events. Returns the amount.

    The sum goes to the position that was open then, be it closed by now or not. `paid` is what a venue has booked.
    """
    amount = payment(quantity=held.quantity, mark=rate.mark, rate=rate.rate) if paid is None else paid
    uuid, symbol = batch.new_uuid(), board.markets[rate.market_id].symbol
    was_closed = held.closed_id is not None
    row = {
        "uuid": uuid,
        "position_uuid": held.closed_uuid if was_closed else position.uuid,
        "hour": rate.hour,
        "quantity": held.quantity,
        "mark": rate.mark,
        "rate": rate.rate,
        "amount": amount,
    }
    keys = {"id": batch.next_id(), "account_id": batch.account.id, "position_id": position.id, "at": batch.now}
    batch.insert("funding", keys | {"market_id": rate.market_id} | row)
    batch.post(EntryKind.FUNDING, amount=amount, against=LedgerAccount.FUNDING, reference=f"funding:{uuid}")
    insurance.cover(batch, reference=f"funding:{uuid}")
    if was_closed:
        batch.late_funding.append({"id": held.closed_id, "funding": amount})
    else:
        batch.position_on(rate.market_id).funding += amount
        position.version += 1
    batch.emit("funding", bodies.funding_body(row, symbol=symbol, asset=batch.account.cash.asset))
    summary = summarise(batch.account, board)
    if not was_closed:
        tell_position(batch, position, board=board, summary=summary)
    batch.emit("balance_update", bodies.balance_body(summary, asset=batch.account.cash.asset))
    return amount
