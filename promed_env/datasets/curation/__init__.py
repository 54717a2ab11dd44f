"""Curating: makes cases that can be played of full vignette questions, such as MedQA's and CMB's.

The stem is split into vignette and question (`question`), the vignette into sentences (`sentences`) and those into
self-contained atomic facts, by rules (`facts`, `chinese`) or by a language model that is checked against every sentence
(`splitters`); `curate` puts the case together. What may be invented and lost (nothing) is defined in `words`,
what no fact may look like in `vetoes`.
"""

from promed_env.datasets.curation.curate import (
    PRESENTATIONS,
    SOURCE_FORMATS,
    CaseCounts,
    Curated,
    CurationReport,
    check_rows,
    curate,
    curate_row,
)
from promed_env.datasets.curation.question import Stem, split_question
from promed_env.datasets.curation.sentences import Sentence, sentences
from promed_env.datasets.curation.splitters import (
    REFUSALS,
    LanguageModelSplitter,
    RuleSplitter,
    Split,
    Splitter,
    check_facts,
    split_vignette,
)

__all__ = [
    "PRESENTATIONS",
    "REFUSALS",
    "SOURCE_FORMATS",
    "CaseCounts",
    "Curated",
    "CurationReport",
    "LanguageModelSplitter",
    "RuleSplitter",
    "Sentence",
    "Split",
    "Splitter",
    "Stem",
    "check_facts",
    "check_rows",
    "curate",
    "curate_row",
    "sentences",
    "split_question",
    "split_vignette",
]
