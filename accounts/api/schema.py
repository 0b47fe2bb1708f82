"""How the OpenAPI document describes signing in; the library finds it once `urls` has imported it."""

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema


class CallerScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """Both ways in the OpenAPI document."""

    target_class = "accounts.api.authentication.CallerAuthentication"
    name = ["accessToken", "apiKey"]

    def get_security_definition(self, auto_schema: AutoSchema) -> list[dict[str, str]]:
        """One definition for each name."""
        return [
            {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
            {"type": "apiKey", "in": "header", "name": "X-Api-Key"},
        ]
