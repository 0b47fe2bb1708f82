"""What is asked of a sub-account, and its leverage (extended-api.md §6)."""

from collections.abc import Sequence
from decimal import Decimal

from astrade.core.money import plain
from astrade.venues.budget import Cost
from astrade.venues.extended import account_wire as wire
from astrade.venues.extended.calls import Call, one, one_or_none, page, query_of, quoted, rows
from astrade.venues.extended.wire import OperationStatus, OperationType, OrderType, Page, PositionSide, Side, TradeType

Names = Sequence[str] | str | None


def client_info() -> Call[wire.Client]:
    """Whose key is used."""
    return Call(name="client_info", path="/user/client/info", read=one(wire.Client))


def accounts() -> Call[list[wire.Account]]:
    """All sub-accounts of the client whose key is used."""
    return Call(name="accounts", path="/user/accounts", read=rows(wire.Account))


def account_info() -> Call[wire.Account]:
    """The sub-account that the key selects."""
    return Call(name="account_info", path="/user/account/info", read=one(wire.Account))


def balance() -> Call[wire.Balance | None]:
    """None for a balance of 0, which the venue answers with 404."""
    return Call(name="balance", path="/user/balance", read=one_or_none(wire.Balance), may_be_absent=True)


def spot_balances() -> Call[list[wire.SpotBalance]]:
    """What is held beside the collateral."""
    return Call(name="spot_balances", path="/user/spot/balances", read=rows(wire.SpotBalance))


def positions(market: Names = None, *, side: PositionSide | None = None) -> Call[list[wire.Position]]:
    """Open ones."""
    query = query_of(market=market, side=side)
    return Call(name="positions", path="/user/positions", read=rows(wire.Position), query=query)


def positions_history(
    market: Names = None, *, side: PositionSide | None = None, cursor: int | None = None, limit: int | None = None
) -> Call[Page[wire.PastPosition]]:
    """Open and closed ones."""
    query = query_of(market=market, side=side, cursor=cursor, limit=limit)
    return Call(name="positions_history", path="/user/positions/history", read=page(wire.PastPosition), query=query)


def leverage(market: Names = None) -> Call[list[wire.Leverage]]:
    """By market; all markets unless named."""
    return Call(name="leverage", path="/user/leverage", read=rows(wire.Leverage), query=query_of(market=market))


def set_leverage(market: str, leverage: Decimal) -> Call[wire.Leverage | None]:
    """Needs no signature. None where the venue acknowledges without a word."""
    return Call(
        name="set_leverage",
        method="PATCH",
        path="/user/leverage",
        read=one_or_none(wire.Leverage),
        body={"market": market, "leverage": plain(leverage)},
        cost=Cost.ORDER,
        may_be_empty=True,
    )


def fees(market: Names = None, *, builder_id: int | None = None) -> Call[list[wire.Fees]]:
    """Maker and taker rates by market, as fractions; with a builder its own rate beside them."""
    query = query_of(market=market, builderId=builder_id)
    return Call(name="fees", path="/user/fees", read=rows(wire.Fees), query=query)


def open_orders(
    market: Names = None, *, type: OrderType | None = None, side: Side | None = None
) -> Call[list[wire.Order]]:
    """New, partly filled and untriggered ones."""
    query = query_of(market=market, type=type, side=side)
    return Call(name="open_orders", path="/user/orders", read=rows(wire.Order), query=query)


def orders_history(
    market: Names = None,
    *,
    ids: Sequence[int] = (),
    external_ids: Sequence[str] = (),
    cursor: int | None = None,
    limit: int | None = None,
    by_update: bool = False,
) -> Call[Page[wire.Order]]:
    """Final orders; those without a fill only for the past 7 days."""
    query = query_of(
        market=market,
        id=tuple(ids),
        externalId=tuple(external_ids),
        cursor=cursor,
        limit=limit,
        sort="UPDATED_AT" if by_update else None,
    )
    return Call(name="orders_history", path="/user/orders/history", read=page(wire.Order), query=query)


def order_by_id(order_id: int) -> Call[wire.Order | None]:
    """None for 404, which right after placing proves nothing."""
    return Call(name="order_by_id", path=f"/user/orders/{order_id}", read=one_or_none(wire.Order), may_be_absent=True)


def orders_by_external_id(external_id: str) -> Call[list[wire.Order]]:
    """The orders of that id of ours: at most one. An empty list right after placing proves nothing."""
    return Call(
        name="orders_by_external_id",
        path=f"/user/orders/external/{quoted(external_id)}",
        read=rows(wire.Order),
        may_be_absent=True,
    )


def trades(
    market: Names = None,
    *,
    type: TradeType | None = None,
    side: Side | None = None,
    cursor: int | None = None,
    limit: int | None = None,
) -> Call[Page[wire.Trade]]:
    """Own executions, newest first."""
    query = query_of(market=market, type=type, side=side, cursor=cursor, limit=limit)
    return Call(name="trades", path="/user/trades", read=page(wire.Trade), query=query)


def funding_history(
    market: Names = None,
    *,
    side: PositionSide | None = None,
    from_ms: int | None = None,
    cursor: int | None = None,
    limit: int | None = None,
) -> Call[Page[wire.FundingPayment]]:
    """What was paid or received by the hour, newest first; `from_ms` is epoch milliseconds."""
    query = query_of(market=market, side=side, fromTime=from_ms, cursor=cursor, limit=limit)
    return Call(name="funding_history", path="/user/funding/history", read=page(wire.FundingPayment), query=query)


def operations(
    *,
    ids: Sequence[str] = (),
    types: Sequence[OperationType] = (),
    statuses: Sequence[OperationStatus] = (),
    from_ms: int | None = None,
    to_ms: int | None = None,
    cursor: int | None = None,
    limit: int | None = None,
) -> Call[Page[wire.Operation]]:
    """Deposits, withdrawals, transfers and claims, 50 a page."""
    query = query_of(
        id=tuple(ids),
        type=tuple(types),
        status=tuple(statuses),
        startTime=from_ms,
        endTime=to_ms,
        cursor=cursor,
        limit=limit,
    )
    return Call(name="operations", path="/user/assetOperations", read=page(wire.Operation), query=query)


def bridge_config() -> Call[wire.BridgeConfig]:
    """The chains that money comes from by a bridge (§8)."""
    return Call(name="bridge_config", path="/user/bridge/config", read=one(wire.BridgeConfig))
