"""Writes about markets: listing them, and changing their rules or status so that every change stays on record."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Max

from astrade.core.audit import record
from astrade.core.errors import ValidationFailed
from marketdata.catalogue import Listing
from marketdata.models import RULE_FIELDS, Market, MarketAlias, MarketRules, MarketStatus
from marketdata.selectors import forget_markets


@transaction.atomic
def list_market(listing: Listing, *, at: datetime) -> tuple[Market, bool]:
    """The market of `listing`, made if it isn't there; a second call changes nothing but adds missing aliases."""
    market, created = Market.objects.get_or_create(
        symbol=listing.symbol,
        defaults={
            "venue": listing.venue,
            "type": listing.type,
            "name": listing.name,
            "base": listing.base,
            "quote": listing.quote,
            "reference_price": listing.reference_price,
            **listing.rules,
            **listing.signing,
        },
    )
    if created:
        _add_rules(market, at=at)
    for spelling in listing.aliases:
        add_alias(market, spelling=spelling)
    transaction.on_commit(forget_markets)
    return market, created


def add_alias(market: Market, *, spelling: str) -> MarketAlias:
    """Let `spelling` name `market` too; raises ValidationFailed if it already names another one."""
    spelling = spelling.upper()
    if Market.objects.filter(symbol=spelling).exclude(pk=market.pk).exists():
        raise ValidationFailed(f"{spelling} is the symbol of another market")
    alias, _ = MarketAlias.objects.get_or_create(spelling=spelling, defaults={"market": market})
    if alias.market_id != market.pk:
        raise ValidationFailed(f"{spelling} already names another market")
    return alias


@transaction.atomic
def change_rules(market_id: int, *, changes: Mapping[str, Any], at: datetime, actor_id: int | None) -> MarketRules:
    """Give a market new trading rules from `at` on; returns the rules now in force, unchanged if nothing differs.

    Locks the market. `changes` maps names of `RULE_FIELDS` to values; raises ValidationFailed for any other name.
    """
    unknown = set(changes) - set(RULE_FIELDS)
    if unknown:
        raise ValidationFailed(details={"fields": dict.fromkeys(sorted(unknown), "Not a trading rule")})
    market = Market.objects.select_for_update().get(pk=market_id)
    before = {name: getattr(market, name) for name in changes}
    differing = [name for name in changes if before[name] != changes[name]]
    if not differing:
        return market.rules_rows.latest("number")
    for name in differing:
        setattr(market, name, changes[name])
    market.save(update_fields=differing)
    rules = _add_rules(market, at=at)
    old, new = ({name: values[name] for name in differing} for values in (before, changes))
    record("market.rules_changed", actor_id=actor_id, subject=market, before=old, after=new)
    transaction.on_commit(forget_markets)
    return rules


@transaction.atomic
def change_status(market_id: int, *, status: MarketStatus, actor_id: int | None) -> Market:
    """Set whether a market takes orders; audited, and nothing happens if it already stands so. Locks the market."""
    market = Market.objects.select_for_update().get(pk=market_id)
    if market.status != status:
        before, market.status = market.status, status
        market.save(update_fields=["status"])
        record(
            "market.status_changed",
            actor_id=actor_id,
            subject=market,
            before={"status": before},
            after={"status": status},
        )
        transaction.on_commit(forget_markets)
    return market


def _add_rules(market: Market, *, at: datetime) -> MarketRules:
    last = market.rules_rows.aggregate(last=Max("number"))["last"] or 0
    values = {name: getattr(market, name) for name in RULE_FIELDS}
    return MarketRules.objects.create(market=market, number=last + 1, effective_at=at, **values)
