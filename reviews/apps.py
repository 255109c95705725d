"""Registers the reviews app."""

from django.apps import AppConfig


class ReviewsConfig(AppConfig):
    """Samples, leases, judgments, reports and releases."""

    name = "reviews"
    verbose_name = "Reviews"
