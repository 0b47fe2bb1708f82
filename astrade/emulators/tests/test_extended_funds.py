"""Transfers, withdrawals and test funds: signed, checked, booked once."""

from decimal import Decimal
from typing import Any

from astrade.core.clock import to_ms
from astrade.emulators.extended.accounts import Account
from astrade.emulators.tests.harness import Harness, code_of, received_until, signature
from astrade.venues.extended.signing import TransferMessage, WithdrawalMessage

DAY_S = 86_400


def transfer_body(
    harness: Harness, *, to: Account | None = None, amount: str = "12.5", nonce: int = 5
) -> dict[str, Any]:
    sender, receiver = harness.account, to or harness.second
    message = TransferMessage(
        recipient_position_id=receiver.vault,
        sender_position_id=sender.vault,
        collateral_id=1,
        amount=int(Decimal(amount) * 10**6),
        expiration_s=to_ms(harness.clock()) // 1000 + 21 * DAY_S,
        salt=nonce,
    )
    return {
        "fromVault": sender.vault,
        "toVault": receiver.vault,
        "amount": amount,
        "transferredAsset": "0x1",
        "settlement": {
            "amount": message.amount,
            "assetId": "0x1",
            "expirationTimestamp": message.expiration_s,
            "nonce": nonce,
            "receiverPositionId": receiver.vault,
            "receiverPublicKey": hex(receiver.public_key),
            "senderPositionId": sender.vault,
            "senderPublicKey": hex(sender.public_key),
            "signature": signature(sender, message),
        },
    }


def withdrawal_body(
    harness: Harness, *, amount: str = "2", days: int = 15, recipient: int | None = None, salt: int = 9
) -> dict[str, Any]:
    account = harness.account
    message = WithdrawalMessage(
        recipient=recipient or account.wallet,
        position_id=account.vault,
        collateral_id=1,
        amount=int(Decimal(amount) * 10**6),
        expiration_s=to_ms(harness.clock()) // 1000 + days * DAY_S,
        salt=salt,
    )
    return {
        "accountId": account.id,
        "amount": amount,
        "description": None,
        "chainId": "STRK",
        "quoteId": None,
        "asset": "USD",
        "settlement": {
            "recipient": hex(message.recipient),
            "positionId": account.vault,
            "collateralId": "0x1",
            "amount": message.amount,
            "expiration": {"seconds": message.expiration_s},
            "salt": salt,
            "signature": signature(account, message),
        },
    }


def changed(body: dict[str, Any], **settlement: Any) -> dict[str, Any]:
    return body | {"settlement": body["settlement"] | settlement}


async def test_a_transfer_moves_money_between_sub_accounts_once(harness: Harness):
    body = transfer_body(harness)
    first = await harness.call("POST", "/user/transfer/onchain", json=body)
    again = await harness.call("POST", "/user/transfer/onchain", json=body)

    assert first.json()["data"]["validSignature"] is True
    assert code_of(again) == 1101
    assert (harness.account.balance, harness.second.balance) == (Decimal("99987.5"), Decimal("100012.5"))
    sent = (await harness.get("/user/assetOperations"))[0]
    received = (await harness.get("/user/assetOperations", account=harness.second))[0]
    assert (sent["id"], sent["amount"], sent["status"]) == (received["id"], "-12.5", "COMPLETED")
    assert (received["amount"], received["counterpartyAccountId"]) == ("12.5", harness.account.id)
    assert isinstance(sent["id"], str)


async def test_the_documented_form_of_a_transfer_names_accounts(harness: Harness):
    body = transfer_body(harness)
    body |= {"fromAccount": harness.account.id, "toAccount": harness.second.id, "transferredAsset": "USD"}
    response = await harness.call("POST", "/user/transfer", json=body)
    assert response.json()["data"]["validSignature"] is True
    assert harness.second.balance == Decimal("100012.5")
    unknown = await harness.call("POST", "/user/transfer", json=body | {"toAccount": 1})
    assert code_of(unknown) == 1004


async def test_transfers_that_are_not_right_change_nothing(harness: Harness):
    body = transfer_body(harness)
    forged = await harness.call("POST", "/user/transfer/onchain", json=changed(body, nonce=6))
    assert forged.json()["data"]["validSignature"] is False
    for wrong, code in (
        (transfer_body(harness, to=harness.stranger), 1004),
        (body | {"amount": "12.6"}, 1133),
        (changed(body, senderPublicKey="0x1"), 1100),
        (changed(body, receiverPublicKey="0x1"), 1100),
        (changed(body, receiverPositionId=harness.account.vault), 1133),
        (changed(body, expirationTimestamp=1), 1135),
        (body | {"fromVault": harness.second.vault}, 1102),
        (body | {"transferredAsset": "0x2"}, 1000),
        (transfer_body(harness, amount="100001"), 1140),
        (transfer_body(harness, amount="0"), 1133),
    ):
        assert code_of(await harness.call("POST", "/user/transfer/onchain", json=wrong)) == code
    assert harness.account.balance == harness.second.balance == 100_000


async def test_a_withdrawal_is_taken_off_at_once_and_completes_later(harness: Harness):
    async with harness.stream("/account", account=harness.account) as socket:
        response = await harness.call("POST", "/user/withdrawal", json=withdrawal_body(harness))
        news = await received_until(socket, "WITHDRAWAL")

        assert news["data"]["withdrawal"] == {
            "id": response.json()["data"],
            "assetId": 1,
            "amount": "2",
            "status": "CREATED",
        }
        assert harness.account.balance == 99_998
        query = {"id": response.json()["data"]}
        (operation,) = await harness.get("/user/assetOperations", params=query)
        assert (operation["type"], operation["status"], operation["amount"]) == ("SLOW_WITHDRAWAL", "CREATED", "-2")
        harness.advance(1_000)
        (operation,) = await harness.get("/user/assetOperations", params=query)
        assert operation["status"] == "COMPLETED"
        assert (await received_until(socket, "WITHDRAWAL"))["data"]["withdrawal"]["status"] == "COMPLETED"


async def test_withdrawals_that_are_not_right_have_their_numbers(harness: Harness):
    body = withdrawal_body(harness)
    for wrong, code in (
        (withdrawal_body(harness, amount="0"), 1600),
        (body | {"amount": "3"}, 1602),
        (changed(body, positionId=harness.second.vault), 1602),
        (withdrawal_body(harness, days=13), 1604),
        (body | {"asset": "EUR"}, 1605),
        (changed(body, collateralId="0x2"), 1605),
        (withdrawal_body(harness, recipient=77), 1608),
        (changed(body, salt=10), 1101),
        (body | {"chainId": "ARB"}, 1009),
        (body | {"accountId": harness.second.id}, 1004),
        (withdrawal_body(harness, amount="100001"), 1140),
    ):
        assert code_of(await harness.call("POST", "/user/withdrawal", json=wrong)) == code
    assert harness.account.balance == 100_000
    assert (await harness.call("POST", "/user/withdrawal", json=body)).status_code == 200
    assert code_of(await harness.call("POST", "/user/withdrawal", json=body)) == 1101


async def test_test_funds_once_an_hour_for_a_client(harness: Harness):
    claimed = await harness.call("POST", "/user/claim", json={})
    assert harness.account.balance == 100_000
    harness.advance(1_000)
    assert harness.account.balance == 101_000
    (operation,) = await harness.get("/user/assetOperations", params={"id": claimed.json()["data"]["id"]})
    assert (operation["type"], operation["status"]) == ("CLAIM", "COMPLETED")
    assert code_of(await harness.call("POST", "/user/claim", json={}, account=harness.second)) == 1009
    assert (await harness.call("POST", "/user/claim", json={}, account=harness.stranger)).status_code == 200
    harness.advance(3_600_000)
    assert (await harness.call("POST", "/user/claim", json={})).status_code == 200
