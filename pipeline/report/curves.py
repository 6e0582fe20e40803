"""Pictures of a training run."""

from __future__ import annotations

from pathlib import Path

from pipeline.common.files import atomic, read_jsonl


def draw_curves(log: Path, picture: Path, title: str) -> None:
    """Training and validation loss against steps, and bits per byte, as a PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = list(read_jsonl(log))
    steps = [row["step"] for row in rows]
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.plot(steps, [row["train_loss"] for row in rows], label="training (one batch)", alpha=0.6)
    axes.plot(steps, [row["val_loss"] for row in rows], label="validation", linewidth=2)
    axes.set(title=title, xlabel="step", ylabel="nats per token")
    bits = axes.twinx()
    bits.plot(steps, [row["val_bits_per_byte"] for row in rows], "k:", label="bits per byte")
    bits.set_ylabel("validation, bits per byte")
    axes.grid(alpha=0.3)
    axes.legend(handles=[*axes.get_lines(), *bits.get_lines()], frameon=False)
    with atomic(picture, "wb") as file:
        figure.savefig(file, format="png", dpi=110)
