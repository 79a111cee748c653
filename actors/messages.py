"""Every message of the company. Orders are imperatives, facts are past participles.

Money is integer micro-dollars, time is nanoseconds of the log, durations are seconds. A manifest maps the
path of a file in a workspace to the blob with its content. A message type is added, never changed.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from bus.bounds import Nanos, Signed, Whole
from bus.table import Ref

Manifest = dict[str, Ref]

Rank = Literal["", "claimed", "observed"]
"""What evidence is worth: the work's own word, or what was seen of it from outside."""

State = Literal[
    "created",
    "planning",
    "executing",
    "reviewing",
    "completed",
    "paused_budget",
    "paused_approval",
    "paused_error",
    "paused_manual",
    "failed",
    "cancelled",
]
FINAL: frozenset[State] = frozenset({"completed", "failed", "cancelled"})
PAUSED: frozenset[State] = frozenset({"paused_budget", "paused_approval", "paused_error", "paused_manual"})


class Message(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Root of every body on the wire."""


# -- the CEO speaks -----------------------------------------------------------------------------------


class Terms(Message, frozen=True):
    """The limits of one mission, resolved from the configuration when it is sent.

    `models` names the model of each role. `max_rounds` bounds an engineer's fixes of one task,
    `max_loops` what QA sends back in the whole mission, `max_messages` what the COO is sent. `ask_raise` lets
    the COO ask for more money; `on_new_day` says whether a mission that waits for a day or month limit goes
    on by itself when the next one begins (UTC). `margin_percent` of the cap is kept back. `call_tokens`
    bounds the tokens of one call, prompt and answer, `role_tokens` those of all calls of a role. Of missions
    that wait for a slot the one with the greatest `priority` is next; one paused for `park_after_s` gives its
    slot back (0: never). `evidence` is what work must at least have for it to be approved.
    """

    models: dict[str, str]
    max_output_tokens: Whole = 8_000
    ask_release: bool = False
    ask_raise: bool = False
    on_new_day: Literal["resume", "wait"] = "wait"
    max_rounds: Whole = 3
    max_loops: Whole = 20
    max_messages: Whole = msgspec.field(default=5_000, name="max_mails")
    max_tasks: Whole = 8
    deadline_s: Whole = 0
    pause_timeout_s: Whole = 86_400
    approval_timeout_s: Whole = 86_400
    run_timeout_s: Whole = 60
    margin_percent: Whole = 0
    call_tokens: Whole | None = None
    role_tokens: dict[str, Whole] = {}
    priority: Signed = 0
    park_after_s: Whole = 0
    evidence: Literal["claimed", "observed"] = "observed"


class Mission(Message, frozen=True):
    """What the CEO wants done, and for how much at most."""

    goal: str
    budget_microusd: Whole
    terms: Terms


class Control(Message, frozen=True):
    """The CEO pauses, resumes or cancels a mission."""

    action: Literal["pause", "resume", "cancel"]
    reason: str = ""


class Limits(Message, frozen=True):
    """What the company may spend a day and a month (UTC), and a mission that names no budget.

    `margin_percent` of day and month is kept back for bills above their hold. `call_tokens` bounds any
    call, `slots` how many missions are worked on at once. `origin` says who set them: the settings, when the
    company was started, or the CEO's own word since.
    """

    day_microusd: Whole
    month_microusd: Whole
    mission_microusd: Whole
    margin_percent: Whole = 0
    call_tokens: Whole | None = None
    slots: Whole | None = None
    origin: Literal["settings", "ceo"] = "settings"


class CompanySettings(Message, frozen=True):
    """What the company's settings say about every mission: published by `coo up`, read by who gives one.

    `terms` are those of a mission that asks for nothing else, `mission_microusd` is its cap if it names no
    budget. `models` has every model that a mission may name, with the most tokens of one answer of it.
    """

    terms: Terms
    mission_microusd: Whole
    models: dict[str, Whole]


class Decision(Message, frozen=True):
    """The CEO's answer to a request, quoting the digest of exactly what was asked.

    With `raise_microusd` or `raise_tokens` (by role) it answers nothing: the CEO raises the mission's caps by
    that, and `digest` is a name that this raise alone has.
    """

    digest: str
    verdict: Literal["approve", "reject"]
    note: str = ""
    raise_microusd: Whole = 0
    raise_tokens: dict[str, Whole] = {}


# -- the work -----------------------------------------------------------------------------------------


class Finding(Message, frozen=True):
    """Something that is wrong with a piece of work; `taste` is nothing that the brief promises."""

    problem: str
    expected: str = ""
    file: str = ""
    taste: bool = False


class PlannedTask(Message, frozen=True):
    """One task of a plan. `acceptance` is the argument vector that must exit 0 when it is done.

    `outputs` must be there then, written or made by that command; `protected` are files that must not change.
    `tests` runs the tests that are there before the task: if it passes then, it must pass after it.
    """

    title: str
    brief: str
    acceptance: tuple[str, ...]
    outputs: tuple[str, ...] = ()
    protected: tuple[str, ...] = ()
    tests: tuple[str, ...] = ()


class Task(Message, frozen=True):
    """Do a task, or judge it: `files` is the workspace to start from, or the work to judge.

    `rework` counts how often QA sent it back; `findings` are what it found the last time. `before` is the
    workspace as it was before the task.
    """

    number: Whole
    plan: PlannedTask
    goal: str
    terms: Terms
    files: Manifest = {}
    rework: Whole = 0
    findings: tuple[Finding, ...] = ()
    before: Manifest = {}


class HoldWork(Message, frozen=True):
    """Send no more orders until told to go on."""

    reason: str = ""


class GoOn(Message, frozen=True):
    """Go on, and send again what was dropped meanwhile."""


class Refusal(Message, frozen=True):
    """Why the guard gives no money: which limit, what was needed, what is left of it; in money or tokens."""

    scope: str
    needed_microusd: Whole
    remaining_microusd: Signed
    needed_tokens: Whole = 0
    remaining_tokens: Signed = 0


class Evidence(Message, frozen=True):
    """What a run showed. `run` says which: acceptance, tests or exam; logs of old have control and checks."""

    run: str
    argv: tuple[str, ...]
    status: str
    exit_code: Signed | None = None
    output: str = ""
    rank: Rank = ""


class Result(Message, frozen=True):
    """A role's answer to a task.

    `stuck` and `refused` are not ends: the role has kept its place and goes on when told. `blocked` says that
    the task cannot be done as it is planned. `examined` is the digest of the files that were approved, `rank`
    the evidence for that.
    """

    number: Whole
    rework: Whole
    status: Literal["done", "approved", "rejected", "failed", "stuck", "refused", "blocked"]
    files: Manifest = {}
    rounds: Whole = 0
    summary: str = ""
    reason: str = ""
    fix: str = ""
    findings: tuple[Finding, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    refusal: Refusal | None = None
    examined: str = ""
    rank: Rank = ""


class Case(Message, frozen=True):
    """One run of the work in an exam: `inputs` are there for this run alone, by their path in the workspace.

    What it shows are its exit code, both streams, and those files of `keep` that it makes or changes. A
    `spare` case is kept for a rework, which has not been told of it.
    """

    name: str
    argv: tuple[str, ...]
    stdin: str = ""
    inputs: Manifest = {}
    keep: tuple[str, ...] = ()
    spare: bool = False


class Exam(Message, frozen=True):
    """Cases that run the work, and a program that marks what they showed; the two never meet.

    `marker` runs on QA's own `files` and on `answers/CASE/` for each case that was run: `exit_code`,
    `stdout`, `stderr` and `files/`. It prints `PASS CASE` or `FAIL CASE: why` for each of them, a line each.
    """

    cases: tuple[Case, ...]
    marker: tuple[str, ...]
    files: Manifest = {}


# -- the sandbox --------------------------------------------------------------------------------------


class Execute(Message, frozen=True):
    """Run a program on these files in a fresh sandbox. `run`, `number`, `rework`, `round` come back.

    Of the paths in `keep` those that it makes or changes come back as files; with `record` its exit code and
    its streams, too.
    """

    run: str
    number: Whole
    rework: Whole
    argv: tuple[str, ...]
    files: Manifest = {}
    timeout_s: Whole = 60
    round: Whole = 0
    stdin: str = ""
    keep: tuple[str, ...] = ()
    record: bool = False


class Outcome(Message, frozen=True):
    """What became of a run. Output is the end of both streams, as text; `cut` says that there was more.

    A run that was `dropped` names the status that was obeyed, and says whether it was `final`. `kept` are the
    files it was to keep, `recorded` has `exit_code`, `stdout` and `stderr`, byte for byte.
    """

    run: str
    number: Whole
    rework: Whole
    status: str
    round: Whole = 0
    exit_code: Signed | None = None
    stdout: str = ""
    stderr: str = ""
    wall_ms: Whole = 0
    backend: str = ""
    image: str = ""
    reason: str = ""
    fix: str = ""
    status_seq: Whole = 0
    final: bool = False
    kept: Manifest = {}
    recorded: Manifest = {}
    cut: bool = False


# -- the model ----------------------------------------------------------------------------------------


class Call(Message, frozen=True):
    """Ask a model. `turn` names the prompt, `variables` fill it, `files` are shown to the model.

    `number`, `rework` and `round` say where the work is; they come back with the reply. `checks` is in logs
    of old only.
    """

    turn: Literal["plan", "code", "checks", "judge", "exam"]
    model: str
    max_output_tokens: Whole
    number: Whole = 0
    rework: Whole = 0
    round: Whole = 0
    goal: str = ""
    variables: dict[str, str] = {}
    files: Manifest = {}


class Verdict(Message, frozen=True):
    """The QA model's opinion; of a rejection it says what is at fault: the work, these `cases`, the brief."""

    verdict: Literal["approved", "rejected"]
    findings: tuple[Finding, ...] = ()
    reason: str = ""
    at_fault: Literal["", "work", "case", "brief"] = ""
    cases: tuple[str, ...] = ()


class Usage(Message, frozen=True):
    """What a call used and cost, and what was asked: the prompt by name and hash."""

    model: str
    provider: str
    prompt: str
    prompt_sha256: str
    input_tokens: Whole = 0
    output_tokens: Whole = 0
    microusd: Whole = 0
    attempts: Whole = 0


class Reply(Message, frozen=True):
    """A model's answer, parsed by what the turn asked for.

    `failed` carries a constant word in `error` (no_script, invalid_answer, …) and says more in `detail`.
    A call that was `dropped` names the status that was obeyed, and says whether it was `final`. `blocked`
    says why a task cannot be done as it is planned.
    """

    turn: str
    number: Whole
    rework: Whole
    status: Literal["answered", "refused", "failed", "dropped"]
    round: Whole = 0
    plan: tuple[PlannedTask, ...] = ()
    files: Manifest = {}
    argv: tuple[str, ...] = ()
    verdict: Verdict | None = None
    summary: str = ""
    usage: Usage | None = None
    refusal: Refusal | None = None
    error: str = ""
    detail: str = ""
    status_seq: Whole = 0
    final: bool = False
    exam: Exam | None = None
    blocked: str = ""


# -- money --------------------------------------------------------------------------------------------


class Reserve(Message, frozen=True):
    """Hold money for one attempt at a call, at the worst case.

    Less is taken down to `floor`; 0 is all or nothing. The hold lasts `timeout_s` from its grant; it is
    waited for at most `wait_s` when it does not fit only because of what is held for others. `tokens` is the
    most that prompt and answer may have.
    """

    attempt: str
    microusd: Whole
    timeout_s: Whole
    floor: Whole = 0
    wait_s: Whole = 600
    tokens: Whole = 0


class Sent(Message, frozen=True):
    """An attempt is about to go out. The first one logged before the hold's expiry may call."""

    attempt: str
    nonce: str
    microusd: Whole


class Settle(Message, frozen=True):
    """An attempt cost this much. `answer` is what was paid for, so that nobody pays for it again.

    `doubt` says why the provider's figures cannot be its bill: the attempt is booked at its hold, in doubt.
    """

    attempt: str
    microusd: Whole
    input_tokens: Whole = 0
    output_tokens: Whole = 0
    answer: Ref | None = None
    doubt: str = ""


class Void(Message, frozen=True):
    """An attempt cost nothing: it was never sent, or the provider refused it before any inference.

    `nonce` is that of the process whose `sent` it was; without it, only what nobody sent is given back.
    """

    attempt: str
    proof: Literal["not_sent", "refused_by_provider"]
    nonce: str = ""


class Granted(Message, frozen=True):
    """The money for an attempt is held until the log's time `expires_ns`.

    `limited_by` names the limit because of which it is less than was asked for.
    """

    attempt: str
    microusd: Whole
    expires_ns: Nanos
    limited_by: str = ""


class Refused(Message, frozen=True):
    """There is no money for an attempt."""

    attempt: str
    refusal: Refusal


class Open(Message, frozen=True):
    """Open a mission's account with its caps, and give it a slot; the same again asks for a slot again.

    `role_tokens` is by model mailbox; the rest is as in the mission's terms.
    """

    cap_microusd: Whole
    margin_percent: Whole = 0
    call_tokens: Whole | None = None
    role_tokens: dict[str, Whole] = {}
    priority: Signed = 0


class Opened(Message, frozen=True):
    """The mission's account is open, and it has a slot."""


class Queued(Message, frozen=True):
    """The mission waits until one of the `slots` is free."""

    slots: Whole


class Park(Message, frozen=True):
    """The mission is paused for long: its slot is free until it is opened again."""


class Close(Message, frozen=True):
    """The mission is over: nothing more is held for it, and whoever works on it sends nothing more."""

    state: str


class Raise(Message, frozen=True):
    """Raise a mission's caps, once a digest. `asked` says that the company asked for it.

    `tokens` is by role.
    """

    digest: str
    microusd: Whole
    asked: bool
    tokens: dict[str, Whole] = {}


class Raised(Message, frozen=True):
    """The mission's cap after a raise; not `applied`: the company has asked too often."""

    digest: str
    cap_microusd: Whole
    applied: bool


class Frozen(Message, frozen=True):
    """Nothing more is granted to the mission: a bill above its hold, or without one, was booked in full.

    `doubted`: it cannot be the bill, and was booked at the hold.
    """

    reason: Literal["overrun", "unheld_settlement", "settled_by_another"]
    attempt: str
    held_microusd: Whole
    cost_microusd: Whole
    doubted: bool = False


# -- approval -----------------------------------------------------------------------------------------


class Request(Message, frozen=True):
    """Ask the CEO. `digest` is the sha256 of exactly what is asked; a raise says by how much."""

    what: Literal["release", "raise"]
    digest: str
    why: str
    timeout_s: Whole
    raise_microusd: Whole = 0


class Approved(Message, frozen=True):
    digest: str
    note: str = ""


class Rejected(Message, frozen=True):
    digest: str
    note: str = ""


class Expired(Message, frozen=True):
    """Nobody decided in time. Not a rejection: the mission stays paused."""

    digest: str


class Declined(Message, frozen=True):
    """What the CEO said changes nothing, and why."""

    reason: str


# -- time and state -----------------------------------------------------------------------------------


class Wake(Message, frozen=True):
    """Send a tick when the log's time has reached `at_ns`; it replaces the sender's wake of this name."""

    name: str
    at_ns: Nanos


class Tick(Message, frozen=True):
    name: str
    at_ns: Nanos


class TaskStatus(Message, frozen=True):
    title: str
    state: str
    attempts: Whole


class Status(Message, frozen=True):
    """A mission's state, as decided at the sequence `at`: readers take the greatest.

    `asks` is the digest of what waits for the CEO: the release of `deliverable`, or a raise. `rank` is that
    of the weakest evidence that an approval stands on.
    """

    state: State
    at: Whole
    reason: str = ""
    fix: str = ""
    tasks: tuple[TaskStatus, ...] = ()
    asks: str = ""
    refusal: Refusal | None = None
    raise_microusd: Whole = 0
    cap_microusd: Whole = 0
    deliverable: Manifest = {}
    rank: Rank = ""
