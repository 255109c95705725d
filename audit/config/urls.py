"""Every address of the site."""

from __future__ import annotations

from django.urls import include, path

from audit.views import accounts, health

handler400 = "audit.views.errors.bad_request"
handler500 = "audit.views.errors.server_error"
urlpatterns = [
    path("login/", accounts.LogInView.as_view(), name="login"),
    path("logout/", accounts.LogOutView.as_view(), name="logout"),
    path("password/", accounts.PasswordView.as_view(), name="password"),
    path("confirm/", accounts.confirm, name="confirm"),
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("metrics", health.metrics, name="metrics"),
    path("", include("reviews.urls")),
    path("", include("audit.urls")),
]
