"""The sections of the settings tree. Defaults are in the packaged YAML files, not here: one place each."""

from datetime import date
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, field_validator

from config.amounts import amount_text, microusd, picousd_per_token
from config.week import week_minutes


def _above_zero(text: str) -> str:
    if microusd(text) == 0:
        raise ValueError("a price of zero is refused: a call that seems free cannot be held to a budget")
    return text


Usd = Annotated[str, BeforeValidator(amount_text)]
UsdPerMtok = Annotated[str, BeforeValidator(amount_text), AfterValidator(_above_zero)]
Count = Annotated[int, Field(ge=1)]
Seconds = Annotated[int, Field(ge=1)]
Bytes = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
EnvironmentName = Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]*$")]


PeakWindow = Annotated[str, AfterValidator(lambda text: week_minutes(text) and text)]


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth_value(cls, value: object) -> object:
        # YAML reads `yes` and `on` as true, and pydantic would go on to read true as the number 1.
        if isinstance(value, bool):
            raise ValueError("must not be yes or no: no setting is a truth value")
        return value


class Limits(Section):
    daily_usd: Usd = Field(
        description="Most that may be spent in one day (UTC), by all missions together. 0 is zero."
    )
    monthly_usd: Usd = Field(
        description="Most that may be spent in one month (UTC), by all missions together."
    )
    mission_usd: Usd = Field(description="Cap of a mission that is sent without a budget of its own.")
    safety_margin_percent: int = Field(
        ge=0, le=90, description="Share of every limit and cap that is kept back for bills above their hold."
    )
    call_tokens: Count | None = Field(
        description="Most tokens of one call, prompt (as bytes) and answer together; null: no cap."
    )
    slots: Count = Field(description="Missions that are worked on at once; further ones wait.")

    @property
    def daily_microusd(self) -> int:
        return microusd(self.daily_usd)

    @property
    def monthly_microusd(self) -> int:
        return microusd(self.monthly_usd)

    @property
    def mission_microusd(self) -> int:
        return microusd(self.mission_usd)


class RoleTokens(Section):
    coo: Count | None = Field(description="Of the COO's calls; null: no cap.")
    engineer: Count | None = Field(description="Of the Engineer's calls; null: no cap.")
    qa: Count | None = Field(description="Of QA's calls; null: no cap.")


class Mission(Section):
    max_tasks: Count = Field(description="Most tasks one plan may have.")
    max_rounds: Count = Field(description="Most rounds in which the engineer fixes one task.")
    max_loops: Count = Field(description="Most rework rounds of a whole mission; one more pauses it.")
    max_messages: Count = Field(
        description="Most messages to the COO since it was resumed; then it pauses, at twice as many it ends."
    )
    run_timeout_s: Seconds = Field(description="Wall time one run of a program may take.")
    deadline_s: Seconds = Field(
        description="Time a mission may take from its order to its end, pauses included."
    )
    pause_timeout_s: Seconds = Field(description="Time a pause waits for the CEO before the mission fails.")
    park_after_s: int = Field(
        ge=0, description="Time after which a paused mission gives its slot to another; 0: it keeps it."
    )
    call_tokens: Count | None = Field(
        description="Most tokens of one of its calls; null: only limits.call_tokens."
    )
    role_tokens: RoleTokens = Field(description="Most tokens of all calls of a role in one mission.")


class RoleModels(Section):
    coo: str = Field(description="Model that plans.")
    engineer: str = Field(description="Model that writes the code.")
    qa: str = Field(description="Model that writes exams and judges the evidence.")


class Model(Section):
    provider: Literal["scripted", "openai"] = Field(
        description="Who is called. `scripted` answers offline, from a script; `openai`: any compatible one."
    )
    base_url: str = Field(default="", description="Where the endpoint is, as https://host/v1.")
    key_env: str | None = Field(
        default=None,
        pattern=r"^[A-Z][A-Z0-9_]*$",
        description="Environment variable that holds the endpoint's key; null is without a key.",
    )
    model: str = Field(default="", description="The model's name at the provider; empty is its name here.")
    min_output_tokens: Count = Field(
        default=1000,
        description="Fewest tokens an answer is worth; when money is short less is not asked for.",
    )
    max_output_tokens: Count = Field(description="Most tokens one answer may have; what a call reserves for.")
    context_tokens: Count = Field(
        description="Most tokens of prompt and answer together: a workspace is shown as far as it fits."
    )
    timeout_s: Positive = Field(description="Time one call may take.")


class Models(Section):
    roles: RoleModels = Field(description="The model each role calls unless its mission says otherwise.")
    catalog: dict[str, Model] = Field(description="The models that can be called, by name.")
    scripts: str = Field(description="Folder the scripted model answers from; empty is the packaged one.")
    key_env: tuple[EnvironmentName, ...] = Field(
        description="Environment variables that hold keys: read as secrets and scrubbed from every log."
    )


class Rates(Section):
    input_usd_per_mtok: UsdPerMtok = Field(description="US dollars for a million tokens of prompt.")
    output_usd_per_mtok: UsdPerMtok = Field(description="US dollars for a million tokens of answer.")
    cache_hit_usd_per_mtok: UsdPerMtok | None = Field(
        default=None, description="US dollars for a million tokens of prompt that the provider had cached."
    )

    @property
    def input_picousd_per_token(self) -> int:
        return picousd_per_token(self.input_usd_per_mtok)

    @property
    def output_picousd_per_token(self) -> int:
        return picousd_per_token(self.output_usd_per_mtok)

    @property
    def cache_hit_picousd_per_token(self) -> int | None:
        text = self.cache_hit_usd_per_mtok
        return None if text is None else picousd_per_token(text)


class PeakRates(Rates):
    windows: Annotated[tuple[PeakWindow, ...], Field(min_length=1)] = Field(
        description="When these hold (UTC): `mon-fri 01:00-04:00`, `sat 22:00-24:00`, `daily 09:00-17:00`."
    )

    @property
    def minutes(self) -> tuple[tuple[int, int], ...]:
        """Return the windows as [start, end) in minutes since Monday 00:00 UTC."""
        return tuple(window for text in self.windows for window in week_minutes(text))


class ModelPrice(Rates):
    peak: PeakRates | None = Field(
        default=None,
        description="Prices of the provider's peak hours. A call is held at the dearest, and booked at these "
        "if any of it lies in a window.",
    )


class ProviderPrices(Section):
    as_of: date | None = Field(
        description="Day the prices were read; null for invented prices, which do not age."
    )
    note: str = Field(description="Where the prices are from.")
    models: dict[str, ModelPrice] = Field(description="Prices by model.")


class Prices(Section):
    max_age_days: Count = Field(description="Age at which a provider's prices count as stale.")
    providers: dict[str, ProviderPrices] = Field(description="Price lists by provider.")

    def find(self, provider: str, model: str) -> ModelPrice | None:
        """Return the price of a provider's model, or None: what has no price is not called."""
        listed = self.providers.get(provider)
        return None if listed is None else listed.models.get(model)

    def stale(self, today: date) -> tuple[str, ...]:
        """Return the providers whose prices are older than `max_age_days` on `today`, in name order."""
        dated = ((name, listed.as_of) for name, listed in sorted(self.providers.items()))
        return tuple(
            n for n, as_of in dated if as_of is not None and (today - as_of).days > self.max_age_days
        )


class Sandbox(Section):
    backend: Literal["auto", "docker", "bubblewrap"] = Field(
        description="What isolates programs; `auto`: Docker if it answers and has the image, else bubblewrap."
    )
    image: str = Field(min_length=1, description="Docker image programs run in; built locally, never pulled.")
    runtime: Literal["runsc"] | None = Field(
        description="`runsc` runs programs on gVisor instead of the host's kernel; null is Docker's default."
    )
    docker_host: str = Field(min_length=1, description="Where the Docker engine listens.")
    runtime_dir: str = Field(
        description="Where bubblewrap's root file system is kept; empty is a cache folder of its own."
    )
    parallel: Count = Field(description="Programs that run at once; further ones wait.")
    pool: int = Field(
        ge=0, description="Started containers kept for the next programs; 0 is none (Docker only)."
    )
    timeout_s: Positive = Field(description="Wall time a program may take, whatever its mission allows.")
    memory_bytes: Bytes = Field(description="Memory of one program; swap is off, file systems are included.")
    pids: Count = Field(description="Processes and threads of one program.")
    cpus: Positive = Field(description="Processors one program may use (Docker only).")
    workspace_bytes: Bytes = Field(description="Size of the workspace.")
    workspace_inodes: Count = Field(description="Files and folders in the workspace (Docker only).")
    tmp_bytes: Bytes = Field(description="Size of /tmp.")
    shm_bytes: Bytes = Field(description="Size of /dev/shm.")
    open_files: Count = Field(description="Files one process may have open.")
    output_bytes: Bytes = Field(description="What is kept of stdout, and of stderr: start and end.")
    flood_bytes: Bytes = Field(description="Output after which a program is stopped.")
    files_bytes: Bytes = Field(description="Size of all files brought back together.")
    files_count: Count = Field(description="Files brought back.")
    file_bytes: Bytes = Field(description="Size of one file brought back.")


class Approvals(Section):
    ask: tuple[Literal["release", "raise"], ...] = Field(
        description="What the company asks the CEO: `release` of the result, `raise` of a used-up cap."
    )
    on_new_day: Literal["resume", "wait"] = Field(
        description="What a mission does that waits for a day or month limit, when the next one begins (UTC)."
    )
    timeout_s: Seconds = Field(description="Time a request waits for a decision before it expires.")
    evidence: Literal["claimed", "observed"] = Field(
        description="What an approval of work needs: an exam (`observed`), or its own word (`claimed`)."
    )


class Bus(Section):
    ack_wait_s: Seconds = Field(description="Time after which unacknowledged mail is delivered again.")
    duplicate_window_s: Seconds = Field(description="Time in which the server drops a second copy by its id.")
    max_ack_pending: Count = Field(
        description="Deliveries of one mailbox that may be unacknowledged at once."
    )
    window: Count = Field(description="Deliveries one process holds at once.")
    checkpoint_every: Count = Field(
        description="Mails of one key after which its state is checkpointed; more for one above 512 KiB."
    )


class Log(Section):
    level: Literal["debug", "info", "warning", "error"] = Field(
        description="Least severe line that is written."
    )
