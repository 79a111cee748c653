"""Remove what dead owners left in an engine: found by its labels, whoever runs the sweep."""

from sandbox.docker.containers import created_s, owner_from
from sandbox.docker.engine import Engine
from sandbox.owner import is_dead


def sweep_engine(engine: Engine, youngest_s: float) -> tuple[str, ...]:
    """Remove the containers and volumes of dead owners made until then; return what was removed. Blocks."""
    swept = []
    for found in engine.made_here():
        if created_s(found.labels) <= youngest_s and is_dead(owner_from(found.labels)):
            engine.remove(found.id)
            swept.append(found.id)
    # A container takes its volume with it; what is left is of an engine that died between the two.
    for name, labels in engine.volumes():
        if created_s(labels) <= youngest_s and is_dead(owner_from(labels)):
            engine.remove_volume(name)
            swept.append(name)
    return tuple(swept)
