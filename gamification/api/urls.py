from django.urls import URLPattern, path

from gamification.api.views import LeaderboardView, MissionsView, PlanetsView, ProgressView, XpHistoryView

urlpatterns: list[URLPattern] = [
    path("progress", ProgressView.as_view()),
    path("xp/history", XpHistoryView.as_view()),
    path("missions", MissionsView.as_view()),
    path("planets", PlanetsView.as_view()),
    path("leaderboard", LeaderboardView.as_view()),
]
