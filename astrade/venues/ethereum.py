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

from Crypto.Hash import keccak as _keccak

SIGNATURE_BYTES = 65
WORD = 32
_P = 2**256 - 2**32 - 977  # the field of secp256k1, its order and generator (SEC 2)
_N = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
_G = (
    0x79BE667EF9DCBBAC55A06295CE870B07029BFCDB2DCE28D959F2815B16F81798,
    0x483ADA7726A3C4655DA4FBFC0E1108A8FD17B448A68554199C47D08FFB10D4B8,
    1,
)
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")
_PARITY = {0: 0, 1: 1, 27: 0, 28: 1}
Point = tuple[int, int, int]  # Jacobian: x is X / Z², y is Y / Z³; at infinity Z is 0
_INFINITY: Point = (1, 1, 0)


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


def keccak(data: bytes) -> bytes:
    """Keccak-256 as Ethereum has it, which is not SHA3-256."""
    return _keccak.new(digest_bits=256, data=data).digest()


def message_digest(text: str) -> bytes:
    """What `personal_sign` of a text signs (EIP-191)."""
    body = text.encode()
    return keccak(b"\x19Ethereum Signed Message:\n" + str(len(body)).encode() + body)


def checksummed(address: str) -> str:
    """The address in its EIP-55 spelling. Raises ValueError for what is none, or has a wrong checksum."""
    if not _ADDRESS.fullmatch(address):
        raise ValueError("an address has 0x and 40 hexadecimal digits")
    digits = address[2:].lower()
    marks = keccak(digits.encode()).hex()
    spelt = "".join(digit.upper() if int(mark, 16) > 7 else digit for digit, mark in zip(digits, marks, strict=False))
    if address[2:] not in (spelt, digits, digits.upper()):
        raise ValueError("the address has a wrong checksum")
    return f"0x{spelt}"


def wallet_of(digest: bytes, signature: bytes) -> str | None:
    """The address, in its EIP-55 spelling, whose key signed the digest; None for what can't be a signature.

    `signature` is r, s and the parity (0, 1, 27 or 28) in 65 bytes.
    """
    if len(signature) != SIGNATURE_BYTES:
        return None
    r, s = int.from_bytes(signature[:WORD]), int.from_bytes(signature[WORD:-1])
    parity = _PARITY.get(signature[-1])
    if parity is None or not 0 < r < _N or not 0 < s < _N:
        return None
    y = pow(r**3 + 7, (_P + 1) // 4, _P)
    if (y * y - r**3 - 7) % _P:
        return None
    inverse = pow(r, -1, _N)
    scale_g, scale_r = -int.from_bytes(digest) * inverse % _N, s * inverse % _N
    key = _sum_of_products(scale_g, _G, scale_r, (r, y if y % 2 == parity else _P - y, 1))
    return _address_of(key) if key[2] else None


def _address_of(key: Point) -> str:
    inverse = pow(key[2], -1, _P)
    x, y = key[0] * inverse**2 % _P, key[1] * inverse**3 % _P
    return checksummed("0x" + keccak(x.to_bytes(WORD) + y.to_bytes(WORD))[-20:].hex())


def _sum_of_products(one: int, first: Point, other: int, second: Point) -> Point:
    """one · first + other · second, bit by bit of both at once."""
    both, total = _add(first, second), _INFINITY
    for bit in reversed(range(_N.bit_length())):
        total = _double(total)
        match one >> bit & 1, other >> bit & 1:
            case 1, 1:
                total = _add(total, both)
            case 1, 0:
                total = _add(total, first)
            case 0, 1:
                total = _add(total, second)
    return total


def _add(one: Point, other: Point) -> Point:
    (x1, y1, z1), (x2, y2, z2) = one, other
    if not z1 or not z2:
        return one if z1 else other
    square1, square2 = z1 * z1 % _P, z2 * z2 % _P
    at, ordinate = x1 * square2 % _P, y1 * z2 * square2 % _P
    run, rise = (x2 * square1 - at) % _P, (y2 * z1 * square1 - ordinate) % _P
    if not run:
        return _INFINITY if rise else _double(one)
    cube = run * run * run % _P
    shifted = at * run * run % _P
    x = (rise * rise - cube - 2 * shifted) % _P
    return x, (rise * (shifted - x) - ordinate * cube) % _P, run * z1 * z2 % _P


def _double(point: Point) -> Point:
    x, y, z = point
    square = y * y % _P
    shifted, slope = 4 * x * square % _P, 3 * x * x % _P
    doubled = (slope * slope - 2 * shifted) % _P
    return doubled, (slope * (shifted - doubled) - 8 * square * square) % _P, 2 * y * z % _P


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
