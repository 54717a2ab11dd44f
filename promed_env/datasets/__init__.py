"""Data sets: real rows of several formats and bundled samples, all as `Case` values.

cases = load_dataset("medqa")                                    # the bundled sample
cases = load_dataset("primarycare", "test")                      # the synthetic clinic: cases without end
cases = load_dataset("all_dev_good.jsonl", exclude=["no_facts"])   # a file: MediQ, ProMed, CMB or canonical
print(cases.report)
"""

from promed_env.datasets.dataset import CaseDataset, GeneratedDataset, LoadReport
from promed_env.datasets.jsonl import write_jsonl
from promed_env.datasets.registry import SOURCES, load_dataset
from promed_env.datasets.slices import SLICES

__all__ = ["SLICES", "SOURCES", "CaseDataset", "GeneratedDataset", "LoadReport", "load_dataset", "write_jsonl"]
