"""A wallet as people have one: it signs what it is shown, by its own reading of EIP-191 and EIP-712."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from eth_hash.auto import keccak
from eth_keys.datatypes import PrivateKey

from accounts.stark import key_of_wallet
from astrade.venues.extended.signing import public_key_of, registration_hash, sign

NAME_ONLY = [{"name": "name", "type": "string"}]
CREATION = [
    {"name": "accountIndex", "type": "int8"},
    {"name": "wallet", "type": "address"},
    {"name": "tosAccepted", "type": "bool"},
]
REGISTRATION = [*CREATION, *({"name": name, "type": "string"} for name in ("time", "action", "host"))]
PATH, TIME = "/auth/onboard", "%Y-%m-%dT%H:%M:%SZ"


@dataclass(frozen=True)
class Wallet:
    """An Ethereum key, and what it signs with."""

    key: PrivateKey

    @classmethod
    def number(cls, number: int) -> "Wallet":
        """The same wallet for the same number."""
        return cls(PrivateKey(keccak(f"wallet {number}".encode())))

    @property
    def address(self) -> str:
        return self.key.public_key.to_checksum_address()

    def typed(self, data: dict[str, Any]) -> str:
        """eth_signTypedData_v4."""
        return self._sign(b"\x19\x01" + _struct(data, "EIP712Domain", "domain") + _struct(data, data["primaryType"]))

    def personal(self, text: str) -> str:
        """personal_sign."""
        return self._sign(f"\x19Ethereum Signed Message:\n{len(text)}{text}".encode())

    def stark_key(self, index: int = 0) -> int:
        """The private key that the wallet's signature gives for a sub-account."""
        message = {"accountIndex": index, "wallet": self.address, "tosAccepted": True}
        return key_of_wallet(bytes.fromhex(self.typed(_typed("AccountCreation", CREATION, message))[2:]))

    def registration(self, key: int, *, at: datetime, host: str, **changes: Any) -> dict[str, Any]:
        """The body that registers the wallet with a Stark key; what is changed in `accountCreation` is signed."""
        message = {"accountIndex": 0, "wallet": self.address, "tosAccepted": True, "time": at.strftime(TIME)}
        message |= {"action": "REGISTER", "host": host} | changes
        signature = sign(key, registration_hash(wallet=int(self.address, 16), public_key=public_key_of(key)))
        return {
            "l1Signature": self.typed(_typed("AccountRegistration", REGISTRATION, message)),
            "l2Key": hex(public_key_of(key)),
            "l2Signature": {"r": hex(signature.r), "s": hex(signature.s)},
            "accountCreation": message,
        }

    def headers(self, path: str, *, at: datetime, account_id: int = 0) -> dict[str, str]:
        """What says that the wallet makes a request."""
        time = at.strftime(TIME)
        signature = self.personal(f"{path}@{time}")
        return {"L1_SIGNATURE": signature, "L1_MESSAGE_TIME": time, "X-X10-ACTIVE-ACCOUNT": str(account_id)}

    def answers(self, begun: dict[str, Any]) -> dict[str, Any]:
        """What completes an onboarding that was begun."""
        sign = begun["sign"]
        signed = {
            "id": begun["id"],
            "registration_signature": self.typed(sign["registration"]),
            "api_key_signature": self.personal(sign["api_key"]),
        }
        return signed | ({"wallet_signature": self.typed(sign["wallet"])} if sign["wallet"] else {})

    def _sign(self, message: bytes) -> str:
        signature = self.key.sign_msg_hash(keccak(message))
        return "0x" + signature.to_bytes()[:64].hex() + f"{27 + signature.v:02x}"


def _typed(name: str, fields: list[dict[str, str]], message: dict[str, Any]) -> dict[str, Any]:
    types = {"EIP712Domain": NAME_ONLY, name: fields}
    domain = {"name": "starknet.sepolia.extended.exchange"}
    return {"types": types, "domain": domain, "primaryType": name, "message": message}


def _struct(data: dict[str, Any], name: str, part: str = "message") -> bytes:
    fields = data["types"][name]
    described = name + "(" + ",".join(f"{field['type']} {field['name']}" for field in fields) + ")"
    words = [_word(field["type"], data[part][field["name"]]) for field in fields]
    return bytes(keccak(b"".join([keccak(described.encode()), *words])))


def _word(kind: str, value: Any) -> bytes:
    if kind == "string":
        return bytes(keccak(value.encode()))
    if kind == "address":
        return bytes(12) + bytes.fromhex(value[2:])
    return bytes(31) + bytes([int(value)])  # bool, or an int8 that is not negative
