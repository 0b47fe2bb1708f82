from io import StringIO
from typing import Any

import segno
from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.models import User
from accounts.services import two_factor
from astrade.core.clock import system_clock
from astrade.core.errors import AstradeError


class Command(BaseCommand):
    help = "Sets up the authenticator of a member of staff at the terminal, as the back office may demand one."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("email")

    def handle(self, *args: Any, **options: Any) -> None:
        user = User.objects.filter(email=options["email"].strip().lower(), is_staff=True).first()
        if user is None:
            raise CommandError("No member of staff signs in with this address")
        try:
            setup = two_factor.begin_setup(user.pk, now=system_clock())
            picture = StringIO()
            segno.make(setup.uri).terminal(out=picture, compact=True)
            self.stdout.write(picture.getvalue())
            self.stdout.write(f"Scan it, or enter the secret {setup.secret}")
            codes = two_factor.confirm(user.pk, code=input("A code of the authenticator: "), now=system_clock())
        except AstradeError as exc:
            raise CommandError(str(exc)) from exc
        self.stdout.write("Two-factor sign-in is on. Recovery codes, each good once:")
        self.stdout.write("\n".join(codes))
