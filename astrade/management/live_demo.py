"""The demo user's account at the emulated Extended that `make run` starts."""

import time
from collections.abc import Mapping
from typing import Any

import httpx
from django.conf import settings
from django.core.management.base import CommandError

from accounts.models import CredentialState, KeyOrigin, Signing, User, VenueCredential
from accounts.services.stark_keys import BroughtKey
from accounts.services.terms import accept
from accounts.services.venue_connections import Offer, connect_extended
from astrade.core.clock import system_clock
from astrade.emulators.extended.server import BASE
from astrade.settings.demands import VENUE_URLS
from astrade.venues.extended.profiles import STREAM_PATH, Network
from trading.models import TradingAccount

Keys = Mapping[str, Any]  # as `/emulator/accounts` has them
API_URL = "EXTENDED_TESTNET_API_URL"
PUBLIC = ("api_key", "stark_private_key", "stark_public_key", "vault")
ANSWERS_WITHIN_S = 30.0


def is_wanted(environment: Mapping[str, str]) -> bool:
    """Whether an emulator is to stand in for the testnet: users connect accounts there, and nobody names an address."""
    return Network.TESTNET in settings.EXTENDED_NETWORKS and not any(environment.get(name) for name in VENUE_URLS)


def addresses(origin: str) -> dict[str, str]:
    """What makes every process take the emulator at `origin` for Extended's testnet."""
    return {API_URL: origin + BASE}


def keys_at(origin: str) -> tuple[Keys, Keys]:
    """The demo user's account at the emulator, and one of another client that is nobody's here."""
    deadline = time.monotonic() + ANSWERS_WITHIN_S
    while True:
        try:
            accounts = httpx.get(f"{origin}/emulator/accounts", trust_env=False).raise_for_status().json()
        except httpx.HTTPError as exc:
            if time.monotonic() > deadline:
                raise CommandError(f"No emulator answers at {origin}: {exc}") from exc
            time.sleep(0.2)
            continue
        own = accounts[0]
        return own, next(one for one in accounts if one["client_id"] != own["client_id"])


def connect(email: str, keys: Keys) -> str:
    """Have the user accept the terms and connect the account, unless one is connected; returns the trading account's
    id. Raises what `connect_extended` raises.
    """
    user = User.objects.get(email=email)
    now = system_clock()
    accept(user, [{"document": one, "version": of} for one, of in settings.TERMS_VERSIONS.items()], ip=None, now=now)
    connected = VenueCredential.objects.filter(user=user, network=Network.TESTNET, state=CredentialState.ACTIVE)
    row = connected.filter(vault=keys["vault"]).first() or connected.order_by("pk").first()
    if row is None:
        key = BroughtKey(origin=KeyOrigin.IMPORTED, private_key=int(keys["stark_private_key"], 16))
        offer = Offer(
            network=Network.TESTNET, signing=Signing.DELEGATED, vault=keys["vault"], key=key, api_key=keys["api_key"]
        )
        row = connect_extended(user.pk, offer=offer, code=None, now=now)
    return str(TradingAccount.objects.get(credential=row).uuid)


def shown(origin: str, keys: Keys) -> dict[str, Any]:
    """An account as `demo.json` has it, for programs that speak with the emulator themselves."""
    ws_url = origin.replace("http", "ws", 1) + STREAM_PATH
    return {"base_url": origin + BASE, "ws_url": ws_url, **{name: keys[name] for name in PUBLIC}}
