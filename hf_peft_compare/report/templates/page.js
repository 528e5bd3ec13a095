"use strict";
// Interactive parts of the page: sortable tables, live charts, a search over examples. Text from data becomes text
// nodes only.
(() => {
  const EXAMPLES_AT_ONCE = 5, ANSWERS_AT_ONCE = 12;

  function element(tag, properties = {}, ...children) {
    const made = Object.assign(document.createElement(tag), properties);
    made.append(...children);
    return made;
  }

  function menu(title, options, choose) {
    const select = element("select", {}, ...options.map((text) => element("option", { textContent: text })));
    select.addEventListener("change", () => choose(select.selectedIndex));
    return element("label", {}, `${title} `, select);
  }

  function whenNear(place, act) {
    const observer = new IntersectionObserver((entries) => {
      if (!entries.some((entry) => entry.isIntersecting)) return;
      observer.disconnect();
      act();
    }, { rootMargin: "600px" });
    observer.observe(place);
  }

  // --- Tables: a click on a header sorts, numbers numerically; unknown values stay last ---

  const words = new Intl.Collator(undefined, { numeric: true });

  function numberIn(text) {
    const found = text.replace(/[,\s]/g, "").replace(/−/g, "-").match(/-?\d+(\.\d+)?(e[+-]?\d+)?/i);
    return found ? Number(found[0]) * (text.startsWith("<") ? 0.999 : 1) : NaN;
  }

  function compare(first, second) {
    if (typeof first === "string") return words.compare(first, second);
    return first - second;
  }

  function sort(table, header) {
    const was = header.getAttribute("aria-sort");
    const descending = was ? was === "ascending" : header.classList.contains("number");
    const read = (row) => {
      const text = row.cells[header.cellIndex].querySelector(".value").textContent.trim();
      const value = header.classList.contains("number") ? numberIn(text) : text;
      return { row, value, known: text !== "–" && !Number.isNaN(value) };
    };
    const entries = [...table.tBodies[0].rows].map(read);
    entries.sort((a, b) => b.known - a.known || (a.known ? compare(a.value, b.value) * (descending ? -1 : 1) : 0));
    table.tBodies[0].append(...entries.map((entry) => entry.row));
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    header.setAttribute("aria-sort", descending ? "descending" : "ascending");
  }

  for (const table of document.querySelectorAll("figure.table table")) {
    if (table.tBodies[0].rows.length < 2) continue;
    for (const header of table.tHead.rows[0].cells) {
      const button = element("button", { type: "button" }, ...header.childNodes);
      button.addEventListener("click", () => sort(table, header));
      header.append(button);
    }
  }

  // --- Paper has no clicks: what is folded is printed too ---

  const folds = document.querySelectorAll("details.fold");
  addEventListener("beforeprint", () => folds.forEach((fold) => { fold.open = true; }));

  // --- Charts: Vega-Lite replaces the static charts, in the page's own colors ---

  // Replace the specification's placeholders of ink and paper, and the width of the static chart.
  function inPage(text) {
    const ink = getComputedStyle(document.documentElement).getPropertyValue("--ink").trim();
    const source = JSON.parse(text.replaceAll("#0a0b0c", ink).replaceAll("#fafbfc", "transparent"));
    source.spec.width = "container";
    source.spec.config.font = getComputedStyle(document.body).fontFamily;
    return source;
  }

  function assign(tree, path, value) {
    const keys = path.split("."), last = keys.pop();
    keys.reduce((branch, key) => branch[key], tree)[last] = value;
  }

  function liven(figure, source) {
    const { menus } = inPage(source.textContent);
    const picked = menus.map(() => 0);
    const canvas = element("div", { className: "canvas" });
    let drawn = null, width = 0, turn = Promise.resolve();

    const draw = () => { turn = turn.then(redraw); }; // one after the other, otherwise the slower one would win

    async function redraw() {
      const chosen = inPage(source.textContent).spec;
      menus.forEach(({ options }, place) => {
        for (const [path, value] of Object.entries(options[picked[place]][1])) assign(chosen, path, value);
      });
      width = canvas.clientWidth;
      drawn?.finalize();
      // Expressions are interpreted (ast), since the page's policy forbids compilation.
      drawn = await vegaEmbed(canvas, chosen, { ast: true, actions: false, renderer: "svg" });
    }

    const choices = menus.map(({ title, options }, place) => menu(title, options.map(([text]) => text), (index) => {
      picked[place] = index;
      draw();
    }));
    figure.prepend(element("div", { className: "live" }, element("div", { className: "menus" }, ...choices), canvas));
    figure.classList.add("alive");
    draw();
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
    addEventListener("resize", () => canvas.clientWidth !== width && draw());
  }

  for (const source of document.querySelectorAll("script.live-chart")) {
    const figure = source.closest("figure");
    whenNear(figure, () => liven(figure, source));
  }

  // --- Examples: unpacked when they are near the viewport; only a few are in the page at a time ---

  async function unpack(packed) {
    const binary = atob(packed), bytes = new Uint8Array(binary.length);
    for (let place = 0; place < binary.length; place++) bytes[place] = binary.charCodeAt(place);
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    return new Response(stream).json();
  }

  function browse(place, { score, rows, examples, runs }) {
    const number = examples.ids.length, sign = score.greater_is_better ? 1 : -1;
    const seeds = [...new Set(runs.map((run) => run.seed))];
    const state = { seed: 0, show: 0, better: 0, worse: 0, order: 0, text: "", start: 0 };
    let current, haystacks, matches;

    // A row without the chosen seed, such as an untrained one, shows the seed that it has.
    function chooseSeed() {
      current = rows.map((_, row) => {
        const own = runs.filter((run) => run.row === row);
        return own.find((run) => run.seed === seeds[state.seed]) ?? own[0];
      });
      haystacks = new Array(number);
    }

    const scoresOf = (example) => current.map((run) => run?.scores[example] ?? NaN).filter((value) => !isNaN(value));
    const spread = (example) => Math.max(...scoresOf(example)) - Math.min(...scoresOf(example));
    const mean = (example) => scoresOf(example).reduce((sum, value) => sum + value, 0) / scoresOf(example).length;
    const answers = (example) => new Set(current.map((run) => run?.answers[example]).filter((text) => text != null));

    function contains(example) {
      haystacks[example] ??= [examples.ids[example], examples.sources[example], examples.references[example],
        ...answers(example)].join("\n").toLowerCase();
      return haystacks[example].includes(state.text);
    }

    const shows = [
      ["all examples", () => true],
      ["where scores differ", (example) => spread(example) > 0],
      ["where answers differ", (example) => answers(example).size > 1],
      ["where answers agree", (example) => answers(example).size === 1],
    ];
    const orders = [
      ["as in the data", null],
      ["most disagreement first", (example) => -spread(example)],
      ["hardest first", (example) => sign * mean(example)],
      ["easiest first", (example) => -sign * mean(example)],
    ];

    function beats(example) {
      if (!state.better || !state.worse) return true;
      const [ours, theirs] = [state.better, state.worse].map((row) => current[row - 1]?.scores[example]);
      return ours != null && theirs != null && sign * (ours - theirs) > 0;
    }

    function search() {
      const keep = shows[state.show][1], key = orders[state.order][1];
      matches = Array.from({ length: number }, (_, example) => example).filter(
        (example) => keep(example) && beats(example) && (!state.text || contains(example)));
      if (key) {
        const keys = new Map(matches.map((example) => [example, key(example)]));
        matches.sort((a, b) => (keys.get(a) - keys.get(b) || a - b));
      }
      state.start = 0;
      show();
    }

    function card(title, text, { accent, note = "", reference = false }) {
      const made = element("div", { className: reference ? "answer reference" : "answer" },
        element("h4", { dir: "auto" }, title, element("span", { textContent: note })),
        element("p", { className: "long", dir: "auto", textContent: text?.trim() ? text : "(empty)" }));
      if (accent) made.style.setProperty("--accent", accent);
      return made;
    }

    function article(example) {
      const cards = current.flatMap((run, row) => run?.answers[example] == null ? [] : [card(rows[row].label,
        run.answers[example], { accent: rows[row].accent, note: written(run.scores[example]) })]);
      return element("article", { className: "example" },
        element("h3", { dir: "auto", textContent: `Example ${examples.ids[example]}` }),
        ...(examples.pictures[example]
          ? [element("img", { className: "picture", src: examples.pictures[example], alt: "" })] : []),
        element("details", { open: Boolean(examples.pictures[example]) },
          element("summary", { textContent: "Source text" }),
          element("p", { className: "long", dir: "auto", textContent: examples.sources[example] })),
        element("div", { className: "answers" },
          card("Reference", examples.references[example], { reference: true }), ...cards.slice(0, ANSWERS_AT_ONCE)),
        ...(cards.length > ANSWERS_AT_ONCE ? [element("details", {},
          element("summary", { textContent: `${cards.length - ANSWERS_AT_ONCE} more answers` }),
          element("div", { className: "answers" }, ...cards.slice(ANSWERS_AT_ONCE)))] : []));
    }

    const written = (value) => value == null ? "" : `${score.title} ${value.toFixed(3)}`;
    const status = element("span", { role: "status" });
    const list = element("div", { className: "found" });
    const step = (text, by) => {
      const button = element("button", { type: "button", textContent: text });
      button.addEventListener("click", () => { state.start += by; show(); });
      return button;
    };
    const back = step("Previous", -EXAMPLES_AT_ONCE), on = step("Next", EXAMPLES_AT_ONCE);

    function show() {
      const end = Math.min(state.start + EXAMPLES_AT_ONCE, matches.length);
      const range = matches.length ? `${state.start + 1} to ${end} of ` : "";
      const all = number < examples.in_all ? `the first ${number} of ${examples.in_all} are here` : `${number} in all`;
      status.textContent = `${range}${matches.length} (${all})`;
      back.disabled = state.start === 0;
      on.disabled = end === matches.length;
      list.replaceChildren(...matches.slice(state.start, end).map(article));
    }

    const set = (key, after = search) => (index) => { state[key] = index; after(); };
    const labels = rows.map((row) => row.label);
    const input = element("input", { type: "search", placeholder: "any text" });
    let waiting;
    input.addEventListener("input", () => {
      clearTimeout(waiting);
      waiting = setTimeout(() => { state.text = input.value.trim().toLowerCase(); search(); }, 150);
    });
    const menus = [
      element("label", {}, "Search ", input),
      menu("Show", shows.map(([title]) => title), set("show")),
      menu("Where", ["any method", ...labels], set("better")),
      menu("beats", ["any other", ...labels], set("worse")),
      menu("Order", orders.map(([title]) => title), set("order")),
      ...(seeds.length > 1 ? [menu("Seed", seeds, set("seed", () => { chooseSeed(); search(); }))] : []),
    ];
    chooseSeed();
    place.replaceChildren(element("div", { className: "menus" }, ...menus),
      element("p", { className: "pager" }, back, on, status), list);
    place.closest("section").classList.add("browsing");
    search();
  }

  for (const packed of document.querySelectorAll("script.packed")) {
    const place = packed.previousElementSibling;
    whenNear(packed.closest("section"), async () => {
      place.hidden = false;
      place.textContent = "…";
      browse(place, await unpack(packed.textContent));
    });
  }
})();
