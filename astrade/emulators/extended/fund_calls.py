"""Transfers, withdrawals and the testnet's faucet (extended-api.md §8).

No number is published for funds that don't suffice: 1140 stands for it. A settlement that was carried out is refused
the second time (§11.5: its hash must not have been used).
"""

from decimal import Decimal

from astrade.core.money import plain
from astrade.emulators.extended import answers
from astrade.emulators.extended.accounts import Account, Operation, margin_of
from astrade.emulators.extended.calls import Answer, Call, Route
from astrade.emulators.extended.markets import COLLATERAL, COLLATERAL_ID, COLLATERAL_RESOLUTION
from astrade.emulators.extended.refusals import Code, Refused
from astrade.emulators.extended.requests import (
    Body,
    decimal,
    hexadecimal,
    integer,
    invalid,
    mapping,
    signature_of,
    text,
)
from astrade.emulators.extended.settlement import check_signature, message_hash
from astrade.venues.extended.signing import TransferMessage, WithdrawalMessage
from marketdata.timeframes import DAY_MS, HOUR_MS

STARKNET = "STRK"
WITHDRAWAL_SETTLES_AFTER_MS = 14 * DAY_MS
CLAIM_AMOUNT = Decimal(1_000)
MS = 1_000


def transfer_by_vault(call: Call) -> Answer:
    """The SDK's form: vaults, and the asset's id in the settlement."""
    fields = mapping(call.body, "the body")
    if hexadecimal(fields, "transferredAsset") != COLLATERAL_ID:
        raise Refused(Code.ASSET_NOT_FOUND)
    return _transfer(call, fields, sender=integer(fields, "fromVault"), recipient=integer(fields, "toVault"))


def transfer_by_account(call: Call) -> Answer:
    """The documented form: account ids, and the asset's name."""
    fields = mapping(call.body, "the body")
    if text(fields, "transferredAsset") != COLLATERAL:
        raise Refused(Code.ASSET_NOT_FOUND)
    vaults = {account.id: account.vault for account in call.exchange.accounts.values()}
    sender, recipient = (vaults.get(integer(fields, name)) for name in ("fromAccount", "toAccount"))
    if sender is None or recipient is None:
        raise Refused(Code.ACCOUNT_NOT_FOUND)
    return _transfer(call, fields, sender=sender, recipient=recipient)


def withdraw(call: Call) -> Answer:
    """To the client's Starknet wallet; the balance goes down at once."""
    fields, account = mapping(call.body, "the body"), call.account
    settlement, amount = mapping(fields.get("settlement"), "settlement"), decimal(fields, "amount")
    message = _withdrawal_message(settlement)
    _check_withdrawal(call, fields, message, amount)
    check_signature(account.public_key, message, signature_of(settlement))
    _use(call, message)
    operation = _operation(call, "SLOW_WITHDRAWAL", -amount)
    account.balance -= amount
    return Answer(operation.id, after=lambda: call.exchange.begin(account, operation))


def claim(call: Call) -> Answer:
    """1,000 test USD an hour for each client."""
    exchange, own = call.exchange, call.account
    since = exchange.now_ms() - HOUR_MS
    family = [account for account in exchange.accounts.values() if account.client_id == own.client_id]
    if any(done.type == "CLAIM" and done.at_ms > since for account in family for done in account.operations):
        raise Refused(Code.ACTION_NOT_ALLOWED, "once an hour")
    operation = _operation(call, "CLAIM", CLAIM_AMOUNT)
    return Answer({"id": operation.id}, after=lambda: exchange.begin(own, operation))


def bridge_config(call: Call) -> Answer:
    """There are no bridges here."""
    return Answer({"chains": []})


def _transfer(call: Call, fields: Body, *, sender: int, recipient: int) -> Answer:
    account, settlement = call.account, mapping(fields.get("settlement"), "settlement")
    amount = decimal(fields, "amount")
    target = _own_account(call, recipient)
    message = TransferMessage(
        recipient_position_id=integer(settlement, "receiverPositionId"),
        sender_position_id=integer(settlement, "senderPositionId"),
        collateral_id=hexadecimal(settlement, "assetId"),
        amount=integer(settlement, "amount"),
        expiration_s=integer(settlement, "expirationTimestamp"),
        salt=integer(settlement, "nonce"),
    )
    _check_transfer(call, message, sender=sender, recipient=recipient, amount=amount)
    if hexadecimal(settlement, "senderPublicKey") != account.public_key:
        raise Refused(Code.INVALID_STARKNET_PUBLIC_KEY)
    if hexadecimal(settlement, "receiverPublicKey") != target.public_key:
        raise Refused(Code.INVALID_STARKNET_PUBLIC_KEY, "the receiver's")
    try:
        check_signature(account.public_key, message, signature_of(settlement))
    except Refused:
        digest = message_hash(account.public_key, message)
        return Answer({"validSignature": False, "hashCalculated": None if digest is None else hex(digest)})
    _use(call, message)
    sent = _operation(call, "TRANSFER", -amount, counterparty=target)
    received = Operation(
        id=sent.id, type="TRANSFER", status="COMPLETED", amount=amount, at_ms=sent.at_ms, counterparty_id=account.id
    )
    sent.status = "COMPLETED"
    account.balance -= amount
    target.balance += amount
    target.operations.append(received)

    def tell() -> None:
        for changed in (account, target):
            call.exchange.tell_balance(changed)

    return Answer({"validSignature": True, "id": sent.id}, after=tell)


def _own_account(call: Call, vault: int) -> Account:
    for account in call.exchange.accounts.values():
        if account.vault == vault and account.client_id == call.account.client_id:
            return account
    raise Refused(Code.ACCOUNT_NOT_FOUND, "no sub-account of the same client")


def _check_transfer(call: Call, message: TransferMessage, *, sender: int, recipient: int, amount: Decimal) -> None:
    account = call.account
    if sender != account.vault:
        raise Refused(Code.INVALID_STARKNET_VAULT)
    matches = (message.sender_position_id, message.recipient_position_id) == (sender, recipient)
    if not matches or message.collateral_id != COLLATERAL_ID or message.amount != amount * COLLATERAL_RESOLUTION:
        raise invalid("body and settlement differ")
    if amount <= 0:
        raise invalid("amount is not positive")
    if message.expiration_s * MS <= call.exchange.now_ms():
        raise Refused(Code.INVALID_ORDER_EXPIRATION)
    _check_funds(call, amount)


def _withdrawal_message(settlement: Body) -> WithdrawalMessage:
    return WithdrawalMessage(
        recipient=hexadecimal(settlement, "recipient"),
        position_id=integer(settlement, "positionId"),
        collateral_id=hexadecimal(settlement, "collateralId"),
        amount=integer(settlement, "amount"),
        expiration_s=integer(mapping(settlement.get("expiration"), "expiration"), "seconds"),
        salt=integer(settlement, "salt"),
    )


def _check_withdrawal(call: Call, fields: Body, message: WithdrawalMessage, amount: Decimal) -> None:
    account = call.account
    if amount <= 0:
        raise Refused(Code.WITHDRAWAL_AMOUNT_MUST_BE_POSITIVE)
    if text(fields, "asset") != COLLATERAL or message.collateral_id != COLLATERAL_ID:
        raise Refused(Code.WITHDRAWAL_INVALID_ASSET)
    if integer(fields, "accountId") != account.id:
        raise Refused(Code.ACCOUNT_NOT_FOUND)
    if text(fields, "chainId") != STARKNET:
        raise Refused(Code.ACTION_NOT_ALLOWED, "the emulator has no bridges")
    if message.position_id != account.vault or message.amount != amount * COLLATERAL_RESOLUTION:
        raise Refused(Code.WITHDRAWAL_REQUEST_DOES_NOT_MATCH_SETTLEMENT)
    if message.expiration_s * MS < call.exchange.now_ms() + WITHDRAWAL_SETTLES_AFTER_MS:
        raise Refused(Code.WITHDRAWAL_EXPIRATION_TIME_IS_TOO_SOON)
    if message.recipient != account.wallet:
        raise Refused(Code.WITHDRAWAL_ACCOUNT_DOES_NOT_BELONG_TO_USER)
    _check_funds(call, amount)


def _check_funds(call: Call, amount: Decimal) -> None:
    quotes = {name: market.view.quote for name, market in call.exchange.prices.markets.items()}
    free = answers.withdrawable(margin_of(call.account, call.exchange.instruments, quotes))
    if amount > free:
        raise Refused(Code.ORDER_COST_EXCEEDS_BALANCE, f"{plain(free)} may leave")


def _use(call: Call, message: TransferMessage | WithdrawalMessage) -> None:
    digest = message_hash(call.account.public_key, message)
    if digest in call.exchange.settled:
        raise Refused(Code.INVALID_STARKNET_SIGNATURE, "this settlement was used before")
    if digest is not None:
        call.exchange.settled.add(digest)


def _operation(call: Call, kind: str, amount: Decimal, *, counterparty: Account | None = None) -> Operation:
    operation = Operation(
        id=call.exchange.new_id(),
        type=kind,
        status="CREATED",
        amount=amount,
        at_ms=call.exchange.now_ms(),
        counterparty_id=counterparty.id if counterparty else None,
    )
    call.account.operations.append(operation)
    return operation


ROUTES = (
    Route("POST", "/user/transfer/onchain", transfer_by_vault),
    Route("POST", "/user/transfer", transfer_by_account),
    Route("POST", "/user/withdrawal", withdraw),
    Route("POST", "/user/claim", claim),
    Route("GET", "/user/bridge/config", bridge_config),
)
