from argparse import ArgumentParser
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError

from astrade.core.clock import system_clock
from astrade.core.errors import AstradeError
from marketdata.models import Market
from trading.domain.limits import HaltScope
from trading.models import TradingAccount
from trading.services.halts import HaltTarget, halts_in_force, lift_halt, set_halt


class Command(BaseCommand):
    help = (
        "Halt trading everywhere, at a venue, on a market or for an account, and lift halts. In force for the next "
        "order; what reduces a position and cancels go on."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """`set`, `lift` and `list`."""
        commands = parser.add_subparsers(dest="what", required=True)
        setting = commands.add_parser("set", help="halt trading")
        where = setting.add_mutually_exclusive_group(required=True)
        where.add_argument("--global", action="store_true", dest="everywhere", help="all orders of all accounts")
        where.add_argument("--venue", help="accounts and markets of a venue")
        where.add_argument("--market", help="symbol of a market")
        where.add_argument("--account", type=UUID, help="id of a trading account")
        setting.add_argument("--reason", required=True)
        setting.add_argument("--minutes", type=int, help="ends by itself after so long")
        lifting = commands.add_parser("lift", help="end a halt")
        lifting.add_argument("id", type=int, help="as `list` shows it")
        lifting.add_argument("--reason", default="")
        commands.add_parser("list", help="halts in force")

    def handle(self, *args: Any, what: str, **options: Any) -> None:
        """Do it, and say what is in force now."""
        now = system_clock()
        try:
            if what == "set":
                until = now + timedelta(minutes=options["minutes"]) if options["minutes"] is not None else None
                set_halt(_target(options), reason=options["reason"], actor_id=None, now=now, until=until)
            elif what == "lift" and not lift_halt(options["id"], reason=options["reason"], actor_id=None, now=now):
                raise CommandError(f"No halt {options['id']} is in force")
        except AstradeError as exc:
            raise CommandError(f"{exc}: {exc.details}") from exc
        for halt in halts_in_force(now):
            named = halt.venue or halt.market or getattr(halt.account, "uuid", "") or "everywhere"
            until_text = f" until {halt.until:%Y-%m-%d %H:%M} UTC" if halt.until else ""
            self.stdout.write(
                f"{halt.pk} {halt.scope} {named} since {halt.since:%Y-%m-%d %H:%M} UTC{until_text}: {halt.reason}"
            )


def _target(options: dict[str, Any]) -> HaltTarget:
    if options["everywhere"]:
        return HaltTarget(HaltScope.GLOBAL)
    if options["venue"]:
        return HaltTarget(HaltScope.VENUE, venue=options["venue"])
    if options["market"]:
        market = Market.objects.filter(symbol=options["market"].upper()).first()
        if market is None:
            raise CommandError(f"Unknown market {options['market']}")
        return HaltTarget(HaltScope.MARKET, market=market)
    account = TradingAccount.objects.filter(uuid=options["account"]).first()
    if account is None:
        raise CommandError(f"Unknown account {options['account']}")
    return HaltTarget(HaltScope.ACCOUNT, account=account)
