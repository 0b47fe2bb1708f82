"""Binance's networks: where each is (binance-api.md §2).

    profile_of_settings()

A profile names one network's three addresses together, so that nothing of one can reach the other.
"""

from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

WS_API_PATH = "/ws-api/v3"


class Network(StrEnum):
    TESTNET = "testnet"
    MAINNET = "mainnet"


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """One network. Addresses end without a slash and without a path, but for that of the WebSocket API."""

    network: Network
    rest_url: str
    stream_url: str
    ws_api_url: str

    @property
    def host(self) -> str:
        """What the venue's limits are counted for."""
        return urlsplit(self.rest_url).netloc


PROFILES = {
    Network.TESTNET: Profile(
        network=Network.TESTNET,
        rest_url="https://testnet.binance.vision",
        stream_url="wss://stream.testnet.binance.vision",
        ws_api_url="wss://ws-api.testnet.binance.vision/ws-api/v3",
    ),
    Network.MAINNET: Profile(
        network=Network.MAINNET,
        rest_url="https://api.binance.com",
        stream_url="wss://stream.binance.com:9443",
        ws_api_url="wss://ws-api.binance.com:443/ws-api/v3",
    ),
}


@lru_cache(maxsize=1)
def profile_of_settings() -> Profile:
    """`BINANCE_NETWORK`, or `BINANCE_API_URL` in its stead: streams and WebSocket API are then at the same host unless
    named too. Raises ImproperlyConfigured where these are named without it: they would be another network's."""
    network = Network(settings.BINANCE_NETWORK)
    rest, stream, ws_api = settings.BINANCE_API_URL, settings.BINANCE_STREAM_URL, settings.BINANCE_WS_API_URL
    if not rest:
        if stream or ws_api:
            raise ImproperlyConfigured("BINANCE_STREAM_URL and BINANCE_WS_API_URL need BINANCE_API_URL beside them")
        return PROFILES[network]
    parts = urlsplit(rest)
    at_host = f"{parts.scheme.replace('http', 'ws', 1)}://{parts.netloc}"
    return Profile(
        network=network,
        rest_url=f"{parts.scheme}://{parts.netloc}",
        stream_url=stream.rstrip("/") or at_host,
        ws_api_url=ws_api.rstrip("/") or at_host + WS_API_PATH,
    )
