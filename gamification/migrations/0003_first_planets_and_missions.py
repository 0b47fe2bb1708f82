"""The first two planets and the first two missions, so that every installation has a game."""

from django.apps.registry import Apps
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

PLANETS = [
    {"number": 1, "slug": "crypto_prime", "name": "Crypto Prime", "description": "Where every trader starts."},
    {"number": 2, "slug": "risk_harbor", "name": "Risk Harbor", "description": "Where traders learn to stay."},
]
MISSIONS = [
    {
        "slug": "first_trade",
        "title": "First trade",
        "description": "Get your first fill, on any market.",
        "position": 1,
        "event_kind": "trade_update",
        "where": {},
        "unless": {},
        "target": 1,
        "reward_xp": 20,
        "opens": None,
    },
    {
        "slug": "crypto_prime_basic_trading",
        "title": "Basic trading",
        "description": "Have five market orders filled.",
        "position": 2,
        "event_kind": "order_update",
        "where": {"type": ["market"], "status": ["filled"]},
        "unless": {"source": ["liquidation"]},
        "target": 5,
        "reward_xp": 100,
        "opens": 2,
    },
]


def install(apps: Apps, schema_editor: BaseDatabaseSchemaEditor | None = None) -> None:
    """Add what is missing; what staff have edited stays."""
    planet_model, mission_model = apps.get_model("gamification", "Planet"), apps.get_model("gamification", "Mission")
    planets = {}
    for values in PLANETS:
        planets[values["number"]], _ = planet_model.objects.get_or_create(number=values["number"], defaults=values)
    for values in MISSIONS:
        defaults = {name: value for name, value in values.items() if name != "opens"}
        defaults |= {"planet": planets[1], "opens_planet": planets.get(values["opens"])}
        mission_model.objects.get_or_create(slug=values["slug"], defaults=defaults)


class Migration(migrations.Migration):
    dependencies = [("gamification", "0002_xp_is_history")]

    operations = [migrations.RunPython(install, migrations.RunPython.noop)]
