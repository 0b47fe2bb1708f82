"""As whom PostgreSQL runs: it refuses to be root, and a program of another user can't reach a clone below /root."""

import ctypes
import hashlib
import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

CLONE_NEWUSER = 0x10000000
INSIDE_ID = 1000
NOBODY = "nobody"
SHARED_FOLDERS = Path("/var/tmp")


@dataclass(frozen=True, slots=True)
class Identity:
    """`prepare` runs in the child before the program; `folder` holds the data; `programs` is the installation."""

    folder: Path
    programs: Path
    prepare: Callable[[], None] | None = None


def identity_for(home: Path, programs: Path) -> Identity:
    """A normal user is who they are. For root: the owner of `home`, else root behind a user namespace, else nobody."""
    if os.geteuid() != 0:
        return Identity(home, programs)
    if (owner := home.stat().st_uid) != 0:
        return Identity(home, programs, lambda: drop_to(owner, home.stat().st_gid))
    if can_enter_namespace():
        return Identity(home, programs, enter_namespace)
    return as_nobody(home, programs)


def enter_namespace() -> None:
    """Become, for the program to be started, a user other than root who is still root to the file system."""
    uid, gid = os.geteuid(), os.getegid()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWUSER) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    Path("/proc/self/uid_map").write_text(f"{INSIDE_ID} {uid} 1")
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/gid_map").write_text(f"{INSIDE_ID} {gid} 1")


def can_enter_namespace() -> bool:
    """Whether this machine lets us make a user namespace (containers often don't)."""
    if sys.platform != "linux":
        return False
    try:
        return subprocess.run(["/bin/true"], preexec_fn=enter_namespace, check=False).returncode == 0
    except (OSError, subprocess.SubprocessError):
        return False


def drop_to(uid: int, gid: int) -> None:
    """Give up root for good."""
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)


def as_nobody(home: Path, programs: Path) -> Identity:
    """Data and a copy of the programs in a folder that an unprivileged user can reach."""
    user = pwd.getpwnam(NOBODY)
    folder = SHARED_FOLDERS / f"astrade-{hashlib.sha256(str(home).encode()).hexdigest()[:12]}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.stat().st_uid not in (0, user.pw_uid) or folder.is_symlink():
        raise PermissionError(f"{folder} belongs to another user")
    package = programs.parent
    copies = folder / "programs"
    if not copies.exists():
        partial = folder / "programs.unfinished"
        libraries = package.with_name(f"{package.name}.libs")  # where the programs look for them, seen from themselves
        for source in (programs, libraries):
            shutil.copytree(source, partial / source.relative_to(package.parent), symlinks=True, dirs_exist_ok=True)
        partial.rename(copies)
    for path in (folder, *folder.rglob("*")):
        os.chown(path, user.pw_uid, user.pw_gid, follow_symlinks=False)
    return Identity(folder, copies / package.name / programs.name, lambda: drop_to(user.pw_uid, user.pw_gid))
