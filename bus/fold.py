"""A mailbox's state as the fold of its mail: pure, the same in every process and at every time.

A role is `handle(state, mail) -> Step`. It knows no clock, no random, no I/O and no configuration: time
is the greatest log timestamp folded so far, and everything else arrives as mail.
"""

from __future__ import annotations

import traceback
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec

from bus import subjects
from bus.bounds import Nanos, Whole
from bus.complaints import DeadLetter, Decision, cause_of_unreadable, complaint, misaddressed
from bus.envelope import Cause, Letter, Mail, Outgoing, Stored, cause_of, open_mail, seal
from bus.errors import BadLetter, BadMail, BuriedLater, NewerVersion
from bus.seen import Seen
from bus.table import Announced, Buried, Checkpoint, Released, Table

S = TypeVar("S", bound=msgspec.Struct)

_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

_NOTHING_ANNOUNCED = Announced()


class Step(NamedTuple):
    """What a role decided: its new state, the letters to send, and missions it may forget."""

    state: Any
    letters: Sequence[Letter] = ()
    forget: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class Role(Generic[S]):
    """A pure decider. Raise `version` whenever a decision for the same mail changes.

    `is_over` says that a state is final: then nobody is told any more of mail that cannot be decided. What
    versions below `since` decided stands: it is not held against this one's decisions, and their states are
    not read. This one folds their mail for the state alone.
    """

    name: str
    version: int
    state: type[S]
    handle: Callable[[S, Mail], Step]
    is_over: Callable[[S], bool] = lambda state: False
    since: int = 0


class Snapshot(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A fold as a checkpoint carries it. `seen` maps a mission to the mail it has had.

    `before` has older mail of it, `buried` the burials that the fold has taken in.
    """

    state: msgspec.Raw
    now_ns: Nanos
    count: Whole
    seen: dict[str, list[str]]
    buried: tuple[Whole, ...] = ()
    before: dict[str, list[str]] = {}


class Fold(Generic[S]):
    """The state of one role for one key (a mission, or the company), and the mail it has seen.

    `buried` is what the log's burials say is to be skipped, and why, by sequence (`bus.loops.burials`);
    `announced` what the operator says of the role's versions (`bus.loops.releases`).
    """

    def __init__(
        self,
        table: Table,
        role: Role[S],
        buried: Mapping[int, str] = {},
        announced: Announced = _NOTHING_ANNOUNCED,
    ) -> None:
        self._table = table
        self._role = role
        self.state: S = role.state()
        self.position = 0
        self.now_ns = 0
        self.count = 0
        self._seen = Seen()
        self.buried = dict(buried)
        self.announced = announced
        self._burials: set[int] = set()

    def apply(self, stored: Stored) -> Decision:
        """Fold the next mail; the caller hands them over in stream order, each once.

        An exception of the role is an outcome: the state stays, and the decision carries a dead letter.

        Raises:
            NewerVersion: a later version of this role has written here.
            BuriedLater: it has decided what this mail buries.
            MemoryError, RecursionError: the process must end; so it must for what is no Exception.
        """
        self.position = stored.seq
        if (nobodys := misaddressed(self._table, self._role.name, self._role.version, stored)) is not None:
            self._burials |= {stored.seq} & self.buried.keys()
            return nobodys
        self.now_ns = max(self.now_ns, stored.time_ns)
        if stored.seq in self.buried:
            self._burials.add(stored.seq)
            return Decision(stored, (), DeadLetter("buried", self.buried[stored.seq], ""))
        try:
            mail = open_mail(self._table, stored, self.now_ns)
            if isinstance(mail.message, Checkpoint):
                return self._pass_checkpoint(stored, mail.message)
        except BadMail as error:
            return self._refused(stored, error)
        if isinstance(mail.message, Released):
            return Decision(stored)
        if isinstance(mail.message, Buried):
            return self._pass_burial(stored, mail.message)
        is_first = mail.mission not in self._seen
        if self._is_repeated(mail):
            return Decision(stored)
        self.count += 1
        decision = self._decide(stored, mail)
        if decision.dead is not None and is_first:
            self._seen.forget(mail.mission)  # nothing is known of it, and nothing came of this
        return decision

    def believed(self, seq: int) -> int:
        """Return the greatest version of this role that a message can be of."""
        return max(self._role.version, self.announced.before(seq))

    def check_checkpoint(self, stored: Stored, checkpoint: Checkpoint) -> None:
        """Say whether a checkpoint can be one, as far as that is seen in it.

        Raises:
            BadMail: it cannot; nobody but a taken process of this role can have written it.
        """
        if checkpoint.version > self.believed(stored.seq):
            what = f"nobody has announced version {checkpoint.version} of {self._role.name}"
            raise BadMail("unannounced_version", what)
        if checkpoint.position >= stored.seq:
            raise BadMail("bad_checkpoint", f"it is of {checkpoint.position}, which is not before it")
        if checkpoint.version == self._role.version and checkpoint.blob is None:
            try:
                self._decode(bytes(checkpoint.fold))
            except _UNREADABLE as error:
                raise BadMail("bad_checkpoint", f"its state cannot be read: {error}") from error

    def _decode(self, fold: bytes) -> tuple[Snapshot, S]:
        snapshot = msgspec.json.decode(fold, type=Snapshot)
        return snapshot, msgspec.json.decode(snapshot.state, type=self._role.state)

    def _pass_checkpoint(self, stored: Stored, checkpoint: Checkpoint) -> Decision:
        self.check_checkpoint(stored, checkpoint)
        if checkpoint.version > self._role.version:
            raise NewerVersion(
                f"message {stored.seq} was written by version {checkpoint.version} of {self._role.name}, "
                f"this is version {self._role.version}"
            )
        return Decision(stored)

    def _pass_burial(self, stored: Stored, burial: Buried) -> Decision:
        if burial.seq not in self.buried and burial.seq < stored.seq:
            raise BuriedLater(f"message {burial.seq} was decided before {stored.seq} buried it")
        self._burials.add(burial.seq)
        return Decision(stored)

    def _is_repeated(self, mail: Mail) -> bool:
        return not self._seen.add(mail.mission, mail.sender, mail.id)

    def _decide(self, stored: Stored, mail: Mail) -> Decision:
        try:
            step = self._role.handle(self.state, mail)
            letters = self._seal_all(step.letters, mail, stored)
        except (MemoryError, RecursionError):
            raise
        except Exception as error:
            return self._raised(stored, mail, error)
        self.state = step.state
        for mission in step.forget:
            self._seen.forget(mission)
        return Decision(stored, letters)

    def _seal_all(self, letters: Sequence[Letter], mail: Mail, stored: Stored) -> tuple[Outgoing, ...]:
        cause = cause_of(mail, stored.headers)
        ordinals: Counter[tuple[str, str, type]] = Counter()
        sealed = []
        for letter in letters:
            mission = letter.mission or mail.mission
            pair = (mission, letter.to, type(letter.message))
            sealed.append(self._seal(letter, mission, cause, ordinals[pair]))
            ordinals[pair] += 1
        return tuple(sealed)

    def _seal(self, letter: Letter, mission: str, cause: Cause, ordinal: int) -> Outgoing:
        if not subjects.is_token(mission):
            raise BadLetter(f"{mission!r} is no mission")
        return seal(
            self._table,
            sender=self._role.name,
            version=self._role.version,
            to=letter.to,
            mission=mission,
            message=letter.message,
            cause=cause,
            ordinal=ordinal,
            retry_of=letter.retry_of,
        )

    def _raised(self, stored: Stored, mail: Mail, error: Exception) -> Decision:
        where = "".join(traceback.format_exception(error))
        dead = DeadLetter("raised", f"{type(error).__name__}: {error}", where)
        cause = cause_of(mail, stored.headers)
        return Decision(stored, self._complain(stored, dead, cause), dead)

    def _refused(self, stored: Stored, error: BadMail) -> Decision:
        dead = DeadLetter(error.reason, error.detail, "")
        cause = cause_of_unreadable(stored, self.now_ns)
        return Decision(stored, self._complain(stored, dead, cause), dead)

    def _complain(self, stored: Stored, dead: DeadLetter, cause: Cause) -> tuple[Outgoing, ...]:
        if self._role.is_over(self.state):
            return ()
        return complaint(self._table, self._role.name, self._role.version, stored, dead, cause)

    def copy(self) -> Fold[S]:
        """Return a fold that goes on from here by itself."""
        twin = Fold(self._table, self._role, self.buried, self.announced)
        twin.state, twin.position, twin.now_ns, twin.count = (
            self.state,
            self.position,
            self.now_ns,
            self.count,
        )
        twin._seen = self._seen.copy()
        twin._burials = set(self._burials)
        return twin

    def snapshot(self) -> bytes:
        """Return this fold as one line of JSON, the same bytes in every process.

        Mappings keep their order, since a role may go by it: one that sorted them would decide otherwise
        after a restart. A state has no sets, whose order is nobody's.
        """
        seen, before = self._seen.snapshot()
        return msgspec.json.encode(
            Snapshot(
                state=msgspec.Raw(msgspec.json.encode(self.state)),
                now_ns=self.now_ns,
                count=self.count,
                seen=seen,
                buried=tuple(sorted(self._burials)),
                before=before,
            )
        )

    def restore(self, checkpoint: Checkpoint, fold: bytes) -> None:
        """Take over what a checkpoint says, all or nothing; `fold` is its snapshot, wherever that was stored.

        Raises:
            BuriedLater: the snapshot holds what a mail did that was buried since.
            msgspec.DecodeError, UnicodeDecodeError, RecursionError: it is not a snapshot of this state.
        """
        snapshot, state = self._decode(fold)
        if any(seq <= checkpoint.position and seq not in snapshot.buried for seq in self.buried):
            raise BuriedLater(f"the checkpoint at {checkpoint.position} has decided what was buried since")
        self.state = state
        self.now_ns = snapshot.now_ns
        self.count = snapshot.count
        self._seen.restore(snapshot.seen, snapshot.before)
        self.position = checkpoint.position
        self._burials = set(snapshot.buried)
