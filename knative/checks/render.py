"""Rendering: each overlay as the cluster would get it."""

import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import yaml

from .world import KNATIVE, ROOT

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def targets():
    """Folders that are applied: the base, every overlay, monitoring, the example."""
    overlays = sorted(p.parent for p in KNATIVE.glob("overlays/*/kustomization.yaml"))
    return [KNATIVE / "base", *overlays, KNATIVE / "monitoring", KNATIVE / "example", KNATIVE / "openfaas"]


def kubectl():
    own = ROOT / "target/kubectl/kubectl"
    return shutil.which("kubectl") or str(own)


def render(folder):
    """The documents of a folder, or kustomize's error."""
    done = subprocess.run([kubectl(), "kustomize", str(folder)], capture_output=True, text=True, check=False)
    if done.returncode:
        return [], f"kustomize: {(done.stderr.strip().splitlines() or ['failed'])[-1]}"
    return [d for d in yaml.load_all(done.stdout, LOADER) if d], None


def with_secrets():
    """The documents of the example with the secretGenerator that it proposes, or kustomize's error."""
    with tempfile.TemporaryDirectory() as made:
        copy = Path(made, "knative")
        shutil.copytree(KNATIVE, copy)
        file = copy / "example/kustomization.yaml"
        text = re.sub(r"^# (secretGenerator:|  - .*)$", r"\1", file.read_text(), flags=re.M)
        file.write_text(text)
        for one in yaml.load(text, LOADER).get("secretGenerator") or []:
            for env in one["envs"]:
                (file.parent / env).parent.mkdir(exist_ok=True)
                (file.parent / env).write_text("A=b\n")
        return render(file.parent)


def name(folder):
    return str(folder.relative_to(ROOT))
