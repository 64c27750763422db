"""The chain behind an artifact, and which of its links hold."""

import os
from pathlib import Path

import pytest
import zarr

from qgpipe.cli import main
from qgpipe.data.layouts.registry import open_store
from qgpipe.data.raw.fingerprint import identity, observe
from qgpipe.errors import DataError
from qgpipe.provenance.chain import artifacts_in, trace
from qgpipe.provenance.differences import differences
from qgpipe.provenance.record import Job, recorded

TABLE, RESULT, STORE = Path("results/data/table.json"), Path("results/run/result.txt"), "own.zarr"


def contents():
    """The store with the name of what it holds, as planning gives it."""
    return Path(STORE), identity(observe(open_store(STORE)))


def states(*artifacts):
    return {str(link.path): link.state for link in trace(artifacts or [RESULT])}


def test_the_chain_goes_back_to_the_raw_store(chain):
    assert list(states()) == [str(RESULT), str(TABLE), STORE]
    assert set(states().values()) == {"holds"}


def test_an_artifact_that_was_edited_does_not_hold(chain):
    RESULT.write_text("other")
    assert states() == {str(RESULT): "changed", str(TABLE): "holds", STORE: "holds"}


def test_an_input_that_is_gone_is_missing(chain):
    TABLE.unlink()
    assert states() == {str(RESULT): "holds", str(TABLE): "missing", STORE: "holds"}


def test_an_input_that_was_made_anew_is_told_from_one_that_was_edited(chain):
    with recorded(
        Job(
            "preprocess",
            [TABLE],
            [],
            {"lr": 2},
            contents(),
        )
    ):
        TABLE.write_text("[3]")
    assert states() == {str(RESULT): "holds", str(TABLE): "remade", STORE: "holds"}


def test_an_input_without_a_record_is_judged_by_what_was_made_from_it(chain):
    Path("results/data/table.json.provenance.json").unlink()
    assert states() == {str(RESULT): "holds", str(TABLE): "unrecorded"}
    TABLE.write_text("other")
    assert states() == {str(RESULT): "holds", str(TABLE): "changed"}


def test_a_raw_store_that_was_touched_holds_and_one_that_was_written_anew_does_not(chain):
    for file in Path(STORE).rglob("*"):
        os.utime(file)
    assert states()[STORE] == "holds"
    labels = zarr.open_group(STORE, mode="r+")["cset_type"]
    labels[:] = 1 - labels[:]
    assert states()[STORE] == "changed"


def test_a_file_that_nothing_has_recorded_is_an_error(chain):
    Path("alone.txt").touch()
    with pytest.raises(DataError, match=r"no record of where alone\.txt came from; name a file"):
        trace([Path("alone.txt")])


def test_a_damaged_record_is_named_wherever_it_is_in_the_chain(chain, capsys):
    for record, content in (
        (Path("results/run/result.txt.provenance.json"), "{"),
        (Path("results/run/result.txt.provenance.json"), '{"format": 1}'),
        (Path("results/run/result.txt.provenance.json"), "[]"),
    ):
        record.write_text(content)
        for named in (RESULT, RESULT.parent):
            assert main(["trace", str(named)]) == 1
            error = capsys.readouterr().err
            assert error.startswith(
                f"qgpipe trace: {record} is damaged or of another format; delete"
            )
            assert error.count("\n") == 1


def test_an_input_whose_record_is_damaged_is_not_taken_for_raw_data(chain, capsys):
    Path("results/data/table.json.provenance.json").write_text("{")
    assert main(["trace", str(RESULT)]) == 1
    text = capsys.readouterr().out
    assert f"{TABLE}: as it was used, but its RECORD IS MISSING or damaged\n" in text
    assert "1 of 2 artifacts do not hold" in text


@pytest.mark.parametrize(
    ("named", "problem"),
    [
        ("nothing.txt", "nothing.txt does not exist"),
        ("results/run/result.txt/x", "results/run/result.txt/x does not exist"),
        ("own.zarr", "there is no record of where own.zarr came from"),
        ("empty", "there is no record of where empty came from"),
    ],
)
def test_what_is_no_artifact_is_an_error_of_one_line(chain, capsys, named, problem):
    Path("empty").mkdir()
    assert main(["trace", named]) == 1
    assert capsys.readouterr().err == (
        f"qgpipe trace: {problem}; name a file that the pipeline has made, or the folder of a run\n"
    )


def test_the_working_directory_stands_for_all_in_it(chain, capsys):
    main(["trace", "."])
    assert "results/run/result.txt: holds" in capsys.readouterr().out


def test_a_folder_stands_for_what_was_made_in_it(chain):
    assert artifacts_in(Path("results/run")) == [RESULT]
    assert set(artifacts_in(Path("results"))) == {RESULT, TABLE}


def test_the_command_says_what_does_not_hold(chain, capsys):
    assert main(["trace", str(RESULT)]) == 1  # made in Python: the settings cannot be told
    TABLE.write_text("other")
    main(["trace", str(RESULT)])
    text = capsys.readouterr().out
    assert f"{RESULT}: holds\n    split: " in text
    assert f"    from: {TABLE}\n{TABLE}: CHANGED since it was made\n" in text
    assert "own.zarr: holds, raw data\n" in text
    assert "1 of 3 artifacts do not hold" in text


def test_of_many_parts_those_that_do_not_hold_are_listed(chain, capsys):
    parts = [Path(f"results/data/parts/own-{start:09d}.json") for start in range(5)]
    parts[0].parent.mkdir()
    for part in parts:
        with recorded(Job("preprocess", [part], [], {}, contents())):
            part.write_text("made")
    with recorded(Job("gather", [TABLE], parts, {})):
        TABLE.write_text("list")
    parts[3].write_text("edited")
    main(["trace", str(TABLE)])
    lines = capsys.readouterr().out.splitlines()
    assert "    from: 5 parts" in lines
    assert f"{parts[0].parent}: 4 of 5 parts hold" in lines
    assert "    settings: of 5 parts they were written in Python" in lines
    assert [line for line in lines if "own-" in line] == [f"{parts[3]}: CHANGED since it was made"]
    assert lines[-1].startswith("1 of 7 artifacts do not hold; the settings of 6 jobs")


def test_differences_name_the_key():
    before = {"a": {"b": [1, 2], "c": [1]}, "d": 1}
    after = {"a": {"b": [1, 3], "c": [1, 2]}, "e": 1.0}
    assert [str(difference) for difference in differences(before, after)] == [
        "a.b[1]: 2 → 3",
        "a.c: [1] → [1, 2]",
        "d: 1 → (absent)",
        "e: (absent) → 1.0",
    ]
    assert list(differences(before, before)) == []
    assert [str(d) for d in differences(1, 1.0, "x")] == ["x: 1 → 1.0"]
