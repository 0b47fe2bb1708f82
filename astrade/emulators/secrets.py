"""Credentials that are a function of the seed: anybody can derive them, they are for emulated accounts only."""

import hashlib


def secret(seed: int, name: str) -> str:
    """32 hexadecimal digits that belong to `name` under `seed`."""
    return hashlib.sha256(f"{seed}:{name}".encode()).hexdigest()[:32]
