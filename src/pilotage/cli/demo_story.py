"""The demo's second and third act in order: a good release to everybody, and a bad one that is taken back by itself.

Fail mode: SceneError at the first step that does not end as told.
"""

from __future__ import annotations

from datetime import timedelta

from pilotage.cli.demo_board import Board
from pilotage.cli.demo_gates import EAST, ReleasePath
from pilotage.cli.demo_rollout import EU, Rollouts
from pilotage.cli.demo_scene import SceneError
from pilotage.cli.rollback import zero_words
from pilotage.control.follow_rollback import zero_json
from pilotage.control.rollout_status import rollout_status
from pilotage.rollout.states import State
from pilotage.store.rollouts import StoredRollout


def tell_gates(path: ReleasePath) -> None:
    """Take a release through every gate, up to the door of production."""
    refusal = path.try_shortcut(EAST)
    codes = ", ".join(sorted({reason.code for reason in refusal.reasons}))
    path.say("A shortcut into production is refused", f"{codes}: {refusal.reasons[0].text}")
    _to_the_door(path, Rollouts(path=path), dissent=True)


def tell_rollout(path: ReleasePath, *, is_last: bool) -> None:
    """Bring the release to all users; when the story ends here, the last region goes wrong and is taken back."""
    rollouts = Rollouts(path=path)
    started = rollouts.start(EAST)
    if not is_last:
        done = rollouts.finish(rollouts.run(started.id))
        _need(done, State.COMPLETED)
        path.say("Everybody is served", "The release serves 100 % in three regions.")
        return
    done = rollouts.run(started.id, bad_in=EU)
    _tell_rollback(path, done, rollouts)
    done = rollouts.finish(done)
    path.say(
        "One region went back by itself, two go on",
        f"The rollout is {done.state.value.replace('_', ' ')}; the United States stay on the release, Europe on its "
        "closed door.",
    )


def tell_bad_release(path: ReleasePath) -> None:
    """Take a release that passes every gate into production, where its answers are not grounded."""
    path.clock.advance(timedelta(hours=1))
    rollouts = Rollouts(path=path)
    _to_the_door(path, rollouts, dissent=False)
    started = rollouts.start(EAST)
    done = rollouts.run(started.id, bad_in=EAST)
    _need(done, State.ROLLED_BACK)
    _tell_rollback(path, done, rollouts)


def _tell_rollback(path: ReleasePath, done: StoredRollout, rollouts: Rollouts) -> None:
    shown = rollout_status(path.instance, done.id)
    verdict = shown.get("verdict")
    reasons = verdict.get("reasons") if isinstance(verdict, dict) else None
    first = next((str(one.get("text")) for one in reasons or () if isinstance(one, dict)), "")
    path.say(
        "Ungrounded answers are met and taken back by themselves",
        f"{first} Taken back, {zero_words(zero_json(done))}; incident {done.incident} is open.",
    )
    rollouts.tell_incident(str(done.incident))


def _to_the_door(path: ReleasePath, rollouts: Rollouts, *, dissent: bool) -> None:
    board = Board(path=path, drill=rollouts.drill, has_dissent=dissent)
    path.walk()
    board.accept()
    board.decide()
    board.open_door()
    board.show()


def _need(stored: StoredRollout, wanted: State) -> None:
    if stored.state is not wanted:
        message = f"The rollout ended {stored.state}, not {wanted}: {'; '.join(one.text for one in stored.why)}"
        raise SceneError(message)
