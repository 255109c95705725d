"""Every address of the site."""

from __future__ import annotations

from django.contrib.auth import views as auth_views
from django.urls import include, path

from audit.views import health

handler500 = "audit.views.errors.server_error"
urlpatterns = [
    path(
        "login/",
        auth_views.LoginView.as_view(template_name="login.html", redirect_authenticated_user=True),
        name="login",
    ),
    path("logout/", auth_views.LogoutView.as_view(), name="logout"),
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("metrics", health.metrics, name="metrics"),
    path("", include("reviews.urls")),
    path("", include("audit.urls")),
]
