"""Rendering: each overlay as the cluster would get it."""

import shutil
import subprocess

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


def name(folder):
    return str(folder.relative_to(ROOT))
