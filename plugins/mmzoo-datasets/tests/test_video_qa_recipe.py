"""The recipe for questions about one's own videos: its header's program writes the table, and it builds."""

import json
import textwrap
from pathlib import Path

import av
import pytest
from PIL import Image

import mmzoo

pytestmark = pytest.mark.slow

RECIPE = Path(__file__).parents[3] / "recipes" / "files" / "video_qa.yaml"
TINY = [
    "inputs.video.frames=2",
    "inputs.video.picture.size=16",
    "inputs.question={type: words, field: question, sequence_length: 6, optional: true}",
    "inputs.video.optional=true",
    "inputs.answer.max_tokens=2",
    "encoders.video.encoder={type: vit, patch: 8, dim: 8, depth: 1, heads: 1}",
    "encoders.question={type: text_transformer, dim: 8, depth: 1, heads: 1, pool: none}",
    "fusion={type: early, dim: 8, depth: 1, heads: 1}",
    "data.optional=[question]",
    "data.on_error=skip",
    "train.epochs=1",
    "train.batch_size=8",
    "train.precision=float32",
    "train.modality_dropout=0.15",
    "metrics=[accuracy]",
]


def write_video(path: Path, colour: str, frames: int) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=5)
        stream.width = stream.height = 16
        stream.pix_fmt = "yuv420p"
        for _ in range(frames):
            container.mux(stream.encode(av.VideoFrame.from_image(Image.new("RGB", (16, 16), colour))))
        container.mux(stream.encode())


def write_msrvtt(folder: Path) -> Path:
    """Writes videos and questions as MSRVTT-QA has them, and lets the recipe's header make the table."""
    (folder / "videos").mkdir()
    for number in range(12):
        write_video(folder / "videos" / f"video{number}.mp4", ["red", "blue"][number % 2], 3 + number)
    for split, numbers in {"train": range(8), "val": range(8, 10), "test": range(10, 12)}.items():
        found = [{"video_id": number, "question": "what is it ?", "answer": ["red", "blue"][number % 2]} for number in numbers]
        found += [{"video_id": number, "question": "how is it ?", "answer": f"rare {split}"} for number in numbers[:1]]
        (folder / f"{split}_qa.json").write_text(json.dumps(found), "utf-8")
    lines = RECIPE.read_text("utf-8").splitlines()
    first = lines.index("#   import csv, json")
    program = [line[1:] for line in lines[first : lines.index("#", first)]]
    exec(textwrap.dedent("\n".join(program)), {})  # in the current folder
    return folder / "qa.csv"


def test_recipe_is_scored_with_clips_that_are_lacking_or_broken(tmp_path, monkeypatch, unrehearsed, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("mmzoo.serving.export.export", lambda *_: tmp_path)
    table = write_msrvtt(tmp_path)
    (tmp_path / "broken.mp4").write_text("no video")
    with table.open("a", encoding="utf-8") as file:
        file.write(",what is it ?,red,what,train\nvideos/video0.mp4,,red,what,train\nbroken.mp4,what is it ?,red,what,train\n")
    run = mmzoo.build(RECIPE, out=tmp_path / "run", overrides=[f"data.table={table}", "data.frames_dir=frames", *TINY])
    scores = json.loads((run.folder / "scores.json").read_text("utf-8"))
    assert {"accuracy", "accuracy[what]", "accuracy[how]"} <= set(scores)
    assert (scores["accuracy[how]"], scores["unknown"]) == (0, pytest.approx(1 / 3))
    said = " ".join(capsys.readouterr().out.split())
    assert "decodes 13 clips and keeps their frames in" in said
    assert f"left out 1 of the 12 examples of 'train': qa.csv:19: video: the file {tmp_path / 'broken.mp4'} is neither" in said
    assert "data video is missing in 1 of the 11 examples of 'train'" in said
    assert "data question is missing in 1 of the 11 examples of 'train'" in said
