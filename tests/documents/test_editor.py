"""What an editor says of a configuration: the YAML language server, with the schema for editors."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from qgpipe.causets.writers.generate import generate_store
from qgpipe.cli import main
from qgpipe.cli.keys.reference_schema import editor_schema
from qgpipe.config import load_config, resolve_config
from qgpipe.config.schema import EDITOR_SCHEMA
from qgpipe.config.tags import _KEYS, TAG

ROOT = Path(__file__).parents[2]
SCHEMA = EDITOR_SCHEMA
SETTINGS = json.loads((ROOT / ".vscode" / "settings.json").read_text())
MODELINE = "# yaml-language-server: $schema="
SHIPPED = sorted(
    path
    for pattern in ("config/**/*.yaml", "benchmarks/tasks/*.yaml", "tests/fuzz/bases/*.yaml")
    for path in ROOT.glob(pattern)
)


class LanguageServer:
    """The server as an editor starts it, over its standard input and output."""

    def __init__(self, program: Path):
        self._process = subprocess.Popen(
            ["node", program, "--stdio"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self._number = 0
        root = ROOT.as_uri()
        folders = [{"uri": root, "name": "qgpipe"}]
        start = {"processId": None, "rootUri": root, "workspaceFolders": folders,
                 "capabilities": {"workspace": {"configuration": True}}}  # fmt: skip
        self.ask("initialize", start)
        self.tell("initialized", {})

    def tell(self, method: str, params: Any) -> None:
        self._send({"method": method, "params": params})

    def ask(self, method: str, params: Any) -> Any:
        self._number += 1
        self._send({"id": self._number, "method": method, "params": params})
        return self._until(lambda message: message.get("id") == self._number)["result"]

    def open(self, uri: str, text: str) -> list[str]:
        """Open a document; returns what the server complains of."""
        document = {"uri": uri, "languageId": "yaml", "version": 1, "text": text}
        self.tell("textDocument/didOpen", {"textDocument": document})
        wanted = "textDocument/publishDiagnostics"
        given = self._until(
            lambda m: m.get("method") == wanted and m["params"]["uri"] == uri
        )["params"]["diagnostics"]  # fmt: skip
        return [f"line {d['range']['start']['line'] + 1}: {d['message']}" for d in given]

    def close(self) -> None:
        self.ask("shutdown", None)
        self.tell("exit", None)
        self._process.wait(timeout=30)

    def _send(self, message: dict[str, Any]) -> None:
        content = json.dumps({"jsonrpc": "2.0", **message}).encode()
        assert self._process.stdin is not None
        self._process.stdin.write(b"Content-Length: %d\r\n\r\n%b" % (len(content), content))
        self._process.stdin.flush()

    def _until(self, is_wanted: Any) -> dict[str, Any]:
        """The next message that is wanted; the questions of the server before it are answered."""
        while True:
            message = self._read()
            if message.get("method") == "workspace/configuration":
                answer = [self._settings(item) for item in message["params"]["items"]]
                self._send({"id": message["id"], "result": answer})
            elif "method" in message and "id" in message:
                self._send({"id": message["id"], "result": None})
            elif is_wanted(message):
                return message

    @staticmethod
    def _settings(item: dict[str, Any]) -> dict[str, Any]:
        own = {"customTags": SETTINGS["yaml.customTags"], "schemaStore": {"enable": False}}
        return {"validate": True, "hover": True, **own} if item["section"] == "yaml" else {}

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        length = 0
        while line := self._process.stdout.readline().strip():
            name, _, value = line.decode().partition(": ")
            length = int(value) if name.lower() == "content-length" else length
        assert length, "the language server has ended"
        return json.loads(self._process.stdout.read(length))


@pytest.fixture(scope="module")
def server(made_once) -> Iterator[LanguageServer]:
    if not (shutil.which("node") and shutil.which("npm")):
        pytest.skip("there is no Node.js with npm, in which the language server runs")

    def install(folder: Path) -> None:
        shutil.copytree(Path(__file__).parent / "editor", folder, dirs_exist_ok=True)
        done = subprocess.run(
            ["npm", "ci", "--no-audit", "--no-fund"], cwd=folder, capture_output=True, text=True
        )
        if done.returncode:
            (folder / "failed").write_text(done.stderr)

    folder = made_once("language_server", install)
    if (folder / "failed").exists():
        pytest.skip(f"npm cannot install it: {(folder / 'failed').read_text()[:200]}")
    started = LanguageServer(folder / "node_modules/yaml-language-server/bin/yaml-language-server")
    yield started
    started.close()


def test_the_schema_is_that_of_the_configuration():
    assert SCHEMA.read_text() == editor_schema(), (
        "qgpipe reference --schema > qgpipe/config/editor_schema.json"
    )


def test_editors_are_told_every_tag():
    tags = {tag.split()[0] for tag in SETTINGS["yaml.customTags"]}
    assert tags == {TAG.strip(), *_KEYS}


def test_every_shipped_configuration_names_the_schema():
    for path in SHIPPED:
        (line,) = re.findall(rf"^{re.escape(MODELINE)}(.*)$", path.read_text(), re.M)
        assert (path.parent / line).resolve() == SCHEMA


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_is_wrong_with_a_shipped_configuration(server, path):
    assert server.open(path.as_uri(), path.read_text()) == []


def test_nothing_is_wrong_with_a_documented_configuration(server, yaml_block):
    text = f"{MODELINE}{SCHEMA}\n{yaml_block.text}"
    uri = f"{ROOT.as_uri()}/{yaml_block.page.stem}_{hash(yaml_block.text)}.yaml"
    assert server.open(uri, text) == []


def test_nothing_is_wrong_with_what_qgpipe_new_writes(server, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    generate = {**load_config(ROOT / "config" / "run.yaml")["generate"], "num_samples": 6}
    config = {**load_config(ROOT / "config" / "run.yaml"), "generate": generate}
    generate_store(resolve_config(config)["generate"], "mine", "mine.zarr")
    assert main(["new", "mine.zarr", "--target", "cset_type", "-o", "run.yaml"]) == 0
    text = Path("run.yaml").read_text()
    assert text.startswith(f"{MODELINE}{SCHEMA}\n")
    assert server.open((tmp_path / "run.yaml").as_uri(), text) == []


CONFIGURATION = f"""{MODELINE}{SCHEMA}
data:
  split_methd: stratified
training:
  seed: !sweep {{ values: [1, 2] }}
  num_epochs: many
"""


def test_a_misspelt_key_and_a_wrong_value_are_marked(server):
    misspelt, wrong = server.open(f"{ROOT.as_uri()}/misspelt.yaml", CONFIGURATION)
    assert misspelt == "line 3: Property split_methd is not allowed."
    assert wrong.startswith("line 6: Incorrect type.")


def test_a_key_is_explained_where_the_cursor_is(server):
    uri = f"{ROOT.as_uri()}/hover.yaml"
    server.open(uri, CONFIGURATION)
    place = {"textDocument": {"uri": uri}, "position": {"line": 5, "character": 4}}
    assert (
        "Passes over the training set."
        in server.ask("textDocument/hover", place)["contents"]["value"]
    )


def test_keys_are_offered(server):
    uri = f"{ROOT.as_uri()}/completed.yaml"
    server.open(uri, f"{MODELINE}{SCHEMA}\ntraining:\n  num\n")
    place = {"textDocument": {"uri": uri}, "position": {"line": 2, "character": 5}}
    offered = server.ask("textDocument/completion", place)["items"]
    assert {"num_epochs", "num_workers"} <= {item["label"] for item in offered}
