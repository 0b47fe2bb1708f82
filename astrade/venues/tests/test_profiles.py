"""Where each network of Extended is (extended-api.md §1)."""

from typing import Any

import pytest

from astrade.venues.extended.profiles import Network, profile_of

PRESENT = {
    Network.TESTNET: ("api.starknet.sepolia.extended.exchange", "SN_SEPOLIA", "starknet.sepolia.extended.exchange"),
    Network.MAINNET: ("api.starknet.extended.exchange", "SN_MAIN", "extended.exchange"),
}


@pytest.mark.parametrize("network", list(Network))
def test_each_network_has_the_venues_present_hosts(network: Network) -> None:
    host, chain, signing_domain = PRESENT[network]
    profile = profile_of.__wrapped__(network)

    assert profile.rest_url == f"https://{host}/api/v1"
    assert profile.stream_url == f"wss://{host}/stream.extended.exchange/v1"
    assert (profile.domain.chain_id, profile.signing_domain) == (chain, signing_domain)


def test_one_address_replaces_that_of_its_own_network(settings: Any) -> None:
    settings.EXTENDED_API_URL, settings.STARKNET_NETWORK = "http://127.0.0.1:1/api/v1", Network.TESTNET

    assert profile_of.__wrapped__(Network.TESTNET).rest_url == "http://127.0.0.1:1/api/v1"
    assert profile_of.__wrapped__(Network.MAINNET).rest_url == "https://api.starknet.extended.exchange/api/v1"
