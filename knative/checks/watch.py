"""Alerts, their tests and the dashboard, with promtool."""

import json
import re
import subprocess
import tempfile
from pathlib import Path

import yaml

from . import world

FOLDER = world.KNATIVE / "monitoring"
SUFFIXES = ("_bucket", "_count", "_sum")


def names(expression):
    """Metrics that an expression reads: what stands in quotes or braces is no metric."""
    bare = re.sub(r"\{[^}]*\}", " ", re.sub(r'"(?:[^"\\]|\\.)*"', '""', expression))
    return set(re.findall(r"\bohx[a-z0-9_:]*", bare))


def known_metric(name, known, recorded):
    stems = {name} | {name.removesuffix(s) for s in SUFFIXES}
    return name in recorded or bool(stems & known["metrics"])


def promtool(folder, *arguments):
    done = subprocess.run(["promtool", *arguments], cwd=folder, capture_output=True, text=True, check=False)
    return None if done.returncode == 0 else (done.stdout + done.stderr).strip()


def rules(doc):
    return [r for g in (doc.get("spec") or {}).get("groups") or [] for r in g.get("rules") or []]


def rule(doc, known, described):
    """Findings of the rules as text."""
    recorded = {r["record"] for r in rules(doc) if "record" in r}
    seen = set()
    for r in rules(doc):
        name = r.get("alert") or r.get("record")
        if name in seen:
            yield f"{name} stands there twice"
        seen.add(name)
        for metric in sorted(names(r["expr"])):
            if not known_metric(metric, known, recorded):
                yield f"{name}: there is no metric {metric}"
        if "alert" not in r:
            continue
        if 'job="ohx-relay"' in r["expr"] and doc["metadata"]["name"] != "ohx-relay":
            yield f"{name}: it would fire wherever there is no relay, and belongs to alerts-relay.yaml"
        if (r.get("labels") or {}).get("severity") not in ("critical", "warning", "info"):
            yield f"{name}: severity is none of critical, warning, info"
        notes = r.get("annotations") or {}
        for note in ("summary", "description", "runbook_url"):
            if not notes.get(note):
                yield f"{name}: no {note}"
        anchor = notes.get("runbook_url", "").rpartition("docs/operate/alerts.md#")[2]
        if anchor != name.lower() or f"## {name}\n" not in described:
            yield f"{name}: docs/operate/alerts.md has no section for it, or runbook_url leads elsewhere"


def run_tests(docs):
    """promtool over the rules of all `docs` and their tests. Texts are left out of what the tests look at; `check rules` reads them."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        spec = {"groups": [g for d in docs for g in d["spec"]["groups"]]}
        (folder / "all.yaml").write_text(yaml.safe_dump(spec))
        said = promtool(folder, "check", "rules", "all.yaml")
        if said:
            yield f"promtool: {said}"
            return
        bare = json.loads(json.dumps(spec))
        for r in (r for g in bare["groups"] for r in g["rules"]):
            r.pop("annotations", None)
        (folder / "alerts.rules.yaml").write_text(yaml.safe_dump(bare))
        tests = sorted(FOLDER.glob("*.test.yaml"))
        texts = [t.read_text() for t in tests]
        for test, text in zip(tests, texts):
            (folder / test.name).write_text(text)
        said = promtool(folder, "test", "rules", *[t.name for t in tests])
        if said:
            yield f"promtool: {said}"
        for r in [r for d in docs for r in rules(d)]:
            if "alert" in r and not any(f'alertname="{r["alert"]}"' in t for t in texts):
                yield f"{r['alert']}: no test has it fire"


def queries(board):
    """Expressions of a dashboard with its variables filled in."""
    for panel in board.get("panels") or []:
        for target in panel.get("targets") or []:
            yield panel["title"], target["expr"].replace("$namespace", ".*")


def dashboard(text, known, recorded):
    """Each query is one that Prometheus takes, over metrics that there are."""
    try:
        board = json.loads(text)
    except ValueError as error:
        yield f"dashboard.json: {error}"
        return
    made, ids = [], [p["id"] for p in board["panels"]]
    if len(set(ids)) != len(ids):
        yield "two panels of one id"
    for title, expression in queries(board):
        for metric in sorted(names(expression)):
            if not known_metric(metric, known, recorded):
                yield f"panel {title}: there is no metric {metric}"
        made.append({"record": f"panel:{len(made)}", "expr": expression})
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "panels.yaml").write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": made}]}))
        said = promtool(folder, "check", "rules", "panels.yaml")
        if said:
            yield f"dashboard: {said}"


def check(docs, known, described):
    """Findings of the texts of rules and dashboards among `docs`; what takes promtool's time is `run_tests`."""
    recorded = {r["record"] for d in docs if d["kind"] == "PrometheusRule" for r in rules(d) if "record" in r}
    for doc in docs:
        if doc["kind"] == "PrometheusRule":
            yield from rule(doc, known, described)
        elif doc["kind"] == "ConfigMap" and "dashboard.json" in (doc.get("data") or {}):
            yield from dashboard(doc["data"]["dashboard.json"], known, recorded)
