"""Folding a log again: what its roles decide, and whether their checkpoints are the folds they say."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
from msgspec.structs import replace

from bus import subjects
from bus.complaints import DeadLetter, Decision, cause_of_unreadable, complaint, misaddressed
from bus.deadletters import dead_id
from bus.envelope import Outgoing, Stored, digest, open_mail, version_of
from bus.errors import BadMail, BuriedLater, NewerVersion
from bus.fold import Fold, Role
from bus.loops import burials, checkpoints, releases
from bus.loops.alarms import quarantine_id
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


_MOST_ORDINALS = 64
"""Letters of one kind to one addressee that a version may have decided on one mail."""

NEVER_ENDS = 2**63
NEVER = TakenOver(0, 0)
NOT_YET = TakenOver(NEVER_ENDS, NEVER_ENDS)


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
        self.log = {stored.seq: stored for stored in messages}
        self.expected: dict[str, Outgoing] = {}
        self.dead: dict[str, tuple[Stored, DeadLetter]] = {}
        self.findings: list[Finding] = []
        self.found: set[int] = set()
        self.disputed: set[tuple[str, str]] = set()
        self.alarms: set[str] = set()
        self.checkpoints = 0
        self.taken_over: dict[tuple[str, str], TakenOver] = {}
        self.begun: dict[tuple[str, str], int] = {}
        self.other_states: list[tuple[Stored, str, str]] = []

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
                self.find(stored, "a checkpoint of a position that is not mail of its mailbox")

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
            if checkpoint.version < role.since:
                continue  # nobody reads it any more
            if checkpoint.version < role.version:
                if not self.there_was(role.name, checkpoint.version, stored):
                    self.find(
                        stored, f"a checkpoint of version {checkpoint.version}, which never was announced"
                    )
                    continue
                lower = self._lower(role, checkpoint, content, fold.buried)
                if lower is None:
                    self.find(
                        stored, f"a checkpoint of version {checkpoint.version} whose state cannot be read"
                    )
                elif not _is_fold(lower.snapshot(), fold):
                    self.other_states.append((stored, role.name, key))
                continue
            self.checkpoints += 1
            self.begun.setdefault((role.name, key), stored.seq)
            if _is_fold(content, fold):
                continue
            if lower is not None and _is_fold(content, lower):
                self.taken_over[role.name, key] = TakenOver(checkpoint.position, stored.seq)
                fold = lower
            else:
                self.find(stored, f"a checkpoint that is not the fold at {checkpoint.position}")
        return fold

    def find_other_states(self) -> None:
        """Name lower versions' checkpoints that are not the fold, where this one took over no such state."""
        for stored, role, key in self.other_states:
            if (role, key) not in self.taken_over:
                self.find(
                    stored, "a checkpoint of a lower version that is not the fold, and none took it over"
                )

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

    def stands_until(self, role: Role[Any], key: str) -> int:
        """Return before which sequence letters of versions below a role's `since` stand as they are.

        That is where the operator announced another one, or where one wrote its first checkpoint.
        """
        known = self.announced.get(role.name, {})
        announced = [seq for seq, version in known.items() if version >= role.since]
        return min(announced, default=self.begun.get((role.name, key), NEVER_ENDS))

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


def follows(letter: Stored, mail: Stored | None) -> bool:
    """Say whether a letter can answer a mail in whatever version: it names it, and its id follows from it."""
    address = subjects.address_of(letter.subject)
    if address is None or mail is None or subjects.parts_of(mail.subject).to != address.sender:
        return False
    unreadable = cause_of_unreadable(mail, mail.time_ns)
    names = {f"{unreadable.sender}/{one}" for one in (mail.headers.get("ce-id", ""), unreadable.id)}
    asked_by, _, mail_id = letter.headers.get("coo-cause", "").partition("/")
    parts = (address.mission, asked_by, mail_id, address.sender, address.to, address.kind)
    ids = {digest(*parts, n) for n in range(_MOST_ORDINALS)}
    return f"{asked_by}/{mail_id}" in names and letter.headers.get("ce-id") in ids


def older_only(
    messages: Sequence[Stored], table: Table, roles: Mapping[str, Role[Any]]
) -> list[tuple[str, str]]:
    """Return the keys for which only lower versions of their role have written."""
    newest: dict[tuple[str, str], int] = {}
    for stored in messages:
        address = subjects.address_of(stored.subject)
        if address is None or address.sender not in roles:
            continue
        key = (address.sender, key_of(table, address.sender, address))
        version = version_of(stored)
        if (checkpoint := checkpoints.read(table, stored)) is not None:
            version = checkpoint.version
        newest[key] = max(newest.get(key, 0), version)
    return [key for key, version in newest.items() if 0 < version < roles[key[0]].version]
