"""One seed: a storm, its aftermath, and the quiet in which all has to end."""

from tests.settling.checking import faults_at_the_end, unseen
from tests.settling.quiet import Quiet
from tests.settling.storm import Storm
from tests.settling.world import World


async def told(world: World) -> list[str]:
    """What was at odds."""
    await world.begin()
    quiet = Quiet(world)
    with world.points.planted(), world.crew.watched():
        await Storm(world).blow()
        await quiet.aftermath()
        await quiet.fall()
    now = await world.look()
    world.met.update(f"ended {row['state']} at {row['channel']}" for row in now.refunds)
    world.met.update("overdrawn" for row in now.payments if row["overdrawn_amount"])
    world.found += faults_at_the_end(now, world.truth, world.scene.time.at)
    world.found += await unseen(world.scene, now)
    return list(dict.fromkeys(world.found))
