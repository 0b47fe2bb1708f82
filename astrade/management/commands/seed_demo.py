"""A user and a member of staff to try AsTrade with."""

import json
import os
import secrets
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.models import User
from accounts.services import Client, create_api_key, create_staff, sign_up
from astrade import embedded
from astrade.core.clock import system_clock

Login = dict[str, str]
USER, STAFF = "demo", "staff"
DOMAIN = "example.com"


class Command(BaseCommand):
    help = "Lists the markets and makes a demo user and a staff login, written to demo.json; may be run again."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--base-url", default="http://127.0.0.1:8000")

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.DEMO_ALLOWED:
            raise CommandError("Demo users are for demonstration and development, not for production")
        call_command("seed_markets", stdout=self.stdout)
        file = embedded.home_of(settings.BASE_DIR) / "demo.json"
        known: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
        user = _still_valid(known.get("user")) or new_user()
        staff = _still_valid(known.get("staff")) or new_staff()
        _write(file, {"base_url": options["base_url"], "user": user, "staff": staff})
        self.stdout.write(f"Logins are in {file}")


def _still_valid(login: Login | None) -> Login | None:
    """The login of an earlier run, if this database still knows it."""
    if login is None:
        return None
    user = User.objects.filter(email=login["email"]).first()
    return login if user is not None and user.check_password(login["password"]) else None


def new_user() -> Login:
    """A user with a practice account and an API key that may read and trade."""
    now = system_clock()
    login = _login(USER)
    pair = sign_up(**login, client=Client(user_agent="seed_demo"), now=now, display_name="Demo")
    key = create_api_key(pair.user.pk, name="demo", scopes=["read", "trade"], now=now)
    return {**login, "api_key": key.secret}


def new_staff() -> Login:
    """A member of staff who may see everything in the back office."""
    login = _login(STAFF)
    create_staff(email=login["email"], password=login["password"])
    return login


def _login(name: str) -> Login:
    """A generated password, and an address nobody has: another database may hold one whose password is lost."""
    email = f"{name}@{DOMAIN}"
    if User.objects.filter(email=email).exists():
        email = f"{name}-{secrets.token_hex(4)}@{DOMAIN}"
    return {"email": email, "password": f"Aa1-{secrets.token_urlsafe(12)}"}


def _write(file: Path, content: dict[str, Any]) -> None:
    """Readable for its owner only, and never half written."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    unfinished = file.with_suffix(".unfinished")
    unfinished.unlink(missing_ok=True)
    with open(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as output:
        json.dump(content, output, indent=2)
    unfinished.replace(file)
