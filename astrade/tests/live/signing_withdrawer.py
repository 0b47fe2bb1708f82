"""Someone who signs their withdrawals themself, by a key that the server never had."""

from typing import Any

from accounts.tests.client import Answer
from astrade.emulators.tests.harness import Harness
from astrade.tests.live.test_user_signed import body_of
from astrade.tests.live.withdrawer import WITHDRAWALS, Withdrawer
from astrade.venues.extended.signing import StarknetDomain, WithdrawalMessage, hash_of, sign

PREPARE = f"{WITHDRAWALS}/prepare"


class SigningWithdrawer(Withdrawer):
    """Connected by the public key alone; signs with the key of the account at the exchange."""

    def __init__(self, venue: Harness) -> None:
        super().__init__(venue)
        key = hex(self.there.public_key)
        self.connect(code=self.codes.pop(), signing="user_signed", stark_private_key=None, stark_public_key=key)

    def prepare(self, amount: str = "100", **changes: Any) -> Answer:
        """What is to be signed."""
        return self.call("POST", PREPARE, {"address_id": self.address, "amount": amount} | changes)

    def sign(self, prepared: dict[str, Any]) -> dict[str, str]:
        """The signature of what is shown, whose hash is made anew."""
        assert self.there.private_key is not None
        message = WithdrawalMessage(**{name: int(value) for name, value in prepared["message"].items()})
        digest = hash_of(message, public_key=self.there.public_key, domain=StarknetDomain(**prepared["domain"]))
        assert prepared["hash"] == hex(digest)
        return body_of(sign(self.there.private_key, digest))

    def signed(self, amount: str = "100") -> dict[str, Any]:
        """What goes along with the amount, prepared and signed."""
        prepared = self.prepare(amount)
        assert prepared.status == 200, prepared.content
        return {"prepared": prepared.data["prepared"], "signature": self.sign(prepared.data)}
