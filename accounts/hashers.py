"""How passwords are hashed."""

from django.contrib.auth.hashers import Argon2PasswordHasher


class Argon2idHasher(Argon2PasswordHasher):
    """Argon2id at OWASP's cost: Django's own takes 100 MiB a sign-in, and a web process has many at once."""

    memory_cost = 19_456  # KiB
    time_cost = 2
    parallelism = 1
