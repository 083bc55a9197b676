from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpo.errors import UserError
from hpo.runners._ray_autoscaler import WITHOUT_AUTOSCALER, node_types
from hpo.runners._ray_resources import Node, SlotRequest, actor_options, capacity, default, parse, room, written

FOUR_CORES = Node("1", "a", {"CPU": 4.0, "node:1": 1.0, "object_store_memory": 1e9, "memory": 8e9})
TWO_GPUS = Node("2", "b", {"CPU": 16.0, "GPU": 2.0, "memory": 8e9, "license": 1.0})


def test_a_text_becomes_rays_names_and_back() -> None:
    assert parse("gpu=0.5, cpu=2,license=1") == {"GPU": 0.5, "CPU": 2.0, "license": 1.0}
    assert written(parse("gpu=0.5,cpu=2")) == "gpu=0.5,cpu=2"


@pytest.mark.parametrize("text", ["", "gpu", "gpu=", "gpu=x", "gpu=-1", "gpu=nan", "gpu=inf", "=1", "gpu=1,,cpu=1"])
def test_another_form_is_an_error_that_shows_the_right_one(text: str) -> None:
    with pytest.raises(UserError, match=r"--resources .*write name=number .* such as gpu=0\.5,cpu=2"):
        parse(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("gpu=1.5", "above 1, gpu must be a whole number, but is 1.5"),
        ("cpu=1,CPU=2", "cpu is given twice; write it once"),
        ("cpu=0", "a slot needs some of at least one resource"),
        ("cpu=-1", "cpu must be a number of at least 0, but is -1"),
        ("memory=nan", "memory must be a number of at least 0, but is nan"),
        ("cpu=0.00001", "cpu must be 0 or at least 0.0001"),
        ("memory=16GB", "memory is a number of bytes; write memory=16000000000"),
        ("memory=1.5 GiB", "memory is a number of bytes; write memory=1610612736"),
        ("memory=16000000.5", "memory must be a whole number of bytes of at least 1e6, but is 16000000.5$"),
        ("memory=16", r"memory must be a whole number of bytes of at least 1e6, but is 16; did you mean memory=16e9\?"),
        ("memory=1.5", r"did you mean memory=1[.]5e9\?"),
        ("gpus=1", "unknown resource 'gpus'; did you mean 'gpu'[?]"),
        ("cores=4", "unknown resource 'cores'; did you mean 'cpu'[?]"),
    ],
)
def test_an_amount_that_ray_refuses_is_an_error(text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        parse(text)


def test_half_a_gpu_packs_two_slots_on_each() -> None:
    assert capacity([FOUR_CORES, TWO_GPUS], parse("gpu=0.5,cpu=2")) == 4
    assert capacity([FOUR_CORES, TWO_GPUS], parse("gpu=0.5,cpu=5")) == 3
    assert capacity([], parse("cpu=1")) == 0


@given(cores=st.integers(1, 64), share=st.sampled_from([0.1, 0.2, 0.25, 0.3, 0.5, 1.0, 3.0]))
def test_slots_never_take_more_than_a_node_has_and_no_room_is_left(cores: int, share: float) -> None:
    n = room(Node("1", "a", {"CPU": float(cores)}), {"CPU": share})
    assert n * share <= cores + 1e-3
    assert (n + 1) * share > cores


@pytest.mark.parametrize("text", ["cpu=0.0001", "cpu=0,memory=1e6", "cpu=0.25"])
def test_slots_of_next_to_nothing_are_no_more_than_the_cores_unless_the_user_gives_their_number(text: str) -> None:
    nodes = [FOUR_CORES, TWO_GPUS]
    assert SlotRequest(of_slot=parse(text)).on(nodes, lambda: False).number(nodes) == 20
    assert SlotRequest(slots=30, of_slot=parse(text)).on(nodes, lambda: False).number(nodes) == 30
    no_cores = [Node("3", "c", {"memory": 8e9, "CPU": 0.5})]
    assert SlotRequest(of_slot=parse(text)).on(no_cores, lambda: False).number(no_cores) == 1


def test_slots_that_share_a_gpu_may_be_more_than_the_cores() -> None:
    nodes = [Node("4", "d", {"CPU": 2.0, "GPU": 1.0})]
    assert SlotRequest(of_slot=parse("gpu=0.25")).on(nodes, lambda: False).number(nodes) == 4


def test_a_slot_that_asks_for_memory_alone_takes_a_core_too() -> None:
    assert parse("memory=1e9") == {"memory": 1e9, "CPU": 1.0}
    assert parse("memory=1e9,license=1") == {"memory": 1e9, "license": 1.0}
    nodes = [FOUR_CORES, TWO_GPUS]
    assert SlotRequest(of_slot=parse("memory=1e6")).on(nodes, lambda: False).number(nodes) == 20


def test_by_default_a_slot_takes_a_core_or_a_gpu_and_its_share_of_the_cores() -> None:
    assert default([FOUR_CORES], "auto", None) == {"CPU": 1.0}
    assert default([FOUR_CORES, TWO_GPUS], "auto", None) == {"GPU": 1.0, "CPU": 8.0}
    assert default([FOUR_CORES, TWO_GPUS], "cpu", None) == {"CPU": 1.0}


@pytest.mark.parametrize(("slots", "cores"), [(1, 4), (2, 4), (3, 2), (4, 2), (5, 1), (100, 1)])
def test_few_slots_take_more_cores_each(slots: int, cores: int) -> None:
    assert default([FOUR_CORES, FOUR_CORES], "cpu", slots) == {"CPU": float(cores)}


def test_a_slot_that_no_node_can_offer_is_an_error_that_says_what_they_have() -> None:
    with pytest.raises(UserError, match=r"no node of the Ray cluster offers a slot gpu=3: a has cpu=4; b has .*gpu=2"):
        SlotRequest(of_slot=parse("gpu=3")).on([FOUR_CORES, TWO_GPUS], lambda: False)


def test_an_unknown_resource_is_an_error_with_the_nearest_name() -> None:
    with pytest.raises(UserError, match=r"resource in --resources of the Ray cluster: 'licence'; did you mean 'licen"):
        SlotRequest(of_slot=parse("licence=1")).on([FOUR_CORES, TWO_GPUS], lambda: False)
    with pytest.raises(UserError, match=r"'gup'; did you mean 'gpu'\? \(allowed: cpu, gpu, license, memory\)"):
        SlotRequest(of_slot=parse("gup=1")).on([FOUR_CORES, TWO_GPUS], lambda: False)


def test_a_cluster_that_starts_nodes_is_asked_for_those_that_are_missing() -> None:
    wanted = SlotRequest(of_slot=parse("tpu=1")).on([FOUR_CORES], lambda: True)
    assert wanted.number([FOUR_CORES]) == 1
    assert "the search waits for one" in wanted.summary([FOUR_CORES])
    more = SlotRequest(slots=8, of_slot=parse("cpu=1")).on([FOUR_CORES], lambda: True)
    assert more.number([FOUR_CORES]) == 8
    enough = SlotRequest(slots=2, of_slot=parse("cpu=1")).on([FOUR_CORES], lambda: True)
    assert enough.number([FOUR_CORES]) == 2


@pytest.mark.parametrize(
    ("resources", "limit", "summary"),
    [
        ("cpu=1", None, "ray: 20 slots of cpu=1 on up to 2 nodes"),
        ("cpu=1", 1, "ray: 1 slot of cpu=1 on up to 2 nodes"),
        ("gpu=0.5,cpu=2", None, "ray: 4 slots of gpu=0.5,cpu=2 on 1 node"),
    ],
)
def test_the_summary_says_how_many_slots_there_are(resources: str, limit: int | None, summary: str) -> None:
    wanted = SlotRequest(slots=limit, of_slot=parse(resources)).on([FOUR_CORES, TWO_GPUS], lambda: False)
    assert wanted.summary([FOUR_CORES, TWO_GPUS]) == summary


def test_the_types_of_nodes_tell_whether_there_is_an_autoscaler() -> None:
    without = f"node_{'0a' * 28}"
    assert node_types(json.dumps({"autoscaler_report": {"active_nodes": {without: 1}}}).encode()) == [without]
    assert WITHOUT_AUTOSCALER.fullmatch(without)
    assert not WITHOUT_AUTOSCALER.fullmatch("ray.head.default")
    assert node_types(b'{"load_metrics_report": {}}') == []


def test_an_actor_takes_exactly_what_is_written() -> None:
    assert actor_options(parse("gpu=0.5")) == {"num_cpus": 0, "num_gpus": 0.5, "resources": {}}
    options = actor_options(parse("cpu=2,memory=1e9,license=1"))
    assert options == {"num_cpus": 2.0, "num_gpus": 0, "memory": 10**9, "resources": {"license": 1.0}}
