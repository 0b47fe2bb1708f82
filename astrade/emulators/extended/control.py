"""The emulator's own endpoints, for tests and people: state to count against, credentials, faults."""

import json
from typing import Any

import orjson
from aiohttp import web

from astrade.emulators.extended import answers
from astrade.emulators.extended.accounts import Account
from astrade.emulators.extended.exchange import Exchange
from astrade.emulators.extended.faults import CATALOGUE, UnknownFault


def routes(exchange: Exchange) -> list[web.RouteDef]:
    """`/emulator/…`: no part of the exchange, and never disturbed by faults."""

    async def state(request: web.Request) -> web.Response:
        return _json({str(account.id): _state(exchange, account) for account in exchange.accounts.values()})

    async def accounts(request: web.Request) -> web.Response:
        return _json([credentials(account) for account in exchange.accounts.values()])

    async def faults(request: web.Request) -> web.Response:
        return _json({"on": exchange.faults.shares, "known": CATALOGUE})

    async def switch(request: web.Request) -> web.Response:
        try:
            scenario = json.loads(await request.read())["faults"]
            exchange.switch_faults(scenario)
        except (ValueError, KeyError, TypeError, AttributeError) as exc:
            detail = str(exc) if isinstance(exc, UnknownFault) else 'expected {"faults": "name[:share][,…]"}'
            return _json({"error": detail}, status=400)
        return _json({"on": exchange.faults.shares})

    return [
        web.get("/emulator/state", state),
        web.get("/emulator/accounts", accounts),
        web.get("/emulator/faults", faults),
        web.post("/emulator/faults", switch),
    ]


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


def _state(exchange: Exchange, account: Account) -> dict[str, Any]:
    return {
        "balance": exchange.balance_body(account),
        "orders": {order.external_id: answers.order_body(order) for order in account.orders.values()},
        "trades": [answers.trade_body(trade, streaming=True) for trade in account.trades],
        "positions": [exchange.position_body(account, position) for position in account.positions.values()],
        "operations": [answers.operation_body(operation, account) for operation in account.operations],
    }


def _json(value: Any, *, status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(value, default=str), status=status, content_type="application/json")
