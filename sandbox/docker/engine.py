"""The only module that imports the Docker SDK: one blocking method for each thing asked of the engine.

Every foreign error leaves here as an `EngineError` that says what to do about it.
"""

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import docker
import docker.errors
import requests.exceptions

from sandbox.docker.attached import Attached
from sandbox.docker.containers import LABEL, PROGRAM_USER, RUN_PREFIX
from sandbox.docker.knock import START_FIX, knock
from sandbox.errors import EngineError
from sandbox.program import WORKSPACE

CLIENT_TIMEOUT_S = 30.0  # of one request; a healthy engine answers in milliseconds, a loaded one in seconds
_REMOVAL_S = 10.0
_ARCHIVE_CHUNK_BYTES = 256 * 1024

_IMAGE_FIX = "run `coo sandbox build`"


class Listed(NamedTuple):
    """Name a container this package made; one that waits in a pool has no order yet."""

    id: str
    name: str
    labels: Mapping[str, str]

    @property
    def order(self) -> str:
        """Return the id of the order it serves, "" when it waits for one."""
        return self.name.removeprefix(RUN_PREFIX) if self.name.startswith(RUN_PREFIX) else ""


class Engine:
    """Talk to one Docker engine. Every method blocks; any thread may call any method.

    Raises (all methods):
        EngineError: `docker_not_installed`, `docker_permission_error`, `docker_api_error`, `image_missing` or
            `run_under_way`.
    """

    def __init__(self, host: str, connections: int, timeout_s: float = CLIENT_TIMEOUT_S) -> None:
        knock(host)
        with self._named("reach the engine"):
            self._api = docker.APIClient(
                base_url=host, version="auto", timeout=int(timeout_s), max_pool_size=connections
            )

    def close(self) -> None:
        """Close every connection."""
        self._api.close()

    def versions(self) -> dict[str, str]:
        """Return the engine's and its components' versions, also as proof that it answers."""
        with self._named("ask the engine's version"):
            answer: dict[str, Any] = self._api.version()
        parts = {part["Name"]: part["Version"] for part in answer.get("Components", [])}
        return {"Engine": answer.get("Version", ""), **parts}

    def image_id(self, image: str) -> str:
        """Return the id (`sha256:…`) of a local image."""
        with self._named(f"find image {image}"):
            answer: dict[str, Any] = self._api.inspect_image(image)  # type: ignore[no-untyped-call]  # no stubs
        return str(answer["Id"])

    def pinned(self, image: str) -> str:
        """Return a local image's name by its registry's digest, the name itself if it is from none."""
        with self._named(f"find image {image}"):
            answer: dict[str, Any] = self._api.inspect_image(image)  # type: ignore[no-untyped-call]  # no stubs
        digests: list[str] = answer.get("RepoDigests") or []
        return digests[0] if digests else image

    def create(self, options: Mapping[str, Any], host: Mapping[str, Any]) -> str:
        """Make a container and return its id; `run_under_way` when one of that name exists."""
        with self._named("create the container"):
            answer = self._api.create_container(**options, host_config=self._api.create_host_config(**host))
        return str(answer["Id"])

    def start(self, container: str) -> None:
        """Start a created container."""
        with self._named("start the container"):
            self._api.start(container)

    def prepare_program(self, container: str, argv: Sequence[str], *, with_stdin: bool) -> str:
        """Make the program known to the engine and return its exec id; it does not run yet."""
        with self._named("prepare the program"):
            answer = self._api.exec_create(
                container, list(argv), stdin=with_stdin, user=PROGRAM_USER, workdir=WORKSPACE
            )
        return str(answer["Id"])

    def start_program(self, exec_id: str) -> Attached:
        """Start a prepared program and return the connection to it."""
        with self._named("start the program"):
            return Attached(self._api.exec_start(exec_id, socket=True))

    def program_state(self, exec_id: str) -> tuple[bool, int | None]:
        """Return whether the program runs and, if not, its exit code."""
        with self._named("ask for the program's state"):
            answer: dict[str, Any] = self._api.exec_inspect(exec_id)
        return bool(answer["Running"]), answer["ExitCode"]

    def kill(self, container: str) -> None:
        """Kill everything in a container; one that is gone already is fine."""
        with self._named("kill the container", gone_is_fine=True):
            self._api.kill(container)

    def pause(self, container: str) -> None:
        """Freeze a container, so that nothing changes under a copy."""
        with self._named("pause the container"):
            self._api.pause(container)

    @contextlib.contextmanager
    def workspace_archive(self, container: str) -> Iterator[Iterator[bytes]]:
        """Stream the workspace of a paused container as a tar."""
        with self._named("copy files out"):
            chunks, _ = self._api.get_archive(container, WORKSPACE, chunk_size=_ARCHIVE_CHUNK_BYTES)
            with contextlib.closing(chunks):
                yield chunks

    def ran_out_of_memory(self, container: str, since_s: float) -> bool:
        """Tell whether the kernel killed anything in a container for its memory.

        From the engine's events: `State.OOMKilled` stays false while the container runs.
        """
        with self._named("ask for memory events"):
            # The SDK's type knows whole seconds only, the engine fractions.
            span: dict[str, Any] = {"since": f"{since_s:.6f}", "until": f"{time.time():.6f}"}
            events: Any = self._api.events(**span, filters={"container": container, "event": "oom"})
            with contextlib.closing(events):
                return any(True for _ in events)

    def remove(self, container: str) -> None:
        """Remove a container and its volume, running, paused or gone already; its name is free afterwards."""
        with self._named("remove the container", gone_is_fine=True):
            self._api.remove_container(container, force=True, v=True)
        # A killed one is removing itself, and the engine answers before that is done.
        give_up = time.monotonic() + _REMOVAL_S
        while self.find(container) is not None and time.monotonic() < give_up:
            time.sleep(0.02)

    def rename(self, container: str, name: str) -> None:
        """Give a container another name; `run_under_way` when one of that name exists."""
        with self._named("name the container"):
            self._api.rename(container, name)

    def made_here(self) -> list[Listed]:
        """Return every container this package made, whoever owns it."""
        with self._named("list containers"):
            found: list[dict[str, Any]] = self._api.containers(all=True, filters={"label": LABEL})
        return [
            # One that is being removed has lost its name.
            Listed(one["Id"], (one["Names"] or [""])[0].lstrip("/"), one.get("Labels") or {})
            for one in found
        ]

    def volumes(self) -> list[tuple[str, Mapping[str, str]]]:
        """Return name and labels of every volume this package made that no container uses."""
        with self._named("list volumes"):
            found: dict[str, Any] = self._api.volumes(filters={"label": LABEL, "dangling": "true"})
        return [(one["Name"], one.get("Labels") or {}) for one in found["Volumes"] or []]

    def remove_volume(self, name: str) -> None:
        """Remove a volume; one that is gone already is fine."""
        with self._named("remove the volume", gone_is_fine=True):
            self._api.remove_volume(name)

    def is_running(self, container: str) -> bool:
        """Tell whether a container is there and runs, be it paused."""
        with self._named("inspect the container", gone_is_fine=True):
            answer: dict[str, Any] = self._api.inspect_container(container)
            return bool(answer["State"]["Running"])
        return False

    def find(self, container: str) -> Listed | None:
        """Return a container by its name or id, None when there is none."""
        with self._named("inspect the container", gone_is_fine=True):
            answer: dict[str, Any] = self._api.inspect_container(container)
            return Listed(answer["Id"], answer["Name"].lstrip("/"), answer["Config"]["Labels"] or {})
        return None

    def pull(self, image: str) -> str:
        """Fetch an image from its registry and return its id."""
        with self._named(f"pull {image}"):
            self._api.pull(image)
        return self.image_id(image)

    def import_base(self, archive: Path, repository: str, tag: str) -> str:
        """Make an image of a root file system in a tar file and return its name."""
        with self._named("import the base image"):
            self._api.import_image(str(archive), repository=repository, tag=tag)
        return f"{repository}:{tag}"

    def build(
        self, context: Path, tag: str, arguments: Mapping[str, str], *, network: bool
    ) -> Iterator[dict[str, Any]]:
        """Build an image, yielding the engine's progress; the caller looks for an `error` in it."""
        with self._named("build the image"):
            yield from self._api.build(
                path=str(context),
                tag=tag,
                buildargs=dict(arguments),
                network_mode="host" if network else "none",
                rm=True,
                forcerm=True,
                decode=True,
            )

    @contextlib.contextmanager
    def _named(self, doing: str, *, gone_is_fine: bool = False) -> Iterator[None]:
        try:
            yield
        except docker.errors.ImageNotFound as error:
            raise EngineError("image_missing", f"{doing}: there is no such image", _IMAGE_FIX) from error
        except docker.errors.APIError as error:
            if gone_is_fine and _is_gone(error):
                return
            kind = _api_trouble(error)
            fix = _IMAGE_FIX if kind == "image_missing" else "see the engine's log"
            raise EngineError(kind, f"{doing}: {error.explanation or error}", fix) from error
        except (docker.errors.DockerException, requests.exceptions.RequestException, OSError) as error:
            raise EngineError("docker_api_error", f"{doing}: {error}", START_FIX) from error


def _is_gone(error: docker.errors.APIError) -> bool:
    text = str(error.explanation).lower()
    return error.status_code == 404 or (
        error.status_code == 409 and ("is not running" in text or "already in progress" in text)
    )


def _api_trouble(error: docker.errors.APIError) -> Any:
    text = str(error.explanation).lower()
    if error.status_code == 409 and "already in use" in text:
        return "run_under_way"
    if error.status_code == 404 and "no such image" in text:
        return "image_missing"
    return "docker_api_error"
