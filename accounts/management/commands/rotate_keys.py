from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts.sealing import SealBroken
from accounts.services.resealing import reseal


class Command(BaseCommand):
    help = "Seals secrets anew under the first key of the ring, while everything runs; may be interrupted and repeated."

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            for table, looked_at, changed in reseal():
                self.stdout.write(f"{table}: {looked_at} rows looked at, {changed} sealed anew")
        except SealBroken as exc:
            raise CommandError(f"Stopped at a row that can't be opened ({exc}); what was done stays done") from exc
        self.stdout.write(self.style.SUCCESS("Everything is sealed by the first key of the ring."))
