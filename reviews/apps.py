"""Registers the reviews app, and its filter with the queue explorer."""

from importlib import import_module

from django.apps import AppConfig


class ReviewsConfig(AppConfig):
    """Samples, leases, judgments, reports and releases."""

    name = "reviews"
    verbose_name = "Reviews"

    def ready(self) -> None:
        # Models can be imported only from here on.
        filters = import_module("audit.queue_filters")
        filters.add_filter(import_module("reviews.queue_filter").VERDICT_FILTER)
