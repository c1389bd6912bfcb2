"""The demo's second and third act in order: a good release to everybody, and a bad one that is taken back by itself.

Fail mode: SceneError at the first step that does not end as told.
"""

from __future__ import annotations

from datetime import timedelta

from pilotage.cli.demo_board import Board
from pilotage.cli.demo_gates import EAST, ReleasePath
from pilotage.cli.demo_rollout import Rollouts
from pilotage.cli.demo_scene import SceneError
from pilotage.control.rollout_status import rollout_status
from pilotage.rollout.states import State
from pilotage.store.rollouts import StoredRollout


def tell_good_release(path: ReleasePath) -> None:
    """Take a release through every gate and to all users of three regions."""
    refusal = path.try_shortcut(EAST)
    codes = ", ".join(sorted({reason.code for reason in refusal.reasons}))
    path.say("A shortcut into production is refused", f"{codes}: {refusal.reasons[0].text}")
    rollouts, board = _to_the_door(path, dissent=True)
    board.show()
    started = rollouts.start(EAST)
    done = rollouts.run(started.id)
    _need(done, State.WATCHING)
    done = rollouts.finish(done)
    _need(done, State.COMPLETED)
    path.say("Everybody is served", "The release serves 100 % in three regions; triggers stay armed.")


def tell_bad_release(path: ReleasePath) -> None:
    """Take a release that passes every gate into production, where its answers are not grounded."""
    path.clock.advance(timedelta(hours=1))
    rollouts, board = _to_the_door(path, dissent=False)
    board.show()
    started = rollouts.start(EAST)
    done = rollouts.run(started.id, bad=True)
    _need(done, State.ROLLED_BACK)
    shown = rollout_status(path.instance, done.id)
    verdict = shown.get("verdict")
    reasons = verdict.get("reasons") if isinstance(verdict, dict) else None
    first = next((str(one.get("text")) for one in reasons or () if isinstance(one, dict)), "")
    path.say(
        "The bad release is taken back by itself",
        f"{first} All users are on the release before; zero traffic after {done.zero_s} s; incident "
        f"{done.incident} is open, and the digest is quarantined.",
    )
    rollouts.close_incident(str(done.incident))


def _to_the_door(path: ReleasePath, *, dissent: bool) -> tuple[Rollouts, Board]:
    rollouts = Rollouts(path=path)
    board = Board(path=path, drill=rollouts.drill, has_dissent=dissent)
    path.walk()
    board.accept()
    board.decide()
    board.open_door()
    return rollouts, board


def _need(stored: StoredRollout, wanted: State) -> None:
    if stored.state is not wanted:
        message = f"The rollout ended {stored.state}, not {wanted}: {'; '.join(one.text for one in stored.why)}"
        raise SceneError(message)
