"""How an instance was made, as the page asks for it."""

from pathlib import Path

import numpy as np
from fastapi.testclient import TestClient

from app.main import build
from tests.app.standins import studio, wait_for_run


def test_a_trace_tells_the_way_from_proposal_to_mask(tmp_path: Path) -> None:
    services = studio(tmp_path)
    image = services.images.listed("samples")[0]
    file = services.checkpoints.find(None)
    assert file is not None
    with TestClient(build(services)) as client:
        early = client.get(f"/api/traces/{image.key}/p1")
        assert early.status_code == 409
        wait_for_run(services, services.start_run("test", file, (image,)))
        prediction = services.prediction(file, image.key)
        assert prediction is not None
        told = client.get(f"/api/traces/{image.key}/p2").json()
        np.testing.assert_array_equal(told["box"], prediction.boxes[1])
        np.testing.assert_array_equal(told["proposal"], prediction.trace.proposals[1])
        assert np.array(told["votes"]).shape == (49, 4)
        assert len(told["weights"]) == 49
        assert told["mask"]["counts"] == prediction.masks[1].counts
        assert told["first_mask"]["size"] == list(prediction.size)
        for wrong in ("p0", f"p{len(prediction) + 1}", "t1", "p1x"):
            assert client.get(f"/api/traces/{image.key}/{wrong}").status_code == 404
