"""Verifying a log: fold it again and find the first letter that the code does not explain.

Roles are pure, so what they wrote follows from their mail. A performer's answer must answer an order, and
only one may. A checkpoint must be the fold at its position. After its end a mission is silent. A letter that
is in the log twice is a copy, written by a process that stood still past the duplicate window; every fold
skips it.

What a lower version of a role decided is proven as far as this version decides it too. Where this version
took over from a checkpoint of the lower one, the fold goes on from there; letters before that which this
version would not write are counted, not found.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
from msgspec.structs import replace

from bus import burials, subjects
from bus.alarms import quarantine_id
from bus.envelope import Outgoing, Stored, decided_at, open_mail, version_of
from bus.errors import BadMail, BuriedLater, NewerVersion
from bus.fold import Fold, Role
from bus.halts import Halts
from bus.silence import Silence
from bus.subjects import COMPANY, Address
from bus.table import CHECKPOINT, ERROR, Checkpoint, Ref, Table


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """A message that the code does not explain, and why."""

    seq: int
    subject: str
    why: str


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What a verification found, in the order of the log. `copies` are sequences of second copies.

    `older` counts letters of lower versions that this code decides otherwise, before it took over.
    """

    messages: int
    letters: int
    checkpoints: int
    older: int
    copies: tuple[int, ...]
    findings: tuple[Finding, ...]


class _TakenOver(NamedTuple):
    """Where a lower version's decisions end: mail up to `position`, letters before `seq`."""

    position: int
    seq: int


_NEVER = _TakenOver(0, 0)
_NOT_YET = _TakenOver(2**63, 2**63)


class _Verifier:
    def __init__(
        self,
        table: Table,
        roles: Mapping[str, Role[Any]],
        blob_of: Callable[[Ref], bytes | None],
        whole_of: Callable[[Stored], Stored],
    ) -> None:
        self.whole_of = whole_of
        self.table = table
        self.roles = roles
        self.blob_of = blob_of
        self.performers = {mailbox.name for mailbox in table.mailboxes if mailbox.orders}
        self.expected: dict[str, Outgoing] = {}
        self.findings: list[Finding] = []
        self.copies: list[int] = []
        self.quarantines: set[str] = set()
        self.letters = 0
        self.checkpoints = 0
        self.older = 0
        self.taken_over: dict[tuple[str, str], _TakenOver] = {}

    def find(self, stored: Stored, why: str) -> None:
        self.findings.append(Finding(seq=stored.seq, subject=stored.subject, why=why))

    # -- folding --------------------------------------------------------------------------------------

    def fold(self, role: Role[Any], key: str, mail: Sequence[Stored]) -> None:
        """Fold one key's mail, remember its letters, and compare its checkpoints."""
        claims = self._claims(role, mail)
        buried = burials.found_in(mail)
        self.quarantines.update(
            quarantine_id(subjects.mission_of(one.subject), role.name, one.seq)
            for one in mail
            if one.seq in buried
        )
        fold = self._compare(role, key, claims.pop(0, []), Fold(self.table, role, buried))
        for stored in mail:
            try:
                decision = fold.apply(self._whole(role, stored))
            except (NewerVersion, BuriedLater) as error:
                self.find(stored, str(error))
                return
            for letter in decision.letters:  # by what is on the wire; all contents would be too much to keep
                self.expected[letter.headers["ce-id"]] = replace(letter, content=b"")
            fold = self._compare(role, key, claims.pop(stored.seq, []), fold)
        for left in claims.values():
            for stored, _ in left:
                self.find(stored, "a checkpoint of a position that is no mail of its mailbox")

    def _whole(self, role: Role[Any], stored: Stored) -> Stored:
        return self.whole_of(stored) if self.table.takes_blobs(role.name) else stored

    def _claims(self, role: Role[Any], mail: Sequence[Stored]) -> dict[int, list[tuple[Stored, Checkpoint]]]:
        """Return the checkpoints among a key's mail, by the position they claim, lower versions first."""
        claims: dict[int, list[tuple[Stored, Checkpoint]]] = {}
        for stored in mail:
            if subjects.parts_of(stored.subject)[2:] == (CHECKPOINT, role.name):
                checkpoint = _checkpoint_in(self.table, stored)
                if checkpoint is not None and checkpoint.version <= role.version:
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
            content = self.blob_of(checkpoint.blob) if checkpoint.blob else bytes(checkpoint.fold)
            if content is None:
                self.checkpoints += 1
                self.find(stored, "a checkpoint whose state is not there")
                continue
            if checkpoint.version < role.version:
                lower = self._lower(role, checkpoint, content, fold.buried)
                continue
            self.checkpoints += 1
            if _is_fold(content, fold):
                continue
            if lower is not None and _is_fold(content, lower):
                self.taken_over[role.name, key] = _TakenOver(checkpoint.position, stored.seq)
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

    # -- explaining -----------------------------------------------------------------------------------

    def explain(self, messages: Sequence[Stored], silence: Silence | None) -> None:
        """Compare every letter of the log with what its sender decides."""
        seen: dict[str, Stored] = {}
        answered: dict[tuple[str, str], int] = {}
        for stored in messages:
            try:
                address = subjects.parse_mail(stored.subject)
                open_mail(self.table, stored, stored.time_ns)
            except BadMail as error:
                self.find(stored, f"mail that nobody takes: {error}")
                continue
            letter_id = f"{address.sender}/{stored.headers.get('ce-id', '')}"
            if (first := seen.setdefault(letter_id, stored)) is not stored:
                if first.subject == stored.subject and first.body == stored.body:
                    self.copies.append(stored.seq)
                else:
                    self.find(stored, f"the id of message {first.seq} on another message")
            elif self._is_replay(stored, address, seen):
                continue
            else:
                found = len(self.findings)
                if address.kind != CHECKPOINT and address.sender in self.roles:
                    self._explain_letter(stored, address)
                elif address.kind != ERROR and address.sender in self.performers:
                    self._explain_answer(stored, address, seen, answered)
                if silence and len(self.findings) == found and (why := silence.broken_by(stored, address)):
                    self.find(stored, why)

    def _is_replay(self, stored: Stored, address: Address, seen: Mapping[str, Stored]) -> bool:
        """Say whether this is a letter sent again as it was: its original is what must be explained."""
        original = seen.get(f"{address.sender}/{stored.headers.get('coo-replay-of', '')}")
        return original is not None and (original.subject, original.body) == (stored.subject, stored.body)

    def _explain_letter(self, stored: Stored, address: Address) -> None:
        self.letters += 1
        if address.kind == ERROR and stored.headers.get("ce-id", "") in self.quarantines:
            return
        role = self.roles[address.sender]
        version = version_of(stored) or role.version
        letter = self.expected.get(stored.headers.get("ce-id", ""))
        if version > role.version:
            self.find(stored, f"decided by version {version} of {role.name}")
        elif letter is not None and letter.same_as(stored):
            return
        elif version < role.version and self._was_before(stored, address):
            self.older += 1
        elif letter is None:
            self.find(stored, f"{address.sender} does not decide this letter")
        else:
            self.find(stored, f"{address.sender} decides another letter here")

    def _was_before(self, stored: Stored, address: Address) -> bool:
        """Say whether a letter answers mail that this version took over as decided."""
        key = _key_of(self.table, address.sender, address)
        end = self.taken_over.get((address.sender, key), _NEVER)
        return decided_at(stored) <= end.position and stored.seq < end.seq

    def _explain_answer(
        self,
        stored: Stored,
        address: Address,
        seen: Mapping[str, Stored],
        answered: dict[tuple[str, str], int],
    ) -> None:
        """Check that a performer's letter has an order, and that it is its only answer."""
        if address.kind == CHECKPOINT:
            return
        self.letters += 1
        cause = stored.headers.get("coo-cause", "")
        order = seen.get(cause)
        if order is None or subjects.parse_mail(order.subject).to != address.sender:
            self.find(stored, f"{address.sender} answers nothing that it was asked")
        elif address.to == cause.partition("/")[0]:
            first = answered.setdefault((address.sender, cause), stored.seq)
            if first != stored.seq:
                self.find(stored, f"a second answer to {order.seq}, the first is {first}")


def _is_fold(content: bytes, fold: Fold[Any]) -> bool:
    snapshot = fold.snapshot()
    try:
        return content == snapshot or bool(msgspec.json.decode(content) == msgspec.json.decode(snapshot))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False


def verify(
    messages: Sequence[Stored],
    table: Table,
    roles: Mapping[str, Role[Any]],
    blob_of: Callable[[Ref], bytes | None],
    halts: Halts | None = None,
    whole_of: Callable[[Stored], Stored] = lambda stored: stored,
) -> Report:
    """Fold messages again, all of a company or all of one mission, and report what is not explained.

    Without the mail of the company, leave its roles out of `roles`. `halts` says what ends a mission; without
    it nothing is said of what is written after that. `whole_of` gives a message with what its body stands
    for, one at a time.
    """
    verifier = _Verifier(table, roles, blob_of, whole_of)
    mail: dict[tuple[str, str], list[Stored]] = {}
    for stored in messages:
        parts = subjects.parts_of(stored.subject)  # folds come across misaddressed mail, too
        if parts.to in roles and subjects.is_token(key := _key_of(table, parts.to, parts)):
            mail.setdefault((parts.to, key), []).append(stored)
    for name, key in _older_only(messages, table, roles):
        verifier.taken_over[name, key] = _NOT_YET
    for (name, key), own in mail.items():
        verifier.fold(roles[name], key, own)
    verifier.explain(messages, Silence(table, halts) if halts else None)
    return Report(
        messages=len(messages),
        letters=verifier.letters,
        checkpoints=verifier.checkpoints,
        older=verifier.older,
        copies=tuple(verifier.copies),
        findings=tuple(sorted(verifier.findings, key=lambda finding: finding.seq)),
    )


def _key_of(table: Table, role: str, address: Address) -> str:
    return COMPANY if table.mailbox(role).per == "company" else address.mission


def _checkpoint_in(table: Table, stored: Stored) -> Checkpoint | None:
    """Read a checkpoint; None if it is bad mail, which is found elsewhere."""
    try:
        message = open_mail(table, stored, stored.time_ns).message
    except BadMail:
        return None
    return message if isinstance(message, Checkpoint) else None


def _older_only(
    messages: Sequence[Stored], table: Table, roles: Mapping[str, Role[Any]]
) -> list[tuple[str, str]]:
    """Return the keys for which only lower versions of their role have written."""
    newest: dict[tuple[str, str], int] = {}
    for stored in messages:
        address = subjects.address_of(stored.subject)
        if address is None or address.sender not in roles:
            continue
        key = (address.sender, _key_of(table, address.sender, address))
        version = version_of(stored)
        if address.kind == CHECKPOINT:
            checkpoint = _checkpoint_in(table, stored)
            version = checkpoint.version if checkpoint else 0
        newest[key] = max(newest.get(key, 0), version)
    return [key for key, version in newest.items() if 0 < version < roles[key[0]].version]
