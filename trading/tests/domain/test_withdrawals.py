"""A payment's states, addresses on Starknet, and what may be off a balance."""

import pytest

from trading.domain.payments import (
    ON_THE_WAY_MAX,
    OPEN,
    TRANSITIONS,
    IllegalPaymentMove,
    PaymentState,
    advance,
    possible_sums,
)
from trading.domain.withdrawals import STARKNET_ADDRESS_BELOW, starknet_address
from trading.tests.factories import D

S = PaymentState


def test_only_the_tables_moves_are_made() -> None:
    for before in S:
        for after in S:
            if after in TRANSITIONS[before]:
                assert advance(before, after) is after
            else:
                with pytest.raises(IllegalPaymentMove):
                    advance(before, after)


def test_what_has_ended_stays_but_for_the_venues_evidence() -> None:
    assert {state: TRANSITIONS[state] for state in set(S) - OPEN} == {
        S.SETTLED: frozenset(),
        S.CANCELLED: frozenset(),
        S.FAILED: {S.SETTLED},
    }
    assert all(TRANSITIONS[state] for state in OPEN)


def test_a_sent_one_is_never_sent_or_taken_back_again() -> None:
    for state in (S.SENT, S.UNKNOWN):
        assert not TRANSITIONS[state] & {S.REQUESTED, S.APPROVED, S.CANCELLED}


def test_addresses() -> None:
    assert starknet_address("0x2") == 2
    assert starknet_address("0X00ABC") == 0xABC
    assert starknet_address(hex(STARKNET_ADDRESS_BELOW - 1)) == STARKNET_ADDRESS_BELOW - 1
    for text in ("", "0x", "2", "0x1", hex(STARKNET_ADDRESS_BELOW), "0x-5", "0x 5", "0x٣", "0x1_0", "0xg"):
        assert starknet_address(text) is None, text


def test_any_of_what_is_on_its_way_may_have_left() -> None:
    assert possible_sums([]) == {0}
    assert possible_sums([D("1"), D("2.5")]) == {D(0), D(1), D("2.5"), D("3.5")}
    assert len(possible_sums([D(2) ** power for power in range(20)])) == 2**ON_THE_WAY_MAX
