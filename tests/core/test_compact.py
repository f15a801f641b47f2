"""Compact tables are to be told from dicts by nothing but their size."""

from __future__ import annotations

import json
import pickle
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zonesearch.core.compact import Curves, Table

curves = st.dictionaries(st.text(max_size=5), st.lists(st.floats(allow_nan=False), max_size=4), max_size=3)
plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2),
    max_leaves=4,
)
tables = st.dictionaries(st.text(max_size=8), plain, max_size=5)


@given(curves)
def test_curves_are_those_that_were_given(given_curves: dict[str, list[float]]) -> None:
    made = Curves(given_curves)
    expected = {name: tuple(values) for name, values in given_curves.items()}
    assert made == expected == made
    assert expected == made
    assert repr(made) == repr(expected)
    assert list(made) == list(expected)
    assert len(made) == len(expected)
    assert made.get("not there", ()) == ()
    assert pickle.loads(pickle.dumps(made)) == made
    with pytest.raises(KeyError):
        made["not there"]


@given(curves, curves)
def test_curves_are_equal_when_their_values_are(a: dict[str, list[float]], b: dict[str, list[float]]) -> None:
    assert (Curves(a) == Curves(b)) == (a == b)


@given(tables, st.booleans())
def test_table_is_the_dict_that_it_stands_for(table: dict[str, object], ascii_only: bool) -> None:
    made = Table(json.dumps(table, ensure_ascii=ascii_only).encode(errors="surrogatepass"))
    assert made == table
    assert table == made
    assert dict(made) == {**made} == table
    assert repr(made) == repr(table)
    assert len(made) == len(table)
    for name in [*table, "shard", "host"]:
        assert made.get(name, "none") == table.get(name, "none")
        assert (name in made) == (name in table)
    assert pickle.loads(pickle.dumps(made)) == made
    assert made != {**table, "more": 1}


def test_many_tables_that_differ_in_the_last_member_share_the_rest() -> None:
    texts = [json.dumps({"host": "x" * 500, "started": f"{i:04d}"}).encode() for i in range(3)]
    made = [Table(text) for text in texts]
    assert made[0]._head is made[1]._head is made[2]._head
    assert [table["started"] for table in made] == ["0000", "0001", "0002"]
    assert sys.getsizeof(made[0]._tail) < 100
