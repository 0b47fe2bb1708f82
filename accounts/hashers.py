"""How passwords are hashed: Argon2id, and bcrypt for hashes that users bring along; renewed at sign-in."""

from typing import Any

import bcrypt
from django.contrib.auth.hashers import Argon2PasswordHasher, BCryptPasswordHasher

BCRYPT_BYTES = 72  # what bcrypt looks at; the library refuses more


class Argon2idHasher(Argon2PasswordHasher):
    """Argon2id at OWASP's cost: Django's own takes 100 MiB a sign-in, and a web process has many at once."""

    memory_cost = 19_456  # KiB
    time_cost = 2
    parallelism = 1


class ForeignBcryptHasher(BCryptPasswordHasher):
    """Plain bcrypt, stored as `bcrypt$` before the usual `$2b$12$…`; for verifying only (DESIGN §6)."""

    def encode(self, password: str, salt: Any) -> str:
        """As every bcrypt library did: what lies beyond 72 bytes doesn't count."""
        hashed = bcrypt.hashpw(password.encode()[:BCRYPT_BYTES], salt)
        return f"{self.algorithm}${hashed.decode('ascii')}"
