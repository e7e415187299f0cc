"""An OCI image of some files, the same bytes each time."""

import gzip
import hashlib
import io
import json
import shutil
import tarfile
from datetime import datetime, timezone

LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
CONFIG = "application/vnd.oci.image.config.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
# Nobody: no user of that number is on any machine.
USER = "65532:65532"


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def text(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def tar(files, epoch):
    """A tar file of (name, bytes, mode), owned by root, dated `epoch` (seconds)."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, data, mode in sorted(files):
            info = tarfile.TarInfo(name)
            info.size, info.mode, info.mtime = len(data), mode, epoch
            archive.addfile(info, io.BytesIO(data))
    return made.getvalue()


class Image:
    """One layer and what is said of it. `size` and `compressed` are bytes of the layer."""

    def __init__(self, files, program, labels, arch, epoch):
        self.epoch = epoch
        layer = tar(files, epoch)
        self.layer = gzip.compress(layer, 9, mtime=0)
        self.size, self.compressed = len(layer), len(self.layer)
        created = datetime.fromtimestamp(epoch, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        self.config = text({
            "architecture": arch, "os": "linux", "created": created,
            "config": {"User": USER, "Entrypoint": [f"/{program}"], "WorkingDir": "/", "ExposedPorts": {"8080/tcp": {}}, "Labels": labels},
            "rootfs": {"type": "layers", "diff_ids": [digest(layer)]},
            "history": [{"created": created, "created_by": "knative/images/make"}],
        })
        self.manifest = text({
            "schemaVersion": 2, "mediaType": MANIFEST, "annotations": labels,
            "config": {"mediaType": CONFIG, "digest": digest(self.config), "size": len(self.config)},
            "layers": [{"mediaType": LAYER, "digest": digest(self.layer), "size": len(self.layer)}],
        })

    def write(self, folder, archive, name):
        """An OCI layout in `folder`, and the same as one file that `docker load` takes. Returns the manifest's digest."""
        index = text({
            "schemaVersion": 2, "mediaType": INDEX,
            "manifests": [{
                "mediaType": MANIFEST, "digest": digest(self.manifest), "size": len(self.manifest),
                "annotations": {"org.opencontainers.image.ref.name": name.rpartition(":")[2], "io.containerd.image.name": name},
            }],
        })
        blob = lambda data: "blobs/" + digest(data).replace(":", "/")
        blobs = [(blob(data), data) for data in (self.layer, self.config, self.manifest)]
        # For a Docker that does not know the layout yet.
        legacy = text([{"Config": blob(self.config), "RepoTags": [name], "Layers": [blob(self.layer)]}])
        files = [("oci-layout", text({"imageLayoutVersion": "1.0.0"})), ("index.json", index), *blobs]
        shutil.rmtree(folder, ignore_errors=True)
        for path, data in files:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(data)
        archive.write_bytes(tar([(p, d, 0o644) for p, d in [*files, ("manifest.json", legacy)]], self.epoch))
        return digest(self.manifest)
