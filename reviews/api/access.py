"""Fetch and permission in one call: what isn't open to the token's person is not there."""

from __future__ import annotations

from django.http import HttpRequest
from django.shortcuts import get_object_or_404

from audit.models import Audit, Dataset, Import, Item, Measurement, Project, Role, ScoreSet
from reviews.api.errors import ApiError
from reviews.api.routes import person
from reviews.models import Release, Sample

MAINTAINER = Role.MAINTAINER


def find_project(request: HttpRequest, pk: int, at_least: Role = Role.ANNOTATOR) -> Project:
    """Return a project in which the person has at least this role."""
    return get_object_or_404(Project.objects.open_to(person(request), at_least), pk=pk)


def find_import(request: HttpRequest, pk: int) -> Import:
    """Return an import into a project that the person maintains."""
    rows = Import.objects.open_to(person(request), MAINTAINER)
    return get_object_or_404(rows, pk=pk)


def find_dataset(request: HttpRequest, pk: int) -> Dataset:
    """Return a data set that the person may audit."""
    datasets = Dataset.objects.open_to(person(request), MAINTAINER)
    return get_object_or_404(datasets.select_related("project"), pk=pk)


def find_audit(request: HttpRequest, pk: int) -> Audit:
    """Return an audit that the person may run and read."""
    audits = Audit.objects.open_to(person(request), MAINTAINER)
    return get_object_or_404(audits.select_related("dataset__project"), pk=pk)


def find_ready_audit(request: HttpRequest, pk: int) -> Audit:
    """Return an audit that has come to its end, or refuse with its state."""
    audit = find_audit(request, pk)
    if not audit.is_ready:
        raise ApiError(409, "not_ready", f"{audit} is {audit.state}; this needs a ready one")
    return audit


def find_score_set(request: HttpRequest, pk: int) -> ScoreSet:
    """Return an expert's scores of a data set that the person may audit."""
    score_sets = ScoreSet.objects.open_to(person(request), MAINTAINER)
    return get_object_or_404(score_sets.select_related("dataset"), pk=pk)


def find_measurement(request: HttpRequest, pk: int) -> Measurement:
    """Return a measurement of an audit that the person may read."""
    return get_object_or_404(Measurement.objects.open_to(person(request), MAINTAINER), pk=pk)


def find_release(request: HttpRequest, pk: int) -> Release:
    """Return a release of an audit that the person may read."""
    releases = Release.objects.open_to(person(request), MAINTAINER)
    return get_object_or_404(releases.select_related("audit__dataset"), pk=pk)


def find_finished_release(request: HttpRequest, pk: int) -> Release:
    """Return a release whose files are there, or refuse with how far it is."""
    release = find_release(request, pk)
    if not release.is_ready:
        raise ApiError(409, "not_ready", f"{release} is {release.work}; its files aren't there")
    return release


def find_sample(request: HttpRequest, audit: int, at_least: Role = Role.ANNOTATOR) -> Sample:
    """Return an audit's sample, by default for whoever judges in its project."""
    samples = Sample.objects.open_to(person(request), at_least)
    return get_object_or_404(samples.select_related("audit__dataset__project"), audit=audit)


def find_item(request: HttpRequest, pk: int) -> Item:
    """Return an item with a picture that the person may look at."""
    items = Item.objects.open_to(person(request)).exclude(content_sha256="")
    return get_object_or_404(items.select_related("dataset"), pk=pk)
