"""A user and a member of staff to try AsTrade with."""

import json
import secrets
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.models import User
from accounts.services import Client, create_api_key, create_staff, sign_up
from astrade import embedded
from astrade.core.clock import system_clock
from astrade.core.errors import AstradeError
from astrade.core.files import write_private
from astrade.management import live_demo

Login = dict[str, str]
USER, STAFF = "demo", "staff"
DOMAIN = "example.com"


class Command(BaseCommand):
    help = (
        "Lists the markets and makes a demo user and a staff login, written to demo.json; with an emulator also an "
        "account at it for the demo user. May be run again."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--base-url", default="http://127.0.0.1:8000")
        parser.add_argument("--emulator", metavar="URL", help="where an Extended is emulated, as http://127.0.0.1:8600")

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.DEMO_ALLOWED:
            raise CommandError("Demo users are for demonstration and development, not for production")
        call_command("seed_markets", stdout=self.stdout)
        file = embedded.home_of(settings.BASE_DIR) / "demo.json"
        known: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
        user = _still_valid(known.get("user")) or new_user()
        staff = _still_valid(known.get("staff")) or new_staff()
        content = {"base_url": options["base_url"], "user": user, "staff": staff}
        if options["emulator"]:
            content |= self._go_live(user["email"], options["emulator"])
        write_private(file, json.dumps(content, indent=2))
        self.stdout.write(f"Logins are in {file}")

    def _go_live(self, email: str, origin: str) -> dict[str, Any]:
        own, other = live_demo.keys_at(origin)
        parts: dict[str, Any] = {"extended": live_demo.shown(origin, other)}
        try:
            parts["live_account_id"] = live_demo.connect(email, own)
        except AstradeError as refused:
            self.stderr.write(f"{email} has no account at the emulated Extended: {refused} {refused.details}")
        return parts


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
