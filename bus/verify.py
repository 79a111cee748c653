"""Verifying a log: fold it again and find the first letter that the code does not explain.

Roles are pure, so what they wrote follows from their mail. A performer's answer must answer an order, and
only one may. A checkpoint must be the fold at its position. After its end a mission is silent. A letter that
is in the log twice is a copy, written by a process that stood still past the duplicate window; every fold
skips it. What a lower version of a role decided is proven as far as this version decides it too. Where this
version took over from a checkpoint of the lower one, the fold goes on from there; letters before that which
this version would not write are counted, not found.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from bus import subjects
from bus.deadletters import copy_of, dead_id, entry_of
from bus.envelope import Mail, Stored, decided_at, digest, open_mail, version_of
from bus.errors import BadMail
from bus.fold import Role
from bus.loops import checkpoints
from bus.loops.alarms import halt_id
from bus.refold import NEVER, NEVER_ENDS, NOT_YET, Finding, Refold, TakenOver, follows, key_of, older_only
from bus.silence import Silence
from bus.subjects import Address
from bus.table import CHECKPOINT, ERROR, Error, Halts, Ref, Table


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What a verification found, in the order of the log. `copies` are sequences of second copies.

    `older` counts letters of lower versions that this code decides otherwise, before it took over. `dead`
    are dead letters that are none, by their sequence in their own stream.
    """

    messages: int
    letters: int
    checkpoints: int
    older: int
    copies: tuple[int, ...]
    findings: tuple[Finding, ...]
    dead: tuple[Finding, ...] = ()


OrdinalOf = Callable[[msgspec.Struct, str], int | str | None]
"""Which of its letters about an order (by id) a performer's message is; None: it is about another one."""

Proof = Callable[[Stored, int, bytes], bool]
"""Whether a performer's checkpoint, of a position and with a state, can be what it says."""


def _only_one(message: msgspec.Struct, order_id: str) -> int:
    return 0


class Performers(NamedTuple):
    """What a log proves of performers: which letter about an order one is, and their checkpoints."""

    ordinal_of: OrdinalOf = _only_one
    proofs: Mapping[str, Callable[[Sequence[Stored]], Proof]] = {}


UNKNOWN = Performers()
_COPIED = ("coo-dlq-subject", "coo-dlq-seq", "coo-dlq-reason")


class _Verifier(Refold):
    """Holds every letter of a log against what is decided."""

    def __init__(
        self,
        table: Table,
        roles: Mapping[str, Role[Any]],
        blob_of: Callable[[Ref], bytes | None],
        whole_of: Callable[[Stored], Stored],
        messages: Sequence[Stored],
        performers: Performers,
        silence: Silence | None,
    ) -> None:
        super().__init__(table, roles, blob_of, whole_of, messages)
        self.ordinal_of = performers.ordinal_of
        self.proofs = {name: proof(messages) for name, proof in performers.proofs.items()}
        self.performers = {mailbox.name for mailbox in table.mailboxes if mailbox.orders}
        self.silence = silence
        self.seen: dict[tuple[str, str, str, str], Stored] = {}  # by mission, addressee, sender and id
        self.answered: dict[tuple[str, str, str], int] = {}
        self.copies: list[int] = []
        self.letters = 0
        self.older = 0

    def explain(self, messages: Sequence[Stored]) -> None:
        """Compare every letter of the log with what its sender decides."""
        for stored in messages:
            try:
                address = subjects.parse_mail(stored.subject)
                mail = open_mail(self.table, self.whole(stored), stored.time_ns)
            except BadMail as error:
                self.find(stored, f"mail that nobody takes: {error}")
                continue
            name = _name(address, stored.headers.get("ce-id") or f"none at {stored.seq}")
            first = self.seen.get(name)
            if first is None or (first.seq in self.found and _said(first) != _said(stored)):
                self.seen[name] = stored  # whoever took its id before it says nothing of this one
                if not self._is_replay(stored, address):
                    self._explain_one(stored, mail, address)
            elif first.seq in self.found:
                self.find(stored, f"a copy of message {first.seq}, which is not explained")
            elif _said(first) == _said(stored):
                self.copies.append(stored.seq)
            else:
                self.find(stored, f"the id of message {first.seq} on another message")

    def _explain_one(self, stored: Stored, mail: Mail, address: Address) -> None:
        if address.kind != CHECKPOINT and address.sender in self.roles:
            self._explain_letter(stored, mail, address)
        elif address.kind != CHECKPOINT and address.sender in self.performers:
            self._explain_answer(stored, mail, address)
        elif address.sender in self.proofs:
            self._prove(stored, self.proofs[address.sender])
        if stored.seq in self.found or self.silence is None:
            return
        if why := self.silence.broken_by(stored, mail, address):
            self.find(stored, why)

    def _prove(self, stored: Stored, proof: Proof) -> None:
        """Compare a performer's checkpoint with what it must have read."""
        self.checkpoints += 1
        checkpoint = checkpoints.read(self.table, stored)
        content = self.content(checkpoint) if checkpoint is not None else None
        if checkpoint is None or content is None:
            self.find(stored, "a checkpoint that cannot be read")
        elif not proof(stored, checkpoint.position, content):
            self.find(stored, f"a checkpoint that is not the state at {checkpoint.position}")

    def _is_replay(self, stored: Stored, address: Address) -> bool:
        """Say whether this is a letter sent again as it was: its original is what must be explained."""
        original = self.seen.get(_name(address, stored.headers.get("coo-replay-of", "")))
        return original is not None and (original.subject, original.body) == (stored.subject, stored.body)

    def _is_alarm(self, mail: Mail, address: Address) -> bool:
        """Say whether a loop itself tells of a quarantine, or that the log has letters it does not decide."""
        key = key_of(self.table, address.sender, address)
        assert isinstance(mail.message, Error)
        halted = mail.id == halt_id(key, address.sender, mail.message.seq)
        return mail.id in self.alarms or (halted and (address.sender, key) in self.disputed)

    def _explain_letter(self, stored: Stored, mail: Mail, address: Address) -> None:
        self.letters += 1
        if address.kind == ERROR and self._is_alarm(mail, address):
            return
        role = self.roles[address.sender]
        version = version_of(stored) or role.version
        letter = self.expected.get(stored.headers.get("ce-id", ""))
        if version > role.version:
            self.find(stored, f"decided by version {version} of {role.name}")
        elif letter is not None and letter.same_as(stored):
            return
        elif version < role.version and self._is_older(stored, address):
            self.older += 1
        elif letter is None:
            self.find(stored, f"{address.sender} does not decide this letter")
        else:
            self.find(stored, f"{address.sender} decides another letter here")

    def _is_older(self, stored: Stored, address: Address) -> bool:
        """Say whether a letter answers mail that this version took over as decided by a version there was."""
        key = key_of(self.table, address.sender, address)
        role = self.roles[address.sender]
        if version_of(stored) < role.since:
            end = TakenOver(NEVER_ENDS, self.stands_until(role, key))
        else:
            end = self.taken_over.get((address.sender, key), NEVER)
        if decided_at(stored) > end.position or stored.seq >= end.seq:
            return False
        can_be = follows(stored, self.log.get(decided_at(stored)))
        return can_be and self.there_was(address.sender, version_of(stored), stored)

    def _explain_answer(self, stored: Stored, answer: Mail, address: Address) -> None:
        """Check that a performer's letter has an order, the id that follows from it, and none before it."""
        self.letters += 1
        told = self.expected.get(stored.headers.get("ce-id", ""))
        if told is not None and told.same_as(stored):
            return
        asked_by, _, order_id = answer.cause.partition("/")
        order = self.seen.get((address.mission, address.sender, asked_by, order_id))
        ordinal = self.ordinal_of(answer.message, order_id)
        if order is None or order.seq > stored.seq or ordinal is None:
            self.find(stored, f"{address.sender} answers nothing that it was asked")
        elif answer.id != letter_id_of(answer, asked_by, order_id, ordinal):
            self.find(stored, f"{address.sender} does not answer message {order.seq} under this id")
        elif address.to == asked_by:
            first = self.answered.setdefault((address.mission, address.sender, answer.cause), stored.seq)
            if first != stored.seq:
                self.find(stored, f"a second answer to {order.seq}, the first is {first}")

    # -- dead letters ---------------------------------------------------------------------------------

    def explain_dead(self, dead: Sequence[Stored]) -> tuple[Finding, ...]:
        """Return the dead letters that are no copies of mail which their mailbox put aside.

        What a performer could not do in the world is taken on its word, if it is a copy of its order.
        """
        known = {*self.roles, *self.performers}
        return tuple(
            Finding(seq=one.seq, subject=one.subject, why="not a copy of mail that this mailbox put aside")
            for one in dead
            if subjects.entombed_by(one.subject)[0] in known and not self._is_copy(one)
        )

    def _is_copy(self, dead: Stored) -> bool:
        entry, letter_id = entry_of(dead), dead.headers.get("ce-id", "")
        if letter_id in self.dead:
            copy = copy_of(entry.mailbox, *self.dead[letter_id])
            same = all(dead.headers.get(name) == copy.headers[name] for name in _COPIED)
            return same and (copy.subject, copy.body) == (dead.subject, dead.body)
        original = self.log.get(entry.original_seq)
        if entry.mailbox not in self.performers or original is None:
            return False
        return (
            letter_id == dead_id(entry.mailbox, original.seq)
            and subjects.parts_of(original.subject).to == entry.mailbox
            and (entry.original_subject, entry.mission, entry.body)
            == (original.subject, subjects.mission_of(original.subject), original.body)
        )


def _said(stored: Stored) -> tuple[str, bytes, str | None]:
    """Return what a copy of a message has in common with it."""
    return stored.subject, stored.body, stored.headers.get("coo-cause")


def _name(address: Address, message_id: str) -> tuple[str, str, str, str]:
    """Return what identifies a message for whoever gets it."""
    return address.mission, address.to, address.sender, message_id


def letter_id_of(answer: Mail, asked_by: str, order_id: str, ordinal: int | str) -> str:
    return digest(answer.mission, asked_by, order_id, answer.sender, answer.to, answer.kind, ordinal)


def verify(
    messages: Sequence[Stored],
    table: Table,
    roles: Mapping[str, Role[Any]],
    blob_of: Callable[[Ref], bytes | None],
    performers: Performers = UNKNOWN,
    dead: Sequence[Stored] = (),
    halts: Halts | None = None,
    whole_of: Callable[[Stored], Stored] = lambda stored: stored,
) -> Report:
    """Fold messages again, all of a company or all of one mission, and report what is not explained.

    `dead` are the dead letters of the same. `halts` says what ends a mission; without it nothing is said of
    what is written after that. `whole_of` gives a message with what its body stands for, one at a time.

    Without the mail of the company, leave its roles out of `roles`.
    """
    silence = Silence(table, halts) if halts else None
    verifier = _Verifier(table, roles, blob_of, whole_of, messages, performers, silence)
    for name, key in older_only(messages, table, roles):
        verifier.taken_over[name, key] = NOT_YET
    for (name, key), own in _sorted(verifier, messages).items():
        verifier.fold(roles[name], key, own)
    verifier.find_other_states()
    verifier.explain(messages)
    return Report(
        messages=len(messages),
        letters=verifier.letters,
        checkpoints=verifier.checkpoints,
        older=verifier.older,
        copies=tuple(verifier.copies),
        findings=tuple(sorted(verifier.findings, key=lambda finding: finding.seq)),
        dead=verifier.explain_dead(dead),
    )


def _sorted(verifier: _Verifier, messages: Sequence[Stored]) -> dict[tuple[str, str], list[Stored]]:
    """Return the mail of every role by its key; what is nobody's, or no order, is taken note of."""
    table, roles = verifier.table, verifier.roles
    mail: dict[tuple[str, str], list[Stored]] = {}
    orders = {(mailbox.name, kind) for mailbox in table.mailboxes for kind in mailbox.orders}
    for stored in messages:
        parts = subjects.parts_of(stored.subject)  # folds come across misaddressed mail, too
        if parts.to in roles and subjects.is_token(key := key_of(table, parts.to, parts)):
            mail.setdefault((parts.to, key), []).append(stored)
        elif parts.to in roles:
            verifier.turn_away(stored)
        elif (parts.to, parts.kind) in orders:
            verifier.refuse(stored, parts.to)
    return mail
