"""Accounts that wallets open at the emulated exchange, and whom it turns away (extended-api.md §13)."""

from datetime import timedelta
from typing import Any

import httpx
import pytest

from astrade.emulators.extended.onboarding_calls import SIGNED_WITHIN_MS
from astrade.emulators.tests.harness import Harness, code_of
from astrade.emulators.tests.wallet import PATH, Wallet

SUB_ACCOUNT, API_KEY = f"{PATH}/subaccount", "/api/v1/user/account/api-key"
WALLET, OTHER = Wallet.number(1), Wallet.number(2)


async def register(harness: Harness, wallet: Wallet = WALLET, key: int | None = None, **changes: Any) -> httpx.Response:
    whole, host = changes.pop("body", {}), changes.pop("host", harness.url)
    body = wallet.registration(key or wallet.stark_key(), at=harness.clock(), host=host, **changes)
    return await harness.http.post(PATH, json=body | whole)


async def test_a_wallet_gets_an_account_and_a_key_that_selects_it(harness: Harness) -> None:
    made = (await register(harness)).json()["data"]
    account = made["defaultAccount"]
    headers = WALLET.headers(API_KEY, at=harness.clock(), account_id=account["accountId"])
    assert (await harness.http.get("/api/v1/user/account/info", headers={"X-Api-Key": ""})).status_code == 401

    keys = [
        (await harness.http.post(API_KEY, json={"description": "x"}, headers=headers)).json()["data"]["key"]
        for _ in range(2)
    ]

    assert made["l1Address"] == WALLET.address
    assert len(set(keys)) == 2
    for key in keys:
        answer = await harness.http.get("/api/v1/user/account/info", headers={"X-Api-Key": key})
        assert answer.json()["data"] == account
    assert (await harness.http.get("/api/v1/user/balance", headers={"X-Api-Key": keys[0]})).status_code == 404


async def test_the_same_key_gets_its_account_again_and_another_one_is_refused(harness: Harness) -> None:
    first = await register(harness)

    assert (await register(harness)).json() == first.json()
    assert (await register(harness, key=99)).status_code == 409
    assert code_of(await register(harness, OTHER, WALLET.stark_key())) == 1100
    assert [len(own) for own in harness.exchange.wallets.values()] == [1]


async def test_sub_accounts_belong_to_the_wallets_client(harness: Harness) -> None:
    body = WALLET.registration(
        WALLET.stark_key(1), at=harness.clock(), host=harness.url, accountIndex=1, action="CREATE_SUB_ACCOUNT"
    ) | {"description": "second"}
    headers = WALLET.headers(SUB_ACCOUNT, at=harness.clock())
    assert (await harness.http.post(SUB_ACCOUNT, json=body, headers=headers)).status_code == 401
    await register(harness)

    made = await harness.http.post(SUB_ACCOUNT, json=body, headers=headers)

    assert made.json()["data"]["accountIndex"] == 1
    main, second = harness.exchange.wallets[WALLET.address]
    assert (main.client_id, second.description) == (second.client_id, "second")
    assert (await harness.http.post(SUB_ACCOUNT, json=body, headers=headers)).status_code == 409
    strange = OTHER.headers(SUB_ACCOUNT, at=harness.clock())
    assert (await harness.http.post(SUB_ACCOUNT, json=body, headers=strange)).status_code == 401


WRONG: dict[str, tuple[dict[str, Any], int]] = {
    "another wallet's signature": ({"body": {"l1Signature": OTHER.personal("x")}}, 1500),
    "no signature": ({"body": {"l1Signature": "0xzz"}}, 1500),
    "another Stark key's signature": ({"body": {"l2Signature": {"r": "0x1", "s": "0x1"}}}, 1101),
    "no Stark key": ({"body": {"l2Key": "0x5"}}, 1100),
    "terms that are not accepted": ({"tosAccepted": False}, 1009),
    "another host": ({"host": "https://elsewhere.example"}, 1133),
    "another action": ({"action": "CREATE_SUB_ACCOUNT"}, 1133),
    "a sub-account's index": ({"accountIndex": 1}, 1133),
    "no wallet": ({"body": {"accountCreation": None}}, 1133),
    "no time": ({"time": "now"}, 1500),
}


@pytest.mark.parametrize("name", WRONG)
async def test_what_is_wrong_opens_nothing(harness: Harness, name: str) -> None:
    changes, code = WRONG[name]
    assert code_of(await register(harness, **changes)) == code
    assert harness.exchange.wallets == {}


async def test_old_signatures_are_refused(harness: Harness) -> None:
    then = harness.clock() - timedelta(milliseconds=SIGNED_WITHIN_MS + 1_000)
    assert code_of(await register(harness, time=then.strftime("%Y-%m-%dT%H:%M:%SZ"))) == 1500
    account = (await register(harness)).json()["data"]["defaultAccount"]["accountId"]
    for headers in (
        WALLET.headers(API_KEY, at=then, account_id=account),
        WALLET.headers(SUB_ACCOUNT, at=harness.clock(), account_id=account),
        {},
    ):
        answer = await harness.http.post(API_KEY, json={"description": "x"}, headers=headers)
        assert (answer.status_code, code_of(answer)) == (401, 1500)
    own, strange = (wallet.headers(API_KEY, at=harness.clock(), account_id=account) for wallet in (WALLET, OTHER))
    assert (await harness.http.post(API_KEY, json={"description": "x"}, headers=strange)).status_code == 401
    foreign = own | {"X-X10-ACTIVE-ACCOUNT": str(harness.account.id)}
    assert (await harness.http.post(API_KEY, json={"description": "x"}, headers=foreign)).status_code == 404
