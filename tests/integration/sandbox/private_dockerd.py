"""A Docker engine of the tests' own, beside the machine's: one that may be killed."""

import contextlib
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import docker
import psutil

from sandbox import EngineError
from sandbox.docker.engine import Engine

START_S = 60.0


class PrivateDockerd:
    """Run `dockerd` on a socket and a data root in a folder; only root can."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.host = f"unix://{folder}/docker.sock"
        self.data_root = folder / "data"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def family(self) -> list[psutil.Process]:
        """Return the engine, its containerd and the shims of its containers."""
        ours = str(self._folder).encode()
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                words = Path(f"/proc/{process.pid}/cmdline").read_bytes()
                if ours in words and (b"containerd" in words or b"dockerd" in words):
                    found.append(process)
        return found

    def start(self) -> None:
        """Start the engine and wait until it answers."""
        dockerd = shutil.which("dockerd", path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
        assert dockerd is not None
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    dockerd,
                    *("--data-root", str(self.data_root), "--exec-root", str(self._folder / "exec")),
                    *("--pidfile", str(self._folder / "pid"), "-H", self.host),
                    *("--bridge=none", "--iptables=false", "--ip6tables=false", "--userland-proxy=false"),
                    "--log-driver=none",
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        end = time.monotonic() + START_S
        while not self._answers():
            assert self._process.poll() is None, (self._folder / "log").read_text()[-2000:]
            assert time.monotonic() < end, "dockerd does not answer"
            time.sleep(0.1)

    def kill(self) -> None:
        """Kill the engine as a crash would."""
        assert self._process is not None
        containerds = [one for one in self.family() if one.name() == "containerd"]
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        end = time.monotonic() + START_S
        while any(one.is_running() and one.status() != psutil.STATUS_ZOMBIE for one in containerds):
            assert time.monotonic() < end, "containerd outlives its dockerd"
            time.sleep(0.02)
        # Where nobody reaps orphans, containerd stays as a zombie, and the next engine would wait for it.
        for pidfile in ("pid", "exec/containerd/containerd.pid"):
            (self._folder / pidfile).unlink(missing_ok=True)

    def stop(self) -> None:
        """Stop the engine, by force if need be, and whatever it left running."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        for process in self.family():
            process.kill()
        mounts = Path("/proc/self/mounts").read_text().splitlines()
        for mount in sorted((line.split()[1] for line in mounts if str(self._folder) in line), reverse=True):
            subprocess.run(["umount", "-l", mount], check=False, capture_output=True)

    def copy_image(self, source: str, image: str) -> None:
        """Take an image over from another engine."""
        api, theirs = docker.APIClient(self.host, timeout=120), docker.APIClient(source, timeout=120)
        try:
            for _ in api.load_image(theirs.get_image(image), quiet=True):
                pass
        finally:
            api.close()
            theirs.close()

    def _answers(self) -> bool:
        try:
            engine = Engine(self.host, 1, 5.0)
        except EngineError:
            return False
        try:
            return bool(engine.versions())
        except EngineError:
            return False
        finally:
            engine.close()
