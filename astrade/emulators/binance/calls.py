"""A call and its answer as values, and what an endpoint is: the same for REST and for the WebSocket API."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from astrade.emulators.binance.accounts import Account
from astrade.emulators.binance.exchange import Exchange
from astrade.emulators.binance.parameters import Parameters
from astrade.emulators.binance.refusals import Code, Refused


@dataclass(frozen=True, slots=True)
class Answer:
    """`data` as it is sent; `counts_order`: the answer names the account's unfilled orders."""

    data: Any
    counts_order: bool = False


@dataclass(frozen=True, slots=True)
class Call:
    """One request. `caller` is whoever signed it; on signed endpoints always there."""

    exchange: Exchange
    parameters: Parameters
    caller: Account | None = None

    @property
    def account(self) -> Account:
        if self.caller is None:
            raise Refused(Code.BAD_API_KEY_FORMAT, "API-key format invalid.", status=401)
        return self.caller


Weight = int | Callable[[Parameters], int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """An endpoint below `/api/v3`, and its method's name at the WebSocket API, if it is one there.

    A signed one needs key, signature and time; a `free` one weighs nothing where it succeeds. `reads` are the
    parameters that it knows.
    """

    method: str
    path: str
    handler: Callable[[Call], Answer]
    weight: Weight
    reads: frozenset[str] = field(default_factory=frozenset)
    is_signed: bool = False
    is_free: bool = False
    rpc: str | None = None

    def weight_of(self, parameters: Parameters) -> int:
        """What a call weighs."""
        return self.weight if isinstance(self.weight, int) else self.weight(parameters)

    def run(self, call: Call) -> Answer:
        """Raises Refused."""
        call.parameters.demand_known(self.reads)
        return self.handler(call)


def reading(*names: str) -> frozenset[str]:
    """Parameters of an endpoint."""
    return frozenset(names)
