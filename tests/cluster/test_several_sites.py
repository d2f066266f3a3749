"""Sites that share one PostgreSQL gallery: the same people have the same ids, whether or not the other site runs."""

import threading
import time

import pytest

from streamreid.cluster.leases import SiteLeases
from streamreid.cluster.site_service import SiteService
from streamreid.cluster.worker import PerceptionWorker
from streamreid.gallery import Gallery
from streamreid.pipeline.engine_description import EngineDescription

FRAMES = 60


@pytest.fixture
def follow(scene, colours, database):
    """Runs a site with a worker over one camera, as if it were live; its ids by person (a colour)."""

    def run(name, people):
        config = scene.config(
            scene.camera(name, people, frames=FRAMES, rate=20),
            gallery={"store": database, "commit_seconds": 0.2},
            association={"confirm_observations": 5, "confirm_seconds": 0.5},
        )
        camera = config.cameras[0].model_copy(update={"live": True})
        config = config.model_copy(update={"cameras": (camera,)})
        service = SiteService(config, EngineDescription.of(colours))
        worker = PerceptionWorker(config, f"{name}-worker", SiteLeases(), service.receive, embedder=colours)
        try:
            worker.add(name)
            late = threading.Timer(60, service.stop)  # a test that fails ends
            late.start()
            for result in service.run:
                if result.frame.index >= FRAMES - 1:
                    service.stop()
            late.cancel()
        finally:
            worker.close()
            service.close()
        who = {track: gid for (_, track), (gid, _) in service.run.identities.items()}
        return {person: who[track] for track, person in enumerate(people, 1)}

    return run


@pytest.mark.wall_time
def test_sites_know_each_others_people(follow, database):
    found = {}
    sites = {"north": [0, 1], "south": [1, 2]}
    threads = [
        threading.Thread(target=lambda name=name, people=people: found.update({name: follow(name, people)}))
        for name, people in sites.items()
    ]
    for thread in threads:  # beside each other
        thread.start()
        time.sleep(0.3)
    for thread in threads:
        thread.join(60)
    north, south = found["north"], found["south"]
    assert north[1] == south[1]  # seen by both
    assert len({north[0], north[1], south[2]}) == 3
    # Another site, when these two are gone: it asks the gallery, and no other process.
    later = follow("later", [2, 0, 3])
    assert (later[2], later[0]) == (south[2], north[0])
    assert later[3] not in {north[0], north[1], south[2]}
    with Gallery.open(database) as store:
        ids = [record.global_id for record in store.identities()]
    assert len(ids) == len(set(ids)) == 4
