"""Release cleaned labels: what a policy would change, the builds, and their files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import urlencode

from django.contrib import messages
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from audit.models import Audit, Role
from audit.services import claims
from audit.services.progress import engine_trouble
from audit.views.access import find_audit
from reviews.forms import PolicyForm, ReleaseForm
from reviews.models import Policy, Release
from reviews.policies import BUILT_IN, PolicyError, ReleasePolicy, find_policy, list_policies
from reviews.policy_words import describe_policy
from reviews.release_files import open_source
from reviews.release_formats import DEFAULT_FORMATS, FORMATS, FormatRefusedError
from reviews.release_formats.registry import refusals
from reviews.release_previews import preview_release
from reviews.report_cache import find_kept
from reviews.services.releases import ReleaseRefusedError, order_release, save_policy

RELEASES_SHOWN = 20


@dataclass(frozen=True, slots=True)
class ShownFormat:
    """One format, and why the data set can't be written in it, if it can't."""

    name: str
    refusal: str
    is_chosen: bool


@require_http_methods(["GET", "POST"])
def releases(request: HttpRequest, pk: int) -> HttpResponse:
    """Show the preview and the builds; a valid POST orders one more build."""
    audit = find_audit(request, pk)
    if request.method == "POST":
        form = ReleaseForm(request.POST, policies=list_policies(audit.dataset.project_id))
        if not form.is_valid():
            context = _context(request, audit) | {"order_form": form}
            return render(request, "reviews/releases.html", context, status=422)
        said = form.cleaned_data
        person = cast("User", request.user)
        try:
            release = order_release(audit, said["policy"], person, said["formats"])
        except (ReleaseRefusedError, FormatRefusedError) as error:
            messages.error(request, str(error))
        else:
            messages.success(request, f"Release {release.number} is being built.")
        address = reverse("reviews:releases", args=[audit.pk])
        return redirect(f"{address}?{urlencode({'policy': said['policy']})}")
    return render(request, "reviews/releases.html", _context(request, audit))


@require_GET
def release_list(request: HttpRequest, pk: int) -> HttpResponse:
    """Answer the page's poll with the builds as they stand."""
    audit = find_audit(request, pk)
    return render(request, "reviews/_releases.html", _list_context(audit))


@require_POST
def release_cancel(request: HttpRequest, pk: int) -> HttpResponse:
    """Stop a build; nothing is left of it but its order."""
    release = _find_release(request, pk)
    if claims.cancel(release):
        messages.success(request, f"Release {release.number} is cancelled.")
    else:
        messages.info(request, "There was nothing to cancel: it is no longer being built.")
    return redirect("reviews:releases", release.audit_id)


@require_POST
def release_resume(request: HttpRequest, pk: int) -> HttpResponse:
    """Have a cancelled or failed release built, of the judgments that were its own."""
    release = _find_release(request, pk)
    if claims.resume(release):
        messages.success(request, f"Release {release.number} is built again, from its beginning.")
    else:
        messages.info(request, "There was nothing to resume.")
    return redirect("reviews:releases", release.audit_id)


def _find_release(request: HttpRequest, pk: int) -> Release:
    releases = Release.objects.open_to(request.user, at_least=Role.MAINTAINER)
    return get_object_or_404(releases, pk=pk)


@require_POST
def save_release_policy(request: HttpRequest, pk: int) -> HttpResponse:
    """Store a policy's next version and show what it would change."""
    audit = find_audit(request, pk)
    dataset = audit.dataset
    base = _choose_policy(request.POST.get("base", ""), audit)
    form = PolicyForm(request.POST, has_questions=_has_questions(audit), policy=base)
    if form.is_valid():
        name = form.cleaned_data["name"]
        try:
            saved = save_policy(dataset.project, name, form.document, cast("User", request.user))
        except PolicyError as error:
            form.add_error(None, str(error))
        else:
            messages.success(request, f"Policy {saved.name} is stored as version {saved.version}.")
            address = reverse("reviews:releases", args=[audit.pk])
            return redirect(f"{address}?{urlencode({'policy': saved.name})}")
    context = _context(request, audit) | {"policy_form": form}
    return render(request, "reviews/releases.html", context, status=422)


def _context(request: HttpRequest, audit: Audit) -> dict[str, Any]:
    context = _list_context(audit)
    if not audit.is_ready:
        return context
    policy = _choose_policy(request.POST.get("policy") or request.GET.get("policy", ""), audit)
    has_questions = _has_questions(audit)
    return context | {
        "policy": policy,
        "preview_query": urlencode({"policy": policy.name}),
        "policy_words": describe_policy(policy, has_questions=has_questions),
        "policies": [
            (name, urlencode({"policy": name}), name == policy.name)
            for name in list_policies(audit.dataset.project_id)
        ],
        "policy_form": PolicyForm(has_questions=has_questions, policy=policy),
        "formats": list_formats(audit, request.POST.getlist("formats")),
        "preview": preview_release(audit, policy, request.GET.get("page", "1")),
    }


def _choose_policy(name: str, audit: Audit) -> ReleasePolicy:
    """Return the policy of that name, lenient where there is none."""
    try:
        return find_policy(name, audit.dataset.project_id)
    except PolicyError:
        return BUILT_IN[Policy.LENIENT]


def _has_questions(audit: Audit) -> bool:
    return audit.dataset.kind == audit.dataset.Kind.MULTIPLE_CHOICE


def list_formats(audit: Audit, chosen: Sequence[str]) -> list[ShownFormat]:
    """Return every format, and for those that the data set can't be written in, why."""
    # Reads all keys; whoever orders a format is told by what there is at that moment.
    reasons = find_kept(audit, ["refused formats"], lambda: refusals(open_source(audit)))
    return [
        ShownFormat(name, reasons.get(name, ""), name in (chosen or DEFAULT_FORMATS))
        for name in FORMATS
    ]


def _list_context(audit: Audit) -> dict[str, Any]:
    builds = list(
        Release.objects.filter(audit=audit).select_related("created_by", "audit__dataset")[
            :RELEASES_SHOWN
        ]
    )
    is_building = any(build.is_under_way for build in builds)
    return {
        "audit": audit,
        "builds": builds,
        "newest_ready": next((build.pk for build in builds if build.is_ready), None),
        "is_building": is_building,
        "trouble": engine_trouble() if is_building else None,
    }
