"""An emulator's own endpoints, for tests and people: state to count against, credentials, faults."""

import json
from collections.abc import Callable
from typing import Any

import orjson
from aiohttp import web

from astrade.emulators.faults import Faults, UnknownFault

Json = dict[str, Any]


def routes(
    *, faults: Faults, switch: Callable[[str], None], state: Callable[[], Json], accounts: Callable[[], list[Json]]
) -> list[web.RouteDef]:
    """`/emulator/…`: no part of the venue, and never disturbed by faults. `switch` replaces the faults."""

    async def show_state(request: web.Request) -> web.Response:
        return _json(state())

    async def show_accounts(request: web.Request) -> web.Response:
        return _json(accounts())

    async def show_faults(request: web.Request) -> web.Response:
        return _json({"on": faults.shares, "known": faults.catalogue})

    async def switch_faults(request: web.Request) -> web.Response:
        try:
            switch(json.loads(await request.read())["faults"])
        except (ValueError, KeyError, TypeError, AttributeError) as exc:
            detail = str(exc) if isinstance(exc, UnknownFault) else 'expected {"faults": "name[:share][,…]"}'
            return _json({"error": detail}, status=400)
        return _json({"on": faults.shares})

    return [
        web.get("/emulator/state", show_state),
        web.get("/emulator/accounts", show_accounts),
        web.get("/emulator/faults", show_faults),
        web.post("/emulator/faults", switch_faults),
    ]


def _json(value: Any, *, status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(value, default=str), status=status, content_type="application/json")
