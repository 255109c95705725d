"""The image and the stack of containers, held by what their files say: there is no Docker here."""

from __future__ import annotations

import fnmatch
import os
import re
import shutil
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICES = COMPOSE["services"]
# Name and full version, such as postgres:17.7-bookworm.
PINNED = re.compile(r"^[a-z]+:\d+\.\d+(\.\d+)?-[a-z-]+$")
LINES = re.sub(r"\\\n\s*", "", DOCKERFILE).splitlines()
INSTRUCTIONS = [line.split(maxsplit=1) for line in LINES if line and line[0].isupper()]


def told(name: str) -> list[str]:
    return [words for instruction, words in INSTRUCTIONS if instruction == name]


def test_base_images_are_of_one_version():
    stages = {words.split(" AS ")[1] for words in told("FROM") if " AS " in words}
    images = {words.split(" ")[0] for words in told("FROM")} - stages
    images |= {service["image"] for service in SERVICES.values() if "image" in service}
    assert len(images) == 4
    assert [image for image in images if not PINNED.match(image)] == []


def test_packages_are_installed_as_the_lock_files_say_and_nothing_is_fetched_otherwise():
    ran = " && ".join(told("RUN"))
    everything, ours = re.findall(r"(?:uv )?pip install[^&]*", ran)
    assert "--require-hashes -r requirements.lock" in everything
    assert "--no-deps --no-build-isolation -e ." in ours
    assert "npm ci" in ran
    assert not re.search(r"curl|wget|apt|npm install|git clone|ADD ", DOCKERFILE)


def test_the_image_does_not_run_as_root_and_its_home_is_private():
    assert told("USER") == ["10001"]
    last_user = max(n for n, (word, _) in enumerate(INSTRUCTIONS) if word == "USER")
    assert {word for word, _ in INSTRUCTIONS[last_user + 1 :]} <= {"VOLUME", "EXPOSE", "CMD"}
    assert "mkdir --mode 700 /data" in DOCKERFILE


def test_secrets_and_state_stay_out_of_the_image():
    ignored = (ROOT / ".dockerignore").read_text().split()
    assert {".env", ".git", "var", ".venv"} <= set(ignored)


def copied(folder: Path) -> None:
    """Copy what the last stage copies, as far as it isn't ignored."""
    ignored = (ROOT / ".dockerignore").read_text().split()

    def leave_out(_, names):
        return [n for n in names if any(fnmatch.fnmatch(n, p.rpartition("/")[2]) for p in ignored)]

    for words in told("COPY"):
        *sources, target = words.split()
        if sources[0].startswith("--from"):
            continue
        for source in sources:
            path = ROOT / source
            assert path.exists(), source
            if path.is_dir():
                shutil.copytree(path, folder / target, ignore=leave_out, dirs_exist_ok=True)
            else:
                shutil.copy(path, folder / target)


def test_what_is_copied_is_enough_to_serve_and_to_work(tmp_path):
    folder = tmp_path / "app"
    folder.mkdir()
    copied(folder)
    (folder / "node_modules").symlink_to(ROOT / "node_modules")
    code = (
        "import os; os.environ['DJANGO_SETTINGS_MODULE'] = 'audit.config.settings'\n"
        "import audit.config.wsgi, audit.tasks, reviews.tasks\n"
        "from django.core.management import call_command\n"
        "call_command('check'); call_command('collectstatic', interactive=False, verbosity=0)\n"
        "from django.template.loader import get_template; get_template('reviews/desk.html')\n"
        "print(audit.__file__)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "LABEL_AUDIT_HOME": str(tmp_path / "home"),
             "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == str(folder / "audit" / "__init__.py")


@pytest.mark.row("A39")
@pytest.mark.parametrize("name", sorted(SERVICES))
def test_no_container_is_root_or_can_write_its_own_files(name):
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service
    assert service.get("user", "") in ({"postgres", "redis"} if "image" in service else {""})
    assert not [each for each in service["volumes"] if "docker.sock" in each]


@pytest.mark.row("A39")
def test_database_and_redis_are_reached_by_nobody_else_and_want_passwords():
    assert COMPOSE["networks"]["back"]["internal"] is True
    for name in ("postgres", "redis"):
        assert "ports" not in SERVICES[name]
        assert SERVICES[name]["networks"] == ["back"]
    assert SERVICES["web"]["ports"] == ["127.0.0.1:8000:8000"]
    required = re.findall(r"\$\{(\w+):\?", (ROOT / "docker-compose.yml").read_text())
    assert set(required) == {"LABEL_AUDIT_SECRET_KEY", "POSTGRES_PASSWORD", "REDIS_PASSWORD"}
    command = SERVICES["redis"]["command"]
    assert command[command.index("--requirepass") + 1].startswith("${REDIS_PASSWORD:?")
    assert command[command.index("--maxmemory-policy") + 1] == "noeviction"
    assert command[command.index("--appendonly") + 1] == "yes"


def test_a_worker_has_time_to_finish_its_chunk():
    assert SERVICES["worker"]["stop_grace_period"] == "150s"


@pytest.mark.parametrize(
    ("hosts", "asked"),
    [("audit.example.org,127.0.0.1", "audit.example.org"), (".example.org", "example.org"),
     ("*", "localhost")],
)  # fmt: skip
def test_the_health_check_asks_by_a_name_that_the_site_answers_to(hosts, asked):
    names = []

    class Site(BaseHTTPRequestHandler):
        def do_GET(self):
            names.append((self.path, self.headers["Host"]))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Site) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        _, python, option, code = SERVICES["web"]["healthcheck"]["test"]
        assert (python, option) == ("python", "-c")
        code = code.replace(":8000", f":{server.server_port}")
        environment = {"LABEL_AUDIT_HOSTS": hosts, "PATH": os.environ["PATH"]}
        subprocess.run([sys.executable, option, code], env=environment, check=True, timeout=60)
    assert names == [("/readyz", asked)]
