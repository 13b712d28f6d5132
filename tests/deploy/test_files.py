"""What the files for containers name exists: settings, routes, volumes, the image. No container engine is needed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from fastapi.routing import APIRoute

from services.api.app import create_app
from services.settings import Settings
from services.version import own_version

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
NAMES = ("Dockerfile", "compose.yaml", "kubernetes.yaml")


@pytest.mark.parametrize("name", NAMES)
def test_every_variable_is_a_setting(name: str) -> None:
    known = {setting.variable for setting in Settings().describe()}
    named = set(re.findall(r"\bANSWERLOOP_[A-Z_]+", (DEPLOY / name).read_text("utf-8")))
    assert named and named <= known


def _objects() -> list[Any]:
    return list(yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text("utf-8")))


def _pods() -> Iterator[tuple[str, Any]]:
    for one in _objects():
        spec = one.get("spec", {})
        template = spec.get("jobTemplate", {}).get("spec", spec).get("template")
        if template:
            yield one["metadata"]["name"], template


def test_probes_ask_routes_that_exist() -> None:
    app = create_app(Settings(), lambda: pytest.fail("not started"))
    routes = {route.path for route in app.routes if isinstance(route, APIRoute)}
    asked = set(
        re.findall(r"path: (/\w+)|http://answerloop-indexer(/[\w/]+)", (DEPLOY / "kubernetes.yaml").read_text())
    )
    assert {first or second for first, second in asked} == {"/health", "/ready", "/admin/reindex"}
    assert {first or second for first, second in asked} <= routes


def test_what_is_mounted_is_a_volume_and_what_is_selected_a_pod() -> None:
    claims = {one["metadata"]["name"] for one in _objects() if one["kind"] == "PersistentVolumeClaim"}
    for name, pod in _pods():
        volumes = {volume["name"]: volume for volume in pod["spec"].get("volumes", [])}
        mounted = {mount["name"] for box in pod["spec"]["containers"] for mount in box.get("volumeMounts", [])}
        assert mounted == set(volumes), name
        wanted = [
            one["persistentVolumeClaim"]["claimName"] for one in volumes.values() if "persistentVolumeClaim" in one
        ]
        assert set(wanted) <= claims
    labels = [pod["metadata"]["labels"].items() for _, pod in _pods() if "metadata" in pod]
    for one in _objects():
        if one["kind"] == "Service":
            assert any(one["spec"]["selector"].items() <= own for own in labels), one["metadata"]["name"]


def test_nothing_runs_with_privileges_and_the_image_is_this_version() -> None:
    for name, pod in _pods():
        assert pod["spec"]["securityContext"]["runAsNonRoot"], name
        assert pod["spec"]["automountServiceAccountToken"] is False, name
        for box in pod["spec"]["containers"]:
            assert box["securityContext"]["capabilities"] == {"drop": ["ALL"]}, name
            assert box["image"] == f"answerloop:{own_version()}", name
