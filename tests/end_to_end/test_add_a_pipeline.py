"""docs/add-a-pipeline.md, followed step by step as it is written."""

import re

from tests.end_to_end.conftest import LocalProject


def test_the_guide_works_as_it_is_written(local_project: LocalProject) -> None:
    text = (local_project.folder / "docs" / "add-a-pipeline.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```(bash|yaml)\n(.*?)^```$", text, re.M | re.S)
    assert len(blocks) >= 10
    outputs = []
    for kind, block in blocks:
        if kind == "yaml":
            first, _, content = block.partition("\n")
            path = local_project.folder / first.removeprefix("# file: ").strip()
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content, encoding="utf-8")
            continue
        answer = local_project.shell(block)
        assert answer.exit_code == 0, f"{block}\n{answer}"
        outputs.append(answer.output)
    assert "Flute" not in outputs[-3], "what broke a check is not in the lake"
    assert re.search(r"E-5\s+35\.00\s+12", outputs[-3])
    assert re.search(r"F-6\s+-99\.00\s+1", outputs[-2]), "it is in quarantine"
