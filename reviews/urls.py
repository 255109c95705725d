"""Addresses of the reviews app."""

from __future__ import annotations

from django.urls import path

from reviews.views import (
    adjudication,
    agreement,
    cascade,
    curves,
    desk,
    gold,
    home,
    people,
    release_files,
    releases,
    sampling,
    verdicts,
)

app_name = "reviews"
urlpatterns = [
    path("", home.home, name="home"),
    path("progress/", home.home_progress, name="home_progress"),
    path("audits/<int:pk>/curves/", curves.curves_page, name="curves"),
    path("audits/<int:pk>/cascade/", cascade.cascade, name="cascade"),
    path("audits/<int:pk>/cascade/list/", cascade.cascade_list, name="cascade_list"),
    path("audits/<int:pk>/cascade.json", cascade.cascade_data, name="cascade_data"),
    path("audits/<int:pk>/cascade.csv", cascade.cascade_csv, name="cascade_csv"),
    path("audits/<int:pk>/cascade/table.json", cascade.cascade_table, name="cascade_table"),
    path("audits/<int:pk>/sample/", sampling.sampling, name="sampling"),
    path("audits/<int:pk>/sample/draw/", sampling.draw_sample, name="draw_sample"),
    path("audits/<int:pk>/sample.csv", sampling.ledger_csv, name="ledger_csv"),
    path("audits/<int:pk>/curves.json", curves.curves_data, name="curves_data"),
    path("audits/<int:pk>/curves.csv", curves.curves_csv, name="curves_csv"),
    path(
        "audits/<int:pk>/overlap.csv",
        curves.curves_csv,
        {"table": "overlap"},
        name="overlap_csv",
    ),
    path(
        "audits/<int:pk>/differences.csv",
        curves.curves_csv,
        {"table": "differences"},
        name="differences_csv",
    ),
    path("audits/<int:pk>/adjudication/", adjudication.adjudication, name="adjudication"),
    path(
        "audits/<int:pk>/adjudication/<int:item_pk>/",
        adjudication.adjudicate_item,
        name="adjudicate_item",
    ),
    path("audits/<int:pk>/agreement/", agreement.agreement, name="agreement"),
    path("audits/<int:pk>/agreement.csv", agreement.agreement_csv, name="agreement_csv"),
    path("projects/<int:pk>/people/", people.people, name="people"),
    path("projects/<int:pk>/people.csv", people.people_csv, name="people_csv"),
    path("audits/<int:pk>/gold/", gold.gold, name="gold"),
    path("known-items/<int:pk>/retire/", gold.retire_gold, name="retire_gold"),
    path("audits/<int:pk>/releases/", releases.releases, name="releases"),
    path("audits/<int:pk>/releases/list/", releases.release_list, name="release_list"),
    path("audits/<int:pk>/releases/diff/", release_files.release_diff, name="release_diff"),
    path("audits/<int:pk>/releases/policy/", releases.save_release_policy, name="save_policy"),
    path("releases/<int:pk>.tar", release_files.release_archive, name="release_archive"),
    path("releases/<int:pk>/<path:name>", release_files.release_file, name="release_file"),
    path("audits/<int:pk>/review/", desk.desk, name="desk"),
    path("audits/<int:pk>/review/lease/", desk.lease, name="lease"),
    path("audits/<int:pk>/review/judgments/", verdicts.judge, name="judge"),
    path("audits/<int:pk>/review/undo/", verdicts.undo, name="undo"),
    path("audits/<int:pk>/review/reveal/", verdicts.reveal, name="reveal"),
    path("audits/<int:pk>/review/refer/", verdicts.refer, name="refer"),
    path("audits/<int:pk>/review/preferences/", desk.preferences, name="preferences"),
    path("audits/<int:pk>/review/guide/", desk.guide, name="guide"),
    path("audits/<int:pk>/review/heartbeat/", desk.heartbeat, name="heartbeat"),
    path("audits/<int:pk>/review/hand-back/", desk.hand_back, name="hand_back"),
    path("audits/<int:pk>/review/classes/", desk.class_search, name="class_search"),
]
