"use strict";
// The theme, and the consultation viewer. Texts of the data are only ever set as text, never as markup.
(() => {
  const byId = (id) => document.getElementById(id);
  const SVG = "http://www.w3.org/2000/svg";

  const make = (tag, attributes = {}, ...children) => {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children);
    return element;
  };
  const draw = (tag, attributes = {}, ...children) => {
    const element = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children);
    return element;
  };

  const themes = ["auto", "light", "dark"];
  const button = byId("theme");
  button.hidden = false;
  button.addEventListener("click", () => {
    const label = button.querySelector("span");
    const theme = themes[(themes.indexOf(label.textContent) + 1) % themes.length];
    label.textContent = theme;
    if (theme === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
  });

  if (!byId("data")) return;

  const runs = JSON.parse(byId("data").textContent);
  const doctors = runs.flatMap((run) => run.doctors.map((doctor) => ({ run, ...doctor })));
  if (!doctors.some((doctor) => doctor.episodes.length)) return;
  byId("viewer").hidden = false;
  const state = { doctor: 0, episode: null, turn: 0 };

  const name = (doctor) => {
    const levels = new Set(doctor.run.doctors.map((other) => other.information));
    const parts = [doctor.agent];
    if (levels.size > 1) parts.push(doctor.information);
    if (runs.length > 1) parts.push(doctor.run.name);
    return parts.join(", ");
  };
  doctors.forEach((doctor, index) => byId("doctor").append(make("option", { value: index }, name(doctor))));

  // The facts of a case are indexes of the run's list of facts.
  const caseOf = (episode) => {
    const run = doctors[state.doctor].run, found = run.cases[episode.id];
    return found ? { ...found, facts: found.facts.map((index) => run.facts[index]) } : null;
  };
  const percent = (share) => `${Math.round(share * 100)}%`;
  const signed = (value) => (value < 0 ? "−" : "+") + Math.abs(value).toFixed(3);

  // The list of cases

  const listed = () => {
    const wanted = byId("outcome").value;
    const part = byId("search").value.trim().toLowerCase();
    return doctors[state.doctor].episodes.filter(
      (episode) =>
        (wanted === "all" || episode.correct === (wanted === "right")) && episode.id.toLowerCase().includes(part),
    );
  };

  const SOURCE = /^[^:]*:/;

  // Ids are "<source>:<row id>": a source that all have in common tells nothing in a narrow list.
  const shortIds = (episodes) => {
    const sources = new Set(episodes.map((episode) => (episode.id.match(SOURCE) || [""])[0]));
    return (id) => (sources.size === 1 ? id.replace(SOURCE, "") || id : id);
  };

  const showList = () => {
    const episodes = listed();
    const short = shortIds(doctors[state.doctor].episodes);
    const all = doctors[state.doctor].episodes.length;
    byId("count").textContent = `${episodes.length} of ${all} consultations`;
    byId("cases").replaceChildren(
      ...episodes.map((episode) => {
        const item = make("button", { type: "button", "data-id": episode.id, title: episode.id });
        item.append(
          make("span", { class: `outcome ${episode.correct ? "right" : "wrong"}`, "aria-hidden": "true" }, episode.correct ? "✓" : "✗"),
          make("span", {}, short(episode.id)),
          make("span", { class: "hidden" }, episode.correct ? ", right" : ", wrong"),
        );
        item.addEventListener("click", () => choose(episode));
        return make("li", {}, item);
      }),
    );
    return episodes;
  };

  const items = () => [...byId("cases").querySelectorAll("button")];

  const markList = () => {
    const chosen = items().find((item) => item.dataset.id === state.episode.id);
    items().forEach((item) => {
      item.removeAttribute("aria-current");
      item.tabIndex = -1;
    });
    if (chosen) chosen.setAttribute("aria-current", "true");
    const reachable = chosen || items()[0];
    if (reachable) reachable.tabIndex = 0;
    if (chosen) {
      const list = byId("cases"), top = chosen.offsetTop;
      if (top < list.scrollTop || top + chosen.offsetHeight > list.scrollTop + list.clientHeight) {
        list.scrollTop = top - list.clientHeight / 2;
      }
    }
  };

  const neighbour = (step) => {
    const episodes = listed();
    return episodes[episodes.indexOf(state.episode) + step] || null;
  };

  byId("cases").addEventListener("keydown", (event) => {
    const move = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (move === undefined && event.key !== "Home" && event.key !== "End") return;
    event.preventDefault();
    const all = items();
    const at = all.indexOf(document.activeElement);
    const to = event.key === "Home" ? 0 : event.key === "End" ? all.length - 1 : at + move;
    if (!all[to]) return;
    choose(listed()[to]);
    items()[to].focus();
  });

  // One consultation

  const choose = (episode, turn = 0) => {
    state.episode = episode;
    const before = byId("turns").childElementCount;
    showCase();
    showTurns();
    markList();
    select(turn, before > 0);
    const index = encodeURIComponent(state.doctor);
    history.replaceState(null, "", `#consultation/${index}/${encodeURIComponent(episode.id)}`);
  };

  const optionsOf = (episode) => {
    const found = caseOf(episode);
    if (found) return found.options;
    const keys = new Set([...episode.answer, ...episode.chosen]);
    const count = episode.leanings ? episode.leanings[0].length : 0;
    for (let index = 0; index < count; index += 1) keys.add(String.fromCharCode(65 + index));
    return [...keys].sort().map((key) => [key, ""]);
  };

  const optionText = (episode, key) => {
    const found = optionsOf(episode).find((option) => option[0] === key);
    return found && found[1] ? `${key}. ${found[1]}` : key;
  };

  const LEVELS = {
    none: "The doctor is told the question and the options only, and answers at once.",
    initial: "The doctor is told the presentation, and answers at once.",
    full: "The doctor is told the presentation and all facts, and answers at once.",
  };

  const showCase = () => {
    const episode = state.episode, found = caseOf(episode), doctor = doctors[state.doctor];
    byId("case-head").textContent = episode.id;
    const said = episode.chosen.length ? episode.chosen.map((key) => optionText(episode, key)).join(", ") : "no answer";
    const lang = found ? found.language : "en";
    const verdict = [make("strong", { class: episode.correct ? "right" : "wrong" }, episode.correct ? "✓ Right" : "✗ Wrong"), ": ", make("span", { lang }, said)];
    if (episode.confidence !== null) verdict.push(` (${percent(episode.confidence)} sure)`);
    if (!episode.correct) verdict.push(". Right is ", make("span", { lang }, episode.answer.map((key) => optionText(episode, key)).join(", ")));
    byId("verdict").replaceChildren(...verdict);
    byId("level").textContent = LEVELS[doctor.information] || "";
    byId("level").hidden = !LEVELS[doctor.information];
    byId("presentation").textContent = found ? found.presentation : "The texts of the case are not in this result file; evaluate again to have them.";
    byId("question").textContent = found ? found.question : "";
    for (const id of ["presentation", "question", "turns", "missed", "options"]) byId(id).lang = lang;
    const parts = [`${name(doctor)} (access ${doctor.access})`, `${episode.questions} questions`, `${percent(episode.recall)} of the hidden facts`];
    if (episode.sig) parts.push(`SIG ${episode.sig.reduce((sum, gain) => sum + gain, 0).toFixed(3)}`);
    if (episode.invalid) parts.push(`${episode.invalid} invalid turns`);
    parts.push(`return ${episode.reward.toFixed(3)}`);
    byId("figures").textContent = parts.join(" · ");
    byId("previous").disabled = !neighbour(-1);
    byId("next").disabled = !neighbour(1);
  };

  const sigBar = (gain, low, high) => {
    const at = (value) => 2 + (116 * (value - low)) / (high - low || 1);
    return make(
      "span",
      { class: "sig" },
      "SIG ",
      draw(
        "svg",
        { viewBox: "0 0 120 12", "aria-hidden": "true", preserveAspectRatio: "none" },
        draw("rect", { class: "track", x: 2, y: 5, width: 116, height: 2 }),
        draw("rect", { class: gain < 0 ? "loss" : "gain", x: Math.min(at(0), at(gain)), y: 2, width: Math.abs(at(gain) - at(0)), height: 8 }),
        draw("line", { class: "zero", x1: at(0), x2: at(0), y1: 0, y2: 12 }),
      ),
      make("span", {}, signed(gain)),
    );
  };

  const factItem = (found, index, fresh) => {
    const item = make("li", fresh ? { class: "fresh" } : {});
    if (fresh) item.append(make("span", { class: "tag right" }, "new"), " ");
    else if (fresh === false) item.append(make("span", { class: "tag" }, "known"), " ");
    const fact = found ? found.facts[index] : null;
    if (fact) item.append(make("span", { class: "section", lang: "en" }, fact[0]), ` ${fact[1]}`);
    else item.append(`fact ${index}`);
    return item;
  };

  // A bare key says little; the option does.
  const saidIn = (turn) =>
    turn.kind === "answer" && state.episode.chosen.join(", ") === turn.text.trim()
      ? state.episode.chosen.map((key) => optionText(state.episode, key)).join(", ")
      : turn.text;

  const KINDS = { question: "asks", answer: "answers", invalid: "neither a question nor an answer" };

  const showTurns = () => {
    const episode = state.episode, found = caseOf(episode);
    const low = Math.min(0, ...(episode.sig || [])), high = Math.max(0, ...(episode.sig || []));
    byId("turns").replaceChildren(
      ...episode.turns.map((turn, index) => {
        const head = make("div", { class: "head" }, make("span", { lang: "en" }, `${index + 1} · ${KINDS[turn.kind]}`));
        if (episode.sig && turn.kind !== "answer") head.append(sigBar(episode.sig[index], low, high));
        const item = make("li", { "data-turn": index + 1 }, head, make("p", { class: "ask" }, saidIn(turn)));
        if (turn.reply !== null) item.append(make("p", { class: "reply" }, turn.reply));
        const stated = turn.disclosed || [];
        const facts = [...stated, ...turn.new.filter((fact) => !stated.includes(fact))];
        if (facts.length) {
          item.append(make("ul", { class: "facts", "aria-label": "Facts disclosed" }, ...facts.map((fact) => factItem(found, fact, turn.new.includes(fact)))));
        }
        item.addEventListener("click", () => {
          if (!String(window.getSelection())) select(index + 1, true);
        });
        return item;
      }),
    );
    const brought = new Set(episode.turns.flatMap((turn) => turn.new));
    const missed = found && doctors[state.doctor].information === "interactive"
      ? found.facts.map((_, index) => index).filter((index) => !brought.has(index) && !found.initial.includes(index))
      : [];
    byId("missed").hidden = !missed.length;
    byId("missed").classList.toggle("many", missed.length > 30); // too many to print
    byId("missed").querySelector("summary").textContent = `${missed.length} hidden facts were never brought out`;
    byId("missed").querySelector("ul").replaceChildren(...missed.map((index) => factItem(found, index)));
  };

  // The belief

  const beliefAt = (episode, turn) => episode.leanings && episode.leanings[Math.min(turn, episode.leanings.length - 1)];

  const showOptions = (turn) => {
    const episode = state.episode, shares = beliefAt(episode, turn);
    const over = turn >= episode.turns.length;
    byId("options").replaceChildren(
      ...optionsOf(episode).map(([key, text], index) => {
        const share = shares ? shares[index] : null;
        const label = make("span", { class: "text" }, text || " ");
        if (episode.answer.includes(key)) label.append(" ", make("span", { class: "tag right", lang: "en" }, "right answer"));
        if (over && episode.chosen.includes(key)) label.append(" ", make("span", { class: "tag", lang: "en" }, "chosen"));
        const item = make("li", { class: `s${index % 8}` }, make("span", { class: "key" }, key), label);
        if (share !== null && share !== undefined) {
          item.append(
            make("span", { class: "share" }, percent(share)),
            make("span", { class: "track", "aria-hidden": "true" }, make("div", { class: "fill", style: `width: ${share * 100}%` })),
          );
        }
        return item;
      }),
    );
  };

  const WIDTH = 320, HEIGHT = 190, LEFT = 30, RIGHT = 24, TOP = 12, BOTTOM = 34;
  const DASHES = ["7 4", "2 3", "10 3 2 3", "4 2"];

  const spread = (heights, gap, bottom) => {
    const order = heights.map((_, index) => index).sort((a, b) => heights[a] - heights[b]);
    const placed = [...heights];
    order.forEach((index, rank) => {
      if (rank) placed[index] = Math.max(placed[index], placed[order[rank - 1]] + gap);
    });
    let limit = bottom;
    [...order].reverse().forEach((index) => {
      placed[index] = Math.min(placed[index], limit);
      limit = placed[index] - gap;
    });
    return placed;
  };

  const showChart = (turn) => {
    const episode = state.episode, leanings = episode.leanings;
    const moves = leanings && leanings.length > 1;
    byId("chart").hidden = !moves;
    byId("belief-note").textContent = leanings
      ? "What the doctor would have answered before its next turn."
      : "This doctor does not tell what it would answer before it does.";
    if (!moves) return byId("chart").replaceChildren();
    const last = leanings.length - 1;
    const x = (at) => LEFT + (at / last) * (WIDTH - LEFT - RIGHT);
    const y = (share) => TOP + (1 - share) * (HEIGHT - TOP - BOTTOM);
    const options = optionsOf(episode);
    const words = options.map(([key], index) => `${key} from ${percent(leanings[0][index])} to ${percent(leanings[last][index])}`);
    const svg = draw(
      "svg",
      { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", class: "plot", "aria-labelledby": "chart-title chart-about" },
      draw("title", { id: "chart-title" }, "Belief over the options by turn"),
      draw("desc", { id: "chart-about" }, words.join(", ")),
    );
    for (const share of [0, 0.5, 1]) {
      svg.append(
        draw("line", { class: "grid", x1: LEFT, x2: WIDTH - RIGHT, y1: y(share), y2: y(share) }),
        draw("text", { class: "tick", x: LEFT - 6, y: y(share) + 4, "text-anchor": "end" }, String(share)),
      );
    }
    const every = Math.max(1, Math.ceil(last / 10));
    for (let at = 0; at <= last; at += every) {
      svg.append(draw("text", { class: "tick", x: x(at), y: HEIGHT - BOTTOM + 16, "text-anchor": "middle" }, String(at)));
    }
    svg.append(draw("text", { class: "label", x: (LEFT + WIDTH - RIGHT) / 2, y: HEIGHT - 3, "text-anchor": "middle" }, "turns"));
    const at = Math.min(turn, last);
    svg.append(draw("line", { class: "cursor", x1: x(at), x2: x(at), y1: TOP - 6, y2: y(0) }));
    options.forEach(([key], index) => {
      const truth = episode.answer.includes(key);
      const points = leanings.map((shares, step) => `${x(step).toFixed(1)},${y(shares[index]).toFixed(1)}`).join(" ");
      const dash = truth ? {} : { "stroke-dasharray": DASHES[index % DASHES.length] };
      svg.append(draw("polyline", { class: `line s${index % 8}${truth ? " truth" : ""}`, points, ...dash }));
      svg.append(draw("circle", { class: `marker s${index % 8}`, cx: x(at), cy: y(leanings[at][index]), r: truth ? 4.5 : 3.5 }));
    });
    const heights = spread(options.map((_, index) => y(leanings[last][index])), 12, y(0));
    options.forEach(([key], index) => {
      svg.append(draw("text", { class: "name", x: WIDTH - RIGHT + 8, y: heights[index] + 4 }, key));
    });
    byId("chart").replaceChildren(svg);
    return undefined;
  };

  const select = (turn, aloud) => {
    const episode = state.episode, most = episode.turns.length;
    state.turn = Math.max(0, Math.min(most, turn));
    const slider = byId("turn");
    slider.max = most;
    slider.value = state.turn;
    byId("turn-number").textContent = `${state.turn} of ${most}`;
    [...byId("turns").children].forEach((item, index) => {
      if (index + 1 === state.turn) item.setAttribute("aria-current", "step");
      else item.removeAttribute("aria-current");
    });
    showOptions(state.turn);
    showChart(state.turn);
    const said = state.turn ? [`Turn ${state.turn}: ${episode.turns[state.turn - 1].text}`] : [`${episode.id}, before the first turn`];
    if (state.turn && episode.turns[state.turn - 1].reply) said.push(episode.turns[state.turn - 1].reply);
    if (state.turn && episode.sig) said.push(`SIG ${signed(episode.sig[state.turn - 1])}`);
    const shares = beliefAt(episode, state.turn);
    if (shares) {
      const lead = shares.indexOf(Math.max(...shares));
      said.push(`leans to ${optionText(episode, optionsOf(episode)[lead][0])}, ${percent(shares[lead])}`);
      slider.setAttribute("aria-valuetext", `after turn ${state.turn} of ${most}, ${said[said.length - 1]}`);
    } else {
      slider.setAttribute("aria-valuetext", `after turn ${state.turn} of ${most}`);
    }
    if (aloud) byId("said").textContent = said.join(". ");
  };

  byId("turn").addEventListener("input", (event) => select(Number(event.target.value), true));
  byId("consultation").addEventListener("keydown", (event) => {
    const move = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (move === undefined || event.target === byId("turn") || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    select(state.turn + move, true);
    const item = byId("turns").children[state.turn - 1];
    if (item) item.scrollIntoView({ block: "nearest" });
  });
  for (const [id, step] of [["previous", -1], ["next", 1]]) {
    byId(id).addEventListener("click", () => {
      const to = neighbour(step);
      if (to) choose(to);
    });
  }

  const refresh = (keep) => {
    const episodes = showList();
    const same = episodes.find((episode) => episode.id === keep);
    if (same || episodes[0]) choose(same || episodes[0]);
    byId("consultation").hidden = !episodes.length;
  };
  byId("doctor").addEventListener("change", (event) => {
    state.doctor = Number(event.target.value);
    refresh(state.episode && state.episode.id);
  });
  byId("outcome").addEventListener("change", () => refresh(state.episode.id));
  byId("search").addEventListener("input", () => refresh(state.episode.id));
  document.querySelector(".controls").addEventListener("submit", (event) => event.preventDefault());

  // A link may name a doctor and a case; else begin with one that asks, and whose belief can be seen moving.
  const begin = () => {
    const [, doctor, id] = location.hash.match(/^#consultation\/(\d+)\/(.*)$/) || [];
    const asks = (each) => each.episodes.length > 0 && each.episodes[0].questions > 0;
    const first = [(each) => asks(each) && each.episodes[0].leanings, asks, (each) => each.episodes.length > 0]
      .map((good) => doctors.findIndex(good))
      .find((index) => index >= 0);
    state.doctor = doctors[Number(doctor)] ? Number(doctor) : first;
    byId("doctor").value = state.doctor;
    const episodes = showList();
    const wanted = id === undefined ? undefined : episodes.find((episode) => episode.id === decodeURIComponent(id));
    const place = location.hash;
    choose(wanted || episodes[0]);
    if (id === undefined) history.replaceState(null, "", place || location.pathname);
    else byId("consultations").scrollIntoView();
  };
  begin();
})();
