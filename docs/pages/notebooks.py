"""Executed notebooks as pages: text, code, what it printed, pictures and frames."""

import base64
import html
import json
import re
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parents[1] / "notebooks"
_FRAME = re.compile(r'<iframe .*? height="(\d+)" .*?srcdoc="([^"]*)"', re.DOTALL)


def pages() -> dict[str, str | bytes]:
    """Address in the site -> content of every notebook's page and its outputs."""
    made: dict[str, str | bytes] = {}
    for path in sorted(FOLDER.glob("*.ipynb")):
        made |= notebook_page(path.stem, json.loads(path.read_text()))
    return made


def notebook_page(stem: str, notebook: dict[str, Any]) -> dict[str, str | bytes]:
    """One notebook's page and the files that it shows."""
    files: dict[str, str | bytes] = {}
    blocks = []
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            blocks.append(source)
        else:
            blocks.append(f"```python\n{source}\n```")
            blocks += [_output(stem, out, files) for out in cell["outputs"]]
    script = f"The script of this notebook: `docs/notebooks/{stem}.py`."
    files[f"notebooks/{stem}.md"] = "\n\n".join(b for b in [*blocks, script] if b)
    return files


def _output(stem: str, output: dict[str, Any], files: dict[str, str | bytes]) -> str:
    """One output as Markdown; what isn't text goes into a file of its own."""
    data = output.get("data", {})
    name = f"{stem}-{len(files) + 1}"
    if frame := _FRAME.search("".join(data.get("text/html", ""))):
        files[f"notebooks/{name}.html"] = html.unescape(frame[2])
        return (
            f'<iframe src="{name}.html" title="{name}" sandbox="allow-scripts" '
            f'width="100%" height="{frame[1]}" style="border:0"></iframe>'
        )
    if "image/png" in data:
        files[f"notebooks/{name}.png"] = base64.b64decode("".join(data["image/png"]))
        return f"![Output of the code above]({name}.png)"
    text = "".join(output.get("text") or data.get("text/plain", ""))
    return f"```text\n{text.rstrip()}\n```" if text else ""
