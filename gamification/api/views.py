"""The game over REST."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request

from astrade.core.api.pagination import PageQuery, page
from astrade.core.api.views import ApiView, bodies, body, ok, shape
from astrade.core.http import Answer
from astrade.core.permissions import Caller, IsUser, Public, caller_of
from gamification import selectors
from gamification.api.serializers import (
    BoardQuery,
    BoardSerializer,
    MissionSerializer,
    PlanetSerializer,
    ProgressSerializer,
    XpEntrySerializer,
)


def _whole(rows: list[Any]) -> dict[str, int | None]:
    """The pagination of a list that is never cut."""
    return {"cursor": None, "count": len(rows)}


class ProgressView(ApiView):
    permission_classes = [IsUser]

    @extend_schema(responses=ProgressSerializer)
    def get(self, request: Request) -> Answer:
        """Own XP, level, planets and missions."""
        return ok(body(ProgressSerializer, selectors.standing_of(caller_of(request).user_id)))


class XpHistoryView(ApiView):
    permission_classes = [IsUser]

    @extend_schema(parameters=[PageQuery], responses=XpEntrySerializer(many=True))
    def get(self, request: Request) -> Answer:
        """Own XP entries, newest first."""
        rows, pagination = page(selectors.xp_entries_of(caller_of(request).user_id), request)
        return ok(bodies(XpEntrySerializer, rows), pagination=pagination)


class MissionsView(ApiView):
    permission_classes = [IsUser]

    @extend_schema(responses=MissionSerializer(many=True))
    def get(self, request: Request) -> Answer:
        """All missions with own progress."""
        rows = selectors.missions_for(caller_of(request).user_id)
        return ok(bodies(MissionSerializer, rows), pagination=_whole(rows))


class PlanetsView(ApiView):
    permission_classes = [IsUser]

    @extend_schema(responses=PlanetSerializer(many=True))
    def get(self, request: Request) -> Answer:
        """All planets with own progress."""
        rows = selectors.planets_for(caller_of(request).user_id)
        return ok(bodies(PlanetSerializer, rows), pagination=_whole(rows))


class LeaderboardView(ApiView):
    permission_classes = [Public]
    paged = True

    @extend_schema(parameters=[BoardQuery], responses=BoardSerializer)
    def get(self, request: Request) -> Answer:
        """Ranks by XP; signed-in callers also get their own."""
        query = shape(BoardQuery, request.query_params.dict())
        found = selectors.xp_board(cursor=query.get("cursor"), limit=query["limit"])
        caller: object = request.user  # nobody where no credentials came
        me = selectors.xp_board_row(caller.user_id) if isinstance(caller, Caller) else None
        board = {"period": query["period"], "metric": query["metric"], "entries": found.rows, "me": me}
        return ok(body(BoardSerializer, board), pagination={"cursor": found.cursor, "count": len(found.rows)})
