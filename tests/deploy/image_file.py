"""Reads a Dockerfile as far as ours goes: stages, COPY, RUN and the settings of the image."""

import json
import re


class Stage:
    def __init__(self, base, name):
        self.base, self.name = base, name
        self.steps = []  # ("COPY", from or None, [sources], target) or ("RUN", command)
        self.env = {}
        self.config = {}  # USER, STOPSIGNAL, ENTRYPOINT, HEALTHCHECK, EXPOSE


def read_stages(text):
    """Stages by name. Raises ValueError for an instruction that it does not know."""
    stages, stage = {}, None
    text = re.sub(r"^\s*#.*\n", "", text, flags=re.MULTILINE)
    for line in text.replace("\\\n", " ").splitlines():
        if not line.strip():
            continue
        word, rest = line.split(None, 1)
        if word == "FROM":
            base, _, name = rest.split()
            stage = stages[name] = Stage(base, name)
        elif word == "RUN":
            stage.steps.append(("RUN", rest))
        elif word == "COPY":
            *sources, target = rest.split()
            origin = sources.pop(0).split("=", 1)[1] if sources[0].startswith("--from=") else None
            stage.steps.append(("COPY", origin, sources, target))
        elif word == "ENV":
            name, value = rest.split("=", 1)
            stage.env[name] = value
        elif word in ("ENTRYPOINT", "CMD"):
            stage.config[word] = json.loads(rest)
        elif word == "HEALTHCHECK":
            flags, command = rest.split("CMD", 1)
            stage.config[word] = {"command": json.loads(command),
                                  **dict(re.findall(r"--([\w-]+)=(\S+)", flags))}
        elif word == "EXPOSE":
            stage.config[word] = [int(port) for port in rest.split()]
        elif word in ("USER", "STOPSIGNAL", "WORKDIR", "ARG"):
            stage.config[word] = rest
        else:
            raise ValueError(f"Dockerfile: {word} is not known here")
    return stages


def packages_of(command):
    """The Debian packages that a RUN line installs."""
    packages = []
    for part in command.split("&&"):
        words = part.split()
        if words[:2] == ["apt-get", "install"]:
            packages += [word for word in words[2:] if not word.startswith("-")]
    return packages
