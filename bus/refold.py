"""Folding a log again: what its roles decide, and whether their checkpoints are the folds they say."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
from msgspec.structs import replace

from bus import burials, checkpoints, releases, subjects
from bus.alarms import quarantine_id
from bus.complaints import DeadLetter, Decision, cause_of_unreadable, complaint, misaddressed
from bus.deadletters import dead_id
from bus.envelope import Outgoing, Stored, open_mail
from bus.errors import BadMail, BuriedLater, NewerVersion
from bus.fold import Fold, Role
from bus.subjects import COMPANY, Address
from bus.table import CHECKPOINT, Checkpoint, Ref, Table


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """A message that the code does not explain, and why."""

    seq: int
    subject: str
    why: str


class TakenOver(NamedTuple):
    """Where a lower version's decisions end: mail up to `position`, letters before `seq`."""

    position: int
    seq: int


NEVER = TakenOver(0, 0)
NOT_YET = TakenOver(2**63, 2**63)


class Refold:
    """What a log's roles decide, by id, and what of their checkpoints is not what they decided."""

    def __init__(
        self,
        table: Table,
        roles: Mapping[str, Role[Any]],
        blob_of: Callable[[Ref], bytes | None],
        whole_of: Callable[[Stored], Stored],
        messages: Sequence[Stored],
    ) -> None:
        self.table = table
        self.roles = roles
        self.blob_of = blob_of
        self.whole_of = whole_of
        self.announced = releases.found_in(table, messages)
        self.expected: dict[str, Outgoing] = {}
        self.dead: dict[str, tuple[Stored, DeadLetter]] = {}
        self.findings: list[Finding] = []
        self.found: set[int] = set()
        self.disputed: set[tuple[str, str]] = set()
        self.alarms: set[str] = set()
        self.checkpoints = 0
        self.taken_over: dict[tuple[str, str], TakenOver] = {}

    def find(self, stored: Stored, why: str) -> None:
        self.found.add(stored.seq)
        address = subjects.address_of(stored.subject)
        if address is not None and address.sender in self.roles:
            self.disputed.add((address.sender, key_of(self.table, address.sender, address)))
        self.findings.append(Finding(seq=stored.seq, subject=stored.subject, why=why))

    def fold(self, role: Role[Any], key: str, mail: Sequence[Stored]) -> None:
        """Fold one key's mail, remember its letters, and compare its checkpoints."""
        claims = self._claims(role, mail)
        buried = burials.found_in(mail)
        self.alarms.update(
            quarantine_id(subjects.mission_of(one.subject), role.name, one.seq)
            for one in mail
            if one.seq in buried
        )
        fold = self._compare(role, key, claims.pop(0, []), Fold(self.table, role, buried))
        for stored in mail:
            try:
                decision = fold.apply(self.whole(stored))
            except (NewerVersion, BuriedLater) as error:
                self.find(stored, str(error))
                return
            self._remember(role.name, decision)
            fold = self._compare(role, key, claims.pop(stored.seq, []), fold)
        for left in claims.values():
            for stored, _ in left:
                self.find(stored, "a checkpoint of a position that is no mail of its mailbox")

    def _claims(self, role: Role[Any], mail: Sequence[Stored]) -> dict[int, list[tuple[Stored, Checkpoint]]]:
        """Return the checkpoints among a key's mail, by the position they claim, lower versions first."""
        claims: dict[int, list[tuple[Stored, Checkpoint]]] = {}
        for stored in mail:
            parts = subjects.parts_of(stored.subject)
            if (parts.kind, parts.sender) == (CHECKPOINT, role.name):
                checkpoint = checkpoints.read(self.table, self.whole(stored))
                if checkpoint is not None and parts.mission != key_of(self.table, role.name, parts):
                    self.find(stored, "a checkpoint where nobody looks for one")
                elif checkpoint is not None and checkpoint.version <= role.version:
                    claims.setdefault(checkpoint.position, []).append((stored, checkpoint))
                elif checkpoint is not None:
                    self.find(stored, f"a checkpoint of version {checkpoint.version} of {role.name}")
        for at_one_place in claims.values():
            at_one_place.sort(key=lambda claim: claim[1].version)
        return claims

    def _compare(
        self, role: Role[Any], key: str, claims: list[tuple[Stored, Checkpoint]], fold: Fold[Any]
    ) -> Fold[Any]:
        """Compare checkpoints with the fold, and return what the next mail is folded on."""
        lower: Fold[Any] | None = None
        for stored, checkpoint in claims:
            content = self.content(checkpoint)
            if content is None:
                self.checkpoints += 1
                self.find(stored, "a checkpoint whose state is not there")
                continue
            if checkpoint.version < role.version:
                if not self.there_was(role.name, checkpoint.version, stored):
                    self.find(
                        stored, f"a checkpoint of version {checkpoint.version}, which never was announced"
                    )
                    continue
                lower = self._lower(role, checkpoint, content, fold.buried)
                continue
            self.checkpoints += 1
            if _is_fold(content, fold):
                continue
            if lower is not None and _is_fold(content, lower):
                self.taken_over[role.name, key] = TakenOver(checkpoint.position, stored.seq)
                fold = lower
            else:
                self.find(stored, f"a checkpoint that is not the fold at {checkpoint.position}")
        return fold

    def _lower(
        self, role: Role[Any], checkpoint: Checkpoint, content: bytes, buried: Mapping[int, str]
    ) -> Fold[Any] | None:
        """Read a lower version's state as this version does when it takes over."""
        fold: Fold[Any] = Fold(self.table, role, buried)
        try:
            fold.restore(checkpoint, content)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, BuriedLater):
            return None
        return fold

    def turn_away(self, stored: Stored) -> None:
        """Remember what a role says of mail that is nobody's."""
        role = self.roles.get(subjects.parts_of(stored.subject).to)
        if role is not None and (nobodys := misaddressed(self.table, role.name, role.version, stored)):
            self._remember(role.name, nobodys)

    def _remember(self, mailbox: str, decision: Decision) -> None:
        for letter in decision.letters:  # by what is on the wire; all contents would be too much to keep
            self.expected.setdefault(letter.headers["ce-id"], replace(letter, content=b""))
        if decision.dead is not None:
            self.dead[dead_id(mailbox, decision.stored.seq)] = decision.stored, decision.dead

    def refuse(self, stored: Stored, mailbox: str) -> None:
        """Remember what a performer complains of mail that nobody can read."""
        try:
            open_mail(self.table, self.whole(stored), stored.time_ns)
        except BadMail as error:
            cause = cause_of_unreadable(stored, stored.time_ns)
            dead = DeadLetter(error.reason, error.detail, "")
            told = complaint(self.table, mailbox, 0, stored, dead, cause)
            self._remember(mailbox, Decision(stored, told, dead))

    def whole(self, stored: Stored) -> Stored:
        """Return a message with what its body stands for, if its addressee reads that."""
        is_read = self.table.takes_blobs(subjects.parts_of(stored.subject).to)
        return self.whole_of(stored) if is_read else stored

    def content(self, checkpoint: Checkpoint) -> bytes | None:
        return self.blob_of(checkpoint.blob) if checkpoint.blob else bytes(checkpoint.fold)

    def there_was(self, role: str, version: int, stored: Stored) -> bool:
        """Say whether a lower version can have written a message: it was announced, or none was by then."""
        return releases.there_was(self.announced.get(role, {}), version, stored.seq)


def _is_fold(content: bytes, fold: Fold[Any]) -> bool:
    snapshot = fold.snapshot()
    try:
        return content == snapshot or bool(msgspec.json.decode(content) == msgspec.json.decode(snapshot))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False


def key_of(table: Table, role: str, address: Address) -> str:
    return COMPANY if table.mailbox(role).per == "company" else address.mission
