"""What a fill was decided on, kept so that anybody can decide it again (DESIGN §5.10). Pure.

A decision (an arriving order that takes, a resting one that is reached) keeps one basis with its first fill: a JSON
object of decimal texts that names the market rules in force and holds the part of the book that bore on the result.
Together with the order's side and the seed it gives the same executions to the digit. `digest` seals the object itself.

    both       kind take|rest, profile, rules (row of the market rules), book (its sequence), quantity (wanted), taken
    realistic  levels [[price, quantity]], best first, as far as they were looked at
    take       limit (null: none); realistic: the bound of a market order's walk; classic: last, touch (best price of
               the other side), stop (null: none)
    rest       price, through, traded, ahead (null: not known)
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import orjson

from astrade.core.messages import BookSnapshot, MarketView, Quote
from astrade.core.money import ZERO, floor_to_step, plain
from trading.domain.lifecycle import Side
from trading.domain.shapes import FillRules
from trading.domain.simulator import Execution, Profile, Taking, Waiting, crosses, levels_against, rest, take

Basis = dict[str, Any]
DIGEST_BYTES = 8
_NEVER = datetime(1970, 1, 1, tzinfo=UTC)


def basis_of_take(view: MarketView, wanted: Taking, *, rules_id: int, executions: Sequence[Execution]) -> Basis:
    """Basis of what `simulator.take` decided; the book is kept up to the last price it took from."""
    limit, side = wanted.limit, wanted.side
    basis = _common("take", wanted, rules_id=rules_id, book=view.book)
    if wanted.profile is Profile.CLASSIC:
        touch = view.quote.ask if side is Side.BUY else view.quote.bid
        basis |= {"last": plain(view.quote.last), "touch": plain(touch), "stop": _text(wanted.stop)}
        return sealed(basis | {"limit": _text(limit)})
    levels = _levels(view.book, side, limit=executions[-1].price)
    return sealed(basis | {"limit": _text(wanted.protection if limit is None else limit), "levels": levels})


def basis_of_rest(book: BookSnapshot, waiting: Waiting, *, rules_id: int, step: Decimal) -> Basis:
    """Basis of what `simulator.rest` decided; the book is kept as far as it was enough for the order."""
    basis = _common("rest", waiting, rules_id=rules_id, book=book)
    basis |= {"price": plain(waiting.price), "through": waiting.traded_through}
    basis |= {"traded": plain(waiting.traded), "ahead": _text(waiting.ahead)}
    if waiting.profile is Profile.REALISTIC:
        enough = ZERO if waiting.traded_through else waiting.quantity + waiting.taken
        basis["levels"] = _levels(book, waiting.side, limit=waiting.price, enough=enough, step=step)
    return sealed(basis)


def recompute(basis: Mapping[str, Any], rules: FillRules, *, side: Side, seed: int) -> list[Execution]:
    """The executions of a decision, computed again; raises KeyError, ValueError or ArithmeticError for a basis that
    is none.
    """
    profile, quantity, taken = Profile(basis["profile"]), Decimal(basis["quantity"]), Decimal(basis["taken"])
    book = _book(side, basis.get("levels", ()))
    if basis["kind"] == "take":
        wanted = Taking(
            profile=profile,
            side=side,
            quantity=quantity,
            limit=_decimal(basis["limit"]),
            protection=None,
            taken=taken,
            seed=seed,
            stop=_decimal(basis.get("stop")),
        )
        return take(rules, MarketView(_quote(basis), book, ZERO), wanted)
    waiting = Waiting(
        profile=profile,
        side=side,
        quantity=quantity,
        price=Decimal(basis["price"]),
        traded_through=basis["through"],
        taken=taken,
        traded=Decimal(basis["traded"]),
        ahead=_decimal(basis["ahead"]),
    )
    rested = rest(rules, book, waiting)
    return [] if rested is None else [rested.execution]


def _common(kind: str, decided: Taking | Waiting, *, rules_id: int, book: BookSnapshot) -> Basis:
    quantities = {"quantity": plain(decided.quantity), "taken": plain(decided.taken)}
    return {"kind": kind, "profile": decided.profile, "rules": rules_id, "book": book.sequence} | quantities


def sealed(basis: Basis) -> Basis:
    """`basis` with its digest."""
    return basis | {"digest": digest_of(basis)}


def digest_of(basis: Mapping[str, Any]) -> str:
    """Digest of everything in `basis` but its own digest; the order of keys plays no part."""
    content = {name: value for name, value in basis.items() if name != "digest"}
    text = orjson.dumps(content, option=orjson.OPT_SORT_KEYS)
    return hashlib.blake2b(text, digest_size=DIGEST_BYTES).hexdigest()


def _levels(
    book: BookSnapshot, side: Side, *, limit: Decimal, enough: Decimal | None = None, step: Decimal | None = None
) -> list[list[str]]:
    """Levels that a taker of `side` would trade at down to `limit`, no more than hold `enough` in whole steps."""
    seen: list[list[str]] = []
    for price, quantity in levels_against(book, side):
        if not crosses(side, price=price, limit=limit) or (enough is not None and enough <= 0):
            break
        seen.append([plain(price), plain(quantity)])
        if enough is not None and step is not None:
            enough -= floor_to_step(quantity, step=step)
    return seen


def _book(side: Side, levels: Iterable[Iterable[str]]) -> BookSnapshot:
    pairs = tuple((Decimal(price), Decimal(quantity)) for price, quantity in levels)
    bids, asks = ((), pairs) if side is Side.BUY else (pairs, ())
    return BookSnapshot("", 0, bids, asks, _NEVER)


def _quote(basis: Mapping[str, Any]) -> Quote:
    last, touch = Decimal(basis.get("last", "0")), Decimal(basis.get("touch", "0"))
    return Quote("", last=last, mark=last, index=last, bid=touch, ask=touch, at=_NEVER)


def _text(value: Decimal | None) -> str | None:
    return None if value is None else plain(value)


def _decimal(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)
