"""A stand-in for the W&B backend on 127.0.0.1, for the unmodified `wandb` client and command line.

    with Server() as server:
        subprocess.run(["wandb", "sweep", "sweep.yaml"], env=server.environment(folder))
        [sweep] = server.sweeps.values()
        subprocess.Popen(["wandb", "agent", sweep.path], env=server.environment(folder))
        server.wait_for(lambda: sweep.state == "FINISHED")

`python -m tests.wandb_server` serves until Ctrl-C, for who would try the commands by hand.

It speaks as much of the protocol of wandb 0.31 as sweeps, runs, tables, artifacts, resuming,
syncing, reports, workspaces and the public API need. All is kept in memory, as plain data that a
test may read (`server.runs`, `server.sweeps`, `server.views`), and nothing is printed. What it
cannot answer is an error for the client and a line in `server.unknown` for the test.

It is simpler than the real backend in ways that a test must know:

- A run is found by its id alone, whatever its entity and project.
- A run that falls silent stays `running`: `server.crash` plays the backend's timeout.
- A grid follows the names of its parameters as received (the client sorts them), the last varying
  fastest; the methods random and bayes both sample at random, seeded.
- Every run of a sweep that ends as preempted is requeued, even one that was asked to stop.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import math
import os
import random
import re
import signal
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import quote, unquote

import yaml

Json = dict[str, Any]

HISTORY = "wandb-history.jsonl"
EVENTS = "wandb-events.jsonl"
SUMMARY = "wandb-summary.json"
OUTPUT = "output.log"
MANIFEST = "wandb_manifest.json"


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass
class Run:
    """A run, as its client has described it so far."""

    id: str
    entity: str
    project: str
    sweep: str | None = None
    name: str | None = None
    group: str | None = None
    job_type: str | None = None
    notes: str | None = None
    commit: str | None = None
    tags: list[str] = field(default_factory=list)
    raw_config: Json = field(default_factory=dict)  # {name: {"value": ...}}, and "_wandb"
    summary: Json = field(default_factory=dict)
    lines: dict[str, list[str]] = field(default_factory=dict)  # history, events and output
    files: dict[str, bytes] = field(default_factory=dict)
    unasked: tuple[str, ...] = ()  # files that are listed whether a client asks for them or not
    artifacts: list[Artifact] = field(default_factory=list)
    state: str = "running"  # then finished, failed, preempted or crashed
    exit_code: int | None = None
    preempting: bool = False
    stopped: bool = False  # asked to stop
    starts: int = 0
    created: str = field(default_factory=now)
    heartbeat: str = field(default_factory=now)

    @property
    def config(self) -> Json:
        """The configuration as `run.config` shows it, without what the client notes for itself."""
        return {key: entry["value"] for key, entry in self.raw_config.items() if key != "_wandb"}

    @property
    def rows(self) -> list[Json]:
        """The history, one row a `run.log`."""
        return [json.loads(line) for line in self.lines.get(HISTORY, []) if line]

    @property
    def events(self) -> list[Json]:
        """What the client measured of its machine."""
        return [json.loads(line) for line in self.lines.get(EVENTS, []) if line]

    def write(self, stream: str, offset: int, content: Sequence[str]) -> None:
        """Put lines where the client says they belong, so that a repeated request adds nothing."""
        lines = self.lines.setdefault(stream, [])
        lines.extend([""] * (offset - len(lines)))
        lines[offset : offset + len(content)] = content


@dataclass
class Sweep:
    """A sweep, and the configurations of it that were assigned."""

    id: str
    entity: str
    project: str
    text: str
    seed: int
    forced_state: str | None = None  # set from outside: PAUSED, CANCELED or FINISHED
    assigned: dict[str, Json] = field(default_factory=dict)  # run id -> configuration
    pending: set[str] = field(default_factory=set)  # run ids assigned and not yet opened
    requeued: list[str] = field(default_factory=list)
    runs: dict[str, Run] = field(default_factory=dict)
    created: str = field(default_factory=now)

    def __post_init__(self) -> None:
        self.config: Json = yaml.safe_load(self.text)
        self._search = search(self.config, self.seed)
        self._next = next(self._search, None)  # one ahead: knows the end, and refuses nonsense

    @property
    def path(self) -> str:
        return f"{self.entity}/{self.project}/{self.id}"

    @property
    def state(self) -> str:
        if self.forced_state:
            return self.forced_state
        ahead = self._next is not None or self.pending or self.requeued
        running = any(run.state == "running" for run in self.runs.values())
        return "RUNNING" if ahead or running else "FINISHED"

    def commands(self, new_id: Callable[[], str]) -> list[Json]:
        """What an idle agent is to do: take a run up again, else begin one, else leave."""
        if self.forced_state == "PAUSED":
            return []
        if self.forced_state is None and self.requeued:
            return [self._order("resume", self.requeued.pop(0))]
        if self.forced_state is None and self._next is not None:
            run_id = new_id()
            self.assigned[run_id], self._next = self._next, next(self._search, None)
            return [self._order("run", run_id)]
        return [{"type": "exit"}]

    def _order(self, kind: str, run_id: str) -> Json:
        self.pending.add(run_id)
        args = {name: {"value": value} for name, value in self.assigned[run_id].items()}
        return {"type": kind, "run_id": run_id, "args": args, "program": self.config.get("program")}


@dataclass
class View:
    """A report (type `runs`) or a saved workspace (type `project-view`)."""

    id: str
    entity: str = ""
    project: str = ""
    type: str = ""
    name: str = ""
    title: str = ""
    description: str = ""
    text: str = "{}"
    saves: int = 0

    @property
    def spec(self) -> Json:
        return json.loads(self.text)


@dataclass
class Agent:
    id: str
    sweep: Sweep
    run_id: str | None = None  # the run last assigned to it


@dataclass
class Artifact:
    """One version of an artifact."""

    id: str
    entity: str
    project: str
    collection: str
    type: str
    digest: str
    version: int
    metadata: str | None = None
    aliases: list[str] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)
    committed: bool = False
    created: str = field(default_factory=now)


def search(config: Json, seed: int) -> Iterator[Json]:
    """The configurations of a sweep, in the order in which they are assigned."""
    parameters = config.get("parameters", {})
    if config.get("method") == "grid":
        found = grid(parameters)
    else:
        sources = (random.Random(f"{seed} {number}") for number in itertools.count())
        found = ({k: sample(k, p, source) for k, p in parameters.items()} for source in sources)
    return itertools.islice(found, config.get("run_cap"))


def grid(parameters: Mapping[str, Json]) -> Iterator[Json]:
    """Every combination of the parameters' values, each once."""
    axes = []
    for name, parameter in parameters.items():
        if "values" not in parameter and "value" not in parameter:
            raise ValueError(f"a grid needs the values of {name}")
        axes.append(parameter["values"] if "values" in parameter else [parameter["value"]])
    return (dict(zip(parameters, values, strict=True)) for values in itertools.product(*axes))


def sample(name: str, parameter: Json, source: random.Random) -> Any:
    """One value of a parameter, at random."""
    if "value" in parameter:
        return parameter["value"]
    if "values" in parameter:
        return source.choices(parameter["values"], parameter.get("probabilities"))[0]
    kind = parameter.get("distribution", "uniform")
    if kind.removeprefix("q_") not in DISTRIBUTIONS:
        raise ValueError(f"{name}: the distribution {kind} is not known here")
    value = DISTRIBUTIONS[kind.removeprefix("q_")](parameter, source)
    step = parameter.get("q", 1)
    return round(value / step) * step if kind.startswith("q_") else value


DISTRIBUTIONS: dict[str, Callable[[Json, random.Random], Any]] = {
    "int_uniform": lambda p, source: source.randint(p["min"], p["max"]),
    "uniform": lambda p, source: source.uniform(p["min"], p["max"]),
    "log_uniform": lambda p, source: math.exp(source.uniform(p["min"], p["max"])),
    "log_uniform_values": lambda p, source: math.exp(
        source.uniform(math.log(p["min"]), math.log(p["max"]))
    ),
    "normal": lambda p, source: source.gauss(p.get("mu", 0), p.get("sigma", 1)),
}


class Server:
    """The backend: what clients sent it, and what a test may make it do."""

    def __init__(self, entity: str = "team", seed: int = 0) -> None:
        self.entity = entity
        self.sweeps: dict[str, Sweep] = {}
        self.runs: dict[str, Run] = {}
        self.agents: dict[str, Agent] = {}
        self.artifacts: dict[str, Artifact] = {}
        self.views: dict[str, View] = {}
        self.requests: Counter[str] = Counter()  # by operation, or by method and kind of file
        self.refused = 0  # requests that met an outage
        self.latency = 0.0  # seconds that each answer takes
        self.unknown: list[str] = []  # requests that this server has no answer to
        self.refuses: set[str] = set()  # operations that a test has forbidden
        self.folders: defaultdict[tuple[str, str], dict[str, bytes]] = defaultdict(dict)
        self._seed = seed
        self._ids = random.Random(f"ids {seed}")
        self._outage: tuple[int | None, float] = (None, -math.inf)  # status or cut, until when
        self._changed = threading.Condition()
        self._graphql = GraphQL(self)
        self._http = _Http(self)

    def __enter__(self) -> Server:
        threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()

    # What a test uses.

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}"

    def settings(self, home: Path) -> dict[str, str]:
        """The variables that turn a client to this server and all its folders to `home`.

        They make it quick, too: rows every second rather than every fifteen, short waits before it
        tries again. Whole seconds only, as the client takes a part of one for "not set".
        """
        folders = ("WANDB_DIR", "WANDB_CACHE_DIR", "WANDB_CONFIG_DIR", "WANDB_DATA_DIR")
        retries = ("FILE_STREAM", "FILE_TRANSFER", "GRAPHQL")
        return {
            "WANDB_MODE": "online",
            "WANDB_BASE_URL": self.url,
            "WANDB_API_KEY": "0123456789" * 4,
            "WANDB_ERROR_REPORTING": "false",
            "WANDB_X_FILE_STREAM_TRANSMIT_INTERVAL": "1",
            **{f"WANDB_X_{name}_RETRY_WAIT_MIN_SECONDS": "1" for name in retries},
            **{f"WANDB_X_{name}_RETRY_WAIT_MAX_SECONDS": "2" for name in retries},
            **{name: str(home) for name in folders},
        }

    def environment(self, home: Path) -> dict[str, str]:
        """The whole environment of a client process: this one's, with our W&B settings only.

        The folder of this interpreter comes first on the path, as the command line's agent runs
        whatever `python` it finds there.
        """
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("WANDB_")}
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
        return {**inherited, "PATH": path, **self.settings(home)}

    def wait_for(self, happened: Callable[[], Any], timeout: float = 60) -> Any:
        """Wait until `happened()` is true, asking again after each request, and return it."""
        with self._changed:
            if found := self._changed.wait_for(happened, timeout):
                return found
        raise TimeoutError(f"still waiting after {timeout} s; requests so far: {self.requests}")

    def fail(self, status: int = 503, seconds: float = math.inf) -> None:
        """Answer every request with an error, for some seconds or until `recover`."""
        self._outage = (status, time.monotonic() + seconds)

    def cut(self, seconds: float = math.inf) -> None:
        """Cut every connection without an answer, for some seconds or until `recover`."""
        self._outage = (None, time.monotonic() + seconds)

    def recover(self) -> None:
        """End an outage."""
        self._outage = (None, -math.inf)

    def stop_run(self, run_id: str) -> None:
        """Ask for a run to stop, as the dashboard's button does."""
        with self._changed:
            self.runs[run_id].stopped = True

    def crash(self, run_id: str) -> None:
        """Give up a run that fell silent; if it had announced its preemption, it is requeued."""
        with self._changed:
            run = self.runs[run_id]
            self.end(run, "preempted" if run.preempting else "crashed")

    def add_sweep(self, text: str, entity: str | None = None, project: str = "tests") -> Sweep:
        """A sweep, from the text of its YAML file."""
        with self._changed:
            seed = self._seed + len(self.sweeps)
            sweep = Sweep(self.new_id(), entity or self.entity, project, text, seed)
            self.sweeps[sweep.id] = sweep
            return sweep

    def add_run(
        self,
        sweep: Sweep | None,
        config: Json,
        rows: Iterable[Json],
        files: Mapping[str, bytes] | None = None,
        **fields: Any,
    ) -> Run:
        """A run that nobody trained, finished unless `fields` (those of `Run`) say otherwise."""
        with self._changed:
            place = {"entity": sweep.entity, "project": sweep.project} if sweep else {}
            ended = {"id": self.new_id(), "state": "finished", "exit_code": 0}
            run = self.new_run(sweep=sweep and sweep.id, **{**place, **ended, **fields})
            run.raw_config = {name: {"value": value} for name, value in config.items()}
            history = [{"_step": step, **row} for step, row in enumerate(rows)]
            run.write(HISTORY, 0, [json.dumps(row) for row in history])
            run.summary = run.summary or dict(history[-1] if history else {})
            run.files.update(files or {})
            return run

    # What the protocol does, with the lock held.

    def new_id(self) -> str:
        return "".join(self._ids.choices("abcdefghijklmnopqrstuvwxyz0123456789", k=8))

    def new_run(self, id: str, sweep: str | None, **fields: Any) -> Run:
        fields = {"entity": self.entity, "project": "tests", "name": f"run-{id}", **fields}
        run = self.runs[id] = Run(id, sweep=sweep, files=self.folders["run", id], **fields)
        if sweep in self.sweeps:
            self.sweeps[sweep].runs[id] = run
        return run

    def start(self, run: Run) -> None:
        """A client has opened a run, for the first time or to go on with it."""
        run.state, run.exit_code, run.preempting = "running", None, False
        run.starts += 1
        if run.sweep in self.sweeps:
            self.sweeps[run.sweep].pending.discard(run.id)

    def end(self, run: Run, state: str) -> None:
        """A run is over; one that lost its machine waits for the sweep's next idle agent."""
        run.state = state
        sweep = self.sweeps.get(run.sweep or "")
        if state == "preempted" and sweep and run.id in sweep.assigned:
            sweep.requeued.append(run.id)

    def find_artifact(self, collection: str, alias: str) -> Artifact | None:
        """A version by its number (v0), or the one that bears the alias now."""
        for artifact in self.artifacts.values():
            names = [*artifact.aliases, f"v{artifact.version}"]
            if artifact.collection == collection and (alias or "latest") in names:
                return artifact
        return None

    def file_url(self, kind: str, owner: str, name: str) -> str:
        """Where clients write and read a file: what is in `folders[kind, owner]`."""
        return f"{self.url}/storage/{kind}/{quote(owner)}/{quote(name)}"

    def handle(self, method: str, path: str, body: bytes) -> tuple[int, bytes] | None:
        """Answer one request, with a status and a body; None cuts the connection."""
        with self._changed:
            try:
                status, until = self._outage
                if time.monotonic() >= until:
                    return self._route(method, path, body)
                self.refused += 1
                return None if status is None else (status, b"")
            finally:
                self._changed.notify_all()

    def _route(self, method: str, path: str, body: bytes) -> tuple[int, bytes]:
        match [method, *(unquote(part) for part in path.strip("/").split("/"))]:
            case ["POST", "graphql"]:
                return 200, json.dumps(self._graphql.answer(json.loads(body))).encode()
            case ["POST", "files", _, _, run_id, "file_stream"] if run_id in self.runs:
                return 200, json.dumps(self._stream(self.runs[run_id], json.loads(body))).encode()
            case ["PUT", "storage", kind, owner, *name]:
                self.requests[f"PUT {kind}"] += 1
                self.folders[kind, owner]["/".join(name)] = body
                return 200, b""
            case ["GET", "storage", kind, owner, *name]:
                self.requests[f"GET {kind}"] += 1
                content = self.folders[kind, owner].get("/".join(name))
                return (404, b"") if content is None else (200, content)
        self.unknown.append(f"{method} {path}")
        return 404, b""

    def _stream(self, run: Run, given: Json) -> Json:
        """Take in what a client sends every few seconds, and answer whether it shall stop."""
        self.requests["file_stream"] += 1
        run.heartbeat = now()
        for name, chunk in (given.get("files") or {}).items():
            if name == SUMMARY:
                run.summary = json.loads(chunk["content"][-1])
            else:
                run.write(name, chunk["offset"], chunk["content"])
        run.preempting = run.preempting or bool(given.get("preempting"))
        if given.get("complete"):
            run.exit_code = given["exitcode"]
            failed = "preempted" if run.preempting else "failed"
            self.end(run, failed if run.exit_code else "finished")
        return {"stopped": run.stopped}


class GraphQL:
    """The answers to the client's queries and mutations, by operation name.

    Most answers hold more fields than a query asks for: the client ignores the rest, and one answer
    serves every query about the same thing. Runs are the exception, see `_run_node`.
    """

    def __init__(self, server: Server) -> None:
        self._server = server

    def answer(self, request: Json) -> Json:
        name = re.search(r"\b(?:query|mutation)\s+(\w+)", request["query"])[1]
        self._server.requests[name] += 1
        if name in self._server.refuses:
            return {"data": None, "errors": [{"message": f"{name}: permission denied"}]}
        try:
            if name not in self.OPERATIONS:
                raise ValueError("the stand-in server does not know this operation")
            given = {**(request.get("variables") or {}), "query": request["query"]}
            return {"data": self.OPERATIONS[name](self, given)}
        except (LookupError, TypeError, ValueError) as error:
            message = f"{name}: {error!r}"
            self._server.unknown.append(message)
            return {"data": None, "errors": [{"message": message}]}

    # Accounts and sweeps.

    def _viewer(self, _: Json) -> Json:
        name = self._server.entity
        user = {"id": "user", "entity": name, "username": name, "name": name, "flags": "{}"}
        more = {"email": f"{name}@example.org", "admin": False, "deletedAt": None}
        lists = {"teams": {"edges": [{"node": {"name": name}}]}, "apiKeys": {"edges": []}}
        return {"viewer": {**user, **more, **lists}}

    def _features(self, _: Json) -> Json:
        """None of what newer backends announce, so that clients keep to what all of them have."""
        return {"serverInfo": {"features": []}, "entity": {"organization": None}}

    def _upsert_sweep(self, given: Json) -> Json:
        """Make a sweep or, for `wandb sweep --pause` and its like, set the state of one."""
        if given.get("id"):
            sweep = self._server.sweeps[given["id"]]
            sweep.forced_state = None if given["state"] == "RUNNING" else given["state"]
        else:
            project = given.get("projectName") or "uncategorized"
            sweep = self._server.add_sweep(given["config"], given.get("entityName"), project)
        node = self._sweep_node(sweep)
        return {"upsertSweep": {"sweep": node, "configValidationWarnings": []}}

    def _sweep(self, given: Json) -> Json:
        sweep = self._server.sweeps.get(given.get("sweep") or given.get("name") or "")
        return {"project": {"sweep": sweep and self._sweep_node(sweep)}}

    def _sweep_with_runs(self, given: Json) -> Json:
        sweep = self._server.sweeps[given["sweep"]]
        runs = page(list(sweep.runs.values()), lambda run: self._run_node(run, given))
        return {"project": {"sweep": {**self._sweep_node(sweep), "runs": runs}}}

    def _sweep_node(self, sweep: Sweep) -> Json:
        return {
            "id": sweep.id,
            "name": sweep.id,
            "state": sweep.state,
            "config": sweep.text,
            "createdAt": sweep.created,
            "runCount": len(sweep.runs),
            "project": self._project_node(sweep),
        }

    def _project_node(self, owner: Sweep | Run | Artifact) -> Json:
        entity = {"id": owner.entity, "name": owner.entity}
        return {"id": owner.project, "internalId": "1", "name": owner.project, "entity": entity}

    def _create_agent(self, given: Json) -> Json:
        agent = Agent(self._server.new_id(), self._server.sweeps[given["sweep"]])
        self._server.agents[agent.id] = agent
        return {"createAgent": {"agent": {"id": agent.id}}}

    def _heartbeat(self, given: Json) -> Json:
        """PipeCallback an agent which of its runs to stop or, if it has none, what to do next."""
        agent = self._server.agents[given["id"]]
        active = [run_id for run_id, on in json.loads(given["runState"]).items() if on]
        commands = self._commands(agent, active)
        return {"agentHeartbeat": {"agent": {"id": agent.id}, "commands": json.dumps(commands)}}

    def _commands(self, agent: Agent, active: list[str]) -> list[Json]:
        if agent.sweep.forced_state == "CANCELED":
            return [{"type": "exit"}]
        if active:
            runs = [self._server.runs[run_id] for run_id in active if run_id in self._server.runs]
            return [{"type": "stop", "run_id": run.id} for run in runs if run.stopped]
        agent.sweep.pending.discard(agent.run_id)  # its script ended before it opened the run
        commands = agent.sweep.commands(self._server.new_id)
        agent.run_id = next((command.get("run_id") for command in commands), None)
        return commands

    # Runs.

    def _upsert_bucket(self, given: Json) -> Json:
        """Make a run, or change what describes it."""
        server = self._server
        run = server.runs.get(given.get("id") or given["name"])
        inserted = run is None
        if run is None:
            entity, project = given.get("entity") or server.entity, given.get("project")
            place = {"entity": entity, "project": project or "uncategorized"}
            run = server.new_run(given["name"], given.get("sweep"), **place)
        self._describe(run, given)
        # A client that changes a run it has open names host and id as the one that opens it does.
        opening = "host" in given and (given["host"] or given["id"])
        if inserted or (opening and run.state != "running"):
            server.start(run)
        # The client would take the count for the place to write its next row to, which it knows
        # better: none in a new run, or what the answer to RunResumeStatus said.
        bucket = {**self._run_node(run, given), "historyLineCount": 0}
        return {"upsertBucket": {"bucket": bucket, "inserted": inserted}}

    def _describe(self, run: Run, given: Json) -> None:
        for name, attribute in WRITE_FIELDS.items():
            if given.get(name) is not None:
                setattr(run, attribute, given[name])
        if given.get("config") is not None:
            run.raw_config = json.loads(given["config"])
        if given.get("summaryMetrics") is not None:
            run.summary = json.loads(given["summaryMetrics"])

    def _run(self, given: Json) -> Json:
        run = self._server.runs.get(given.get("name") or given["run"])
        return {"project": {"run": run and self._run_node(run, given)}}

    def _runs(self, given: Json) -> Json:
        wanted = json.loads(given.get("filters") or "{}")
        runs = [run for run in self._server.runs.values() if matches(run, wanted)]
        if given["order"] == "-created_at":
            runs.reverse()
        elif given["order"] != "+created_at":
            raise ValueError(f"no order {given['order']}")
        part = page(runs, lambda run: self._run_node(run, given), given["cursor"], given["perPage"])
        return {"project": {"internalId": "1", "runCount": len(runs), "runs": part}}

    def _run_node(self, run: Run, given: Json) -> Json:
        """Of a run only what is asked for, so that a client comes back for the rest as it must."""
        node = {
            **{name: getattr(run, attribute) for name, attribute in READ_FIELDS.items()},
            "config": json.dumps(run.raw_config),
            "summaryMetrics": json.dumps(run.summary),
            "systemMetrics": json.dumps((run.events or [{}])[-1]),
            "description": None,
            "readOnly": False,
            "historyLineCount": len(run.lines.get(HISTORY, [])),
            "historyKeys": {"lastStep": max((row["_step"] for row in run.rows), default=-1)},
            "projectId": "1",
            "project": self._project_node(run),
            "user": {"name": run.entity, "username": run.entity},
        }
        asked = set(re.findall(r"\w+", given["query"]))
        return {name: value for name, value in node.items() if name in asked}

    def _resume_status(self, given: Json) -> Json:
        """How far a run has come, for a client that would go on with it."""
        run = self._server.runs.get(given["name"])
        if run is None:
            return {"model": {"bucket": None}}
        history, events = run.lines.get(HISTORY, []), run.lines.get(EVENTS, [])
        bucket = {
            **self._run_node(run, given),
            "historyTail": json.dumps(history[-1:]),
            "eventsTail": json.dumps(events[-1:]),
            "eventsLineCount": len(events),
            "logLineCount": len(run.lines.get(OUTPUT, [])),
            # The client resumes only a run that has the key "t", which the first client wrote.
            "wandbConfig": json.dumps(run.raw_config.get("_wandb", {}).get("value", {})),
        }
        return {"model": {**self._project_node(run), "bucket": bucket}}

    def _run_stopped(self, given: Json) -> Json:
        return {"project": {"run": {"stopped": self._server.runs[given["runId"]].stopped}}}

    def _stop_run(self, given: Json) -> Json:
        self._server.stop_run(given["id"])
        return {"stopRun": {"success": True}}

    def _full_history(self, given: Json) -> Json:
        run = self._server.runs[given["name"]]
        history, events = (thin(rows, given["samples"]) for rows in (run.rows, run.events))
        lines = {"history": list(map(json.dumps, history)), "events": list(map(json.dumps, events))}
        return {"project": {"run": lines}}

    def _sampled_history(self, given: Json) -> Json:
        run = self._server.runs[given["name"]]
        sampled = [select(run.rows, json.loads(spec)) for spec in given["specs"]]
        return {"project": {"run": {"sampledHistory": sampled}}}

    def _no_parquet(self, _: Json) -> Json:
        """Scans read exported files where there are any. Here are none: they page through rows."""
        return {"project": {"run": {"parquetHistory": {"parquetUrls": [], "liveData": []}}}}

    def _history_page(self, given: Json) -> Json:
        steps = range(given["minStep"], given["maxStep"])
        rows = [row for row in self._server.runs[given["run"]].rows if row["_step"] in steps]
        return {"project": {"run": {"history": list(map(json.dumps, rows))}}}

    def _sampled_history_page(self, given: Json) -> Json:
        rows = select(self._server.runs[given["run"]].rows, json.loads(given["spec"]))
        return {"project": {"run": {"sampledHistory": [rows]}}}

    def _create_run_files(self, given: Json) -> Json:
        run_id = given["run"]
        urls = {name: self._server.file_url("run", run_id, name) for name in given["files"]}
        files = [{"name": name, "uploadUrl": url} for name, url in urls.items()]
        return {"createRunFiles": {"runID": run_id, "uploadHeaders": [], "files": files}}

    def _run_files(self, given: Json) -> Json:
        """The files of a run: all, or those like a pattern (`%` is anything), or those named, of
        which W&B lists those that are not there too, with no bytes and no time."""
        run = self._server.runs[given["name"]]
        like = re.compile(re.escape(given.get("pattern") or "%").replace("%", ".*"))
        asked = given.get("fileNames") or []
        names = asked or [name for name in run.files if like.fullmatch(name)]
        found = [name for name in (*names, *run.unasked) if name in run.files or name in asked]
        limits = given.get("fileCursor"), given.get("fileLimit")
        files = page(found, lambda name: self._file_node(run, name), *limits)
        return {"project": {"internalId": "1", "run": {"fileCount": len(found), "files": files}}}

    def _file_node(self, run: Run, name: str) -> Json:
        url, content = self._server.file_url("run", run.id, name), run.files.get(name)
        node = {"name": name, "url": url, "directUrl": url}
        if content is None:
            return node | {"sizeBytes": 0, "mimetype": None, "updatedAt": None, "md5": "0"}
        return node | {
            "sizeBytes": len(content),
            "mimetype": "application/octet-stream",
            "updatedAt": run.heartbeat,
            "md5": base64.b64encode(hashlib.md5(content).digest()).decode(),
        }

    # Artifacts, which hold the tables.

    def _create_artifact(self, given: Json) -> Json:
        """A new version, or the one that has the same contents."""
        given = given["input"]
        versions = [
            version
            for version in self._server.artifacts.values()
            if version.collection == given["artifactCollectionName"]
        ]
        same = [version for version in versions if version.digest == given["digest"]]
        artifact = same[0] if same else self._new_version(versions, given)
        run = self._server.runs.get(given.get("runName") or "")
        if run and artifact not in run.artifacts:
            run.artifacts.append(artifact)
        node = {**self._artifact_node(artifact), "artifactSequence": {"latestArtifact": None}}
        return {"createArtifact": {"artifact": node}}

    def _new_version(self, versions: list[Artifact], given: Json) -> Artifact:
        artifact_id = self._server.new_id()
        artifact = Artifact(
            id=artifact_id,
            entity=given["entityName"],
            project=given["projectName"],
            collection=given["artifactCollectionName"],
            type=given["artifactTypeName"],
            digest=given["digest"],
            version=len(versions),
            metadata=given.get("metadata"),
            aliases=[alias["alias"] for alias in given.get("aliases") or []],
            files=self._server.folders["artifact", artifact_id],
        )
        for version in versions:  # an alias moves on to the newest version that is given it
            version.aliases = [name for name in version.aliases if name not in artifact.aliases]
        self._server.artifacts[artifact_id] = artifact
        return artifact

    def _create_manifest(self, given: Json) -> Json:
        artifact = given["artifactID"]
        url = self._server.file_url("manifest", artifact, MANIFEST)
        file = {"id": artifact, "uploadUrl": url, "uploadHeaders": []}
        return {"createArtifactManifest": {"artifactManifest": {"id": artifact, "file": file}}}

    def _create_artifact_files(self, given: Json) -> Json:
        files = given["input"]["artifactFiles"]
        edges = [{"node": self._upload_node(f["artifactID"], f["name"])} for f in files]
        return {"createArtifactFiles": {"files": {"edges": edges}}}

    def _upload_node(self, artifact: str, name: str) -> Json:
        url = self._server.file_url("artifact", artifact, name)
        upload = {"uploadUrl": url, "uploadHeaders": [], "uploadMultipartUrls": None}
        return {"storagePath": f"{artifact}/{name}", "artifact": {"id": artifact}, **upload}

    def _commit_artifact(self, given: Json) -> Json:
        artifact = self._server.artifacts[given["artifactID"]]
        artifact.committed = True
        return {"commitArtifact": {"artifact": self._artifact_node(artifact)}}

    def _run_artifacts(self, given: Json) -> Json:
        artifacts = self._server.runs[given["run"]].artifacts
        part = page(artifacts, self._artifact_node, given["cursor"], given["perPage"])
        return {"project": {"run": {"artifacts": part}}}

    def _artifact_by_name(self, given: Json) -> Json:
        """An artifact by `collection:alias`."""
        artifact = self._server.find_artifact(*given["name"].partition(":")[::2])
        if artifact is None:
            return {"project": {"artifact": None, "artifactCollectionMembership": None}}
        node = self._artifact_node(artifact)
        membership = {
            "id": artifact.id,
            "artifact": node,
            "artifactCollection": node["artifactSequence"],
            "versionIndex": artifact.version,
            "aliases": node["aliases"],
            "createdAt": artifact.created,
        }
        return {"project": {"artifact": node, "artifactCollectionMembership": membership}}

    def _artifact_node(self, artifact: Artifact) -> Json:
        collection = {
            "__typename": "ArtifactSequence",
            "name": artifact.collection,
            "project": self._project_node(artifact),
        }
        aliases = [
            {"id": alias, "alias": alias, "artifactCollection": collection}
            for alias in artifact.aliases
        ]
        return {
            "id": artifact.id,
            "artifactSequence": collection,
            "artifactType": {"name": artifact.type},
            "versionIndex": artifact.version,
            "description": None,
            "metadata": artifact.metadata,
            "ttlDurationSeconds": -1,  # none
            "ttlIsInherited": True,
            "tags": [],
            "historyStep": None,
            "state": "COMMITTED" if artifact.committed else "PENDING",
            "size": sum(map(len, artifact.files.values())),
            "digest": artifact.digest,
            "digestAlgorithm": "MANIFEST_MD5",
            "commitHash": artifact.id,
            "fileCount": len(artifact.files),
            "createdAt": artifact.created,
            "updatedAt": artifact.created,
            "aliases": aliases,
        }

    def _manifest(self, given: Json) -> Json:
        """Where the table of contents is that the client wrote for an artifact."""
        url = self._server.file_url("manifest", given["id"], MANIFEST)
        return {"artifact": {"currentManifest": {"file": {"directUrl": url}}}}

    def _artifact_files(self, given: Json) -> Json:
        artifact = self._server.find_artifact(given["collection"], given["alias"])
        urls = {n: self._server.file_url("artifact", artifact.id, n) for n in artifact.files}
        nodes = [{"name": name, "directUrl": url} for name, url in urls.items()]
        files = page(nodes, dict, given["cursor"], given["perPage"])
        collection = {"__typename": "ArtifactSequence", "artifactMembership": {"files": files}}
        return {"project": {"artifactCollection": collection}}

    # Reports and workspaces.

    def _projects(self, given: Json) -> Json:
        """The projects of an entity that hold a run."""
        names = {r.project for r in self._server.runs.values() if r.entity == given["entity"]}
        info = {"__typename": "PageInfo", "endCursor": None, "hasNextPage": False}
        place = {"__typename": "Project", "entityName": given["entity"], "user": None}
        more = {"createdAt": now(), "isBenchmark": False}
        nodes = [{"id": encoded(name), "name": name, **place, **more} for name in sorted(names)]
        return {"models": {"pageInfo": info, "edges": [{"node": node} for node in nodes]}}

    def _project_id(self, given: Json) -> Json:
        return {"project": {"id": encoded(given["projectName"]), "internalId": "1"}}

    def _upsert_view(self, given: Json) -> Json:
        """Make a view, or write one again."""
        views = self._server.views
        view = views[given["id"]] if given.get("id") else View(encoded(f"View:{len(views)}"))
        inserted = view.id not in views
        for name, attribute in VIEW_FIELDS.items():
            if given.get(name) is not None:
                setattr(view, attribute, given[name])
        view.saves += 1
        views[view.id] = view
        return {"upsertView": {"view": self._view_node(view), "inserted": inserted}}

    def _report(self, given: Json) -> Json:
        view = self._server.views.get(given["reportId"])
        return {"view": view and self._view_node(view)}

    def _views(self, given: Json) -> Json:
        """The views of a project by type and name."""
        wanted = given["viewType"], given["viewName"]
        found = [v for v in self._server.views.values() if (v.type, v.name) == wanted]
        return {"project": {"allViews": page(found, self._view_node)}}

    def _view_node(self, view: View) -> Json:
        written = {name: getattr(view, attribute) for name, attribute in VIEW_FIELDS.items()}
        project = {"id": "1", "name": view.project, "entityName": view.entity}
        return {
            **written,
            "id": view.id,
            "project": project,
            "createdAt": now(),
            "updatedAt": now(),
        }

    OPERATIONS: ClassVar[dict[str, Callable[[GraphQL, Json], Json]]] = {
        "Viewer": _viewer,
        "GetViewer": _viewer,
        "GetDefaultEntity": _viewer,
        "ServerFeaturesQuery": _features,
        "OrganizationCoreWeaveOrganizationID": _features,
        "UpsertSweep": _upsert_sweep,
        "GetSweep": _sweep,
        "GetSweepState": _sweep,
        "SweepWithRuns": _sweep_with_runs,
        "CreateAgent": _create_agent,
        "Heartbeat": _heartbeat,
        "UpsertBucket": _upsert_bucket,
        "RunResumeStatus": _resume_status,
        "StopRun": _stop_run,
        "RunStoppedStatus": _run_stopped,
        "Run": _run,
        "RunState": _run,
        "RunHistoryKeys": _run,
        "Runs": _runs,
        "RunFullHistory": _full_history,
        "RunSampledHistory": _sampled_history,
        "RunParquetHistory": _no_parquet,
        "HistoryPage": _history_page,
        "SampledHistoryPage": _sampled_history_page,
        "CreateRunFiles": _create_run_files,
        "RunFiles": _run_files,
        "CreateArtifact": _create_artifact,
        "CreateArtifactManifest": _create_manifest,
        "CreateArtifactFiles": _create_artifact_files,
        "CommitArtifact": _commit_artifact,
        "RunOutputArtifacts": _run_artifacts,
        "ArtifactType": _artifact_by_name,
        "ArtifactMembershipByName": _artifact_by_name,
        "FetchArtifactManifest": _manifest,
        "GetArtifactMembershipFileUrls": _artifact_files,
        "GetProjects": _projects,
        "ProjectInternalId": _project_id,
        "upsertView": _upsert_view,
        "UpsertView2": _upsert_view,
        "SpecificReport": _report,
        "View": _views,
    }


# Attributes of a run by the names under which clients read them, also in filters, and write them.
READ_FIELDS = {
    "id": "id",
    "name": "id",
    "displayName": "name",
    "sweep": "sweep",
    "sweepName": "sweep",
    "state": "state",
    "group": "group",
    "jobType": "job_type",
    "tags": "tags",
    "notes": "notes",
    "commit": "commit",
    "createdAt": "created",
    "heartbeatAt": "heartbeat",
}
WRITE_FIELDS = {
    "displayName": "name",
    "display_name": "name",
    "groupName": "group",
    "jobType": "job_type",
    "tags": "tags",
    "notes": "notes",
    "commit": "commit",
}
VIEW_FIELDS = {
    "entityName": "entity",
    "projectName": "project",
    "type": "type",
    "name": "name",
    "displayName": "title",
    "description": "description",
    "spec": "text",
}


def encoded(text: str) -> str:
    """An id as GraphQL has them."""
    return base64.b64encode(text.encode()).decode()


def page(
    items: Sequence[Any],
    node: Callable[[Any], Json],
    cursor: str | None = None,
    limit: int | None = None,
) -> Json:
    """A part of a list, as GraphQL has it; a cursor counts the items up to its own."""
    start = int(cursor or 0)
    end = min(start + (limit or len(items)), len(items))
    edges = [{"node": node(items[i]), "cursor": str(i + 1)} for i in range(start, end)]
    info = {"endCursor": str(end), "hasNextPage": end < len(items)}
    return {"edges": edges, "pageInfo": info, "totalCount": len(items)}


def matches(run: Run, wanted: Json) -> bool:
    """Whether a run meets a filter: equalities, `$in`, `$and` and `$or`, no more."""
    return all(_meets(run, key, value) for key, value in wanted.items())


def _meets(run: Run, key: str, wanted: Any) -> bool:
    if key in ("$and", "$or"):
        return (all if key == "$and" else any)(matches(run, part) for part in wanted)
    values = wanted["$in"] if isinstance(wanted, dict) else [wanted]
    if key == "tags":
        return any(tag in values for tag in run.tags)
    if key.startswith("config."):
        return run.config.get(key.removeprefix("config.").removesuffix(".value")) in values
    return getattr(run, READ_FIELDS[key]) in values


def select(rows: list[Json], spec: Json) -> list[Json]:
    """A sample of the rows that have all of some keys, without their other keys."""
    first, last = spec.get("minStep", 0), spec.get("maxStep", math.inf)  # both included
    found = [row for row in rows if first <= row["_step"] <= last and row.keys() >= {*spec["keys"]}]
    return [{key: row[key] for key in spec["keys"]} for row in thin(found, spec["samples"])]


def thin(rows: list[Json], samples: int) -> list[Json]:
    """At most so many of the rows, evenly spaced: a client that wants them all must scan."""
    return rows[:: math.ceil(len(rows) / samples) or 1]


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, backend: Server) -> None:
        super().__init__(("127.0.0.1", 0), _Request)
        self.backend = backend

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that was killed in mid-request is no error of ours."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Request(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # clients keep their connections
    disable_nagle_algorithm = True
    wbufsize = -1  # buffered: head and body in one packet
    server: _Http

    def _handle(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        time.sleep(self.server.backend.latency)
        answer = self.server.backend.handle(self.command, self.path, body)
        if answer is None:
            self.close_connection = True
            return
        status, content = answer
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PUT = _handle

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def main() -> None:
    """Serve until Ctrl-C, for who would try the W&B commands without an account."""
    ends = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, ends)  # in all threads: none is lost before the wait
    with Server() as server, tempfile.TemporaryDirectory(prefix="wandb_server_") as home:
        print("# A stand-in for W&B, in memory and without a dashboard. In another terminal:")
        settings = " ".join(f"{k}={v}" for k, v in server.settings(Path(home)).items())
        print(f"export {settings}", flush=True)
        signal.sigwait(ends)


if __name__ == "__main__":
    main()
