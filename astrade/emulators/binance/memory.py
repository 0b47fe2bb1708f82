"""What an exchange knows of its accounts, as text: written down now and then, taken up by a successor.

Prices and public trades are not in it, they are the feed's; nor is what was counted against limits.
"""

import json
from dataclasses import replace
from typing import Any

from msgspec import convert, to_builtins

from astrade.emulators.binance.accounts import Account, Trade
from astrade.emulators.binance.exchange import Exchange


def remembered(exchange: Exchange) -> str:
    """All accounts with what they did."""
    return json.dumps({"accounts": [_account_body(account) for account in exchange.accounts.values()]})


def take_up(exchange: Exchange, text: str) -> None:
    """Go on with what `remembered` gave. Raises ValueError for what can't be read; then nothing was changed."""
    try:
        accounts = [_account(one) for one in json.loads(text)["accounts"]]
    except (KeyError, TypeError) as exc:
        raise ValueError(f"not what an exchange remembered: {exc!r}") from exc
    exchange.take_up(accounts)


def _account_body(account: Account) -> dict[str, Any]:
    bare = replace(account, open={}, trades=[])
    trades = [to_builtins(trade) | {"order": trade.order.id} for trade in account.trades]
    body: dict[str, Any] = to_builtins(bare, str_keys=True)
    return body | {"trades": trades}


def _account(body: dict[str, Any]) -> Account:
    """Its trades refer to its own orders again."""
    account = convert(body | {"trades": []}, Account, strict=False, str_keys=True)
    for order in account.orders.values():
        if order.status.is_open:
            account.open[order.id] = order
    for one in body["trades"]:
        row = one | {"order": body["orders"][str(one["order"])]}
        account.trades.append(replace(convert(row, Trade, strict=False), order=account.orders[one["order"]]))
    return account
