"""Extended's two networks: where each is, and what signatures for it are made under (extended-api.md §1).

    profile_of(Network.TESTNET)

A profile names one network's addresses and domains together, so that nothing of one can reach the other.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from urllib.parse import urlsplit

from django.conf import settings

from astrade.venues.extended import signing
from astrade.venues.extended.signing import StarknetDomain

API_PATH = "/api/v1"
STREAM_PATH = "/stream.extended.exchange/v1"
DAY_MS = 86_400_000
DOMAINS = {"testnet": signing.TESTNET, "mainnet": signing.MAINNET}
SIGNING_DOMAINS = {"testnet": "starknet.sepolia.extended.exchange", "mainnet": "extended.exchange"}
ORDERS_LAST_DAYS = {"testnet": 28, "mainnet": 90}


class Network(StrEnum):
    TESTNET = "testnet"
    MAINNET = "mainnet"


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """One network. Addresses end without a slash; those that are left out are at the host of the REST base."""

    network: Network
    rest_url: str
    orders_url: str = ""  # base of placing and cancelling; today the REST one
    stream_url: str = ""  # WebSocket v1
    onboarding_url: str = ""
    domain: StarknetDomain = field(init=False)
    signing_domain: str = field(init=False)  # of EIP-712 signatures, onboarding only

    def __post_init__(self) -> None:
        rest = self.rest_url.rstrip("/")
        origin = f"{urlsplit(rest).scheme}://{urlsplit(rest).netloc}"
        derived = {
            "rest_url": rest,
            "orders_url": self.orders_url.rstrip("/") or rest,
            "stream_url": self.stream_url.rstrip("/") or origin.replace("http", "ws", 1) + STREAM_PATH,
            "onboarding_url": self.onboarding_url.rstrip("/") or origin,
            "domain": DOMAINS[self.network],
            "signing_domain": SIGNING_DOMAINS[self.network],
        }
        for name, value in derived.items():
            object.__setattr__(self, name, value)

    @property
    def host(self) -> str:
        """What the venue's limit on requests is counted for."""
        return urlsplit(self.rest_url).netloc

    @property
    def order_lasts_ms_max(self) -> int:
        """How far ahead an order's expiry may lie (1135)."""
        return ORDERS_LAST_DAYS[self.network] * DAY_MS


@lru_cache(maxsize=2)
def profile_of(network: Network) -> Profile:
    """The network as the settings have it; `EXTENDED_API_URL` replaces the REST base of `STARKNET_NETWORK`."""
    addresses = {
        end: getattr(settings, f"EXTENDED_{network.name}_{end}_URL")
        for end in ("API", "ORDERS", "STREAM", "ONBOARDING")
    }
    is_replaced = settings.EXTENDED_API_URL and network == settings.STARKNET_NETWORK
    return Profile(
        network=network,
        rest_url=settings.EXTENDED_API_URL if is_replaced else addresses["API"],
        orders_url=addresses["ORDERS"],
        stream_url=addresses["STREAM"],
        onboarding_url=addresses["ONBOARDING"],
    )
