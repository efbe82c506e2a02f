"""Renders a kustomize folder as far as ours goes: resources, strategic merge patches, images."""

import copy

import yaml

# Lists that are merged by a key; all others are replaced.
MERGE_KEYS = {"containers": "name", "env": "name", "volumes": "name", "volumeMounts": "mountPath",
              "ports": "containerPort", "patches": None}


def merge(base, patch, field=""):
    if isinstance(base, dict) and isinstance(patch, dict):
        result = dict(base)
        for key, value in patch.items():
            if value is None:
                result.pop(key, None)
            else:
                result[key] = merge(base[key], value, key) if key in base else value
        return result
    key = MERGE_KEYS.get(field)
    if key and isinstance(base, list) and isinstance(patch, list):
        result = list(base)
        for item in patch:
            places = [i for i, old in enumerate(result) if old.get(key) == item.get(key)]
            if places:
                result[places[0]] = merge(result[places[0]], item)
            else:
                result.append(item)
        return result
    return patch


def render(folder):
    """The documents of a folder with a kustomization.yaml, in order of its resources."""
    plan = yaml.safe_load((folder / "kustomization.yaml").read_text())
    unknown = set(plan) - {"apiVersion", "kind", "resources", "patches", "images"}
    if unknown:
        raise ValueError(f"{folder}: {unknown} is not known here")
    documents = []
    for name in plan["resources"]:
        path = folder / name
        documents += render(path) if path.is_dir() else list(yaml.safe_load_all(path.read_text()))
    documents = copy.deepcopy(documents)
    for patch in plan.get("patches", ()):
        change = yaml.safe_load((folder / patch["path"]).read_text())
        same = [i for i, d in enumerate(documents) if d["kind"] == change["kind"]
                and d["metadata"]["name"] == change["metadata"]["name"]]
        if len(same) != 1:
            raise ValueError(f"{folder}: {patch['path']} fits {len(same)} resources")
        documents[same[0]] = merge(documents[same[0]], change)
    for image in plan.get("images", ()):
        for document in documents:
            pod = document.get("spec", {}).get("template", {}).get("spec", {})
            for container in pod.get("containers", ()):
                name, _, tag = container["image"].partition(":")
                if name == image["name"]:
                    container["image"] = ":".join(
                        filter(None, (image.get("newName", name), image.get("newTag", tag))))
    return documents
