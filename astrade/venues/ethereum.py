"""What an Ethereum wallet signs, and whose a signature is: EIP-191 messages, EIP-712 typed data, EIP-55 addresses.

    typed.digest                        what eth_signTypedData_v4 of `typed.as_json()` signs
    message_digest("/path@time")        what personal_sign of a text signs
    wallet_of(digest, signature)        the address of whoever signed it, None for what is no signature

Only public values are worked with here, so nothing has to take constant time. Contracts that sign (EIP-1271) have no
key to be recovered and aren't supported.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from eth_keys.datatypes import Signature
from eth_keys.exceptions import BadSignature
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak
from eth_utils.exceptions import ValidationError

SIGNATURE_BYTES = 65
WORD = 32
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")
_PARITY = {0: 0, 1: 1, 27: 0, 28: 1}


@dataclass(frozen=True, slots=True, kw_only=True)
class TypedData:
    """EIP-712 data of one flat struct under a domain that has nothing but a name.

    `fields` are names with their types, of which `int8`, `address`, `bool` and `string` are known.
    """

    domain: str
    primary_type: str
    fields: tuple[tuple[str, str], ...]
    message: Mapping[str, Any]

    @property
    def digest(self) -> bytes:
        """What is signed."""
        domain = _struct("EIP712Domain", (("name", "string"),), {"name": self.domain})
        return keccak(b"\x19\x01" + domain + _struct(self.primary_type, self.fields, self.message))

    def as_json(self) -> dict[str, Any]:
        """As a wallet takes it."""
        return {
            "types": {
                "EIP712Domain": [{"name": "name", "type": "string"}],
                self.primary_type: [{"name": name, "type": kind} for name, kind in self.fields],
            },
            "domain": {"name": self.domain},
            "primaryType": self.primary_type,
            "message": dict(self.message),
        }


def message_digest(text: str) -> bytes:
    """What `personal_sign` of a text signs (EIP-191)."""
    body = text.encode()
    return keccak(b"\x19Ethereum Signed Message:\n" + str(len(body)).encode() + body)


def checksummed(address: str) -> str:
    """The address in its EIP-55 spelling. Raises ValueError for what is none, or has a wrong checksum."""
    if not _ADDRESS.fullmatch(address):
        raise ValueError("an address has 0x and 40 hexadecimal digits")
    spelt = str(to_checksum_address(address))
    if address[2:] not in (spelt[2:], address[2:].lower(), address[2:].upper()):
        raise ValueError("the address has a wrong checksum")
    return spelt


def wallet_of(digest: bytes, signature: bytes) -> str | None:
    """The address, in its EIP-55 spelling, whose key signed the digest; None for what can't be a signature.

    `signature` is r, s and the parity (0, 1, 27 or 28) in 65 bytes.
    """
    if len(signature) != SIGNATURE_BYTES or signature[-1] not in _PARITY:
        return None
    r, s = int.from_bytes(signature[:WORD]), int.from_bytes(signature[WORD:-1])
    try:
        signed = Signature(vrs=(_PARITY[signature[-1]], r, s))
        return str(signed.recover_public_key_from_msg_hash(digest).to_checksum_address())
    except (BadSignature, ValidationError):
        return None


def _struct(name: str, fields: tuple[tuple[str, str], ...], values: Mapping[str, Any]) -> bytes:
    kind = f"{name}({','.join(f'{kind} {field}' for field, kind in fields)})"
    return keccak(keccak(kind.encode()) + b"".join(_word(kind, values[field]) for field, kind in fields))


def _word(kind: str, value: Any) -> bytes:
    match kind:
        case "string":
            return keccak(value.encode())
        case "address":
            return int(value, 16).to_bytes(WORD)
        case "bool" | "int8":
            return int(value).to_bytes(WORD, signed=True)
    raise ValueError(f"{kind} is not known here")
