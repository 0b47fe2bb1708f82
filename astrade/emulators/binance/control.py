"""The emulator's own endpoints: state to count against, credentials, faults, and money from outside."""

import json
from decimal import Decimal, InvalidOperation
from typing import Any

from aiohttp import web

from astrade.emulators import control
from astrade.emulators.binance import answers
from astrade.emulators.binance.accounts import Account
from astrade.emulators.binance.exchange import Exchange


def routes(exchange: Exchange) -> list[web.RouteDef]:
    """`/emulator/…`, with `POST /emulator/deposits` beside what every emulator has."""

    def accounts() -> list[Account]:
        return list(exchange.accounts.values())

    async def deposit(request: web.Request) -> web.Response:
        try:
            body = json.loads(await request.read())
            account, amount = exchange.accounts[int(body["account_id"])], Decimal(body["amount"])
            asset = str(body["asset"])
        except (ValueError, KeyError, TypeError, InvalidOperation):
            return web.json_response({"error": "expected account_id, asset and amount"}, status=400)
        exchange.deposit(account, asset, amount)
        exchange.publish(exchange.take_news())
        return web.json_response(answers.balance_body(asset, account.balance(asset)))

    return [
        *control.routes(
            faults=exchange.faults,
            switch=exchange.switch_faults,
            state=lambda: {str(account.id): _state(account) for account in accounts()},
            accounts=lambda: [credentials(account) for account in accounts()],
        ),
        web.post("/emulator/deposits", deposit),
    ]


def credentials(account: Account) -> dict[str, Any]:
    """All that a client needs; throw-away keys that follow from the seed."""
    return {
        "account_id": account.id,
        "api_key": account.api_key,
        "api_secret": account.api_secret,
        "ed25519_api_key": account.ed25519_api_key,
        "ed25519_private_key": account.ed25519_private_key,
    }


def _state(account: Account) -> dict[str, Any]:
    return {
        "balances": [answers.balance_body(asset, balance) for asset, balance in account.balances.items()],
        "orders": [answers.order_body(order) for order in account.orders.values()],
        "trades": [answers.trade_body(trade) for trade in account.trades],
    }
