"""What the emulator itself tells of its accounts: state to count against, and credentials."""

from typing import Any

from astrade.emulators.extended import answers
from astrade.emulators.extended.accounts import Account
from astrade.emulators.extended.exchange import Exchange


def credentials(account: Account) -> dict[str, Any]:
    """All that a client needs; throw-away keys that follow from the seed."""
    return {
        "account_id": account.id,
        "client_id": account.client_id,
        "description": account.description,
        "api_key": account.api_key,
        "stark_public_key": hex(account.public_key),
        "stark_private_key": None if account.private_key is None else hex(account.private_key),
        "vault": account.vault,
    }


def state(exchange: Exchange, account: Account) -> dict[str, Any]:
    """All that is known of an account, in the words of the wire."""
    return {
        "balance": exchange.balance_body(account),
        "orders": {order.external_id: answers.order_body(order) for order in account.orders.values()},
        "trades": [answers.trade_body(trade, streaming=True) for trade in account.trades],
        "positions": [exchange.position_body(account, position) for position in account.positions.values()],
        "operations": [answers.operation_body(operation, account) for operation in account.operations],
    }
