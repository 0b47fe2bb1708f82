"""Accounts opened by an Ethereum wallet's signatures, and API keys for them (extended-api.md §13).

The reference tells neither how old a signature may be nor what a second registration is answered with. Here the time
that is signed lies within `SIGNED_WITHIN_MS` of the exchange's; the same wallet with the same Stark key gets its
account again, with another key 409.
"""

from datetime import UTC, datetime

from astrade.core.clock import to_ms
from astrade.emulators.extended import answers
from astrade.emulators.extended.accounts import Account
from astrade.emulators.extended.calls import Answer, Call, Route
from astrade.emulators.extended.refusals import Code, Refused, not_found
from astrade.emulators.extended.requests import Body, hexadecimal, integer, invalid, mapping, signature_of, text
from astrade.venues.ethereum import TypedData, checksummed, message_digest, wallet_of
from astrade.venues.extended.profiles import SIGNING_DOMAINS, Network
from astrade.venues.extended.signing import Signature, is_public_key, registration_hash, verifies

PREFIX = "/auth"
SIGNED_WITHIN_MS = 15 * 60_000
TIME = "%Y-%m-%dT%H:%M:%SZ"
SUB_ACCOUNTS_MAX = 10
REGISTRATION = (
    ("accountIndex", "int8"),
    ("wallet", "address"),
    ("tosAccepted", "bool"),
    ("time", "string"),
    ("action", "string"),
    ("host", "string"),
)


def onboard(call: Call) -> Answer:
    """The main account of a wallet."""
    fields = mapping(call.body, "the body")
    creation = _creation(call, fields, action="REGISTER")
    wallet = _address(creation)
    if _signer(_typed(creation).digest, text(fields, "l1Signature")) != wallet:
        raise _not_authenticated("l1Signature is not the wallet's")
    public_key = _stark_key(fields, wallet=wallet)
    if (known := call.exchange.wallets.get(wallet)) is None:
        account = _opened(call, wallet, public_key=public_key, index=integer(creation, "accountIndex"), description="")
    elif known[0].public_key == public_key:
        account = known[0]
    else:
        raise Refused(Code.ACTION_NOT_ALLOWED, "the wallet is registered with another key", status=409)
    return Answer({"l1Address": wallet, "defaultAccount": answers.account_body(account)})


def onboard_subaccount(call: Call) -> Answer:
    """Another account of a wallet that is registered."""
    fields = mapping(call.body, "the body")
    creation = _creation(call, fields, action="CREATE_SUB_ACCOUNT")
    wallet, index = _address(creation), integer(creation, "accountIndex")
    own = call.exchange.wallets.get(wallet)
    if own is None or _caller(call, f"{PREFIX}/onboard/subaccount") != wallet:
        raise _not_authenticated("no registered wallet signed this")
    if not 0 < index < SUB_ACCOUNTS_MAX:
        raise invalid("accountIndex is out of range")
    if any(account.index == index for account in own):
        raise Refused(Code.ACTION_NOT_ALLOWED, "the sub-account exists", status=409)
    public_key = _stark_key(fields, wallet=wallet)
    account = _opened(call, wallet, public_key=public_key, index=index, description=text(fields, "description"))
    return Answer(answers.account_body(account))


def create_api_key(call: Call) -> Answer:
    """Another key for one of the wallet's accounts."""
    own = call.exchange.wallets.get(_caller(call, "/api/v1/user/account/api-key"))
    if own is None:
        raise _not_authenticated("no registered wallet signed this")
    text(mapping(call.body, "the body"), "description")
    for account in own:
        if str(account.id) == call.headers.get("X-X10-ACTIVE-ACCOUNT"):
            return Answer({"key": call.exchange.new_api_key(account)})
    raise not_found(Code.ACCOUNT_NOT_FOUND, "no account of the wallet")


def _opened(call: Call, wallet: str, *, public_key: int, index: int, description: str) -> Account:
    if any(account.public_key == public_key for account in call.exchange.accounts.values()):
        raise Refused(Code.INVALID_STARKNET_PUBLIC_KEY, "the key is another account's")
    return call.exchange.open_account(wallet, public_key=public_key, index=index, description=description)


def _creation(call: Call, fields: Body, *, action: str) -> Body:
    creation = mapping(fields.get("accountCreation"), "accountCreation")
    if creation.get("tosAccepted") is not True:
        raise Refused(Code.ACTION_NOT_ALLOWED, "the terms are not accepted")
    if text(creation, "action") != action or text(creation, "host") != call.origin:
        raise invalid("action or host is another one")
    if action == "REGISTER" and integer(creation, "accountIndex"):
        raise invalid("the main account has index 0")
    _check_time(call, text(creation, "time"))
    return creation


def _typed(creation: Body) -> TypedData:
    domain = SIGNING_DOMAINS[Network.TESTNET]
    return TypedData(domain=domain, primary_type="AccountRegistration", fields=REGISTRATION, message=creation)


def _stark_key(fields: Body, *, wallet: str) -> int:
    """The key, once its signature says that it is to be the wallet's."""
    public_key, pair = hexadecimal(fields, "l2Key"), mapping(fields.get("l2Signature"), "l2Signature")
    signature = signature_of({"signature": pair})
    if not is_public_key(public_key):
        raise Refused(Code.INVALID_STARKNET_PUBLIC_KEY)
    _check_stark(public_key, signature, wallet=wallet)
    return public_key


def _check_stark(public_key: int, signature: Signature, *, wallet: str) -> None:
    digest = registration_hash(wallet=int(wallet, 16), public_key=public_key)
    if not verifies(public_key, digest, signature):
        raise Refused(Code.INVALID_STARKNET_SIGNATURE, f"hash {digest:#x}")


def _caller(call: Call, path: str) -> str:
    """The wallet that signed a request."""
    time = call.headers.get("L1_MESSAGE_TIME", "")
    _check_time(call, time)
    return _signer(message_digest(f"{path}@{time}"), call.headers.get("L1_SIGNATURE", ""))


def _signer(digest: bytes, signature: str) -> str:
    try:
        found = wallet_of(digest, bytes.fromhex(signature.removeprefix("0x")))
    except ValueError:
        found = None
    if found is None:
        raise _not_authenticated("no signature of a wallet")
    return found


def _address(creation: Body) -> str:
    try:
        return checksummed(text(creation, "wallet"))
    except ValueError as exc:
        raise invalid(str(exc)) from None


def _check_time(call: Call, time: str) -> None:
    try:
        signed_ms = to_ms(datetime.strptime(time, TIME).replace(tzinfo=UTC))
    except ValueError:
        raise _not_authenticated("the time can't be read") from None
    if abs(call.exchange.now_ms() - signed_ms) > SIGNED_WITHIN_MS:
        raise _not_authenticated("signed too long ago")


def _not_authenticated(debug: str) -> Refused:
    return Refused(Code.ACCOUNT_NOT_SELECTED, debug, status=401)


ROUTES = (
    Route("POST", f"{PREFIX}/onboard", onboard, is_private=False, at_host=True),
    Route("POST", f"{PREFIX}/onboard/subaccount", onboard_subaccount, is_private=False, at_host=True),
    Route("POST", "/user/account/api-key", create_api_key, is_private=False),
)
