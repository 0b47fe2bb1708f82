"""Placing, replacing and cancelling (extended-api.md §7), moving funds (§8). Bodies are signed before: see `orders`."""

from collections.abc import Mapping, Sequence
from typing import Any

from astrade.venues.budget import Cost
from astrade.venues.errors import InvalidSignature, Refused
from astrade.venues.extended import account_wire as wire
from astrade.venues.extended.calls import Call, nothing, one, query_of
from astrade.venues.extended.refusals import FUNDS_REASONS
from astrade.venues.extended.wire import Envelope

Body = Mapping[str, Any]


def place_order(body: Body, *, is_rfq: bool = False) -> Call[wire.PlacedOrder]:
    """Places what `orders` made, or replaces what its `cancelId` names. The answer comes before the engine's verdict.

    AlreadyThere proves that an order of this id was taken before.
    """
    return Call(
        name="place_order",
        method="POST",
        path="/user/order/rfq" if is_rfq else "/user/order",
        read=one(wire.PlacedOrder),
        body=body,
        cost=Cost.ORDER,
        manages_orders=True,
        places=True,
    )


def cancel_order(order_id: int) -> Call[None]:
    """By the venue's id. The answer only acknowledges; so with all below."""
    return Call(
        name="cancel_order",
        method="DELETE",
        path=f"/user/order/{order_id}",
        read=nothing,
        cost=Cost.CANCEL,
        manages_orders=True,
    )


def cancel_by_external_id(external_id: str) -> Call[None]:
    """By the id it was sent under."""
    return Call(
        name="cancel_by_external_id",
        method="DELETE",
        path="/user/order",
        read=nothing,
        query=query_of(externalId=external_id),
        cost=Cost.CANCEL,
        manages_orders=True,
    )


def mass_cancel(
    *,
    ids: Sequence[int] = (),
    external_ids: Sequence[str] = (),
    markets: Sequence[str] = (),
    everything: bool = False,
) -> Call[None]:
    """Whatever one of the arguments names. What `cancelAll` beside markets means is not documented: don't mix them.

    Raises ValueError where nothing is named, or everything and something.
    """
    named = {"orderIds": list(ids), "externalOrderIds": list(external_ids), "markets": list(markets)}
    chosen = {name: values for name, values in named.items() if values}
    if bool(chosen) == everything:
        raise ValueError("a mass cancel names orders or markets, or everything")
    return Call(
        name="mass_cancel",
        method="POST",
        path="/user/order/massCancel",
        read=nothing,
        body={**chosen, "cancelAll": everything},
        cost=Cost.CANCEL,
        manages_orders=True,
    )


def dead_mans_switch(countdown_s: int) -> Call[None]:
    """Cancels all orders of the account after so many seconds unless called again; 0 disarms."""
    return Call(
        name="dead_mans_switch",
        method="POST",
        path="/user/deadmanswitch",
        read=nothing,
        may_be_empty=True,
        query=query_of(countdownTime=countdown_s),
        cost=Cost.CANCEL,
        manages_orders=True,
    )


def transfer(body: Body) -> Call[wire.Transfer]:
    """Between vaults of the same client. A signature that the venue finds bad is Refused, 5002. AlreadyThere as for
    orders.
    """
    return Call(
        name="transfer",
        method="POST",
        path="/user/transfer/onchain",
        read=_good_transfer,
        body=body,
        cost=Cost.ORDER,
        places=True,
        reasons=FUNDS_REASONS,
    )


def withdraw(body: Body) -> Call[int]:
    """The withdrawal's id; what becomes of it is among the account's operations. AlreadyThere as for orders."""
    return Call(
        name="withdraw",
        method="POST",
        path="/user/withdrawal",
        read=one(int),
        body=body,
        cost=Cost.ORDER,
        places=True,
        reasons=FUNDS_REASONS,
    )


def claim() -> Call[wire.Claim]:
    """Test funds, once an hour; testnet only."""
    return Call(name="claim", method="POST", path="/user/claim", read=one(wire.Claim), body={}, cost=Cost.ORDER)


def _good_transfer(envelope: Envelope) -> wire.Transfer:
    done = one(wire.Transfer)(envelope)
    if not done.valid_signature:
        raise Refused(InvalidSignature, venue_code=None, venue_message="validSignature is false")
    return done
