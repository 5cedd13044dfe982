from uuid import NAMESPACE_URL, uuid5

from agents.sensor.inputs.record_ids import urn


def test_it_is_uuid5() -> None:
    for number in range(64):
        name = f"sensor@ü/{number}"
        assert urn(NAMESPACE_URL, name) == uuid5(NAMESPACE_URL, name).urn
