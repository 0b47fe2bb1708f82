"""What stands before every call, be it by REST or by the WebSocket API: limits, key, time and signature (binance-api.md
§4, §5)."""

import re
from decimal import Decimal

from astrade.emulators.binance import signatures
from astrade.emulators.binance.accounts import Account
from astrade.emulators.binance.calls import Answer, Call, Route
from astrade.emulators.binance.exchange import Exchange
from astrade.emulators.binance.limits import FIRST_BAN_MS, banned
from astrade.emulators.binance.matching import DUPLICATE
from astrade.emulators.binance.parameters import Parameters
from astrade.emulators.binance.refusals import Code, Refused, illegal, order_rejected, too_many

WINDOW_DEFAULT, WINDOW_MAX = Decimal(5_000), Decimal(60_000)
WINDOW = r"^[0-9]{1,5}(\.[0-9]{1,3})?$"
AHEAD_MAX_MS = 1_000
MICROSECONDS_FROM = 10**14  # a time above it is in microseconds
RETRY_AFTER_S = 1
UNKNOWN = "Timeout waiting for response from backend server. Send status unknown; execution status unknown."


def demand_service(exchange: Exchange) -> None:
    """Raises Refused with 429 or 418 while the faults of limits strike."""
    hits, text = exchange.faults.hits, "Too many requests."
    if hits("rate_limited_retry_after"):
        raise too_many(text, retry_after_s=RETRY_AFTER_S)
    if hits("rate_limited"):
        raise too_many(text)
    if hits("banned"):
        now_ms = exchange.now_ms()
        raise banned(now_ms + FIRST_BAN_MS, now_ms=now_ms)


def run(exchange: Exchange, route: Route, parameters: Parameters, *, address: str, caller: Account | None) -> Answer:
    """Carry a call out, if `address` has weight left, and count what it weighs. Raises Refused."""
    weight, now_ms = route.weight_of(parameters), exchange.now_ms()
    exchange.traffic.admit(address, weight=weight, now_ms=now_ms)
    try:
        answer = route.run(Call(exchange, parameters, caller))
    except Refused:
        exchange.traffic.charge(address, weight=weight, now_ms=now_ms)
        raise
    if not route.is_free:
        exchange.traffic.charge(address, weight=weight, now_ms=now_ms)
    return answer


def demand_answer(exchange: Exchange, answer: Answer) -> None:
    """Raises Refused instead of a change's answer while the faults that hide its outcome strike."""
    hits = exchange.faults.hits
    if answer.counts_order and hits("duplicate_execution_refused"):
        raise order_rejected(DUPLICATE)
    if hits("unknown_after_accept"):
        raise Refused(Code.TIMEOUT, UNKNOWN, status=504)
    if hits("overloaded_after_accept"):
        raise Refused(Code.SERVER_BUSY, "Server is currently overloaded with other requests.", status=503)


def known_caller(exchange: Exchange, api_key: str | None) -> Account:
    """Whose key it is. Raises Refused -2014 without one, -2015 for one that nobody has."""
    if not api_key:
        raise Refused(Code.BAD_API_KEY_FORMAT, "API-key format invalid.", status=401)
    account = exchange.account_of(api_key)
    if account is None:
        raise Refused(Code.REJECTED_API_KEY, "Invalid API-key, IP, or permissions for action.", status=401)
    return account


def demand_time(exchange: Exchange, parameters: Parameters) -> None:
    """Raises Refused -1021 for a request that is too old or from the future, -1102 for one without a time."""
    at, now_ms = parameters.needed_number("timestamp"), exchange.now_ms()
    at_ms = Decimal(at) / 1_000 if at >= MICROSECONDS_FROM else Decimal(at)
    if at_ms >= now_ms + AHEAD_MAX_MS:
        raise Refused(Code.INVALID_TIMESTAMP, "Timestamp for this request was 1000ms ahead of the server's time.")
    if now_ms - at_ms > _window(parameters):
        raise Refused(Code.INVALID_TIMESTAMP, "Timestamp for this request is outside of the recvWindow.")


def demand_signature(account: Account, api_key: str, *, payload: str, signature: str) -> None:
    """Raises Refused -1022 for one that the key's owner did not make."""
    if api_key == account.ed25519_api_key:
        is_valid = signatures.is_ed25519(account.ed25519_private_key, payload, signature)
    else:
        is_valid = signatures.is_hmac(account.api_secret, payload, signature)
    if not is_valid:
        raise Refused(Code.INVALID_SIGNATURE, "Signature for this request is not valid.")


def _window(parameters: Parameters) -> Decimal:
    text = parameters.text("recvWindow")
    if text is None:
        return WINDOW_DEFAULT
    if not re.match(WINDOW, text):
        raise illegal("recvWindow", WINDOW)
    if Decimal(text) > WINDOW_MAX:
        raise Refused(Code.BAD_RECV_WINDOW, "recvWindow must be less than 60000.")
    return Decimal(text)
