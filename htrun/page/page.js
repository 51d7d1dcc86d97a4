"use strict";
(async () => {
  if (!("DecompressionStream" in window)) return; // the page says what it takes
  const { tag, links, glyphs, table } = JSON.parse(document.getElementById("data").textContent);
  const PAGE = 50, STDOUT = 1, STDERR = 2, FILES = 4;
  const $ = (id) => document.getElementById(id);
  const number = new Intl.NumberFormat("en-US");

  // Columns come as zlib in base64: numbers as planes of bytes, the lowest first, and texts as lines.
  const bytes = async (name) => {
    if (!(name in table.columns) || !table.columns[name]) return new Uint8Array();
    const packed = Uint8Array.from(atob(table.columns[name]), (letter) => letter.charCodeAt(0));
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  };
  const lines = async (name) => {
    const data = await bytes(name);
    return data.length || table.columns[name] ? new TextDecoder().decode(data).split("\n") : [];
  };
  const numbers = async (name, width) => {
    const data = await bytes(name), size = data.length / width, result = new Uint32Array(size);
    for (let place = 0; place < width; place++)
      for (let row = 0; row < size; row++) result[row] |= data[place * size + row] << (8 * place);
    return result;
  };
  const running = (column, mask) => {
    for (let row = 1; row < column.length; row++) column[row] = (column[row - 1] + column[row]) & mask;
    return column;
  };
  const amount = (code) => (code ? ((code - 1) % 900 + 100) * 10 ** (Math.floor((code - 1) / 900) - 8) : 0);

  const [status, nodes, known, started, wall, memory, node, job, attempts, marks, cause, input, failure, output] = await Promise.all([
    bytes("status"), lines("nodes"), numbers("component", 4), numbers("started", 2), numbers("wall", 2),
    numbers("memory", 2), numbers("node", 2), numbers("job", 4), bytes("attempts"), bytes("marks"), bytes("cause"),
    lines("input"), lines("failure"), lines("output"),
  ]);
  const outcome = Array.from({ length: table.rows }, (_, at) => failure[at] || output[at] || "");
  running(started, 0xffff);
  running(job, -1);
  running(known, -1);
  const isWhole = table.rows === table.size;
  const rowOf = new Map(isWhole ? [] : Array.from(known, (component, row) => [component, row]));
  // The row that holds more of a component than its status; none for some of more than can be shown.
  const row = (component) => (isWhole ? component : rowOf.get(component));

  const digits = (value) => (value >= 99.95 ? number.format(Math.round(value)) : String(Number(value.toPrecision(3))));
  const time = (seconds) => {
    for (const [unit, size, below] of [["µs", 1e-6, 1e-3], ["ms", 1e-3, 1], ["s", 1, 120], ["min", 60, 7200]])
      if (seconds < below) return `${digits(seconds / size)} ${unit}`;
    return seconds < 172800 ? `${digits(seconds / 3600)} h` : `${digits(seconds / 86400)} d`;
  };
  const size = (mib) => (mib < 10000 ? `${digits(mib)} MB` : `${digits(mib / 1024)} GB`);

  const element = (name, attributes = {}, ...children) => {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.append(...children);
    return made;
  };
  const statusText = (name) =>
    element("span", { class: `status s-${name.toLowerCase()}` },
      element("span", { class: "glyph", "aria-hidden": "true" }, glyphs[name]), name.toLowerCase());

  // What is shown: the components that match, in an order, from a page on.
  let found = [], page = 0, open = -1;
  const order = { by: "component", down: false };
  const query = $("query"), byStatus = $("by-status"), byNode = $("by-node"), byCause = $("by-cause");
  const counts = new Array(table.statuses.length).fill(0);
  for (const code of status) counts[code]++;
  table.statuses.forEach((name, code) => {
    if (counts[code]) byStatus.append(element("option", { value: code }, `${name.toLowerCase()} (${number.format(counts[code])})`));
  });
  nodes.map((name, index) => [name, index + 1]).sort((a, b) => a[0].localeCompare(b[0], "en", { numeric: true }))
    .forEach(([name, value]) => byNode.append(element("option", { value }, name)));
  $("node-label").hidden = nodes.length < 2;
  $("cause-label").hidden = byCause.options.length < 2;

  const matches = () => {
    const words = query.value.trim();
    const range = /^(\d+)(?:\s*-\s*(\d+))?$/.exec(words);
    const [low, high] = range ? [Number(range[1]), Number(range[2] ?? range[1])] : [0, table.size - 1];
    const text = range ? "" : words.toLowerCase();
    const named = text ? nodes.map((name) => name.toLowerCase().includes(text)) : [];
    const result = [];
    for (let component = low; component <= Math.min(high, table.size - 1); component++) {
      if (byStatus.value && status[component] !== Number(byStatus.value)) continue;
      const at = row(component);
      if (byNode.value && (at === undefined || node[at] !== Number(byNode.value))) continue;
      if (byCause.value && (at === undefined || cause[at] !== Number(byCause.value))) continue;
      if (text && (at === undefined || !((input[at] ?? "").toLowerCase().includes(text)
        || (outcome[at] ?? "").toLowerCase().includes(text) || named[node[at] - 1]))) continue;
      result.push(component);
    }
    return result;
  };
  const columns = { input, outcome, wall, memory, node };
  const sort = () => {
    const sign = order.down ? -1 : 1;
    if (order.by === "component") {
      if (order.down) found.reverse();
    } else if (order.by === "status") {
      found.sort((a, b) => sign * (status[a] - status[b]) || a - b);
    } else if (order.by === "input" || order.by === "outcome" || order.by === "node") {
      const collator = new Intl.Collator("en", { numeric: true });
      const text = order.by === "node" ? (at) => nodes[node[at] - 1] : (at) => columns[order.by][at];
      const keys = new Map(found.map((component) => [component, text(row(component)) ?? ""]));
      found.sort((a, b) => sign * collator.compare(keys.get(a), keys.get(b)) || a - b);
    } else {
      const key = (component) => columns[order.by][row(component)] ?? 0;
      found.sort((a, b) => sign * (key(a) - key(b)) || a - b);
    }
  };

  const link = (href, text, title) => element("a", { href, title }, text);
  const filesOf = (component, at) => {
    const list = element("span", { class: "files" });
    const name = table.statuses[status[component]];
    if (links.outputs && name === "COMPLETED") list.append(link(links.outputs, "output", `line ${component + 1} of outputs.jsonl`));
    if (links.errors && name === "ERRORED") list.append(link(links.errors, "error", "errors.jsonl"));
    if (at === undefined) return list;
    const directory = `${links.jobs}/${job[at] - 1}`;
    if (marks[at] & STDOUT) list.append(link(`${directory}/stdout`, "stdout", "what the components of its job printed"));
    if (marks[at] & STDERR) list.append(link(`${directory}/stderr`, "stderr", "what the components of its job printed"));
    if (marks[at] & FILES) list.append(link(`${links.files}/${component}/`, "files", "its output files"));
    return list;
  };
  const detailsOf = (component, at) => {
    const list = element("dl");
    const add = (name, ...what) => list.append(element("div", {}, element("dt", {}, name), element("dd", {}, ...what)));
    if (at === undefined) {
      add("More", "is not kept in this page for so many components: ", element("code", {}, `htrun collect ${tag} --with-inputs`));
    } else {
      if (input[at]) add("Input", element("code", {}, input[at]));
      if (outcome[at]) add("Output or error", element("code", {}, outcome[at]));
      if (node[at]) {
        add("Node", nodes[node[at] - 1]);
        const begun = started[at] * table.step;
        add("Started", `${time(begun)} after the map was made`);
        add("Attempt", String(attempts[at]));
      }
      if (marks[at] & (STDOUT | STDERR)) {
        const streams = [[STDOUT, "stdout"], [STDERR, "stderr"]].filter(([mark]) => marks[at] & mark);
        streams.forEach(([, stream]) => add("What it printed", element("code", {}, `htrun ${stream} ${tag} ${component}`)));
      }
    }
    return list;
  };
  const show = (focus) => {
    const pages = Math.max(1, Math.ceil(found.length / PAGE));
    page = Math.min(Math.max(page, 0), pages - 1);
    const body = $("table").tBodies[0];
    body.replaceChildren();
    for (const component of found.slice(page * PAGE, (page + 1) * PAGE)) {
      const at = row(component), isOpen = component === open;
      const button = element("button", { type: "button", "aria-expanded": isOpen, "aria-label": `component ${component}, more` }, String(component));
      button.addEventListener("click", () => {
        open = isOpen ? -1 : component;
        show(component);
      });
      const line = element("tr", {},
        element("th", { scope: "row", class: "number" }, button),
        element("td", {}, statusText(table.statuses[status[component]])),
        element("td", { class: "text" }, (at !== undefined && input[at]) || ""),
        element("td", { class: "text" }, (at !== undefined && outcome[at]) || ""),
        element("td", { class: "number" }, at !== undefined && node[at] ? time(amount(wall[at])) : ""),
        element("td", { class: "number" }, at !== undefined && memory[at] ? size(amount(memory[at])) : ""),
        element("td", { class: "node" }, (at !== undefined && nodes[node[at] - 1]) || ""),
        element("td", {}, filesOf(component, at)));
      body.append(line);
      if (isOpen) body.append(element("tr", { class: "more" }, element("td", { colspan: 8 }, detailsOf(component, at))));
      if (focus === component) button.focus();
    }
    const of = found.length === table.size ? "" : ` of ${number.format(table.size)}`;
    $("found").textContent = found.length
      ? `${number.format(found.length)}${of} component${table.size === 1 ? "" : "s"}` : "No component is like that.";
    $("page").textContent = `page ${number.format(page + 1)} of ${number.format(pages)}`;
    $("first").disabled = $("previous").disabled = page === 0;
    $("next").disabled = $("last").disabled = page === pages - 1;
    $("last").dataset.page = pages - 1;
    for (const head of document.querySelectorAll("#table [data-sort]"))
      head.setAttribute("aria-sort", head.dataset.sort === order.by ? (order.down ? "descending" : "ascending") : "none");
  };
  const search = () => {
    found = matches();
    sort();
    page = 0;
    show();
  };

  let timer;
  query.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(search, table.size > 20000 ? 250 : 60);
  });
  for (const select of [byStatus, byNode, byCause]) select.addEventListener("change", search);
  query.form.addEventListener("submit", (event) => {
    event.preventDefault();
    search();
  });
  query.form.addEventListener("reset", () => setTimeout(search));
  for (const head of document.querySelectorAll("#table [data-sort]"))
    head.firstElementChild.addEventListener("click", () => {
      const isNumber = head.classList.contains("number") && head.dataset.sort !== "component";
      order.down = order.by === head.dataset.sort ? !order.down : isNumber; // the largest first
      order.by = head.dataset.sort;
      search();
    });
  const turn = (id, to) => $(id).addEventListener("click", () => {
    page = to();
    show();
    $("found").scrollIntoView({ block: "nearest" });
  });
  turn("first", () => 0);
  turn("previous", () => page - 1);
  turn("next", () => page + 1);
  turn("last", () => Number($("last").dataset.page));

  // Other parts of the page lead here, each with what is to be shown.
  const lead = (settings, component = -1) => {
    query.form.reset();
    for (const [field, value] of settings) field.value = value;
    open = component;
    search();
    $("components").scrollIntoView();
    $("components").focus({ preventScroll: true });
  };
  for (const from of document.querySelectorAll("[data-status]"))
    from.addEventListener("click", () => lead([[byStatus, table.statuses.indexOf(from.dataset.status)]]));
  for (const from of document.querySelectorAll("[data-component]"))
    from.addEventListener("click", () => lead([[query, from.dataset.component]], Number(from.dataset.component)));
  for (const from of document.querySelectorAll("[data-cause]")) {
    from.hidden = false;
    from.addEventListener("click", () => lead([[byCause, from.dataset.cause]]));
  }

  const lacks = [];
  if (!isWhole) lacks.push(`more than the status is kept of ${number.format(table.rows)} components, among them those that did not complete, the slowest and the largest`);
  for (const [name, what] of [["failure", "errors"], ["input", "inputs"], ["output", "outputs"]]) {
    const length = table.lengths[name];
    if (length === 0 && table.rows) lacks.push(`${what} are left out`);
    else if (length !== null) lacks.push(`${what} are cut to ${length} characters`);
  }
  if (lacks.length) $("lacks").textContent = ` So that the page stays small, ${lacks.join("; ")}.`;

  // On paper nothing can be opened.
  let closed = [];
  addEventListener("beforeprint", () => {
    closed = [...document.querySelectorAll(".causes details:not([open])")];
    for (const details of closed) details.open = true;
  });
  addEventListener("afterprint", () => {
    for (const details of closed) details.open = false;
  });

  $("unavailable").hidden = true;
  $("explorer").hidden = false;
  search();
})();
