"""Paths of identities, below each of the API's roots."""

from django.urls import path

from accounts.api import key_views, onboarding, schema, two_factor_views, venue_views, views

__all__ = ["schema", "urlpatterns"]

urlpatterns = [
    path("auth/signup", views.SignUpView.as_view()),
    path("register", views.RegisterView.as_view()),
    path("auth/login", views.SignInView.as_view()),
    path("login", views.LoginView.as_view()),
    path("auth/refresh", views.RefreshView.as_view()),
    path("auth/logout", views.SignOutView.as_view()),
    path("auth/logout-all", views.SignOutEverywhereView.as_view()),
    path("auth/password/change", views.ChangePasswordView.as_view()),
    path("auth/2fa/setup", two_factor_views.TwoFactorSetupView.as_view()),
    path("auth/2fa/confirm", two_factor_views.TwoFactorConfirmView.as_view()),
    path("auth/2fa/disable", two_factor_views.TwoFactorDisableView.as_view()),
    path("auth/2fa/verify", two_factor_views.TwoFactorVerifyView.as_view()),
    path("auth/ws-ticket", views.WsTicketView.as_view()),
    path("users", venue_views.UsersView.as_view()),
    path("users/me", views.MeView.as_view()),
    path("users/me/credentials", views.MyCredentialsView.as_view()),
    path("sessions", key_views.SessionsView.as_view()),
    path("sessions/<uuid:session_id>", key_views.SessionView.as_view()),
    path("api-keys", key_views.ApiKeysView.as_view()),
    path("api-keys/<uuid:key_id>", key_views.ApiKeyView.as_view()),
    path("venue-credentials", venue_views.VenueCredentialsView.as_view()),
    path("venue-credentials/extended", venue_views.ExtendedCredentialView.as_view()),
    path("venue-credentials/extended/onboarding", onboarding.OnboardingView.as_view()),
    path("venue-credentials/extended/onboarding/complete", onboarding.CompleteOnboardingView.as_view()),
]
