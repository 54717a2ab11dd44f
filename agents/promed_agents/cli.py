"""The `promed` command."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated

import gymnasium as gym
import typer
from rich.console import Console
from rich.padding import Padding
from rich.progress import TaskID
from rich.text import Text

import promed_env
from promed_agents.cli_annotate import annotate_command
from promed_agents.cli_common import fail as _fail
from promed_agents.cli_common import progress_bar
from promed_agents.cli_curate import curate_command
from promed_agents.cli_data import datasets_app
from promed_agents.cli_llm import grpo_command, sft_command
from promed_agents.compare import compare, counterpart, gaps_closed, read_earlier, setting_changes
from promed_agents.evaluate import Evaluation, evaluate, write_results
from promed_agents.interviews import write_interviews
from promed_agents.mcts import PAPER, Search
from promed_agents.play import play
from promed_agents.replay import REPLIES
from promed_agents.report import REPORT_FILE, write_report
from promed_agents.score import score_file, setting_for, write_score
from promed_agents.score_table import score_example, score_heading, score_table
from promed_agents.setting import INFORMATION, Information, Setting
from promed_agents.tables import comparison_table, gap_lines, heading, pairs_table, results_table
from promed_agents.trajectories import Job, write_trajectories
from promed_agents.zoo import AGENTS, NEEDS_KNOWLEDGE, NEEDS_TABLE, make_agent
from promed_env.consultation import Consultation
from promed_env.dynamics import Dynamics
from promed_env.errors import ProMedError
from promed_env.rendering import transcript

app = typer.Typer(
    help="Proactive medical consultation: play it, evaluate doctors in it. For research, not for care.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

EnvId = Annotated[str, typer.Argument(help="Environment id, for example ProMed-MedQA-v0.", metavar="ENV")]
Dataset = Annotated[
    str | None,
    typer.Option(help="Registered name, or path of a file of cases (JSON Lines). Default: the environment's own."),
]
Seed = Annotated[int, typer.Option(min=0, help="Base seed; case i gets seed + i.")]
Patient = Annotated[
    str | None,
    typer.Option(
        help="Who replies: static, lexical, semantic, knowledge, llm:MODEL, or imperfect: 'forgetful(static, 0.3)'. "
        "Default: the environment's own."
    ),
]
MaxQuestions = Annotated[int, typer.Option(help="Turns before the doctor must answer.")]
FactsPerReply = Annotated[int, typer.Option(help="Most facts in one reply.")]
ShowOptions = Annotated[str | None, typer.Option(help="always, at_answer or never. Default: the environment's own.")]
Initial = Annotated[str, typer.Option(help="Facts stated at the start: dataset, first, half or a number.")]
Split = Annotated[
    str | None,
    typer.Option(help="Split of a registered data set. Default: its own; test where cases have no end."),
]


@app.callback(invoke_without_command=True)
def main(version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False) -> None:
    """Proactive medical consultation: play it, evaluate doctors in it. For research, not for care."""
    if version:
        typer.echo(f"promed {promed_env.__version__}")
        raise typer.Exit


@app.command("evaluate", no_args_is_help=True)
def evaluate_command(
    env_id: EnvId,
    agent: Annotated[
        list[str] | None,
        typer.Option(
            help=f"Doctor to evaluate; repeat for several: {', '.join(AGENTS)}, sb3:PATH, llm:MODEL. "
            "Default: all that can play without a model."
        ),
    ] = None,
    style: Annotated[
        str, typer.Option(help="How llm:MODEL doctors consult: direct, cot, ask, abstain or uncertainty.")
    ] = "ask",
    instructions: Annotated[
        bool, typer.Option("--instructions", help="Explain the task to llm:MODEL doctors in a system message.")
    ] = False,
    episodes: Annotated[
        int | None, typer.Option(help="Play the first N cases only. Default: all, or 1,000 where cases have no end.")
    ] = None,
    dataset: Dataset = None,
    split: Split = None,
    patient: Patient = None,
    reward: Annotated[
        str | None,
        typer.Option(help='Such as promed, sig_uniform or "2*sig + 3*diagnosis". Default: promed where it can be.'),
    ] = None,
    facts_per_reply: FactsPerReply = 3,
    max_questions: MaxQuestions = 10,
    show_options: ShowOptions = None,
    initial: Initial = "dataset",
    seed: Seed = 0,
    information: Annotated[
        list[str] | None,
        typer.Option(help=f"What an answer is based on: {', '.join(INFORMATION)}; repeat for several."),
    ] = None,
    tracker: Annotated[
        str | None,
        typer.Option(help="Which facts count as known: disclosed (default) or understanding:MODEL[,checker=model]."),
    ] = None,
    compare_dir: Annotated[
        Path | None,
        typer.Option("--compare", help="Folder of an earlier run on the same cases, to compare with case by case."),
    ] = None,
    show: Annotated[bool, typer.Option(help="Print one full consultation with the SIG of each question.")] = True,
    out: Annotated[Path | None, typer.Option(help="Folder for results.json: summaries and dialogues.")] = None,
) -> None:
    """Play doctors through every case and print a table.

    Example: promed evaluate ProMed-MedQA-v0 --agent scripted --agent greedy --out results
    """
    console = Console()
    try:
        settings = [
            Setting(
                env_id,
                dataset,
                split,
                patient,
                reward,
                facts_per_reply,
                max_questions,
                show_options,
                int(initial) if initial.isdecimal() else initial,
                seed,
                level,  # type: ignore[arg-type]  # checked by Setting
                tracker,
            )
            for level in dict.fromkeys(information or ("interactive",))
        ]
        levels: list[Information] = [setting.information for setting in settings]
        setting = next((each for each in settings if each.information == "interactive"), settings[0])
        cases = setting.load(episodes)
        tabled = all(case.evidence is not None for case in cases)
        unfit = (frozenset() if tabled else NEEDS_TABLE) | (frozenset() if cases.knowledge else NEEDS_KNOWLEDGE)
        names = agent or [name for name in AGENTS if name not in unfit]
        doctors = [make_agent(name, seed, style=style, instructions=instructions) for name in names]
        earlier: list[Evaluation] = []
        if compare_dir is not None:
            played = [(doctor.name, level) for doctor in doctors for level in levels]
            earlier = read_earlier(compare_dir, played, [case.case_id for case in cases])
        env = setting.make(cases[:1])  # reports a bad argument before anything is played
        if out is not None:
            out.mkdir(parents=True, exist_ok=True)
        console.print(heading(setting, cases, env, levels), highlight=False)
        evaluations: list[Evaluation] = []
        example: list[tuple[Consultation, Dynamics]] = []
        with progress_bar(console) as progress:
            for doctor in doctors:
                for each in settings:
                    named = doctor.name if len(settings) == 1 else f"{doctor.name} {each.information}"
                    advance = partial(progress.advance, progress.add_task(named, total=len(cases)))
                    finished: list[tuple[Consultation, Dynamics]] = []
                    evaluations.append(evaluate(doctor, each, cases, progress=advance, on_finish=finished.append))
                    if each is setting and (not example or doctor.name == "greedy"):
                        example = finished
        if show:
            telling = max(example, key=lambda pair: len(pair[0].known - pair[0].case.initial))
            valued = telling[1].sig_for(telling[0].case) is not None
            console.print(f"\nOne consultation{' with the SIG of each question' if valued else ''}:", style="bold")
            console.print(Padding(transcript(*telling), (0, 0, 1, 0)))
        console.print(results_table(evaluations))
        if pairs := pairs_table(evaluations):
            console.print(pairs)
        if gaps := gaps_closed(evaluations):
            console.print(gap_lines(gaps))
        if out is not None:
            console.print(Text(f"results written to {write_results(evaluations, out)}"))
        if compare_dir is not None:
            _print_comparison(console, evaluations, earlier, compare_dir)
    except (ProMedError, ValueError, OSError) as error:
        _fail(error)


def _print_comparison(console: Console, evaluations: list[Evaluation], earlier: list[Evaluation], folder: Path) -> None:
    """Each evaluation of this run against the same doctor's in an earlier one, level by level."""
    for level in dict.fromkeys(evaluation.setting.information for evaluation in evaluations):
        pairs = [
            (now, then)
            for now in evaluations
            if now.setting.information == level and (then := counterpart(now, earlier)) is not None
        ]
        if pairs:
            changes = "; ".join(setting_changes(pairs[0][0].setting, pairs[0][1].setting)) or "no setting differs"
            console.print(Text(f"This run (first) and that of {folder} (second): {changes}."))
            title = f"Compared with the earlier run, information {level}"
            console.print(comparison_table([compare(now, then) for now, then in pairs], title))


@app.command("report", no_args_is_help=True)
def report_command(
    folder: Annotated[
        Path,
        typer.Argument(help="What evaluate --out or train --out wrote, or a folder of such folders.", metavar="DIR"),
    ],
    out: Annotated[Path | None, typer.Option(help=f"File to write. Default: {REPORT_FILE} in the folder.")] = None,
    cases: Annotated[
        int, typer.Option(min=0, help="Most cases of a run whose consultations the page holds; its figures are of all.")
    ] = 200,
) -> None:
    """Make one self-contained HTML page of results: tables, plots, learning curves, every consultation.

    The page needs no network and prints well. Needs the extra report.

    Example: promed evaluate ProMed-MedQA-v0 --out results && promed report results
    """
    try:
        written = write_report(folder, out, cases=cases)
    except (ProMedError, ValueError, OSError) as error:
        _fail(error)
    Console().print(Text(f"report written to {written}"))


@app.command("plan", no_args_is_help=True)
def plan_command(
    env_id: EnvId,
    out: Annotated[Path, typer.Option(help="File of trajectories to write (JSON Lines); must not exist.")],
    episodes: Annotated[
        int | None, typer.Option(help="Plan the first N cases only. Default: all, or 1,000 where cases have no end.")
    ] = None,
    dataset: Dataset = None,
    split: Split = None,
    patient: Patient = None,
    reward: Annotated[
        str | None, typer.Option(help='What the search maximises on the way, such as "2*sig". Default: 2*sig.')
    ] = None,
    simulations: Annotated[int, typer.Option(help="Simulations before each question.")] = PAPER.simulations,
    proposer: Annotated[
        str, typer.Option(help="Candidates: facts (the case's own questions), catalogue, llm:MODEL.")
    ] = "facts",
    width: Annotated[int, typer.Option(min=1, help="Most candidates considered in a state.")] = 8,
    preset: Annotated[
        str, typer.Option(help="paper (UCT 2.2, decay 0.9, mean returns) or puct (PUCT, no decay, best child).")
    ] = "paper",
    correct_only: Annotated[bool, typer.Option(help="Leave out dialogues with a wrong answer.")] = False,
    quantile: Annotated[float, typer.Option(help="Leave out returns below this quantile, from 0 to 1.")] = 0.0,
    questions_only: Annotated[
        bool, typer.Option(help="Give the answers the weight 0: fine-tuning learns what to ask, and not to answer.")
    ] = False,
    facts_per_reply: FactsPerReply = 3,
    max_questions: MaxQuestions = 10,
    workers: Annotated[int, typer.Option(help="Processes.")] = 1,
    seed: Seed = 0,
) -> None:
    """Search for the best dialogues and write them as training data.

    The planner reads the case (access: record), so what it asks gives the answer away: a model that reads interviews
    too had better learn its questions only. An interrupted run goes on where it stopped, by the same command.

    Example: promed plan ProMed-MedQA-v0 --out plans.jsonl --simulations 100 --correct-only
    """
    console = Console()
    try:
        if preset not in ("paper", "puct"):
            raise ValueError(f"preset must be paper or puct, got {preset!r}")
        how = replace(PAPER, simulations=simulations) if preset == "paper" else Search(simulations)
        setting = Setting(env_id, dataset, split, patient, reward, facts_per_reply, max_questions, seed=seed)
        job = Job(setting, how, proposer, width)
        with progress_bar(console) as progress:
            task = progress.add_task("planning", total=len(setting.load(episodes)))
            made, kept = write_trajectories(
                job,
                out,
                episodes,
                workers=workers,
                correct_only=correct_only,
                quantile=quantile,
                questions_only=questions_only,
                progress=partial(progress.advance, task),
            )
    except (ProMedError, ValueError, OSError) as error:
        _fail(error)
    console.print(f"{made} planned, {kept} written to {out}", highlight=False)


@app.command("interviews", no_args_is_help=True)
def interviews_command(
    env_id: EnvId,
    out: Annotated[Path, typer.Option(help="File of interviews to write (JSON Lines); must not exist.")],
    episodes: Annotated[int, typer.Option(help="How many; of cases with an end in whole rounds.")] = 10_000,
    dataset: Dataset = None,
    split: Split = None,
    max_questions: MaxQuestions = 10,
    seed: Annotated[int, typer.Option(min=0, help="Draws the cases, and what is asked about them.")] = 0,
) -> None:
    """Write interviews that ask at random, with the right answer, as training data for a model's first reading.

    A model from scratch learns from them what findings mean, and not to ask: the questions have the weight 0. Many of
    them are about findings that are there (access: record).

    Example: promed interviews ProMed-PrimaryCare-v0 --split train --episodes 100000 --out interviews.jsonl
    """
    console = Console()
    try:
        with progress_bar(console) as progress:
            task = progress.add_task("asking", total=episodes)
            setting = Setting(env_id, dataset, split, max_questions=max_questions, seed=seed)
            write_interviews(setting, out, episodes, progress=partial(progress.advance, task))
    except (ProMedError, ValueError, OSError) as error:
        _fail(error)
    console.print(f"{episodes} interviews written to {out}", highlight=False)


@app.command("play", no_args_is_help=True)
def play_command(
    env_id: EnvId,
    dataset: Dataset = None,
    split: Split = None,
    case_id: Annotated[str | None, typer.Option(help="The case; default: a random one.")] = None,
    patient: Patient = None,
    facts_per_reply: FactsPerReply = 3,
    max_questions: MaxQuestions = 10,
    show_options: ShowOptions = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed of the draw.")] = None,
) -> None:
    """Be the doctor in the terminal, and see what each question was worth."""
    setting = Setting(env_id, dataset, split, patient=patient, show_options=show_options)
    try:
        cases = setting.load()
        env = gym.make(
            env_id,
            dataset=cases,
            reward=setting.reward_for(cases),
            facts_per_reply=facts_per_reply,
            max_questions=max_questions,
            render_mode="human",
            **setting.given(),
        )
        play(env, Console(), seed=seed, case_id=case_id)
    except (ProMedError, ValueError, OSError) as error:
        _fail(error)


@app.command("score", no_args_is_help=True)
def score_command(
    transcripts: Annotated[
        Path, typer.Argument(help="Dialogues to score: chat messages, one dialogue a line (JSON Lines).")
    ],
    dataset: Annotated[
        str, typer.Option(help="What they are about: environment id, registered data set, or a file of cases.")
    ],
    split: Split = None,
    patient: Patient = None,
    replies: Annotated[
        str,
        typer.Option(
            help="Whose replies bring out facts: the patient's, asked anew, or those that the transcript holds. "
            f"One of {', '.join(REPLIES)}."
        ),
    ] = "patient",
    facts_per_reply: FactsPerReply = 3,
    max_questions: MaxQuestions = 10,
    show_options: ShowOptions = None,
    initial: Initial = "dataset",
    seed: Seed = 0,
    keep_going: Annotated[
        bool, typer.Option("--keep-going", help="Leave out lines that are wrong; count them.")
    ] = False,
    show: Annotated[
        bool, typer.Option(help="Print the dialogue that brought out most, with the SIG of each question.")
    ] = True,
    out: Annotated[Path | None, typer.Option(help="Folder for score.json: every dialogue and question.")] = None,
) -> None:
    """Score anyone's dialogues, question by question; no agent is needed.

    A line is {"case_id": ..., "messages": [{"role": "assistant", "content": "Do you smoke?"}, ...]}: the doctor is the
    assistant. Its last message may be the answer, as in "answer: C" or "The answer is C".

    Example: promed score dialogues.jsonl --dataset ProMed-MedQA-v0 --out scores
    """
    console = Console()
    try:
        rules: dict[str, object] = {"split": split, "patient": patient, "facts_per_reply": facts_per_reply}
        rules |= {"max_questions": max_questions, "show_options": show_options, "seed": seed}
        rules["initial"] = int(initial) if initial.isdecimal() else initial
        finished: list[tuple[Consultation, Dynamics]] = []
        with progress_bar(console) as progress:
            result = score_file(
                transcripts,
                setting_for(dataset, **rules),
                replies=replies,  # type: ignore[arg-type]  # checked by score
                keep_going=keep_going,
                progress=partial(progress.advance, progress.add_task("scoring", total=None)),
                on_finish=finished.append,
            )
        console.print(score_heading(result), highlight=False)
        if show:
            console.print(score_example(result, finished))
        console.print(score_table(result), highlight=False)
        if out is not None:
            console.print(Text(f"written to {write_score(result, out)}"))
    except (ProMedError, ValueError, OSError) as error:
        _fail(error)


@app.command("train", no_args_is_help=True)
def train_command(
    env_id: EnvId,
    algo: Annotated[str, typer.Option(help="maskable_ppo, ppo or dqn, with its recipe.")] = "maskable_ppo",
    recipe: Annotated[Path | None, typer.Option(help="Recipe to use instead (TOML); says the algorithm too.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Environment steps in all. Default: the recipe's.")] = None,
    reward: Annotated[
        str | None, typer.Option(help="Such as diagnosis, promed or promed_signed. Default: the recipe's.")
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Default: the recipe's.")] = None,
    out: Annotated[
        Path, typer.Option(help="Folder of the run: checkpoints, evaluations.jsonl, TensorBoard logs.")
    ] = Path("run"),
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue from the newest checkpoint in the folder.")
    ] = False,
) -> None:
    """Train a doctor by reinforcement learning on the menu of questions; needs the extra rl.

    Example: promed train ProMed-PrimaryCare-v0 --algo maskable_ppo --reward promed_signed --out run
    """
    console = Console()
    try:
        from promed_agents.sb3 import Validation, read_recipe, train  # needs the extra `rl`

        given = {"env_id": env_id, "steps": steps, "reward": reward, "seed": seed}
        changes = {name: value for name, value in given.items() if value is not None}
        config = read_recipe(recipe or algo, **changes)
        with progress_bar(console) as progress:
            training = progress.add_task("training", total=config.steps)
            annotating: list[TaskID] = []

            def annotated(done: int, total: int) -> None:
                if not annotating:
                    annotating.append(progress.add_task("annotating", total=total))
                progress.update(annotating[0], completed=done)

            def report(found: Validation) -> None:
                progress.console.print(
                    Text(
                        f"{found.steps:>10,} steps, {found.seconds:,.0f} s: accuracy {found.accuracy:.3f}, "
                        f"{found.questions:.1f} questions on {found.n} validation cases"
                    )
                )

            checkpoint = train(
                config,
                out,
                resume=resume,
                on_progress=lambda steps: progress.update(training, completed=steps),
                on_annotation=annotated,
                on_validation=report,
            )
    except KeyboardInterrupt:
        _fail(RuntimeError(f"stopped; what {out} holds is kept. Continue with the same command and --resume"))
    except (ProMedError, ValueError, OSError) as error:
        _fail(error)
    console.print(Text(f"written to {checkpoint}\nplay it: promed evaluate {env_id} --agent sb3:{out}"))


app.command("annotate", no_args_is_help=True)(annotate_command)
app.command("curate", no_args_is_help=True)(curate_command)
app.command("sft", no_args_is_help=True)(sft_command)
app.command("grpo", no_args_is_help=True)(grpo_command)
app.add_typer(datasets_app, name="datasets")

if __name__ == "__main__":
    app()
