"""What always holds of a queue that machines share: checked in its database and on each of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from ccm_orchestrator.demo.sandbox import Sandbox
from ccm_orchestrator.devstack.stack import LocalSupabase
from tests.invariants import check_invariants
from tests.supabase_http import sql

_TWO_OUTCOMES = "select task_id from ccm.outcomes group by task_id having count(*) > 1"
_STALE = """
select o.task_id from ccm.outcomes o join tasks t using (task_id)
where t.status in ('succeeded', 'failed', 'cancelled') and o.fence <> t.fence
"""
_OUTCOME_OF_ANOTHER_RUN = """
select t.task_id from tasks t join ccm.outcomes o using (task_id)
where o.fence = t.fence and t.result ->> 'run_id' is distinct from o.result ->> 'run_id'
"""
_STUCK = """
select task_id, status from tasks t
where (status in ('claimed', 'running', 'waiting', 'orphaned')
       and not exists (select from task_leases l where l.task_id = t.task_id))
   or (status = 'held' and hold_reason is null)
"""
_LEASE_OF_NOTHING = """
select task_id from task_leases join tasks using (task_id)
where status not in ('claimed', 'running', 'waiting', 'orphaned')
"""
_ENDS = """
select task_id from task_events where kind in ('task.succeeded', 'task.failed', 'task.cancelled')
group by task_id having count(*) > 1
"""
"""Tasks of these tests are not retried by hand, which would give them one more."""


def check_shared(stack: LocalSupabase, *sandboxes: Sandbox, inserted: Iterable[str] = ()) -> None:
    """Raises: AssertionError naming the broken one. `inserted`: the ids that must be in the table."""
    assert sql(stack, _TWO_OUTCOMES) == [], "two outcomes of one task"
    assert sql(stack, _STALE) == [], "an outcome of a superseded claim"
    assert sql(stack, _OUTCOME_OF_ANOTHER_RUN) == [], "the task's result is not the one that was recorded"
    assert sql(stack, _STUCK) == [], "tasks without owner, timer or reason"
    assert sql(stack, _LEASE_OF_NOTHING) == [], "leases of tasks that nobody works on"
    assert sql(stack, _ENDS) == [], "one task was told to have ended twice"
    assert set(inserted) <= {str(row[0]) for row in sql(stack, "select task_id from tasks")}, "a row is gone"
    for sandbox in sandboxes:
        check_invariants(sandbox)
    _one_run_per_claim(sandboxes)


def _one_run_per_claim(sandboxes: Iterable[Sandbox]) -> None:
    """By the journals of all machines, and by what each launcher wrote down before its agent started."""
    claims: Counter[tuple[object, ...]] = Counter()
    launched: Counter[tuple[object, ...]] = Counter()
    for sandbox in sandboxes:
        for run_id, *claim in sandbox.query("SELECT run_id, task_id, fence FROM runs"):
            claims[tuple(claim)] += 1
            launched[tuple(claim)] += (sandbox.state / "runs" / str(run_id) / "run.json").exists()
    assert [claim for claim, count in claims.items() if count > 1] == [], "two runs of one claim"
    assert [claim for claim, count in launched.items() if count > 1] == [], "two agents of one claim"


def runs_of(sandboxes: Iterable[Sandbox]) -> Counter[str]:
    """How many agents were ever started, by task id, on all machines: launchers that wrote a `run.json`."""
    found: Counter[str] = Counter()
    for sandbox in sandboxes:
        for run_id, task_id in sandbox.query("SELECT run_id, task_id FROM runs"):
            found[str(task_id)] += (sandbox.state / "runs" / str(run_id) / "run.json").exists()
    return found
