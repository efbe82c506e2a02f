"""The image without a Docker engine: makes the root file system that the Dockerfile describes, then runs
the server in it as the image would: numeric user, no capabilities, read-only root.

  image_test.py BUILD_FOLDER [--from-mirror]

The base is put together from the Debian packages that are installed on this machine (no network); with
--from-mirror it is made by debootstrap, and the RUN lines of the last stage run in it as they are
written. The build stage is not repeated in either case: its product is the server of BUILD_FOLDER, stripped.
"""

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys

import image_file
import real_service as rs

SLIM_LEAVES_OUT = re.compile(r"^/usr/share/(doc|man|info|locale|lintian|linda|groff)(/|$)")
MERGED = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")


def capture(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


# ---------------------------------------------------------------- the root file system

class Installed:
    """The Debian packages of this machine."""

    def __init__(self):
        self.depends, self.priority, self.providers = {}, {}, {}
        fields = "${db:Status-Status}\t${Package}\t${Priority}\t${Essential}\t${Provides}\t" \
                 "${Pre-Depends}, ${Depends}\n"
        for line in capture("dpkg-query", "-W", "-f", fields).splitlines():
            status, name, priority, essential, provides, depends = line.split("\t")
            if status != "installed":
                continue
            self.priority[name] = "required" if essential == "yes" else priority
            self.depends[name] = [[re.sub(r"[\s:(].*", "", option.strip())
                                   for option in group.split("|")]
                                  for group in depends.split(",") if group.strip()]
            for virtual in [name, *re.findall(r"[a-z0-9][a-z0-9+.-]+", re.sub(r"\([^)]*\)", "", provides))]:
                self.providers.setdefault(virtual, []).append(name)

    def closure(self, names):
        """`names` and all that they depend on."""
        done, todo = set(), list(names)
        while todo:
            name = todo.pop()
            if name in done:
                continue
            if name not in self.depends:
                rs.skip(f"package {name} is not installed")
            done.add(name)
            for options in self.depends[name]:
                found = [p for option in options for p in self.providers.get(option, ())]
                if not found:
                    rs.skip(f"{name} depends on {options}, which is not installed")
                if not done & set(found):
                    todo.append(found[0])
        return done

    def files(self, name):
        for line in capture("dpkg-query", "-L", name).splitlines():
            top = line.split("/")[1] if line.count("/") > 1 else ""
            path = f"/usr{line}" if top in MERGED else line  # merged /usr
            if line.startswith("/") and not SLIM_LEAVES_OUT.match(path):
                yield path


def put_packages(installed, names, root):
    paths = sorted({path for name in names for path in installed.files(name)})
    wanted = [p for p in paths if p not in ("/", "/.") and os.path.lexists(p)
              and (os.path.islink(p) or not os.path.isdir(p))]
    listing = "\0".join(path.lstrip("/") for path in wanted)
    pack = subprocess.Popen(["tar", "-C", "/", "--no-recursion", "--null", "-c", "-T", "-"],
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    unpack = subprocess.Popen(["tar", "-C", root, "-x"], stdin=pack.stdout)
    pack.stdout.close()
    pack.stdin.write(listing.encode())
    pack.stdin.close()
    assert pack.wait() == 0 and unpack.wait() == 0


def base_from_packages(installed, root):
    for name in MERGED[:4] + ("lib64",):
        (root / "usr" / name).mkdir(parents=True, exist_ok=True)
        if not (root / name).is_symlink():
            (root / name).symlink_to(f"usr/{name}")
    required = [n for n, priority in installed.priority.items() if priority == "required"]
    put_packages(installed, installed.closure([*required, "apt"]), root)
    for name in ("etc", "tmp", "proc", "sys", "dev", "var/tmp", "run", "root"):
        (root / name).mkdir(parents=True, exist_ok=True)
    for name in ("passwd", "group"):
        shutil.copy(root / f"usr/share/base-passwd/{name}.master", root / "etc" / name)


def make_slim(root):
    """Leaves out what the slim variant of Debian's image leaves out, and what apt has fetched."""
    for name in ("var/cache/apt", "var/lib/apt/lists", "var/log/apt", "usr/share/doc", "usr/share/man",
                 "usr/share/info", "usr/share/locale", "usr/share/lintian", "usr/share/groff"):
        shutil.rmtree(root / name, ignore_errors=True)


def run_in(root, command):
    subprocess.run(["chroot", root, "/bin/sh", "-c", command], check=True, stdout=subprocess.DEVNULL,
                   env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND": "noninteractive"})


def size_of(root):
    """MiB of files, hard links counted once."""
    return int(capture("du", "-s", "-k", "--one-file-system", root).split()[0]) / 1024


def make_root(stages, build, root, from_mirror):
    stage = stages["runtime"]
    assert stage.base == stages["build"].base == "debian:bookworm-slim", stage.base
    installed = None if from_mirror else Installed()
    if from_mirror:
        capture("debootstrap", "--variant=minbase", "bookworm", str(root))
        make_slim(root)
    else:
        base_from_packages(installed, root)
    sizes = {"base": size_of(root)}
    for step in stage.steps:
        if step[0] == "RUN" and from_mirror:
            run_in(root, step[1])
        elif step[0] == "RUN":
            packages = image_file.packages_of(step[1])
            assert packages, f"a RUN line that this test does not know: {step[1]}"
            put_packages(installed, installed.closure(packages), root)
            subprocess.run(["ldconfig", "-r", root], check=True)
        else:
            _, origin, sources, target = step
            place = root / target.lstrip("/")
            for source in sources:
                if origin is None:
                    shutil.copytree(rs.ROOT / source, place, ignore=shutil.ignore_patterns("packed.*.bin"))
                else:
                    assert origin == "build" and source.startswith("/src/build/release/"), source
                    product = pathlib.Path(build) / source.removeprefix("/src/build/release/")
                    subprocess.run(["strip", "-o", place, product], check=True)
        name = " ".join(step[2]) if step[0] == "COPY" else "packages"
        if from_mirror:
            make_slim(root)
        sizes[name] = size_of(root)
    return sizes


# ---------------------------------------------------------------- running in it

IN_ROOT = """
set -e
mount --make-rprivate /
mount --bind "$ROOT" "$ROOT"
mount -t proc proc "$ROOT/proc"
for node in null zero random urandom; do
  touch "$ROOT/dev/$node" 2>/dev/null || true
  mount --bind /dev/$node "$ROOT/dev/$node"
done
mount --bind "$OUT" "$ROOT/tmp"
mount -o remount,bind,ro "$ROOT"
exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin $VARIABLES chroot "$ROOT" \
  /usr/bin/setpriv --reuid "$IMAGE_UID" --regid "$IMAGE_GID" --clear-groups --no-new-privs --bounding-set=-all --inh-caps=-all "$@"
"""


def command_in(root, out, image, command, variables):
    """Arguments and environment that run a command as the image would, /tmp being `out`."""
    user, group = image.config["USER"].split(":")
    words = " ".join(f"{name}={value}" for name, value in {**image.env, **variables}.items())
    environment = {**os.environ, "ROOT": str(root), "OUT": str(out), "IMAGE_UID": user, "IMAGE_GID": group,
                   "VARIABLES": words}
    return (["unshare", "--mount", "--pid", "--fork", "--kill-child", "/bin/sh", "-c", IN_ROOT, "sh",
             *command], environment)


def child_of(process):
    """The process in the new namespace, by its number out here."""
    children = pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return int(children[0]) if children else None


def status_of(pid):
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return dict(re.findall(r"^(\w+):\s*(.*)$", text, re.MULTILINE))


def check_run(build, root, out, image):
    flags = {"DRAGOMAN_LISTEN": "127.0.0.1:0", "DRAGOMAN_ADMIN_LISTEN": "127.0.0.1:0",
             "DRAGOMAN_PORT_FILE": "/tmp/ports", "DRAGOMAN_DRAIN_GRACE_SECONDS": "1",
             "DRAGOMAN_DRAIN_SECONDS": "5", "DRAGOMAN_THREADS": "1"}
    entry = image.config["ENTRYPOINT"]

    # Without a certificate and without being told to, it does not speak plain text.
    command, environment = command_in(root, out, image, entry, flags)
    refused = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert refused.returncode == 2 and "--insecure" in refused.stderr, refused

    command, environment = command_in(root, out, image, entry, {**flags, "DRAGOMAN_INSECURE": "on"})
    log = out / "server.log"
    with rs.running(command, log, env=environment) as process:
        def started():
            assert process.poll() is None, log.read_text()
            return (out / "ports").exists() and json.loads((out / "ports").read_text())
        ports = rs.wait_for("the server in the image", started)

        pid = child_of(process)
        status = status_of(pid)
        assert status["Name"] == "dragoman-server", status
        user, group = image.config["USER"].split(":")
        assert status["Uid"].split() == [user] * 4 and status["Gid"].split() == [group] * 4, status
        for capabilities in ("CapEff", "CapPrm", "CapBnd", "CapInh"):
            assert int(status[capabilities], 16) == 0, status
        assert status["NoNewPrivs"] == "1", status
        mounts = pathlib.Path(f"/proc/{pid}/mountinfo").read_text().splitlines()
        options = [line.split()[5] for line in mounts if line.split()[4] == "/"]
        assert options and "ro" in options[-1].split(","), mounts

        # Its own health probe: not ready, then ready.
        address = {"DRAGOMAN_ADMIN_LISTEN": f"127.0.0.1:{ports['admin']}"}
        probe, probe_environment = command_in(
            root, out, image, image.config["HEALTHCHECK"]["command"], address)

        def healthy():
            return subprocess.run(probe, env=probe_environment, capture_output=True).returncode == 0
        rs.wait_for("the health probe", healthy)

        source = "Good morning. I would like to go home now.\n"
        client = subprocess.run(
            [f"{build}/bin/dragoman", "translate", "-s", "en", "-t", "de", "--insecure", "--server",
             f"127.0.0.1:{ports['grpc']}", "-"], input=source, capture_output=True, text=True, timeout=60)
        assert client.returncode == 0 and len(client.stdout.split()) >= 5, client

        assert image.config["STOPSIGNAL"] == "SIGTERM"
        os.kill(pid, signal.SIGTERM)
        assert process.wait(1 + 5 + 5) == 0, log.read_text()
        assert subprocess.run(probe, env=probe_environment, capture_output=True).returncode == 1
    return client.stdout


def why_not(from_mirror):
    """Why this machine cannot do it, or nothing."""
    if os.geteuid() != 0:
        return "needs root for chroot and mounts"
    if "VERSION_CODENAME=bookworm" not in pathlib.Path("/etc/os-release").read_text():
        return "this machine is not Debian bookworm"
    for program in ("unshare", "chroot", "tar", "strip", *(["debootstrap"] if from_mirror else ["dpkg-query"])):
        if not any(os.access(f"{p}/{program}", os.X_OK) for p in ("/usr/sbin", "/usr/bin", "/sbin", "/bin")):
            return f"{program} is not installed"
    with rs.work_folder() as folder:
        trial = subprocess.run(["unshare", "--mount", "--pid", "--fork", "sh", "-c",
                                f"mount --make-rprivate / && mount --bind {folder} {folder}"],
                               capture_output=True, text=True)
    if trial.returncode != 0:
        return f"namespaces or mounts are not allowed here: {trial.stderr.strip()}"
    return None


def main():
    build, from_mirror = sys.argv[1], "--from-mirror" in sys.argv[2:]
    reason = why_not(from_mirror)
    if reason:
        rs.skip(reason)
    if not (rs.ROOT / "model/pretrained/dragoman.json").exists():
        rs.skip("the bundled model is not here")
    stages = image_file.read_stages((rs.ROOT / "Dockerfile").read_text())
    with rs.work_folder() as folder:
        os.chmod(folder, 0o755)
        root, out = pathlib.Path(folder) / "root", pathlib.Path(folder) / "out"
        root.mkdir()
        out.mkdir()
        os.chmod(out, 0o1777)
        sizes = make_root(stages, build, root, from_mirror)
        text = check_run(build, root, out, stages["runtime"])
        before = 0.0
        for name, size in sizes.items():
            print(f"{name}: {size - before:.1f} MiB")
            before = size
        print(f"root file system: {before:.1f} MiB; it translated: {text!r}")


if __name__ == "__main__":
    main()
